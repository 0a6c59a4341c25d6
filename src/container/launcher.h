// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace snoop {

/// A process that runs one program, again and again, for a process that has given up the
/// right to start any. It can do nothing else: the program and its arguments are settled
/// when it begins, and it keeps no capability.
class Launcher {
 public:
  struct Program {
    std::string path;
    std::vector<std::string> arguments;
  };

  /// Forks. The sooner the better: what this process has in its memory by then stays in use.
  [[nodiscard]] static Result<Launcher> start(Program program);
  Launcher(Launcher&&) = default;
  Launcher& operator=(Launcher&&) = delete;
  /// It ends; the program does not.
  ~Launcher();

  /// Runs the program with this socket as its input and output; `keeps_stderr`: what it says
  /// is to be seen. It becomes a child of the calling process, and is killed if that one ends.
  [[nodiscard]] Result<pid_t> launch(int socket, bool keeps_stderr);
  /// Kills what was launched last. A child that has ended must not have been waited for.
  void kill(pid_t pid);

  [[nodiscard]] const Program& program() const { return program_; }

 private:
  Launcher(Program program, UniqueFd socket, pid_t pid)
      : program_(std::move(program)), socket_(std::move(socket)), pid_(pid) {}

  Program program_;
  UniqueFd socket_;
  pid_t pid_;
};

}  // namespace snoop
