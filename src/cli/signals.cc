// SPDX-License-Identifier: Apache-2.0
#include "cli/signals.h"

#include <csignal>

namespace snoop {

namespace {

struct TakenOver {
  int signal;
  void (*handler)(int);
  struct sigaction former;
};

TakenOver taken_over[] = {{SIGPIPE, SIG_IGN, {}}, {SIGXFSZ, SIG_IGN, {}}, {SIGCHLD, SIG_DFL, {}}};

}  // namespace

void take_over_signals() {
  for (TakenOver& taken : taken_over) {
    struct sigaction action = {};
    action.sa_handler = taken.handler;
    ::sigaction(taken.signal, &action, &taken.former);
  }
}

void give_back_signals() {
  for (const TakenOver& taken : taken_over) {
    ::sigaction(taken.signal, &taken.former, nullptr);
  }
}

Result<std::unique_ptr<Signals>> Signals::watch(EventLoop& loop, std::initializer_list<int> signals, Handler handler) {
  sigset_t set = {};
  sigemptyset(&set);
  for (const int signal : signals) {
    sigaddset(&set, signal);
  }
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) {
    return fail(errno, "sigprocmask");
  }
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) {
    return fail(errno, "signalfd");
  }
  std::unique_ptr<Signals> watched(new Signals(loop, std::move(fd), std::move(handler)));
  Signals* self = watched.get();
  const auto on_readable = [self] {
    signalfd_siginfo info = {};
    while (::read(self->fd_.get(), &info, sizeof(info)) == sizeof(info)) {
      self->handler_(info);
    }
  };
  if (Result<void> done = loop.watch(self->fd_.get(), on_readable); !done) {
    return fail(done.error(), "signals");
  }
  return watched;
}

}  // namespace snoop
