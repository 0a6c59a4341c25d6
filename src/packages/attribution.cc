// SPDX-License-Identifier: Apache-2.0
#include "packages/attribution.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "output/merge.h"
#include "packages/dependencies.h"
#include "pipeline/completeness.h"

namespace snoop {

namespace {

using Entry = AccessStore::Entry;

uint16_t all_kinds(const Entry& entry) {
  return static_cast<uint16_t>(kinds_with(entry.seen(), SNOOP_OUTCOME_OK) |
                               kinds_with(entry.seen(), SNOOP_OUTCOME_REFUSED) |
                               kinds_with(entry.seen(), SNOOP_OUTCOME_OTHER));
}

/// What no program may need (Debian Policy 12.3): a package with nothing else is there for what it depends on.
bool is_documentation(std::string_view path) {
  constexpr std::array<std::string_view, 3> kPlaces = {"/usr/share/doc/", "/usr/share/lintian/", "/usr/share/bug/"};
  return std::any_of(kPlaces.begin(), kPlaces.end(), [&](std::string_view place) { return path.starts_with(place); });
}

/// Used in this order.
std::vector<const Entry*> used_entries(const AccessStore& files) {
  std::vector<const Entry*> entries;
  for (const Entry& entry : files.entries()) {
    if (entry.is_found()) {
      entries.push_back(&entry);
    }
  }
  std::sort(entries.begin(), entries.end(), [](const Entry* a, const Entry* b) {
    return std::pair(a->first_seen(), a->path()) < std::pair(b->first_seen(), b->path());
  });
  return entries;
}

/// From files to packages.
class Attributor {
 public:
  Attributor(const Databases& databases, Ownership& ownership)
      : databases_(databases), ownership_(ownership), is_used_(ownership.files().size()) {
    result_.packages.resize(databases.packages.size());
    for (uint32_t number = 0; number < databases.packages.size(); number++) {
      for (const std::string& path : databases.packages[number].named_in_scripts) {
        scripts_that_name_[path].push_back(number);
        if (std::string canonical = ownership.canonical(path); canonical != path) {
          scripts_that_name_[std::move(canonical)].push_back(number);
        }
      }
    }
  }

  void add(const Entry& entry) {
    Ownership::Found found = ownership_.find(entry.path());
    if (!entry.resolved().empty() && entry.resolved() != found.place) {
      Ownership::Found end = ownership_.find(entry.resolved());
      found.files.insert(found.files.end(), end.files.begin(), end.files.end());
      found.unowned_names.insert(found.unowned_names.end(), end.unowned_names.begin(), end.unowned_names.end());
      if (found.unowned_link.empty()) {
        found.unowned_link = std::move(end.unowned_link);
      }
      found.place = std::move(end.place);
      found.is_owned = end.is_owned;
      found.is_there = end.is_there;
      found.is_directory = end.is_directory;
    }
    for (const uint32_t file : found.files) {
      is_used_[file] = true;
      for (const uint32_t owner : ownership_.files()[file].owners) {
        std::string& evidence = result_.packages[owner].evidence;
        if (evidence.empty()) {
          evidence = entry.path();
        }
      }
    }
    if (!may_be_of_image(entry.origin())) {
      return;
    }
    // A link that somebody owns can lead to what another has made, and the other way round.
    for (const std::string& name : found.unowned_names) {
      doubt_scripts_that_name(name);
    }
    if (!found.unowned_link.empty() && link_.empty()) {
      link_ = found.unowned_link;
    }
    if (!found.is_owned) {
      add_unowned(entry, found);
    }
  }

  [[nodiscard]] Attribution finish() {
    for (uint32_t number = 0; number < is_used_.size(); number++) {
      const Ownership::File& file = ownership_.files()[number];
      for (const uint32_t owner : file.owners) {
        PackageUse& package = result_.packages[owner];
        package.files += file.is_there || is_used_[number] ? 1 : 0;
        if (!is_documentation(file.path)) {
          owns_any_.insert(owner);
        }
        if (is_used_[number]) {
          package.used_files++;
          package.used_paths.emplace_back(file.path);
        }
      }
    }
    for (uint32_t number = 0; number < result_.packages.size(); number++) {
      PackageUse& package = result_.packages[number];
      std::sort(package.used_paths.begin(), package.used_paths.end());
      judge(number, package);
    }
    add_needs();
    std::sort(result_.unowned.begin(), result_.unowned.end());
    return std::move(result_);
  }

 private:
  void add_unowned(const Entry& entry, const Ownership::Found& found) {
    const bool is_only_link = all_kinds(entry) == 1U << SNOOP_KIND_SYMLINK;
    const bool is_directory = found.is_directory || (all_kinds(entry) & (1U << SNOOP_KIND_DIRECTORY)) != 0;
    if (is_only_link || is_directory) {
      return;
    }
    // Made when a package was installed, or by hand: who can tell?
    for (const uint32_t owner : ownership_.owners_around(found.place)) {
      doubts_.try_emplace(
          owner, fmt::format("{} was used: it is of no package, and in a directory of this one", entry.path()));
    }
    doubt_scripts_that_name(found.place);
    if (found.place.starts_with("/etc/") && configuration_.empty()) {
      configuration_ = entry.path();
    }
    if (found.is_there) {
      result_.unowned.emplace_back(entry.path());
    } else {
      result_.not_in_root++;
      result_.image_not_in_root += entry.origin() == FileOrigin::kImage ? 1 : 0;
    }
  }

  /// Or a directory that it is in, but for those of all.
  void doubt_scripts_that_name(const std::string& used) {
    constexpr std::ptrdiff_t kOwnDepth = 3;  // /var/cache/fontconfig
    for (std::string name = used; !name.empty(); name.resize(name.rfind('/'))) {
      if (name != used && std::count(name.begin(), name.end(), '/') < kOwnDepth) {
        return;
      }
      if (const auto scripts = scripts_that_name_.find(name); scripts != scripts_that_name_.end()) {
        for (const uint32_t package : scripts->second) {
          doubts_.try_emplace(package, fmt::format("{} was used: it is of no package, and scripts of this one name {}",
                                                   used, name == used ? "it" : name));
        }
      }
    }
  }

  void judge(uint32_t number, PackageUse& use) const {
    const Package& package = databases_.packages[number];
    const auto doubt = doubts_.find(number);
    if (use.used_files != 0) {
      use.state = PackageState::kUsed;
    } else if (!package.doubt.empty()) {
      use.why = package.doubt;
    } else if (doubt != doubts_.end()) {
      use.why = doubt->second;
    } else if (package.lists_data_only && !configuration_.empty()) {
      use.why = fmt::format("{} was used: it is of no package, and the list of this one has no configuration files",
                            configuration_);
    } else if (package.lists_data_only && !link_.empty()) {
      use.why = fmt::format("{} was used: it is a link of no package, and the list of this one has no links", link_);
    } else if (!owns_any_.contains(number)) {
      use.state = PackageState::kNoFiles;
    } else if (use.files == 0) {
      use.why = "none of its files is there";
    }
    if (!use.why.empty()) {
      use.state = PackageState::kUnknown;
    }
  }

  void add_needs() {
    std::vector<uint32_t> roots;
    for (uint32_t number = 0; number < result_.packages.size(); number++) {
      const PackageState state = result_.packages[number].state;
      if (state == PackageState::kUsed || state == PackageState::kUnknown) {
        roots.push_back(number);
      }
    }
    std::vector<std::vector<uint32_t>> needs = needed_by(databases_.packages, roots, [&](const std::string& path) {
      std::vector<uint32_t> owners;
      for (const uint32_t file : ownership_.find(path).files) {
        const std::vector<uint32_t>& of_file = ownership_.files()[file].owners;
        owners.insert(owners.end(), of_file.begin(), of_file.end());
      }
      return owners;
    });
    for (uint32_t number = 0; number < result_.packages.size(); number++) {
      if (result_.packages[number].state != PackageState::kUsed) {
        result_.packages[number].needed_by = std::move(needs[number]);
      }
    }
  }

  const Databases& databases_;
  Ownership& ownership_;
  Attribution result_;
  std::vector<bool> is_used_;
  /// More than documentation.
  std::set<uint32_t> owns_any_;
  std::unordered_map<std::string, std::vector<uint32_t>> scripts_that_name_;
  /// Why a package may have made a used file that is of no package.
  std::map<uint32_t, std::string> doubts_;
  /// A used file of no package below /etc.
  std::string configuration_;
  /// A used link of no package.
  std::string link_;
};

/// What the report itself says against "not seen".
void add_caveats_of_report(const ReportHeader& report, const ReportSide& side, std::vector<std::string>& caveats) {
  const Container& container = *side.container;
  if (!container.identity.not_observable.empty()) {
    caveats.push_back(fmt::format("what it uses is not seen from outside ({})", container.identity.not_observable));
  }
  if (container.undecided) {
    caveats.emplace_back("nobody has said yet whether this container is one of those that were asked for");
  }
  if (!side.complete) {
    caveats.push_back(side.lost != 0 ? fmt::format("the report is not complete: {} accesses were lost", side.lost)
                                     : "the report is not complete: cgroups were not watched");
  }
  if (!side.final) {
    caveats.emplace_back("the report is not final: snoop was still running, or was killed");
  }
  WallTime gaps = 0;
  for (const Interval& gap : report.gaps) {
    gaps += gap.to - gap.from;
  }
  if (!report.gaps.empty()) {
    caveats.push_back(fmt::format("nobody looked for {} between runs of snoop", duration_text(gaps)));
  }
  if (!container.unresolved.empty()) {
    caveats.push_back(fmt::format("links on the way are not known for all paths ({})", container.unresolved));
  }
  for (const std::string& what : report.not_seen) {
    if (what.find(kBeforeCapture) != std::string::npos) {
      caveats.push_back(fmt::format("not in the report: {}", what));
    }
  }
  if (report.only_image) {
    caveats.emplace_back("the report has no files that were made at run time, or lie on volumes (--only image)");
  }
  // A container that was there when capture began. Of merged reports only the earliest beginning is known.
  const bool has_baseline =
      std::any_of(container.files.entries().begin(), container.files.entries().end(),
                  [](const Entry& entry) { return (all_kinds(entry) & (1U << SNOOP_KIND_BASELINE)) != 0; });
  const bool was_there = !container.observed.empty() && container.observed.front().from - report.started_at <= kSecond;
  if (has_baseline && (was_there || !report.merged_from.empty())) {
    caveats.emplace_back(
        "it was running before capture began: what it had used and let go of by then is not in the report");
  }
  const Completeness completeness = completeness_of(container, report.updated_at);
  if (!completeness.applies()) {
    caveats.push_back(fmt::format("how many files are still unseen cannot be estimated: {}", completeness.why_not));
  } else if (const double unseen = completeness.estimate.files - static_cast<double>(completeness.frequencies.files);
             unseen >= 1) {
    caveats.push_back(
        fmt::format("about {:.0f} more files are probably still unseen (estimate, docs/report-format.md)", unseen));
  }
}

void add_caveats_of_image(const Databases& databases, const Attribution& attribution, size_t used,
                          std::vector<std::string>& caveats) {
  for (const std::string& path : databases.not_read) {
    caveats.push_back(fmt::format("{} cannot be read by snoop: what rpm has installed is missing here", path));
  }
  if (!databases.warnings.empty()) {
    caveats.push_back(fmt::format("a package database is damaged: {}", fmt::join(databases.warnings, "; ")));
  }
  if (!attribution.unowned.empty()) {
    const size_t count = attribution.unowned.size();
    caveats.push_back(fmt::format(
        "{} used {} of no package that is known: one that made such files when it was installed may be not_seen", count,
        count == 1 ? "file is" : "files are"));
  }
  if (used == 0) {
    caveats.emplace_back("the report has no used file of this container");
  } else if (attribution.count(PackageState::kUsed) == 0) {
    caveats.emplace_back("no used file belongs to any package: is this the root directory of that image?");
  } else if (2 * attribution.not_in_root > used) {
    caveats.push_back(fmt::format("{} of {} used files are not there: is this the root directory of that image?",
                                  attribution.not_in_root, used));
  } else if (attribution.image_not_in_root != 0) {
    caveats.push_back(fmt::format(
        "used files of the image are not there ({}): it is another image, or they were removed or renamed since",
        attribution.image_not_in_root));
  }
}

}  // namespace

std::string_view state_name(PackageState state) {
  switch (state) {
    case PackageState::kUsed:
      return "used";
    case PackageState::kNotSeen:
      return "not_seen";
    case PackageState::kNoFiles:
      return "no_files";
    case PackageState::kUnknown:
      break;
  }
  return "unknown";
}

size_t Attribution::count(PackageState state) const {
  return static_cast<size_t>(
      std::count_if(packages.begin(), packages.end(), [&](const PackageUse& use) { return use.state == state; }));
}

Result<ReportSide> choose_container(const ReportContents& report, const std::string& name) {
  const Containers all = all_of(report);
  const Containers found = name.empty() ? all : named(all, name);
  if (found.empty()) {
    return fail(0, name.empty() ? "there is no container in the report"
                                : fmt::format("there is no container '{}' in the report: {}", name, names_of(all)));
  }
  std::vector<ReportedContainer> reported;
  for (const Container* container : found) {
    reported.push_back({&report.header, container});
  }
  // Replicas have one name and one image.
  const bool are_same = same_containers(reported, MergeBy::kContainer).size() == 1;
  if (found.size() > 1 && (name.empty() || !are_same)) {
    return fail(0,
                name.empty() ? fmt::format("there are several containers in the report: {}", names_of(found))
                             : fmt::format("there are several containers '{}', of different images or namespaces: {}",
                                           name, names_of(found)),
                "choose one with --container NAME or NAMESPACE/NAME");
  }
  return side_of(report.header, found);
}

Attribution attribute(const ReportHeader& report, const ReportSide& side, const Databases& databases,
                      Ownership& ownership) {
  Attributor attributor(databases, ownership);
  const std::vector<const Entry*> entries = used_entries(side.container->files);
  for (const Entry* entry : entries) {
    attributor.add(*entry);
  }
  Attribution attribution = attributor.finish();
  add_caveats_of_report(report, side, attribution.caveats);
  add_caveats_of_image(databases, attribution, entries.size(), attribution.caveats);
  if (!ownership.refused().empty()) {
    attribution.caveats.push_back(
        fmt::format("{} and perhaps more may not be looked at: run snoop as a user who may", ownership.refused()));
  }
  return attribution;
}

}  // namespace snoop
