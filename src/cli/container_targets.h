// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/selection.h"
#include "cli/target_pool.h"
#include "container/cgroup.h"
#include "container/identity.h"
#include "pipeline/recorder.h"
#include "probe/probe.h"

namespace snoop {

/// Finds containers among all cgroups, and keeps those that are asked for.
///
/// The kernel side adopts each new cgroup as a target of its own, before its first process. Its path comes with a
/// record, in front of all others of that target, and says what it is: a container's top keeps its target; what is
/// below one gets that target instead; all else is watched no longer, but passes adoption on. A cgroup whose path says
/// nothing may be a container's all the same: it is recorded until its runtime had time to say so.
class ContainerTargets {
 public:
  struct Handlers {
    /// Makes the container of a target.
    std::function<Container&(const Cgroup&, const snoop_target&)> add;
    /// It will be in no list any more.
    std::function<void(const Container&)> on_removing;
    /// This cgroup is of no target any more.
    std::function<void(uint64_t cgroup_id)> on_left_out;
    /// It was there before it became a target.
    std::function<void(const Container&)> on_found_late;
  };

  ContainerTargets(const Options& options, const CgroupTree& tree, Probe& probe, Recorder& recorder, TargetPool& pool,
                   Handlers handlers);

  /// Takes in what is there.
  [[nodiscard]] Result<void> start();
  /// The kernel side has adopted this cgroup.
  void place(const Cgroup& cgroup, const snoop_target& target);
  /// Of a record; nullptr: of none that is looked for.
  [[nodiscard]] Container* container_of(uint32_t target, uint64_t cgroup_id);
  /// false: it was no container's any more.
  [[nodiscard]] bool end(uint32_t target);

  /// It was just made, or more is known of it: whether it is asked for.
  void judge(Container& container);
  /// A runtime tells of a container that is in no list; true: now it is.
  [[nodiscard]] bool on_known(const KnownContainer& known);
  /// After each round of the reader; `all`: nothing comes any more.
  void on_round(bool all);

  /// Containers of which it is not known yet whether they are asked for.
  [[nodiscard]] uint64_t undecided() const;

 private:
  using Clock = std::chrono::steady_clock;

  /// A target that is no container's any more. What it sent may still be on the way.
  struct Retired {
    /// 0: nobody's.
    uint32_t into = 0;
    uint64_t round = 0;
    Clock::time_point at;
  };
  enum class Place { kContainer, kInside, kCandidate, kNothing };
  struct Judgement {
    Place place = Place::kNothing;
    /// With kInside: whose.
    uint32_t target = 0;
  };

  [[nodiscard]] Judgement judge_path(const std::string& path);
  [[nodiscard]] uint32_t target_at(const std::string& top);
  [[nodiscard]] bool is_own(std::string_view path, std::string_view top) const;
  [[nodiscard]] size_t tops_within(const std::string& path) const;
  [[nodiscard]] Result<void> walk(const Cgroup& cgroup, bool again = false);
  void adopt(const Cgroup& cgroup, const snoop_target& target, bool is_candidate);
  void repoint(const Cgroup& cgroup, const snoop_target& target);
  void repoint_below(const Cgroup& cgroup, uint32_t from, const snoop_target& target);
  void retire(uint32_t former, uint32_t into);
  void take_in_candidates(const std::string& path, uint32_t target);
  void drop(uint32_t target);
  void settle(uint32_t target, const Retired& retired);
  void look_again();
  [[nodiscard]] bool is_undecided(const Container& container) const;
  void mark_doubtful(bool all);
  void forget_oldest_doubtful();
  void tell_what_is_missing();

  const CgroupTree& tree_;
  Probe& probe_;
  Recorder& recorder_;
  TargetPool& pool_;
  Handlers handlers_;
  Selection selection_;
  Cgroup own_;
  /// Top of the container that snoop runs in; empty: in none.
  std::string own_top_;
  /// Of each container that is there, by the path of its top cgroup.
  std::map<std::string, uint32_t> tops_;
  /// Until when the runtime has time to call it a container.
  std::map<uint32_t, Clock::time_point> candidates_;
  /// Since when it is known not to be asked for: what is told first may not be all.
  std::map<uint32_t, Clock::time_point> unwanted_since_;
  std::map<uint32_t, Retired> retired_;
  uint64_t round_ = 0;
  /// A first container of this kind was told of.
  bool told_doubtful_ = false;
  bool told_forgotten_ = false;
  /// It is known what of that which is asked for is not there, or not yet.
  bool told_missing_ = false;
  Clock::time_point started_at_ = Clock::now();
  /// Containers that were there found no target.
  bool is_starved_ = false;
  uint64_t over_limit_ = 0;
  Clock::time_point looked_at_;
};

}  // namespace snoop
