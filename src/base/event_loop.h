// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "base/result.h"
#include "base/unique_fd.h"

namespace snoop {

/// The one epoll loop. Everything that happens is a file descriptor of it, and
/// all callbacks run on the thread that runs it.
class EventLoop {
 public:
  using Callback = std::function<void()>;

  [[nodiscard]] static Result<EventLoop> create();

  /// Calls back whenever `fd` is readable; `edge`: once for each wake-up. The
  /// loop does not own `fd`.
  [[nodiscard]] Result<void> watch(int fd, Callback callback, bool edge = false);
  /// Calls back whenever something can be written to `fd`.
  [[nodiscard]] Result<void> watch_writable(int fd, Callback callback);
  void unwatch(int fd);

  /// Runs until stop(), callbacks one at a time.
  [[nodiscard]] Result<void> run();
  void stop() { stopped_ = true; }

 private:
  explicit EventLoop(UniqueFd epoll) : epoll_(std::move(epoll)) {}
  [[nodiscard]] Result<void> add(int fd, uint32_t events, Callback callback);

  UniqueFd epoll_;
  std::map<int, std::shared_ptr<Callback>> callbacks_;
  bool stopped_ = false;
};

/// A timerfd. Not running after it was made.
class Timer {
 public:
  [[nodiscard]] static Result<Timer> create();

  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Fires once after `delay`, and then every `interval` unless that is 0.
  void start(std::chrono::nanoseconds delay, std::chrono::nanoseconds interval = {});
  void stop() { start({}); }
  /// To be called when it has fired, or the loop calls back again at once.
  void acknowledge();

 private:
  explicit Timer(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace snoop
