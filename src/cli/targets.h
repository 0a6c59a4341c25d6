// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "cli/options.h"
#include "container/cgroup.h"
#include "pipeline/recorder.h"
#include "probe/probe.h"

namespace snoop {

/// Which cgroups are watched: tells the kernel side, and has a container in the
/// recorder for each target from its first access to its end.
class Targets {
 public:
  struct Handlers {
    /// A container was made.
    std::function<void(Container&)> on_added;
    /// The target's last moment: its counters are still there.
    std::function<void(Container&)> on_ending;
  };

  Targets(const Options& options, const CgroupTree& tree, Probe& probe, Recorder& recorder, Handlers handlers);

  /// A cgroup with all below it. `name` empty: the last part of its path.
  [[nodiscard]] Result<void> add(const Cgroup& cgroup, const std::string& name = {});
  /// What the options say: --cgroup, --all, or the siblings of snoop's own.
  [[nodiscard]] Result<void> add_configured();

  /// The kernel side has adopted a new cgroup.
  void on_new_cgroup(const Record& record);
  [[nodiscard]] Container& container_of(const Access& access);

  /// Its top cgroup was removed: the counters stay in the container, the slot is free.
  void end(uint32_t target, WallTime at);
  /// Those that are gone although no record of it came.
  [[nodiscard]] std::vector<uint32_t> find_gone() const;

 private:
  [[nodiscard]] Result<snoop_target> next_target();
  /// Takes back the last one, which nobody has seen.
  void return_target(const snoop_target& target);
  /// One that never counts, if the target has ended.
  [[nodiscard]] uint32_t slot_of(uint32_t target) const;
  /// As many as there can be, if cgroups are adopted.
  [[nodiscard]] Result<void> set_aside();
  void set_aside_or_warn();
  [[nodiscard]] Result<void> add_subtree(const Cgroup& cgroup, const snoop_target& target, bool replace);
  [[nodiscard]] Result<void> add_all();
  [[nodiscard]] Result<void> add_siblings();
  [[nodiscard]] Result<void> adopt_below(const Cgroup& cgroup, const Cgroup& own);
  void forget_if_gone(const Cgroup& cgroup);
  Container& add_container(std::string name, const Cgroup& cgroup, const snoop_target& target);

  const Options& options_;
  const CgroupTree& tree_;
  Probe& probe_;
  Recorder& recorder_;
  Handlers handlers_;
  /// Where the hierarchy's mount begins, as the kernel sees it; empty: at the root, or not known yet.
  std::string above_mount_;
  /// Slots in the order in which they became free, so that one rests as long as possible.
  std::deque<uint32_t> free_slots_;
  std::map<uint32_t, uint32_t> slot_of_target_;
  uint32_t last_target_ = 0;
  bool adopts_ = false;
};

}  // namespace snoop
