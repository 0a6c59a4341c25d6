// SPDX-License-Identifier: Apache-2.0
#include "cli/signals.h"

#include <csignal>

namespace snoop {

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
