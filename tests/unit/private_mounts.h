// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <string>

namespace snoop {

/// Runs `body` in a child process with a mount namespace of its own, so that
/// whatever it mounts ends with it. Returns what `body` found wrong: nothing
/// where all is well, and text that begins with "skip" where it cannot run.
inline std::string in_private_mounts(const std::function<std::string()>& body) {
  std::array<int, 2> ends = {-1, -1};
  if (::pipe(ends.data()) != 0) {
    return "pipe";
  }
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    std::string wrong;
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      wrong = std::string("skip: no mount namespace of its own: ") + std::strerror(errno);
    } else {
      wrong = body();
    }
    const bool told = ::write(ends[1], wrong.data(), wrong.size()) == static_cast<ssize_t>(wrong.size());
    ::_exit(told ? 0 : 1);
  }
  ::close(ends[1]);
  std::string wrong;
  std::array<char, 4096> buffer = {};
  ssize_t got = 0;
  while ((got = ::read(ends[0], buffer.data(), buffer.size())) > 0) {
    wrong.append(buffer.data(), static_cast<size_t>(got));
  }
  ::close(ends[0]);
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || status != 0) {
    wrong += " (the child failed)";
  }
  return wrong;
}

}  // namespace snoop
