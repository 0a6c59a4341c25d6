// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace snoop {

/// What a process runs, has mapped, and has open now, as /proc tells: regular
/// files and directories, by their paths below the process's own root; each once,
/// sorted. Of a process that has ended, or may not be looked into: nothing.
/// Threads with descriptors of their own are not looked for.
[[nodiscard]] std::vector<std::string> files_in_use(pid_t pid);

/// The path of a file as a process sees it, from what its link in /proc shows and
/// what that of its root shows. What lies outside of the root stays as it is.
[[nodiscard]] std::string below_root(const std::string& path, const std::string& root);

}  // namespace snoop
