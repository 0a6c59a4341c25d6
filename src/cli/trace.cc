// SPDX-License-Identifier: Apache-2.0
#include <spdlog/spdlog.h>

#include <sys/eventfd.h>
#include <cerrno>

#include <csignal>
#include <cstdio>

#include "cli/commands.h"
#include "cli/session.h"
#include "output/trace_line.h"
#include "pipeline/path.h"

namespace snoop {

namespace {

/// Readable once a signal has asked for the end.
int stop_fd = -1;

void on_stop(int) {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t told = ::write(stop_fd, &one, sizeof(one));
}

Result<int> trace(const Options& options) {
  Result<EventLoop> loop = EventLoop::create();
  if (!loop) {
    return tl::unexpected(loop.error());
  }
  // Handlers, and no signalfd: a write to a pipe that nobody empties must end.
  const UniqueFd stopped(::eventfd(0, EFD_CLOEXEC));
  if (!stopped) {
    return fail(errno, "eventfd");
  }
  stop_fd = stopped.get();
  if (Result<void> watched = loop->watch(stop_fd, [&] { loop->stop(); }); !watched) {
    return tl::unexpected(watched.error());
  }
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action = {};
    action.sa_handler = on_stop;  // without SA_RESTART
    ::sigaction(signal, &action, nullptr);
  }
  int write_error = 0;

  const auto print = [&](const Access& access, const Container& container) {
    if (write_error != 0 || is_excluded(access.path, options.exclude)) {
      return;
    }
    const std::string line =
        options.trace_json ? trace_json_line(access, container) : trace_text_line(access, container);
    if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size()) {
      write_error = errno;
      loop->stop();
    }
  };
  const auto flush = [&] {
    if (write_error == 0 && std::fflush(stdout) != 0) {
      write_error = errno;
      loop->stop();
    }
  };
  Result<std::unique_ptr<Session>> session = Session::start(options, *loop, print, flush);
  if (!session) {
    return tl::unexpected(session.error());
  }
  if (Result<void> added = (*session)->targets().add_configured(); !added) {
    return tl::unexpected(added.error());
  }
  const size_t count = (*session)->recorder().containers().size();
  spdlog::info("tracing {} cgroup{}; ^C ends it", count, count == 1 ? "" : "s");
  if (Result<void> ran = loop->run(); !ran) {
    return tl::unexpected(ran.error());
  }
  (*session)->finish();
  // A reader that went away (| head) is a normal end, and so is a signal.
  if (write_error != 0 && write_error != EPIPE && write_error != EINTR) {
    return fail(write_error, "cannot write to stdout");
  }
  const Session::Totals totals = (*session)->totals();
  spdlog::info("{} accesses, {} lost", totals.events, totals.lost);
  return kExitOk;
}

}  // namespace

int trace_command(const Options& options) {
  const Result<int> code = trace(options);
  if (!code) {
    log_error(code.error());
    return kExitFailure;
  }
  return *code;
}

}  // namespace snoop
