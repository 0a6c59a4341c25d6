// SPDX-License-Identifier: Apache-2.0
#include "output/unite.h"

#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

namespace snoop {

namespace {

using Parts = std::vector<const Container*>;

Losses capped_losses(Losses a, const Losses& b) {
  for (uint64_t Losses::*cause : {&Losses::ring_full, &Losses::path_unreadable, &Losses::path_truncated,
                                  &Losses::base_unknown, &Losses::files_over_limit}) {
    a.*cause = capped_sum(a.*cause, b.*cause);
  }
  return a;
}

/// Of texts that warn: one of them stays, whatever the others say.
template <typename Get>
std::string any_warning(const Parts& parts, Get get) {
  std::string least;
  for (const Container* part : parts) {
    const std::string& text = get(*part);
    if (!text.empty() && (least.empty() || text < least)) {
      least = text;
    }
  }
  return least;
}

Identity unite_identities(const Parts& parts) {
  const auto same = [&](auto Identity::*member) {
    return agreed(
        parts, [member](const Container& part) -> const auto& { return part.identity.*member; });
  };
  return {.runtime = same(&Identity::runtime),
          .id = same(&Identity::id),
          .image_id = agreed_if_known(
              parts, [](const Container& part) -> const std::string& { return part.identity.image_id; }),
          .pod_name = same(&Identity::pod_name),
          .pod_uid = same(&Identity::pod_uid),
          .namespace_name = same(&Identity::namespace_name),
          .labels = agreed_labels(
              parts, [](const Container& part) -> const auto& { return part.identity.labels; }),
          .restart_count = same(&Identity::restart_count),
          .command = same(&Identity::command),
          .is_sandbox = same(&Identity::is_sandbox),
          .not_observable = any_warning(
              parts, [](const Container& part) -> const std::string& { return part.identity.not_observable; }),
          .source = same(&Identity::source),
          .settled = {}};
}

/// Who it is must have a name.
std::string name_of(const Container& all, const Parts& parts) {
  std::string name = agreed(parts, [](const Container& part) -> const std::string& { return part.name; });
  for (const std::string* other : {&all.image, &all.image_digest, &all.identity.image_id}) {
    name = name.empty() ? *other : name;
  }
  const auto is_before = [](const Container* a, const Container* b) { return a->name < b->name; };
  return name.empty() ? (*std::min_element(parts.begin(), parts.end(), is_before))->name : name;
}

void add_windows(Container& all, const Parts& parts) {
  std::vector<LossWindow> windows;
  for (const Container* part : parts) {
    windows.insert(windows.end(), part->loss_windows.begin(), part->loss_windows.end());
  }
  // Which ones are united if there are too many depends on the order.
  const auto key = [](const LossWindow& window) { return std::tie(window.from, window.to, window.cause, window.lost); };
  std::sort(windows.begin(), windows.end(), [&](const LossWindow& a, const LossWindow& b) { return key(a) < key(b); });
  for (const LossWindow& window : windows) {
    all.add_loss_window(window.from, window.to, window.lost, window.cause);
  }
  for (LossWindow& window : all.loss_windows) {
    window.lost = std::min(window.lost, kMaxReportedCount);
  }
}

/// An entry of one of the lists.
struct Part {
  const AccessStore* files;
  const AccessStore::Entry* entry;
};

/// Of one path what was seen first stands first; all else only has to be some order.
bool is_before(const Part& a, const Part& b) {
  if (const int order = a.entry->path().compare(b.entry->path()); order != 0) {
    return order < 0;
  }
  const auto key = [](const Part& part) {
    const AccessStore::Use use = part.files->use_of(*part.entry);
    return std::tuple(use.first_seen, use.last_seen, use.resolved, use.seen, use.count, use.origin, use.mount);
  };
  return key(a) < key(b);
}

/// What a use of a path that leads elsewhere says of the file there.
uint64_t seen_there(uint64_t seen) {
  constexpr uint64_t kWalkedLink = 1ULL << SNOOP_KIND_SYMLINK << SNOOP_SEEN_SHIFT(SNOOP_OUTCOME_OK);
  const auto succeeded = static_cast<uint64_t>(kinds_with(seen, SNOOP_OUTCOME_OK))
                         << SNOOP_SEEN_SHIFT(SNOOP_OUTCOME_OK);
  return (succeeded & ~kWalkedLink) != 0 ? succeeded & ~kWalkedLink : seen & ~kWalkedLink;
}

AccessStore unite_files(const Parts& parts) {
  std::vector<Part> order;
  for (const Container* part : parts) {
    for (const AccessStore::Entry& entry : part->files.entries()) {
      order.push_back({&part->files, &entry});
    }
  }
  std::sort(order.begin(), order.end(), is_before);
  AccessStore files(std::numeric_limits<size_t>::max());
  std::vector<AccessStore::Use> elsewhere;
  for (const Part& part : order) {
    AccessStore::Use use = part.files->use_of(*part.entry);
    if (files.add(use).outcome == AccessStore::Outcome::kOtherFile) {
      // One path, another file: it stands under its own name, as Recorder::add has it.
      use.path = use.resolved;
      use.seen = seen_there(use.seen);
      elsewhere.push_back(use);
    }
  }
  for (const AccessStore::Use& use : elsewhere) {
    files.add(use);
  }
  return files;
}

}  // namespace

std::vector<Interval> joined(std::vector<Interval> intervals) {
  std::sort(intervals.begin(), intervals.end(),
            [](const Interval& a, const Interval& b) { return std::tie(a.from, a.to) < std::tie(b.from, b.to); });
  std::vector<Interval> joined;
  for (const Interval& interval : intervals) {
    if (!joined.empty() && interval.from <= joined.back().to) {
      joined.back().to = std::max(joined.back().to, interval.to);
    } else {
      joined.push_back(interval);
    }
  }
  return joined;
}

Container unite(const Parts& parts) {
  Container all{
      .name = {},
      .image = agreed_if_known(parts, [](const Container& part) -> const std::string& { return part.image; }),
      .image_digest =
          agreed_if_known(parts, [](const Container& part) -> const std::string& { return part.image_digest; }),
      .identity = unite_identities(parts),
      .cgroup_id = agreed(parts, [](const Container& part) { return part.cgroup_id; }),
      .cgroup_path = agreed(parts, [](const Container& part) -> const std::string& { return part.cgroup_path; }),
      .target = 0,
      .slot = 0,
      .observed = {},
      .ended_at = 0,
      .only_if_used = false,
      .undecided = false,
      .doubtful = false,
      .total_events = 0,
      .losses = {},
      .base_unknown_here = 0,
      .earlier_events = 0,
      .earlier_losses = {},
      .loss_windows = {},
      .unresolved = any_warning(parts, [](const Container& part) -> const std::string& { return part.unresolved; }),
      .counts_are_lower_bounds = false,
      .discovery = Discovery(),
      .files = unite_files(parts)};
  all.name = name_of(all, parts);
  add_windows(all, parts);
  WallTime from = std::numeric_limits<WallTime>::max();
  bool has_ended = true;
  for (const Container* part : parts) {
    all.observed.insert(all.observed.end(), part->observed.begin(), part->observed.end());
    has_ended = has_ended && part->ended_at != 0;
    all.ended_at = std::max(all.ended_at, part->ended_at);
    all.undecided = all.undecided || part->undecided;
    all.doubtful = all.doubtful || part->doubtful;
    all.earlier_events = capped_sum(all.earlier_events, part->all_events());
    all.earlier_losses = capped_losses(all.earlier_losses, part->all_losses());
    all.counts_are_lower_bounds = all.counts_are_lower_bounds || part->counts_are_lower_bounds;
    from = std::min(from, part->discovery.from());
  }
  all.observed = joined(std::move(all.observed));
  limit_intervals(all.observed);
  all.ended_at = has_ended ? all.ended_at : 0;
  all.discovery = Discovery(from);
  for (const AccessStore::Entry& entry : all.files.entries()) {
    if (entry.is_found()) {
      all.discovery.add(entry.first_seen());
    }
  }
  return all;
}

}  // namespace snoop
