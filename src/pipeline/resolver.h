// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <vector>

#include "container/roots.h"
#include "pipeline/access.h"
#include "pipeline/path.h"
#include "probe/record.h"

namespace snoop {

/// Makes accesses of records: the path made absolute and true, and the symbolic
/// links that were walked on the way. What the kernel side did not tell, it looks
/// up below the root directory of the process, which it holds.
class Resolver {
 public:
  /// `follow`: whether to look at links at all.
  Resolver(const Roots::Describe& describe, bool pids_are_ours, bool follow)
      : describe_(describe), roots_(describe, pids_are_ours), pids_are_ours_(pids_are_ours), follow_(follow) {}
  // The roots know where it is.
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// A root directory that a process has now and may not have for long.
  void learn_root(const Record& record) {
    static_cast<void>(roots_.find(record.event.root, record.event.cgroup_id, static_cast<pid_t>(record.event.pid),
                                  directory_of(record.base)));
  }
  /// A cgroup that is gone.
  void forget_roots(uint64_t cgroup_id) { roots_.forget(cgroup_id); }
  /// Cgroups that roots are held for.
  [[nodiscard]] std::set<uint64_t> cgroups_with_roots() const { return roots_.cgroups(); }
  void hold_own_root() { roots_.hold_own(); }
  /// What was looked up is as old as this.
  void begin_batch() { roots_.begin_batch(); }

  struct Resolved {
    Access access;
    /// One for each link, in the order in which they were walked; and for each
    /// script that is the interpreter of a script.
    std::vector<Access> links;
    /// The root could not be reached: links and the truth of `..` are not known.
    bool no_root = false;
  };
  /// Nothing where the record names no file. `wanted`: whether the links of a
  /// path are of interest.
  [[nodiscard]] std::optional<Resolved> resolve(const Record& record,
                                                const std::function<bool(std::string_view)>& wanted);

  /// Opens what an access was to, as a handle only (O_PATH), with its root; no
  /// descriptors where it cannot be had.
  struct Opened {
    UniqueFd file;
    int root_fd = -1;
  };
  [[nodiscard]] Opened open(const Record& record, const Access& access);

  /// Why a root could not be reached, for the report.
  [[nodiscard]] std::string_view no_root_reason() const;

 private:
  RootWalker* root_of(const Record& record) {
    return roots_.find(record.event.root, record.event.cgroup_id, static_cast<pid_t>(record.event.pid));
  }
  void add_scripts(RootWalker& root, Resolved& resolved);
  void follow(const Record& record, std::string_view base, std::string_view asked, Resolved& resolved);

  Roots::Describe describe_;
  Roots roots_;
  bool pids_are_ours_;
  bool follow_;
};

}  // namespace snoop
