// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "container/identity.h"
#include "event.h"
#include "pipeline/access.h"
#include "pipeline/access_store.h"
#include "pipeline/discovery.h"

namespace snoop {

/// Accesses that happened and are not in the list, by cause.
struct Losses {
  uint64_t ring_full = 0;
  uint64_t path_unreadable = 0;
  uint64_t path_truncated = 0;
  uint64_t base_unknown = 0;
  uint64_t files_over_limit = 0;

  [[nodiscard]] uint64_t sum() const {
    return ring_full + path_unreadable + path_truncated + base_unknown + files_over_limit;
  }
  Losses& operator+=(const Losses& other);
};

/// A stretch of time.
struct Interval {
  WallTime from = 0;
  WallTime to = 0;
};
/// The end of what goes on.
inline constexpr WallTime kOngoing = std::numeric_limits<WallTime>::max();

/// A stretch of time in which accesses were lost.
struct LossWindow {
  WallTime from = 0;
  WallTime to = 0;
  uint64_t lost = 0;
  /// Name of a member of Losses, or another word of the same form.
  std::string cause;
};

/// Most intervals and windows of one list. What is too much is united, so that
/// rather too little counts as observed than too much.
inline constexpr size_t kMaxIntervals = 1000;
/// Unites the two gaps that lie closest to each other if there are too many.
void add_gap(std::vector<Interval>& gaps, Interval gap);
/// Leaves out the shortest if there are too many, but neither the first nor the last: when it began and ended.
void limit_intervals(std::vector<Interval>& intervals);

/// A target and what it used.
struct Container {
  std::string name;
  std::string image;
  std::string image_digest;
  Identity identity;
  uint64_t cgroup_id = 0;
  std::string cgroup_path;
  /// 0: of an earlier run, and not found again.
  uint32_t target = 0;
  uint32_t slot = 0;
  /// One for each run of snoop; the last one goes on (kOngoing) while it lives.
  std::vector<Interval> observed;
  /// When its cgroup went; 0: it is there.
  WallTime ended_at = 0;
  /// Nobody asked for it by name: reported only if it used anything.
  bool only_if_used = false;
  /// Not known yet whether it is one of those that were asked for: not reported, unless it is doubtful.
  bool undecided = false;
  /// Undecided for so long that it may stay so: reported, and marked.
  bool doubtful = false;

  /// Read from the kernel side by whoever reports: of this run.
  uint64_t total_events = 0;
  Losses losses;
  /// Paths that user space could not make absolute; part of losses.base_unknown.
  uint64_t base_unknown_here = 0;
  /// The same of the runs before.
  uint64_t earlier_events = 0;
  Losses earlier_losses;
  std::vector<LossWindow> loss_windows;

  /// Why its root directory could not be reached; empty: it could.
  std::string unresolved;
  /// Accesses may be missing in the counts of the files.
  bool counts_are_lower_bounds = false;

  Discovery discovery;
  AccessStore files;

  [[nodiscard]] bool is_there() const { return target != 0 && ended_at == 0; }
  [[nodiscard]] bool is_reported() const {
    return (!undecided || doubtful) && (!only_if_used || all_events() != 0 || files.size() != 0);
  }
  [[nodiscard]] uint64_t all_events() const { return earlier_events + total_events; }
  [[nodiscard]] Losses all_losses() const;
  /// The intervals as they are at this time, each ended.
  [[nodiscard]] std::vector<Interval> observed_until(WallTime now) const;

  /// Windows of one cause that touch become one.
  void add_loss_window(WallTime from, WallTime to, uint64_t lost, std::string_view cause);
  /// Takes over what an earlier run saw of the same container. Indices of files stay as they are.
  void go_on_from(Container&& former);
  /// Takes in what another list holds of the same time.
  void take_in(Container&& part);
};

struct RecorderOptions {
  /// Prefixes of paths that are not kept.
  std::vector<std::string> exclude;
  /// Per container.
  size_t max_files = 0;
};

/// Where accesses become lists of files: one list per container.
class Recorder {
 public:
  explicit Recorder(RecorderOptions options) : options_(std::move(options)) {}

  Container& add_container(std::string name, uint64_t cgroup_id, std::string cgroup_path, const snoop_target& target);
  /// The container of a target; nullptr: none yet.
  [[nodiscard]] Container* find(uint32_t target);
  /// It has ended and is there again: a new target and cgroup, and the same list.
  void revive(Container& container, uint64_t cgroup_id, const snoop_target& target);
  /// Forgets the container of a target. No Container& stays valid.
  void remove(uint32_t target);

  /// The index of the entry of the path, in the container's files; nothing
  /// where it is not kept.
  std::optional<uint32_t> add(const Access& access);

  [[nodiscard]] std::vector<Container>& containers() { return containers_; }

  /// For what comes from now on; what is there stays.
  void set_options(RecorderOptions options);

 private:
  RecorderOptions options_;
  std::vector<Container> containers_;
  std::map<uint32_t, size_t> by_target_;
};

}  // namespace snoop
