// SPDX-License-Identifier: Apache-2.0
#include "pipeline/recorder.h"

#include <algorithm>
#include <utility>

#include "pipeline/path.h"

namespace snoop {

namespace {

/// Whether the program did it: not what was there before, nor links on its way.
bool is_counted(uint64_t seen) {
  constexpr uint64_t kNotCounted = (1ULL << SNOOP_KIND_BASELINE) | (1ULL << SNOOP_KIND_SYMLINK);
  return (seen & ~(kNotCounted << SNOOP_SEEN_SHIFT(SNOOP_OUTCOME_OK))) != 0;
}

bool is_earlier(const LossWindow& a, const LossWindow& b) { return a.from < b.from; }

LossWindow united(const LossWindow& a, const LossWindow& b) {
  return {std::min(a.from, b.from), std::max(a.to, b.to), a.lost + b.lost, a.cause == b.cause ? a.cause : "several"};
}

/// The two of one cause that lie closest to each other; if there are none, any
/// two. Sorted by their beginning before and after.
void unite_closest(std::vector<LossWindow>& windows) {
  std::map<std::string_view, size_t> last_of_cause;
  struct Pair {
    size_t first = 0;
    size_t second = 0;
    WallTime apart = kOngoing;
  };
  Pair same_cause;
  Pair any;
  for (size_t i = 0; i < windows.size(); i++) {
    const auto consider = [&](Pair& best, size_t former) {
      const WallTime apart = std::max<WallTime>(windows[i].from - windows[former].to, 0);
      if (apart < best.apart) {
        best = {former, i, apart};
      }
    };
    const auto [found, is_first] = last_of_cause.try_emplace(windows[i].cause, i);
    if (!is_first) {
      consider(same_cause, found->second);
      found->second = i;
    }
    if (i > 0) {
      consider(any, i - 1);
    }
  }
  const Pair pair = same_cause.second != 0 ? same_cause : any;
  // It begins when the first of them did: its place stays.
  windows[pair.first] = united(windows[pair.first], windows[pair.second]);
  windows.erase(windows.begin() + static_cast<std::ptrdiff_t>(pair.second));
}

}  // namespace

void limit_intervals(std::vector<Interval>& intervals) {
  while (intervals.size() > kMaxIntervals) {
    const auto shortest = std::min_element(intervals.begin() + 1, intervals.end() - 1,
                                           [](Interval a, Interval b) { return a.to - a.from < b.to - b.from; });
    intervals.erase(shortest);
  }
}

void add_gap(std::vector<Interval>& gaps, Interval gap) {
  gaps.push_back(gap);
  while (gaps.size() > kMaxIntervals) {
    auto closest = gaps.begin();
    for (auto gap_at = gaps.begin(); gap_at + 1 != gaps.end(); gap_at++) {
      if ((gap_at + 1)->from - gap_at->to < (closest + 1)->from - closest->to) {
        closest = gap_at;
      }
    }
    closest->to = std::max(closest->to, (closest + 1)->to);
    gaps.erase(closest + 1);
  }
}

Losses& Losses::operator+=(const Losses& other) {
  ring_full += other.ring_full;
  path_unreadable += other.path_unreadable;
  path_truncated += other.path_truncated;
  base_unknown += other.base_unknown;
  files_over_limit += other.files_over_limit;
  return *this;
}

Losses Container::all_losses() const {
  Losses all = earlier_losses;
  all += losses;
  return all;
}

std::vector<Interval> Container::observed_until(WallTime now) const {
  std::vector<Interval> ended = observed;
  for (Interval& interval : ended) {
    if (interval.to == kOngoing) {
      interval.to = ended_at != 0 ? std::min(ended_at, now) : now;
    }
    // The clock may be set back.
    interval.from = to_whole_milliseconds(interval.from);
    interval.to = std::max(interval.from, to_whole_milliseconds(interval.to));
  }
  return ended;
}

void Container::add_loss_window(WallTime from, WallTime to, uint64_t lost, std::string_view cause) {
  LossWindow window{to_whole_milliseconds(from), to_whole_milliseconds(std::max(from, to)), lost, std::string(cause)};
  // Each one that is united may reach the next.
  const auto touches = [&](const LossWindow& other) {
    return other.cause == window.cause && window.from <= other.to && other.from <= window.to;
  };
  for (auto found = std::find_if(loss_windows.begin(), loss_windows.end(), touches); found != loss_windows.end();
       found = std::find_if(loss_windows.begin(), loss_windows.end(), touches)) {
    window = united(window, *found);
    loss_windows.erase(found);
  }
  const auto place = std::upper_bound(loss_windows.begin(), loss_windows.end(), window, is_earlier);
  loss_windows.insert(place, std::move(window));
  if (loss_windows.size() > kMaxIntervals) {
    unite_closest(loss_windows);
  }
}

namespace {

/// Adds an older list to a newer one, whose indices stay. What the older one holds stays also where both are too much.
void add_older(Container& container, Container& older) {
  for (const AccessStore::Entry& entry : container.files.entries()) {
    const AccessStore::Entry* before = older.files.find(entry.path());
    if (entry.is_found() && (before == nullptr || !before->is_found())) {
      older.discovery.add(entry.first_seen());
    }
  }
  const size_t max_files = container.files.max_files();
  if (container.files.size() == 0) {
    container.files = std::move(older.files);
  } else {
    container.files.set_max_files(std::numeric_limits<size_t>::max());
    for (const AccessStore::Entry& entry : older.files.entries()) {
      container.files.add(older.files.use_of(entry));
    }
  }
  container.files.set_max_files(max_files);
  container.discovery = std::move(older.discovery);

  for (const LossWindow& window : std::exchange(container.loss_windows, std::move(older.loss_windows))) {
    container.add_loss_window(window.from, window.to, window.lost, window.cause);
  }
  container.earlier_events += older.all_events();
  container.earlier_losses += older.all_losses();
  if (container.unresolved.empty()) {
    container.unresolved = std::move(older.unresolved);
  }
  container.counts_are_lower_bounds = container.counts_are_lower_bounds || older.counts_are_lower_bounds;
}

}  // namespace

void Container::go_on_from(Container&& former) {
  add_older(*this, former);
  observed.insert(observed.begin(), former.observed.begin(), former.observed.end());
  limit_intervals(observed);
  // It stands in the former report.
  only_if_used = false;
  if (identity.source.empty() && !former.identity.source.empty()) {
    // As its runtime has said then; it may say more.
    const std::string id = std::exchange(identity.id, {});
    identity = std::move(former.identity);
    identity.id = id.empty() ? identity.id : id;
    name = former.name;
    image = image.empty() ? former.image : image;
    image_digest = image_digest.empty() ? former.image_digest : image_digest;
  }
}

void Container::take_in(Container&& part) {
  add_older(*this, part);
  // What the kernel side has counted of its files is nobody's now.
  counts_are_lower_bounds = true;
}

Container& Recorder::add_container(std::string name, uint64_t cgroup_id, std::string cgroup_path,
                                   const snoop_target& target) {
  const WallTime now = wall_now();
  Container container{.name = std::move(name),
                      .image = {},
                      .image_digest = {},
                      .identity = {},
                      .cgroup_id = cgroup_id,
                      .cgroup_path = std::move(cgroup_path),
                      .target = target.id,
                      .slot = target.slot,
                      .observed = {{now, kOngoing}},
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
                      .unresolved = {},
                      .counts_are_lower_bounds = false,
                      .discovery = Discovery(now),
                      .files = AccessStore(options_.max_files)};
  by_target_[target.id] = containers_.size();
  containers_.push_back(std::move(container));
  return containers_.back();
}

Container* Recorder::find(uint32_t target) {
  const auto found = by_target_.find(target);
  return found == by_target_.end() ? nullptr : &containers_[found->second];
}

void Recorder::revive(Container& container, uint64_t cgroup_id, const snoop_target& target) {
  const size_t index = by_target_.at(container.target);
  by_target_.erase(container.target);
  by_target_[target.id] = index;
  if (!container.observed.empty()) {
    container.observed.back().to = container.ended_at;
  }
  container.observed.push_back({wall_now(), kOngoing});
  limit_intervals(container.observed);
  container.ended_at = 0;
  container.cgroup_id = cgroup_id;
  container.target = target.id;
  container.slot = target.slot;
  container.earlier_events = container.all_events();
  container.earlier_losses = container.all_losses();
  container.total_events = 0;
  container.losses = {};
  container.base_unknown_here = 0;
}

void Recorder::remove(uint32_t target) {
  const auto found = by_target_.find(target);
  if (found == by_target_.end()) {
    return;
  }
  const size_t index = found->second;
  by_target_.erase(found);
  if (index + 1 != containers_.size()) {
    containers_[index] = std::move(containers_.back());
    by_target_[containers_[index].target] = index;
  }
  containers_.pop_back();
}

void Recorder::set_options(RecorderOptions options) {
  options_ = std::move(options);
  for (Container& container : containers_) {
    container.files.set_max_files(options_.max_files);
  }
}

std::optional<uint32_t> Recorder::add(const Access& access) {
  Container* container = find(access.target);
  if (container == nullptr) {
    return std::nullopt;
  }
  if (access.base_unknown) {
    container->base_unknown_here++;
  }
  AccessStore::Use use{.path = access.path,
                       .resolved = access.resolved,
                       .seen = access.seen,
                       .first_seen = access.time,
                       .last_seen = access.time,
                       .count = is_counted(access.seen) ? 1U : 0U,
                       .origin = access.origin,
                       .mount = access.mount};
  if (is_excluded(use.path, options_.exclude)) {
    // What is left out may lead to what is not: /proc/self/root/etc/passwd.
    use.path = access.resolved;
    if (use.path.empty() || is_excluded(use.path, options_.exclude)) {
      return std::nullopt;
    }
  }
  const auto add_to_list = [&] {
    const AccessStore::Added added = container->files.add(use);
    if (added.first_found) {
      container->discovery.add(access.time);
    }
    if (added.outcome == AccessStore::Outcome::kOverLimit) {
      container->losses.files_over_limit++;
    }
    return added;
  };
  const AccessStore::Added added = add_to_list();
  if (added.outcome == AccessStore::Outcome::kOtherFile && !is_excluded(access.resolved, options_.exclude)) {
    // One path, now another file: the second stands under its own name.
    use.path = access.resolved;
    add_to_list();
  }
  return added.index == AccessStore::kNoIndex ? std::nullopt : std::optional(added.index);
}

}  // namespace snoop
