// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <map>

#include "base/result.h"
#include "probe/probe.h"

namespace snoop {

/// Hands out targets: an id that is never used twice, and a slot for its counters that is.
class TargetPool {
 public:
  explicit TargetPool(Probe& probe);

  [[nodiscard]] Result<snoop_target> next();
  /// Takes back the last one, which nobody has seen.
  void give_back(const snoop_target& target);
  /// It has ended, and its counters were read: the slot is free.
  void release(uint32_t target);
  [[nodiscard]] bool has(uint32_t target) const { return slot_of_target_.contains(target); }
  /// One that never counts, if the target has ended.
  [[nodiscard]] uint32_t slot_of(uint32_t target) const;

  [[nodiscard]] bool is_empty() const { return free_slots_.empty(); }
  /// A cgroup found no target, or no room among the watched ones: the report says so.
  void count_over_limit() { over_limit_++; }
  [[nodiscard]] uint64_t over_limit() const { return over_limit_; }

  /// From now on as many as there can be wait for cgroups that the kernel side adopts.
  [[nodiscard]] Result<void> begin_adopting();
  /// Again as many, once some were taken.
  void set_aside_or_warn();

 private:
  [[nodiscard]] Result<void> set_aside();

  Probe& probe_;
  /// In the order in which they became free, so that one rests as long as possible.
  std::deque<uint32_t> free_slots_;
  std::map<uint32_t, uint32_t> slot_of_target_;
  uint32_t last_target_ = 0;
  uint64_t over_limit_ = 0;
  bool adopts_ = false;
};

}  // namespace snoop
