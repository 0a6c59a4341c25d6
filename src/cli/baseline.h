// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "container/cgroup.h"
#include "pipeline/recorder.h"
#include "probe/probe.h"

namespace snoop {

/// What is open, mapped or running before anybody sees it being opened: in the
/// targets at the start, and in processes that are moved into one.
class Baseline {
 public:
  Baseline(const CgroupTree& tree, Probe& probe, Recorder& recorder);

  /// Looks at moved processes a little after each move.
  [[nodiscard]] Result<void> watch(EventLoop& loop);
  /// Takes in what the targets have; `drain` empties the ring. What cannot be
  /// seen that way, in words.
  [[nodiscard]] std::vector<std::string> take(bool wanted, const std::function<void()>& drain);
  /// All targets once more, because something was lost.
  void take_again();
  void on_moved(const Record& record, uint32_t target);
  /// It became a target when its processes were there already.
  void on_found(const Container& container);
  /// What the processes have that were moved in lately.
  void scan_moved();

 private:
  struct Moved {
    uint32_t target = 0;
    uint64_t cgroup_id = 0;
  };

  /// Without the kernel's iterators.
  void scan_proc(const Cgroup& cgroup, uint32_t target);
  void scan_proc(pid_t pid, uint32_t target, uint64_t cgroup_id);
  void look_at(pid_t pid, uint32_t target, uint64_t cgroup_id);
  void look_at(const Cgroup& cgroup, uint32_t target);

  const CgroupTree& tree_;
  Probe& probe_;
  Recorder& recorder_;
  bool wanted_ = false;
  /// To be looked at; empty for who wants no baseline.
  std::map<pid_t, Moved> moved_;
  std::unique_ptr<Timer> timer_;
  std::chrono::nanoseconds delay_;
};

}  // namespace snoop
