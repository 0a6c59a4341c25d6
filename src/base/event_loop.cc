// SPDX-License-Identifier: Apache-2.0
#include "base/event_loop.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <array>

namespace snoop {

Result<EventLoop> EventLoop::create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) {
    return fail(errno, "epoll_create1");
  }
  return EventLoop(std::move(epoll));
}

Result<void> EventLoop::watch(int fd, Callback callback, bool edge) {
  return add(fd, EPOLLIN | (edge ? static_cast<uint32_t>(EPOLLET) : 0U), std::move(callback));
}

Result<void> EventLoop::watch_writable(int fd, Callback callback) { return add(fd, EPOLLOUT, std::move(callback)); }

Result<void> EventLoop::add(int fd, uint32_t events, Callback callback) {
  epoll_event event = {};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return fail(errno, "epoll_ctl");
  }
  callbacks_[fd] = std::make_shared<Callback>(std::move(callback));
  return {};
}

void EventLoop::unwatch(int fd) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  callbacks_.erase(fd);
}

Result<void> EventLoop::run() {
  stopped_ = false;
  std::array<epoll_event, 16> events = {};
  while (!stopped_) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), -1);
    if (count < 0 && errno != EINTR) {
      return fail(errno, "epoll_wait");
    }
    for (int i = 0; i < count && !stopped_; i++) {
      const auto found = callbacks_.find(events.at(static_cast<size_t>(i)).data.fd);
      if (found != callbacks_.end()) {
        // Held, because the callback may unwatch itself.
        const std::shared_ptr<Callback> callback = found->second;
        (*callback)();
      }
    }
  }
  return {};
}

Result<Timer> Timer::create() {
  UniqueFd fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!fd) {
    return fail(errno, "timerfd_create");
  }
  return Timer(std::move(fd));
}

void Timer::start(std::chrono::nanoseconds delay, std::chrono::nanoseconds interval) {
  const auto to_timespec = [](std::chrono::nanoseconds duration) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
    return timespec{seconds.count(), (duration - seconds).count()};
  };
  const itimerspec spec = {to_timespec(interval), to_timespec(delay)};
  ::timerfd_settime(fd_.get(), 0, &spec, nullptr);
}

void Timer::acknowledge() {
  uint64_t expirations = 0;
  [[maybe_unused]] const ssize_t got = ::read(fd_.get(), &expirations, sizeof(expirations));
}

}  // namespace snoop
