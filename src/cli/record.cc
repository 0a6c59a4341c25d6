// SPDX-License-Identifier: Apache-2.0
#include <spdlog/spdlog.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <utility>

#include "cli/commands.h"
#include "cli/reload.h"
#include "cli/service.h"
#include "cli/session.h"
#include "cli/signals.h"
#include "output/atomic_file.h"
#include "pipeline/completeness.h"

namespace snoop {

namespace {

/// After a report that could not be written the next try comes sooner.
constexpr std::chrono::milliseconds kRetry{5'000};

/// The options change at SIGHUP.
Result<int> record(Options options) {
  std::optional<Launcher> launcher = prepare_naming(options);
  Result<EventLoop> loop = EventLoop::create();
  if (!loop) {
    return tl::unexpected(loop.error());
  }
  Result<Timer> timer = Timer::create();
  if (!timer) {
    return tl::unexpected(timer.error());
  }
  std::unique_ptr<Session> session;
  std::unique_ptr<Service> service;

  const auto summary = [&] {
    return session->summary() + "; " + completeness_text(session->recorder().containers(), wall_now());
  };
  bool is_failing = false;
  const auto report_now = [&] {
    const Result<void> written = session->write_report(false);
    if (written && std::exchange(is_failing, false)) {
      spdlog::default_logger()->flush();
      spdlog::info("the report can be written again");
    }
    if (!written) {
      is_failing = true;
      log_error(written.error());
      spdlog::warn("an earlier report there stays as it is; trying again");
      service->tell(written.error().message());
    } else {
      const std::string text = summary();
      spdlog::debug("report written: {}", text);
      service->tell(text);
    }
    timer->start(written ? options.interval : std::min(options.interval, kRetry));
  };

  // Before anything else: a signal during the start must not lose the report.
  const ControllingTerminal terminal;
  Result<std::unique_ptr<Signals>> signals =
      Signals::watch(*loop, {SIGINT, SIGTERM, SIGHUP, SIGUSR1}, [&](const signalfd_siginfo& info) {
        if (info.ssi_signo == SIGUSR1) {
          report_now();
        } else if (info.ssi_signo == SIGHUP && !terminal.has_hung_up()) {
          if (reload(options, session->recorder())) {
            session->forget_what_was_told();
          }
          report_now();
        } else {
          spdlog::info("SIG{}: stopping", ::sigabbrev_np(static_cast<int>(info.ssi_signo)));
          loop->stop();
        }
      });
  if (!signals) {
    return tl::unexpected(signals.error());
  }

  Result<std::unique_ptr<Service>> opened = Service::open(options, *loop);
  if (!opened) {
    return tl::unexpected(opened.error());
  }
  service = std::move(*opened);
  const Result<UniqueFd> claimed = options.report == "-" ? Result<UniqueFd>() : claim(options.report);
  if (!claimed) {
    return tl::unexpected(claimed.error());
  }
  // Before capture: nothing is taken in meanwhile.
  Result<std::optional<ReportContents>> former = take_up_report(options);
  if (!former) {
    return tl::unexpected(former.error());
  }
  Result<std::unique_ptr<Session>> started = Session::start(options, *loop);
  if (!started) {
    return tl::unexpected(started.error());
  }
  session = std::move(*started);
  if (*former) {
    session->go_on_from(std::move(**former));
    former->reset();
  }
  session->start_naming(*loop, std::move(launcher));
  if (Result<void> added = session->targets().add_configured(); !added) {
    return tl::unexpected(added.error());
  }
  session->add_baseline();
  session->confine();
  spdlog::info("recording {} cgroup{} to {}, every {} s", session->recorder().containers().size(),
               session->recorder().containers().size() == 1 ? "" : "s",
               options.report == "-" ? "stdout" : options.report,
               std::chrono::duration<double>(options.interval).count());

  if (Result<void> watched = loop->watch(timer->fd(),
                                         [&] {
                                           timer->acknowledge();
                                           report_now();
                                         });
      !watched) {
    return tl::unexpected(watched.error());
  }
  report_now();
  service->begin(*session);
  if (Result<void> ran = loop->run(); !ran) {
    log_error(ran.error());
  }
  service->end();
  session->finish();
  // What was said before of its place, before what is said now.
  spdlog::default_logger()->flush();
  const Result<void> written = session->write_final_report();
  // After the report: only with that is counted how often each file was used.
  spdlog::info("{}", summary());
  session->warn_of_losses(true);
  if (!written) {
    return tl::unexpected(written.error());
  }
  return kExitOk;
}

}  // namespace

int record_command(const Options& options) {
  const Result<int> code = record(options);
  if (!code) {
    log_error(code.error());
    return kExitFailure;
  }
  return *code;
}

}  // namespace snoop
