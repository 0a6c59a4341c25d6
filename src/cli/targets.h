// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "cli/container_targets.h"
#include "cli/options.h"
#include "cli/target_pool.h"
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
    /// It has ended and will go on as another target.
    std::function<void(Container&)> on_reviving;
    std::function<void(Container&)> on_revived;
    /// It will be in no list any more.
    std::function<void(const Container&)> on_removing;
    /// This cgroup is of no target any more.
    std::function<void(uint64_t cgroup_id)> on_left_out;
    /// It was there before it became a target.
    std::function<void(const Container&)> on_found_late;
  };

  Targets(const Options& options, const CgroupTree& tree, Probe& probe, Recorder& recorder, Handlers handlers);

  /// A cgroup with all below it. `name` empty: the last part of its path.
  [[nodiscard]] Result<void> add(const Cgroup& cgroup, const std::string& name = {});
  /// What the options say: --cgroup, --all, containers, or the siblings of snoop's own.
  [[nodiscard]] Result<void> add_configured();

  /// The kernel side has adopted a new cgroup.
  void on_new_cgroup(const Record& record);
  /// The container that a record is of; nullptr: of none that is looked for.
  [[nodiscard]] Container* container_of(uint32_t target, uint64_t cgroup_id);

  /// Its top cgroup was removed: the counters stay in the container, the slot is free.
  void end(uint32_t target, WallTime at);
  /// Those that are gone although no record of it came.
  [[nodiscard]] std::vector<uint32_t> find_gone() const;

  /// What is known of a container has changed: whether it is asked for. It may have moved.
  void judge(uint32_t target);
  /// A runtime tells of a container that is in no list; true: now it is.
  [[nodiscard]] bool on_known(const KnownContainer& known);
  /// After each round of the reader; `all`: nothing comes any more.
  void on_round(bool all);
  /// Left out of the reports, because nobody has said whether they are asked for.
  [[nodiscard]] uint64_t undecided() const;
  /// Cgroups that were there, and that there was no target or no room for.
  [[nodiscard]] uint64_t over_limit() const { return pool_.over_limit(); }

 private:
  [[nodiscard]] Result<void> add_subtree(const Cgroup& cgroup, const snoop_target& target, bool replace);
  [[nodiscard]] Result<void> add_all();
  [[nodiscard]] Result<void> add_containers();
  [[nodiscard]] Result<void> add_siblings();
  [[nodiscard]] Result<void> adopt_below(const Cgroup& cgroup, const Cgroup& own, const snoop_target& above);
  [[nodiscard]] Result<bool> enter(const Cgroup& cgroup, const snoop_target& target, bool replace);
  void forget_if_gone(const Cgroup& cgroup);
  Container& add_container(std::string name, const Cgroup& cgroup, const snoop_target& target);
  [[nodiscard]] Container* ended_before(const std::string& path);

  const Options& options_;
  const CgroupTree& tree_;
  Probe& probe_;
  Recorder& recorder_;
  Handlers handlers_;
  TargetPool pool_;
  /// Where the hierarchy's mount begins, as the kernel sees it; empty: at the root, or not known yet.
  std::string above_mount_;
  /// Only if containers are what is asked for.
  std::optional<ContainerTargets> containers_;
};

}  // namespace snoop
