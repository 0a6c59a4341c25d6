// SPDX-License-Identifier: Apache-2.0
#include "output/merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "output/unite.h"

namespace snoop {

namespace {

using Headers = std::vector<const ReportHeader*>;
using Texts = std::vector<std::string>;

bool is_complete(const ReportContents& report) {
  const ReportHeader& header = report.header;
  const bool has_lost = std::any_of(report.containers.begin(), report.containers.end(),
                                    [](const Container& container) { return container.all_losses().sum() != 0; });
  return !has_lost && header.undecodable == 0 && header.skipped_runs == 0 && header.targets_over_limit == 0;
}

/// What is known of images: an id goes with a digest where no other does.
class Images {
 public:
  explicit Images(const std::vector<ReportedContainer>& containers) {
    for (const auto& [header, container] : containers) {
      const std::string& id = container->identity.image_id;
      const std::string& digest = container->image_digest;
      if (!id.empty() && !digest.empty()) {
        digests_[id].insert(digest);
        ids_[{digest, header->arch}].insert(id);
      }
    }
  }

  /// The same for two containers only if they are of one image. Empty: not known.
  [[nodiscard]] Texts key(const Container& container, const std::string& arch) const {
    std::string digest = container.image_digest;
    std::string id = container.identity.image_id;
    // A digest, or a name, may be that of several images, one for each kind of machine.
    const bool is_arch_known = arch != kSeveral;
    if (digest.empty() && !id.empty()) {
      digest = only_one(digests_, id);
    } else if (id.empty() && is_arch_known) {
      id = only_one(ids_, std::pair(digest, arch));
    }
    if (!id.empty()) {
      return {"id", digest, id};
    }
    if (!is_arch_known || (digest.empty() && container.image.empty())) {
      return {};
    }
    return digest.empty() ? Texts{"name", container.image, arch} : Texts{"digest", digest, arch};
  }

 private:
  template <typename Key>
  static std::string only_one(const std::map<Key, std::set<std::string>>& map, const Key& key) {
    const auto found = map.find(key);
    return found == map.end() || found->second.size() != 1 ? std::string() : *found->second.begin();
  }

  std::map<std::string, std::set<std::string>> digests_;
  /// By digest and machine.
  std::map<std::pair<std::string, std::string>, std::set<std::string>> ids_;
};

/// A container of which no image is known is the same only in the same place. Empty: that is not known either.
Texts place_key(const Container& container, const ReportHeader& header) {
  if (!header.merged_from.empty() || header.hostname.empty() || container.cgroup_path.empty()) {
    return {};
  }
  return {"place", container.name, container.cgroup_path, container.identity.id, header.hostname, header.machine_id};
}

bool has_all_containers_of(const ReportContents& whole, const ReportContents& part) {
  using PathOrId = std::pair<std::string_view, uint64_t>;
  const auto place = [](const Container& container) {
    return PathOrId(container.cgroup_path, container.cgroup_path.empty() ? container.cgroup_id : 0);
  };
  std::set<PathOrId> places;
  for (const Container& container : whole.containers) {
    places.insert(place(container));
  }
  return std::all_of(part.containers.begin(), part.containers.end(), [&](const Container& container) {
    return container.undecided || places.contains(place(container));
  });
}

/// Whether one recording is an earlier state of another, or the same: `record` goes on from its report.
bool is_same_recording(const ReportSource& a, const ReportSource& b) {
  return std::tie(a.hostname, a.machine_id, a.started_at) == std::tie(b.hostname, b.machine_id, b.started_at);
}

bool contains(const ReportContents& whole, const ReportContents& part) {
  const std::vector<ReportSource> have = sources_of(whole);
  const std::vector<ReportSource> wanted = sources_of(part);
  const bool has_all = std::all_of(wanted.begin(), wanted.end(), [&](const ReportSource& one) {
    return std::any_of(have.begin(), have.end(), [&](const ReportSource& other) {
      return is_same_recording(one, other) && one.updated_at <= other.updated_at;
    });
  });
  const bool are_plain = whole.header.merged_from.empty() && part.header.merged_from.empty();
  return has_all && (!are_plain || has_all_containers_of(whole, part));
}

/// The order in which reports are looked at; where two are as one here, the one is as good as the other.
auto rank(const NamedReport& report) {
  uint64_t events = 0;
  for (const Container& container : report.contents.containers) {
    events += container.all_events();
  }
  return std::tuple(sources_of(report.contents), report.contents.containers.size(), events);
}

/// Takes out reports that others contain, so that nothing is counted twice.
void leave_out_contained(std::vector<NamedReport>& reports, std::vector<std::string>& warnings) {
  std::sort(reports.begin(), reports.end(),
            [](const NamedReport& a, const NamedReport& b) { return rank(b) < rank(a); });
  std::vector<bool> is_contained(reports.size());
  for (size_t i = 0; i < reports.size(); i++) {
    for (size_t other = 0; other < reports.size() && !is_contained[i]; other++) {
      const ReportContents& one = reports[i].contents;
      const ReportContents& another = reports[other].contents;
      // Of two that contain each other the first stays.
      if (other != i && contains(another, one) && (other < i || !contains(one, another))) {
        is_contained[i] = true;
        warnings.push_back(fmt::format("{} is left out: {} contains it", reports[i].name, reports[other].name));
      }
    }
  }
  std::vector<NamedReport> kept;
  for (size_t i = 0; i < reports.size(); i++) {
    if (!is_contained[i]) {
      kept.push_back(std::move(reports[i]));
    }
  }
  reports = std::move(kept);
}

/// What is in several reports, and cannot be taken out of any.
void warn_of_overlaps(const std::vector<NamedReport>& reports, std::vector<std::string>& warnings) {
  std::vector<std::pair<ReportSource, const NamedReport*>> seen;
  for (const NamedReport& report : reports) {
    for (const ReportSource& source : sources_of(report.contents)) {
      const auto other = std::find_if(seen.begin(), seen.end(), [&](const auto& one) {
        return one.second != &report && is_same_recording(one.first, source);
      });
      if (other != seen.end()) {
        warnings.push_back(fmt::format("{} and {} both have what {} recorded from {} on: it may be counted twice",
                                       other->second->name, report.name, source.hostname, rfc3339(source.started_at)));
      }
      seen.emplace_back(source, &report);
    }
  }
}

/// When nobody looked at all, and when one of them did not.
std::vector<Interval> united_gaps(const Headers& headers) {
  std::vector<Interval> spans;
  std::vector<Interval> gaps;
  for (const ReportHeader* header : headers) {
    spans.push_back({header->started_at, std::max(header->started_at, header->updated_at)});
    gaps.insert(gaps.end(), header->gaps.begin(), header->gaps.end());
  }
  spans = joined(std::move(spans));
  for (size_t i = 1; i < spans.size(); i++) {
    gaps.push_back({spans[i - 1].to, spans[i].from});
  }
  std::vector<Interval> united;
  for (const Interval& gap : joined(std::move(gaps))) {
    add_gap(united, gap);
  }
  return united;
}

/// Sorted, each once.
template <typename Get>
auto all_of_them(const Headers& headers, Get get) {
  std::decay_t<decltype(get(*headers.front()))> all;
  for (const ReportHeader* header : headers) {
    all.insert(all.end(), get(*header).begin(), get(*header).end());
  }
  return all;
}

std::vector<MetadataSource> all_metadata_sources(const Headers& headers) {
  std::map<std::tuple<std::string, std::string, std::string, std::string>, MetadataSource> sorted;
  for (const MetadataSource& one : all_of_them(
           headers, [](const ReportHeader& header) -> const auto& { return header.metadata_sources; })) {
    sorted.try_emplace({one.name, one.endpoint, one.state, one.error}, one);
  }
  std::vector<MetadataSource> sources;
  sources.reserve(sorted.size());
  for (auto& [key, source] : sorted) {
    sources.push_back(std::move(source));
  }
  return sources;
}

ReportHeader united_header(const Headers& headers) {
  if (headers.size() == 1) {
    return *headers.front();
  }
  const auto same = [&](std::string ReportHeader::*member) {
    return agreed(headers, [member](const ReportHeader& header) -> const std::string& { return header.*member; });
  };
  const auto same_or_several = [&](std::string ReportHeader::*member) {
    const std::string text = same(member);
    return text.empty() ? kSeveral : text;
  };
  ReportHeader all = *headers.front();
  all.snoop_version = same_or_several(&ReportHeader::snoop_version);
  all.hostname = same(&ReportHeader::hostname);
  all.kernel = same_or_several(&ReportHeader::kernel);
  all.arch = same_or_several(&ReportHeader::arch);
  all.machine_id = same(&ReportHeader::machine_id);
  all.boot_id = same(&ReportHeader::boot_id);
  all.tier = same_or_several(&ReportHeader::tier);
  all.hierarchy = same(&ReportHeader::hierarchy);
  all.pod_name = same(&ReportHeader::pod_name);
  all.namespace_name = same(&ReportHeader::namespace_name);
  all.labels = agreed_labels(
      headers, [](const ReportHeader& header) -> const auto& { return header.labels; });
  const std::vector<std::string> not_seen = all_of_them(
      headers, [](const ReportHeader& header) -> const auto& { return header.not_seen; });
  const std::set<std::string> sorted(not_seen.begin(), not_seen.end());
  all.not_seen.assign(sorted.begin(), sorted.end());
  all.metadata_sources = all_metadata_sources(headers);
  all.gaps = united_gaps(headers);
  for (uint64_t ReportHeader::*count :
       {&ReportHeader::undecided_containers, &ReportHeader::runs, &ReportHeader::undecodable,
        &ReportHeader::skipped_runs, &ReportHeader::targets_over_limit}) {
    all.*count = 0;
    for (const ReportHeader* header : headers) {
      all.*count = capped_sum(all.*count, header->*count);
    }
  }
  for (const ReportHeader* header : headers) {
    all.only_image = all.only_image || header->only_image;
    all.final = all.final && header->final;
    all.started_at = std::min(all.started_at, header->started_at);
    all.updated_at = std::max(all.updated_at, header->updated_at);
  }
  return all;
}

/// What is not written must not be in the figures either: one of the parts has left it out.
void leave_out_what_is_not_of_the_image(Container& container) {
  const auto& entries = container.files.entries();
  const auto is_wanted = [](const AccessStore::Entry& entry) { return may_be_of_image(entry.origin()); };
  if (std::all_of(entries.begin(), entries.end(), is_wanted)) {
    return;
  }
  AccessStore files(entries.size());
  for (const AccessStore::Entry& entry : entries) {
    if (is_wanted(entry)) {
      files.add(container.files.use_of(entry));
    }
  }
  container.files = std::move(files);
}

}  // namespace

std::vector<ReportSource> sources_of(const ReportContents& report) {
  const ReportHeader& header = report.header;
  if (!header.merged_from.empty()) {
    return header.merged_from;
  }
  return {{.hostname = header.hostname,
           .machine_id = header.machine_id,
           .started_at = header.started_at,
           .updated_at = header.updated_at,
           .runs = header.runs,
           .complete = is_complete(report),
           .final = header.final}};
}

std::vector<std::vector<size_t>> same_containers(const std::vector<ReportedContainer>& containers, MergeBy by) {
  const Images images(containers);
  std::map<Texts, std::vector<size_t>> sets;
  for (size_t i = 0; i < containers.size(); i++) {
    const auto& [header, container] = containers[i];
    const Identity& identity = container->identity;
    Texts key = images.key(*container, header->arch);
    if (key.empty()) {
      key = place_key(*container, *header);
    }
    if (key.empty()) {
      key = {"alone", fmt::format("{}", i)};
    }
    // A list that may not be meant, or that says nothing, must not become part of one that is sound.
    key.insert(key.end(), {container->undecided ? "undecided" : "", identity.is_sandbox ? "sandbox" : "",
                           identity.not_observable});
    if (by == MergeBy::kContainer) {
      key.insert(key.end(), {container->name, identity.namespace_name});
    }
    sets[std::move(key)].push_back(i);
  }
  std::vector<std::vector<size_t>> all;
  all.reserve(sets.size());
  for (auto& [key, set] : sets) {
    all.push_back(std::move(set));
  }
  return all;
}

Result<MergedReport> merge(std::vector<NamedReport> reports, MergeBy by) {
  MergedReport merged;
  leave_out_contained(reports, merged.warnings);
  warn_of_overlaps(reports, merged.warnings);

  Headers headers;
  std::vector<ReportSource> sources;
  std::vector<Container*> containers;
  std::vector<ReportedContainer> reported;
  for (NamedReport& report : reports) {
    const ReportHeader& header = report.contents.header;
    headers.push_back(&header);
    const std::vector<ReportSource> more = sources_of(report.contents);
    sources.insert(sources.end(), more.begin(), more.end());
    for (Container& container : report.contents.containers) {
      containers.push_back(&container);
      reported.push_back({&header, &container});
    }
  }
  merged.contents.header = united_header(headers);
  std::sort(sources.begin(), sources.end());
  merged.contents.header.merged_from = std::move(sources);

  const std::vector<std::vector<size_t>> sets = same_containers(reported, by);
  if (sets.size() > kMaxContainers) {
    return fail(0, fmt::format("there would be {} containers, and a report can have {}", sets.size(), kMaxContainers));
  }
  for (const std::vector<size_t>& set : sets) {
    if (set.size() == 1) {
      merged.contents.containers.push_back(std::move(*containers[set.front()]));
      continue;
    }
    std::vector<const Container*> parts;
    parts.reserve(set.size());
    for (const size_t i : set) {
      parts.push_back(containers[i]);
    }
    merged.contents.containers.push_back(unite(parts));
    // Its parts are not needed any more: memory.
    for (const size_t i : set) {
      containers[i]->files = AccessStore(0);
    }
  }
  if (merged.contents.header.only_image) {
    for (Container& container : merged.contents.containers) {
      leave_out_what_is_not_of_the_image(container);
    }
  }
  return merged;
}

}  // namespace snoop
