// SPDX-License-Identifier: Apache-2.0
#include <spdlog/spdlog.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

#include "cli/commands.h"
#include "cli/session.h"
#include "cli/signals.h"
#include "output/trace_line.h"
#include "pipeline/path.h"

namespace snoop {

namespace {

Result<int> trace(const Options& options) {
  Result<EventLoop> loop = EventLoop::create();
  if (!loop) {
    return tl::unexpected(loop.error());
  }
  Result<std::unique_ptr<Signals>> signals =
      Signals::watch(*loop, {SIGINT, SIGTERM}, [&](const signalfd_siginfo&) { loop->stop(); });
  if (!signals) {
    return tl::unexpected(signals.error());
  }
  // A reader that went away (| head) is a normal end.
  std::signal(SIGPIPE, SIG_IGN);
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
  if (Result<void> added = (*session)->add_targets(); !added) {
    return tl::unexpected(added.error());
  }
  const size_t count = (*session)->recorder().containers().size();
  spdlog::info("tracing {} cgroup{}; ^C ends it", count, count == 1 ? "" : "s");
  if (Result<void> ran = loop->run(); !ran) {
    return tl::unexpected(ran.error());
  }
  (*session)->finish();
  flush();
  if (write_error != 0 && write_error != EPIPE) {
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
