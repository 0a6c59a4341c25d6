// SPDX-License-Identifier: Apache-2.0
#include "output/diff.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "base/text.h"
#include "output/merge.h"

namespace snoop {

namespace {

using Entry = AccessStore::Entry;

/// Those of the two reports that are about the same.
struct Pair {
  Containers before;
  Containers after;
};

/// "docker.io/library/nginx:1.27@sha256:..." to "docker.io/library/nginx".
std::string_view repository_of(std::string_view image) {
  image = image.substr(0, image.find('@'));
  const size_t colon = image.rfind(':');
  return colon == std::string_view::npos || image.find('/', colon) != std::string_view::npos ? image
                                                                                             : image.substr(0, colon);
}

/// Finds pairs, from the most to the least certain: of one image and name, of one name, of one image.
class Matcher {
 public:
  Matcher(const ReportContents& before, const ReportContents& after) : before_(before), after_(after) {}

  [[nodiscard]] std::vector<Pair> match(Containers before, Containers after) {
    left_ = {std::move(before), std::move(after)};
    by_image(MergeBy::kContainer);
    by_name([](const Container& container) {
      return std::tuple(full_name(container), container.identity.is_sandbox, repository_of(container.image));
    });
    by_name([](const Container& container) {
      return std::tuple(full_name(container), container.identity.is_sandbox, std::string_view());
    });
    by_image(MergeBy::kImage);
    return std::move(pairs_);
  }
  /// What has no counterpart.
  [[nodiscard]] const Pair& left() const { return left_; }

 private:
  void by_image(MergeBy by) {
    std::vector<ReportedContainer> all;
    for (const Container* container : left_.before) {
      all.push_back({&before_.header, container});
    }
    for (const Container* container : left_.after) {
      all.push_back({&after_.header, container});
    }
    std::vector<Pair> found;
    for (const std::vector<size_t>& set : same_containers(all, by)) {
      Pair& pair = found.emplace_back();
      for (const size_t i : set) {
        (i < left_.before.size() ? pair.before : pair.after).push_back(all[i].container);
      }
    }
    take(std::move(found));
  }

  template <typename Key>
  void by_name(Key key) {
    std::map<decltype(key(std::declval<const Container&>())), Pair> found;
    for (const Container* container : left_.before) {
      found[key(*container)].before.push_back(container);
    }
    for (const Container* container : left_.after) {
      found[key(*container)].after.push_back(container);
    }
    std::vector<Pair> pairs;
    for (auto& [name, pair] : found) {
      if (is_of_one_kind(pair.before) && is_of_one_kind(pair.after)) {
        pairs.push_back(std::move(pair));
      }
    }
    take(std::move(pairs));
  }

  /// Many a pod calls its container "app".
  static bool is_of_one_kind(const Containers& containers) {
    return std::all_of(containers.begin(), containers.end(), [&](const Container* container) {
      return repository_of(container->image) == repository_of(containers.front()->image);
    });
  }

  void take(std::vector<Pair> found) {
    for (Pair& pair : found) {
      if (pair.before.empty() || pair.after.empty()) {
        continue;
      }
      const auto erase = [](Containers& from, const Containers& taken) {
        const std::set<const Container*> gone(taken.begin(), taken.end());
        std::erase_if(from, [&](const Container* container) { return gone.contains(container); });
      };
      erase(left_.before, pair.before);
      erase(left_.after, pair.after);
      pairs_.push_back(std::move(pair));
    }
  }

  const ReportContents& before_;
  const ReportContents& after_;
  Pair left_;
  std::vector<Pair> pairs_;
};

/// How it stood with a file.
std::string_view state_of(const Entry& entry) {
  return kinds_with(entry.seen(), SNOOP_OUTCOME_OK) != 0        ? "used"
         : kinds_with(entry.seen(), SNOOP_OUTCOME_REFUSED) != 0 ? "refused"
         : entry.is_found()                                     ? "failed"
                                                                : "missing";
}

/// As a list of words: "open:read", "stat".
std::set<std::string> words_of(uint16_t kinds) {
  std::set<std::string> words;
  for (const std::string_view kind : kind_names(kinds)) {
    if (kind != "open") {
      words.emplace(kind);
    }
  }
  for (const std::string_view mode : open_mode_names(kinds)) {
    words.insert(fmt::format("open:{}", mode));
  }
  return words;
}

/// The kinds of access that say how it stood.
uint16_t kinds_of(const Entry& entry) {
  for (const snoop_outcome outcome : {SNOOP_OUTCOME_OK, SNOOP_OUTCOME_REFUSED, SNOOP_OUTCOME_OTHER}) {
    if (const uint16_t kinds = kinds_with(entry.seen(), outcome); kinds != 0) {
      return kinds;
    }
  }
  return kinds_with(entry.seen(), SNOOP_OUTCOME_MISSING);
}

void add_changes_of_access(const Entry& before, const Entry& after, std::vector<std::string>& changes) {
  if (state_of(before) != state_of(after)) {
    changes.push_back(fmt::format("{} -> {}", state_of(before), state_of(after)));
    return;
  }
  // What was open when capture began tells when that was, not how the file is used.
  constexpr uint16_t kBaseline = 1U << SNOOP_KIND_BASELINE;
  const auto was = static_cast<uint16_t>(kinds_of(before) & ~kBaseline);
  const auto is = static_cast<uint16_t>(kinds_of(after) & ~kBaseline);
  if (was == 0 || is == 0 || was == is) {
    return;
  }
  for (const std::string& word : words_of(static_cast<uint16_t>(is & ~was))) {
    changes.push_back("+" + word);
  }
  for (const std::string& word : words_of(static_cast<uint16_t>(was & ~is))) {
    changes.push_back("-" + word);
  }
}

std::vector<std::string> changes_between(const Entry& before, const Entry& after) {
  std::vector<std::string> changes;
  add_changes_of_access(before, after, changes);
  // What one of them does not know is no change.
  if (before.origin() != after.origin() && before.origin() != FileOrigin::kUnknown &&
      after.origin() != FileOrigin::kUnknown) {
    changes.push_back(fmt::format("origin {} -> {}", origin_name(before.origin()), origin_name(after.origin())));
  }
  if (before.resolved() != after.resolved() && !before.resolved().empty() && !after.resolved().empty()) {
    changes.push_back(fmt::format("leads to {} -> {}", printable(before.resolved()), printable(after.resolved())));
  }
  return changes;
}

std::vector<const Entry*> sorted_entries(const AccessStore& files) {
  std::vector<const Entry*> entries;
  entries.reserve(files.size());
  for (const Entry& entry : files.entries()) {
    entries.push_back(&entry);
  }
  std::sort(entries.begin(), entries.end(), [](const Entry* a, const Entry* b) { return a->path() < b->path(); });
  return entries;
}

void compare_files(ContainerDiff& diff, const DiffOptions& options) {
  const std::vector<const Entry*> before = sorted_entries(diff.before.container->files);
  const std::vector<const Entry*> after = sorted_entries(diff.after.container->files);
  const auto is_of_origin = [&](const Entry* entry) {
    return entry != nullptr &&
           std::find(options.origins.begin(), options.origins.end(), entry->origin()) != options.origins.end();
  };
  const auto counts = [&](const Entry* entry) { return entry != nullptr && (options.missing || entry->is_found()); };
  size_t b = 0;
  size_t a = 0;
  while (b < before.size() || a < after.size()) {
    const int order = b == before.size() ? 1 : a == after.size() ? -1 : before[b]->path().compare(after[a]->path());
    FileDiff file;
    file.before = order <= 0 ? before[b++] : nullptr;
    file.after = order >= 0 ? after[a++] : nullptr;
    const bool is_wanted = options.origins.empty() || is_of_origin(file.before) || is_of_origin(file.after);
    if (!is_wanted || (!counts(file.before) && !counts(file.after))) {
      continue;
    }
    if (file.before != nullptr && file.after != nullptr) {
      file.changes = changes_between(*file.before, *file.after);
      (file.changes.empty() ? diff.same : diff.changed)++;
    } else {
      (file.before == nullptr ? diff.added : diff.removed)++;
    }
    if (file.before == nullptr || file.after == nullptr || !file.changes.empty()) {
      diff.files.push_back(std::move(file));
    }
  }
}

/// The one pair that was asked for by name.
Result<std::vector<Pair>> match_named(Matcher& matcher, const Containers& before, const Containers& after,
                                      const std::string& name) {
  const Containers old_ones = named(before, name);
  const Containers new_ones = named(after, name);
  for (const auto& [which, found, all] :
       {std::tuple("OLD", &old_ones, &before), std::tuple("NEW", &new_ones, &after)}) {
    if (found->empty()) {
      return fail(0, fmt::format("there is no container '{}' in {}: {}", name, which, names_of(*all)),
                  "name one that is in both reports, or compare everything with --all");
    }
  }
  std::vector<Pair> pairs = matcher.match(old_ones, new_ones);
  if (pairs.size() > 1) {
    Containers all = old_ones;
    all.insert(all.end(), new_ones.begin(), new_ones.end());
    return fail(0, fmt::format("there are several containers '{}': {}", name, names_of(all)),
                "name one as NAMESPACE/NAME, or leave --container out to see them all");
  }
  return pairs.empty() ? std::vector<Pair>{{old_ones, new_ones}} : pairs;
}

}  // namespace

bool ReportDiff::is_empty() const {
  return only_before.empty() && only_after.empty() &&
         std::all_of(containers.begin(), containers.end(), [](const ContainerDiff& one) { return one.files.empty(); });
}

Result<ReportDiff> compare(const ReportContents& before, const ReportContents& after, const DiffOptions& options) {
  const Containers old_ones = all_of(before);
  const Containers new_ones = all_of(after);
  Matcher matcher(before, after);
  Result<std::vector<Pair>> pairs = std::vector<Pair>();
  ReportDiff diff;
  diff.before = &before.header;
  diff.after = &after.header;
  if (options.all && !old_ones.empty() && !new_ones.empty()) {
    pairs->push_back({old_ones, new_ones});
  } else if (!options.container.empty()) {
    pairs = match_named(matcher, old_ones, new_ones, options.container);
  } else if (!options.all) {
    pairs = matcher.match(old_ones, new_ones);
    diff.only_before = matcher.left().before;
    diff.only_after = matcher.left().after;
  }
  if (!pairs) {
    return tl::unexpected(pairs.error());
  }
  if (pairs->empty()) {
    return fail(
        0,
        fmt::format("no container is in both reports: OLD has {}; NEW has {}", names_of(old_ones), names_of(new_ones)),
        options.all ? "" : "--all compares everything of one with everything of the other");
  }
  DiffOptions wanted = options;
  diff.only_image = before.header.only_image || after.header.only_image;
  if (diff.only_image && wanted.origins.empty()) {
    wanted.origins = {FileOrigin::kImage, FileOrigin::kUnknown};
  }
  for (const Pair& pair : *pairs) {
    ContainerDiff& one = diff.containers.emplace_back();
    one.before = side_of(before.header, pair.before);
    one.after = side_of(after.header, pair.after);
    compare_files(one, wanted);
  }
  std::sort(diff.containers.begin(), diff.containers.end(), [](const ContainerDiff& a, const ContainerDiff& b) {
    const auto key = [](const ContainerDiff& one) {
      const Container& is = *one.after.container;
      return std::tuple(full_name(is), is.image, is.image_digest, is.cgroup_path, is.cgroup_id);
    };
    return key(a) < key(b);
  });
  return diff;
}

}  // namespace snoop
