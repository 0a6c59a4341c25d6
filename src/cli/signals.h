// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/signalfd.h>

#include <functional>
#include <initializer_list>
#include <memory>

#include "base/event_loop.h"

namespace snoop {

/// Signals as events of the loop. They stay blocked for the whole process.
class Signals {
 public:
  using Handler = std::function<void(const signalfd_siginfo&)>;

  [[nodiscard]] static Result<std::unique_ptr<Signals>> watch(EventLoop& loop, std::initializer_list<int> signals,
                                                              Handler handler);
  ~Signals() { loop_.unwatch(fd_.get()); }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  Signals(EventLoop& loop, UniqueFd fd, Handler handler)
      : loop_(loop), fd_(std::move(fd)), handler_(std::move(handler)) {}

  EventLoop& loop_;
  UniqueFd fd_;
  Handler handler_;
};

/// Takes over what may be set otherwise by whoever started this process: a write
/// that fails is an error and not the end (SIGPIPE, SIGXFSZ), children can be
/// waited for (SIGCHLD).
void take_over_signals();
/// As it was before, for a program that is started. Async-signal-safe.
void give_back_signals();

}  // namespace snoop
