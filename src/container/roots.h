// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/unique_fd.h"
#include "container/root_walk.h"

namespace snoop {

/// Root directories of watched processes, held open from the first process on:
/// what a path led to can be looked up when the process is long gone. Holding
/// one keeps its file system alive, so the number is bounded and the one that
/// was not used for the longest time goes first. That of a chroot is held for a
/// moment only, and found by its path again: its mount may be unmounted when the
/// chroot is over, which a held root would make fail.
class Roots {
 public:
  /// What the kernel side says of an open file: Probe::describe.
  struct Described {
    uint64_t identity = 0;
    uint32_t magic = 0;
  };
  using Describe = std::function<Described(int)>;

  /// `pids_are_ours`: process ids of the kernel side mean the same in /proc here.
  Roots(Describe describe, bool pids_are_ours) : describe_(std::move(describe)), pids_are_ours_(pids_are_ours) {}

  /// Holds the root directory of this process.
  void hold_own();
  /// The root with that number, opened now if it is not held: by way of `pid`,
  /// or else of any process that has it. nullptr: there is none to be seen. It is
  /// held for the process's cgroup until that is gone. `path`: where it lies below
  /// the top of its mount namespace, which may be a root that is held; empty: not known.
  [[nodiscard]] RootWalker* find(uint64_t identity, uint64_t cgroup_id, pid_t pid, const std::string& path = {});
  /// The cgroup is gone: what was held for it alone is let go.
  void forget(uint64_t cgroup_id);
  /// Those for which anything is held.
  [[nodiscard]] std::set<uint64_t> cgroups() const;
  /// Directories may have changed since the last one.
  void begin_batch();

 private:
  struct Held {
    std::unique_ptr<RootWalker> walker;
    /// Its mount namespace: what is mounted below the root goes with the last
    /// process there. Held for a moment only, since it keeps all those mounts busy.
    UniqueFd mounts;
    int batches_since_use = 0;
    uint64_t last_use = 0;
    /// Of the processes that had it; not kept for snoop's own.
    std::set<uint64_t> cgroups;
    bool is_own = false;
  };
  /// The same process is tried again in another round, since it may have had another
  /// root in between; all processes after 1, 2, 4 ... rounds.
  struct Failed {
    pid_t last_pid = 0;
    uint64_t last_try = 0;
    uint64_t next_search = 0;
    uint64_t search_rest = 1;
  };

  Held* look(uint64_t identity, pid_t pid);
  Held* try_process(uint64_t identity, pid_t pid);
  Held* hold(uint64_t identity, UniqueFd root, UniqueFd mounts);

  Describe describe_;
  bool pids_are_ours_;
  std::map<uint64_t, Held> held_;
  /// Where chroots lie below the top of their mount namespace.
  std::map<uint64_t, std::string> chroots_;
  /// Roots that were looked for in vain.
  std::map<uint64_t, Failed> failed_;
  uint64_t uses_ = 0;
  uint64_t batches_ = 0;
};

}  // namespace snoop
