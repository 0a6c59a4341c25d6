// SPDX-License-Identifier: Apache-2.0
#include <spdlog/spdlog.h>

#include <sys/eventfd.h>
#include <cerrno>

#include <csignal>
#include <cstdio>
#include <map>
#include <vector>

#include "cli/commands.h"
#include "cli/session.h"
#include "output/trace_line.h"
#include "pipeline/path.h"

namespace snoop {

namespace {

/// Accesses of containers, until it is known whether they are asked for.
constexpr size_t kMostHeld = 100'000;

/// Readable once a signal has asked for the end.
int stop_fd = -1;

void on_stop(int) {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t told = ::write(stop_fd, &one, sizeof(one));
}

Result<int> trace(const Options& options) {
  std::optional<Launcher> launcher = prepare_naming(options);
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

  const auto print_now = [&](const Access& access, const Container& container) {
    if (write_error != 0) {
      return;
    }
    const std::string line =
        options.trace_json ? trace_json_line(access, container) : trace_text_line(access, container);
    if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size()) {
      write_error = errno;
      loop->stop();
    }
  };
  std::unique_ptr<Session> session;
  std::map<uint32_t, std::vector<Access>> held;
  size_t held_count = 0;
  uint64_t held_too_many = 0;
  const auto print_held = [&](const Container& container) {
    if (const auto found = held.find(container.target); found != held.end()) {
      for (const Access& access : found->second) {
        print_now(access, container);
      }
      held_count -= found->second.size();
      held.erase(found);
    }
  };
  const auto show = [&](const Access& access, const Container& container) {
    if (!container.undecided) {
      print_held(container);
      print_now(access, container);
    } else if (held_count < kMostHeld) {
      held[container.target].push_back(access);
      held_count++;
    } else {
      held_too_many++;
    }
  };
  const auto print = [&](const Access& access, const Container& container) {
    // As in reports: what is left out may lead to what is not, as /proc/self/exe does.
    if (is_excluded(access.path, options.exclude)) {
      if (!access.resolved.empty() && !is_excluded(access.resolved, options.exclude)) {
        Access elsewhere = access;
        elsewhere.path = access.resolved;
        show(elsewhere, container);
      }
      return;
    }
    show(access, container);
  };
  const auto flush = [&] {
    // What was held of containers that are decided by now, or left out.
    for (auto one = held.begin(); session && one != held.end();) {
      const auto& [target, accesses] = *one++;
      const Container* container = session->recorder().find(target);
      if (container == nullptr) {
        held_count -= accesses.size();
        held.erase(target);
      } else if (!container->undecided) {
        print_held(*container);
      }
    }
    if (write_error == 0 && std::fflush(stdout) != 0) {
      write_error = errno;
      loop->stop();
    }
  };
  Result<std::unique_ptr<Session>> started = Session::start(options, *loop, print, flush);
  if (!started) {
    return tl::unexpected(started.error());
  }
  session = std::move(*started);
  session->start_naming(*loop, std::move(launcher));
  if (Result<void> added = session->targets().add_configured(); !added) {
    return tl::unexpected(added.error());
  }
  session->confine();
  const size_t count = session->recorder().containers().size();
  spdlog::info("tracing {} cgroup{}; ^C ends it", count, count == 1 ? "" : "s");
  if (Result<void> ran = loop->run(); !ran) {
    return tl::unexpected(ran.error());
  }
  session->finish();
  // A reader that went away (| head) is a normal end, and so is a signal.
  if (write_error != 0 && write_error != EPIPE && write_error != EINTR) {
    return fail(write_error, "cannot write to stdout");
  }
  if (held_too_many != 0) {
    spdlog::warn("{} accesses not shown: it took too long to know whether their containers were asked for",
                 held_too_many);
  }
  if (held_count != 0) {
    spdlog::warn("{} accesses not shown: nobody has said whether their containers are asked for", held_count);
  }
  const Session::Totals totals = session->totals();
  spdlog::info("{} accesses, {} lost", totals.events, totals.lost);
  session->warn_of_losses(true);
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
