// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "probe/record.h"

namespace snoop {

/// One use of one path.
struct Access {
  /// As asked for, absolute and normalised, below the program's own root.
  std::string path;
  /// The file it led to; empty: not known.
  std::string resolved;
  /// Kinds, shifted by the outcome (event.h).
  uint64_t seen = 0;
  /// What the system call returned: 0 or more, or -errno.
  int result = 0;
  pid_t pid = 0;
  pid_t tid = 0;
  uint32_t target = 0;
  uint64_t cgroup_id = 0;
  WallTime time = 0;
  /// The path asked for could not be made absolute; `path` is where it led.
  bool base_unknown = false;
};

/// Bits of enum snoop_kind with this outcome.
[[nodiscard]] uint16_t kinds_with(uint64_t seen, snoop_outcome outcome);

/// Names of a kind mask, in the order of enum snoop_kind: "open" once for all
/// ways to open, then the others.
[[nodiscard]] std::vector<std::string_view> kind_names(uint16_t kinds);
/// "read", "write", "create", "directory", "path".
[[nodiscard]] std::vector<std::string_view> open_mode_names(uint16_t kinds);

/// Finds under which name an executable asks for its loader: the kernel shows
/// only which file it took. Holds a handle on the root directory of each target.
class LoaderNames {
 public:
  /// `pids_are_ours`: process ids of the kernel side mean the same in /proc here.
  explicit LoaderNames(bool pids_are_ours) : pids_are_ours_(pids_are_ours) {}

  /// The root directory of a target whose processes may be gone when asked for.
  void set_root(uint32_t target, UniqueFd root) { roots_[target] = std::move(root); }
  /// The target has ended.
  void forget_root(uint32_t target) { roots_.erase(target); }
  /// `loader_inode`: the file that the kernel took; 0: not known.
  [[nodiscard]] std::optional<std::string> find(uint32_t target, pid_t pid, const std::string& executable,
                                                uint64_t loader_inode = 0);

 private:
  bool pids_are_ours_;
  std::map<uint32_t, UniqueFd> roots_;
};

/// The access that a record tells of; nothing where it names no file.
[[nodiscard]] std::optional<Access> to_access(const Record& record, LoaderNames& loader_names);

}  // namespace snoop
