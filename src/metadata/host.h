// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace snoop::metadata {

/// The machine's files, which may be mounted below a directory of ours. Nothing leads out of there.
class Host {
 public:
  explicit Host(std::string root);

  /// A regular file of at most `max_bytes`.
  [[nodiscard]] std::optional<std::string> read(const std::string& path, size_t max_bytes) const;
  /// The names in a directory, the first `max_names`.
  [[nodiscard]] std::vector<std::string> names(const std::string& directory, size_t max_names) const;
  [[nodiscard]] bool exists(const std::string& path) const;
  /// As we have to call it.
  [[nodiscard]] std::string path(const std::string& path) const;

  /// In the host's /proc, or ours where that is not mounted.
  [[nodiscard]] bool is_process(pid_t pid) const;

  /// The top cgroup of a container: the one of its process that has its id in the path or is what its OCI configuration
  /// asks for; else what that asks for. A process id is reused, and may be of another pid namespace, so what fits
  /// neither is not believed. Empty: not known.
  [[nodiscard]] std::string cgroup_of(const std::string& id, pid_t pid, const std::string& cgroups_path) const;

 private:
  [[nodiscard]] UniqueFd open(const std::string& path, int flags) const;

  std::string root_;
  UniqueFd root_fd_;
};

/// The part of /proc/PID/cgroup that is a container's top cgroup; see Host::cgroup_of.
[[nodiscard]] std::string find_cgroup(const std::string& proc_cgroup, const std::string& id,
                                      const std::string& cgroups_path);

}  // namespace snoop::metadata
