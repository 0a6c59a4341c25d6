// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <vector>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/service.h"
#include "cli/session.h"
#include "cli/signals.h"
#include "output/atomic_file.h"

namespace snoop {

namespace {

struct Program {
  std::string path;
  /// kExitOk, or why there is nothing to run.
  ExitCode code = kExitOk;
};

bool is_runnable(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

/// Searches PATH here, so that the command's own cgroup shows no search.
Program find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (::access(name.c_str(), F_OK) != 0) {
      return {name, kExitNotFound};
    }
    return {name, is_runnable(name) ? kExitOk : kExitNotExecutable};
  }
  const char* variable = std::getenv("PATH");
  std::string_view rest = variable != nullptr ? variable : "/usr/local/bin:/usr/bin:/bin";
  ExitCode code = kExitNotFound;
  while (true) {
    const size_t colon = rest.find(':');
    const std::string_view directory = rest.substr(0, colon);
    const std::string path = directory.empty() ? name : std::string(directory) + "/" + name;
    if (!name.empty() && is_runnable(path)) {
      return {path, kExitOk};
    }
    if (!name.empty() && ::access(path.c_str(), F_OK) == 0) {
      code = kExitNotExecutable;
    }
    if (colon == std::string_view::npos) {
      return {name, code};
    }
    rest.remove_prefix(colon + 1);
  }
}

/// What went wrong before the command was there.
struct StartError {
  int code;
  /// In the cgroup already, so it is the command itself.
  bool of_command;
};

/// Whether a shell could read it: bash looks for a NUL in the first line as well.
bool is_text(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line.find('\0') == std::string::npos;
}

/// In the child, between fork and exec: only async-signal-safe calls. Moves
/// itself into the cgroup and becomes the command; never returns.
[[noreturn]] void become(int procs_fd, const char* path, char** arguments, const sigset_t* signals, int error_fd) {
  StartError error = {};
  if (::write(procs_fd, "0", 1) != 1) {
    error = {errno, false};
  } else {
    give_back_signals();
    ::sigprocmask(SIG_SETMASK, signals, nullptr);
    ::execv(path, arguments + 1);
    error = {errno, true};
    if (errno == ENOEXEC && arguments[0] != nullptr) {
      // A script without #!, as execvp(3) and every shell take it.
      arguments[1] = const_cast<char*>(path);
      ::execv(arguments[0], arguments);
    }
  }
  [[maybe_unused]] const ssize_t told = ::write(error_fd, &error, sizeof(error));
  ::_exit(kExitRunFailure);
}

std::string command_of(pid_t pid) {
  std::ifstream comm(fmt::format("/proc/{}/comm", pid));
  std::string name;
  std::getline(comm, name);
  return name.empty() ? "?" : name;
}

constexpr std::string_view kCgroupPrefix = "snoop-run-";

/// A run that was killed leaves its cgroup. Whatever still has processes cannot be removed.
void remove_left_cgroups(const CgroupTree& tree, const Cgroup& own) {
  for (const Cgroup& child : tree.children(own)) {
    const std::string name = child.path.substr(child.path.rfind('/') + 1);
    const pid_t pid = name.starts_with(kCgroupPrefix) ? std::atoi(name.c_str() + kCgroupPrefix.size()) : 0;
    if (pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH) {
      ::rmdir(tree.directory(child).c_str());
    }
  }
}

/// The command, from its start until nothing of it is left.
class Run {
 public:
  Run(const Options& options, EventLoop& loop) : options_(options), loop_(loop) {}

  [[nodiscard]] Result<int> run();

 private:
  [[nodiscard]] Result<void> start(const Program& program, const OwnedCgroup& cgroup);
  void on_signal(const signalfd_siginfo& info);
  void reap();
  void on_poll(const OwnedCgroup& cgroup);

  const Options& options_;
  EventLoop& loop_;
  sigset_t former_signals_ = {};
  pid_t child_ = 0;
  bool child_ended_ = false;
  int exit_code_ = kExitRunFailure;
  bool ending_ = false;
  std::chrono::steady_clock::time_point grace_end_;
};

Result<void> Run::start(const Program& program, const OwnedCgroup& cgroup) {
  const Result<int> procs = cgroup.open_procs();
  if (!procs) {
    return tl::unexpected(procs.error());
  }
  const UniqueFd procs_fd(*procs);
  int ends[2] = {};
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return fail(errno, "pipe2");
  }
  const UniqueFd error_in(ends[0]);
  UniqueFd error_out(ends[1]);

  std::vector<char*> arguments = {is_text(program.path) ? const_cast<char*>("/bin/sh") : nullptr};
  for (const std::string& argument : options_.run_command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);

  child_ = ::fork();
  if (child_ < 0) {
    return fail(errno, "fork");
  }
  if (child_ == 0) {
    become(procs_fd.get(), program.path.c_str(), arguments.data(), &former_signals_, error_out.get());
  }
  error_out.reset();
  StartError error = {};
  if (::read(error_in.get(), &error, sizeof(error)) == sizeof(error)) {
    ::waitpid(child_, nullptr, 0);
    if (!error.of_command) {
      return fail(error.code, "cannot move the command into its cgroup",
                  "a threaded cgroup takes no process: start snoop from another one");
    }
    exit_code_ = error.code == ENOENT ? kExitNotFound : kExitNotExecutable;
    return fail(error.code, fmt::format("cannot run {}", program.path));
  }
  return {};
}

void Run::on_signal(const signalfd_siginfo& info) {
  if (info.ssi_signo == SIGCHLD) {
    reap();
    return;
  }
  // What comes from the terminal has reached the command already.
  const bool from_terminal = info.ssi_code == SI_KERNEL;
  if (!child_ended_ && !from_terminal) {
    ::kill(child_, static_cast<int>(info.ssi_signo));
  } else if (child_ended_ && !ending_ && (info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM)) {
    grace_end_ = std::chrono::steady_clock::now();
  }
}

void Run::reap() {
  int status = 0;
  pid_t pid = 0;
  while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
    if (pid == child_) {
      child_ended_ = true;
      exit_code_ = WIFSIGNALED(status) ? kExitSignalBase + WTERMSIG(status) : WEXITSTATUS(status);
      grace_end_ = std::chrono::steady_clock::now() + options_.grace;
    }
  }
}

/// While something may be left running after the command.
void Run::on_poll(const OwnedCgroup& cgroup) {
  if (!child_ended_) {
    return;
  }
  reap();
  const std::vector<pid_t> left = cgroup.processes();
  if (left.empty()) {
    loop_.stop();
    return;
  }
  if (std::chrono::steady_clock::now() < grace_end_) {
    return;
  }
  if (!ending_) {
    ending_ = true;
    for (const pid_t pid : left) {
      spdlog::warn("still running after the command: ending {} (pid {})", printable(command_of(pid)), pid);
    }
  }
  cgroup.kill();
}

Result<int> Run::run() {
  const Program program = find_program(options_.run_command.front());
  if (program.code != kExitOk) {
    const bool missing = program.code == kExitNotFound;
    log_error({0,
               fmt::format("'{}': {}", options_.run_command.front(),
                           missing ? "command not found" : "not an executable file"),
               missing ? "give a path, or a name that PATH finds" : "is it a directory, or not marked executable?"});
    return static_cast<int>(program.code);
  }

  ::sigprocmask(SIG_SETMASK, nullptr, &former_signals_);
  // What the command leaves behind becomes ours to wait for.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  Result<std::unique_ptr<Signals>> signals =
      Signals::watch(loop_, {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2},
                     [this](const signalfd_siginfo& info) { on_signal(info); });
  if (!signals) {
    return tl::unexpected(signals.error());
  }

  Result<std::unique_ptr<Session>> started = Session::start(options_, loop_);
  if (!started) {
    return tl::unexpected(started.error());
  }
  Session& session = **started;
  Result<std::unique_ptr<Service>> service = Service::open(options_, loop_);
  if (!service) {
    return tl::unexpected(service.error());
  }
  // Better now than when the command has run for an hour.
  UniqueFd claimed;
  if (options_.report != "-") {
    if (Result<void> possible = can_write(options_.report); !possible) {
      return tl::unexpected(possible.error());
    }
    Result<UniqueFd> place = claim(options_.report);
    if (!place) {
      return tl::unexpected(place.error());
    }
    claimed = std::move(*place);
  }
  const Result<Cgroup> own = session.tree().own();
  if (!own) {
    return tl::unexpected(own.error());
  }
  remove_left_cgroups(session.tree(), *own);
  Result<OwnedCgroup> cgroup =
      OwnedCgroup::create(session.tree(), *own, fmt::format("{}{}", kCgroupPrefix, ::getpid()));
  if (!cgroup) {
    return tl::unexpected(cgroup.error());
  }
  const std::string name = options_.run_command.front();
  if (Result<void> added =
          session.targets().add(cgroup->cgroup(), options_.container_name.empty() ? name.substr(name.rfind('/') + 1)
                                                                                  : options_.container_name);
      !added) {
    return tl::unexpected(added.error());
  }
  if (Result<void> ran = start(program, *cgroup); !ran) {
    log_error(ran.error());
    return exit_code_;
  }
  Result<Timer> poll = Timer::create();
  if (!poll) {
    return tl::unexpected(poll.error());
  }
  if (Result<void> watched = loop_.watch(poll->fd(),
                                         [&] {
                                           poll->acknowledge();
                                           on_poll(*cgroup);
                                         });
      !watched) {
    return tl::unexpected(watched.error());
  }
  poll->start(std::chrono::milliseconds(10), std::chrono::milliseconds(20));
  (*service)->begin(session);
  if (Result<void> ran = loop_.run(); !ran) {
    return tl::unexpected(ran.error());
  }

  (*service)->end();
  session.finish();
  const Result<void> written = session.write_final_report();
  if (!written) {
    spdlog::error("the command ended with exit code {}", exit_code_);
    return tl::unexpected(written.error());
  }
  spdlog::info("{}{}", session.summary(), options_.report == "-" ? "" : "; report: " + options_.report);
  session.warn_of_losses(true);
  return exit_code_;
}

}  // namespace

int run_command(const Options& options) {
  Result<EventLoop> loop = EventLoop::create();
  Result<int> code = loop ? Run(options, *loop).run() : tl::unexpected(loop.error());
  if (!code) {
    log_error(code.error());
    return kExitRunFailure;
  }
  return *code;
}

}  // namespace snoop
