// SPDX-License-Identifier: Apache-2.0
#include "metadata/worker.h"

#include <algorithm>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include "metadata/hub.h"

namespace snoop::metadata {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstBackoff(500);
constexpr milliseconds kLastBackoff(30'000);
/// Whether a socket is there now costs one system call.
constexpr milliseconds kMissingBackoff(2'000);
/// More at a time are answered by one list.
constexpr size_t kMaxAsksAtOnce = 64;
constexpr size_t kMaxQueue = 10'000;
/// A runtime tells what happens before it says the same when asked, CRI most of all.
constexpr milliseconds kLookAgain(100);
constexpr int kMaxTries = 6;

/// Calls a source; what it throws becomes its state.
template <typename Call>
SourceState guarded(Call call) {
  try {
    return call();
  } catch (const std::bad_alloc&) {
    return {SourceState::Kind::kFailed, "its answer is too large"};
  } catch (const std::exception& error) {
    return {SourceState::Kind::kFailed, error.what()};
  }
}

}  // namespace

void Worker::start() {
  std::thread([this] { run(); }).detach();
}

void Worker::look_up(const Ask& ask) {
  const std::lock_guard lock(mutex_);
  asks_.push_back(ask);
  changed_.notify_all();
}

void Worker::refresh(Refresh what) {
  const std::lock_guard lock(mutex_);
  if (refreshes_.size() < kMaxQueue) {
    // At once, then later and later.
    const milliseconds delay = what.tries == 0 ? milliseconds(0) : kLookAgain * (1 << (what.tries - 1));
    refreshes_.emplace(Clock::now() + delay, std::move(what));
  } else {
    relist_ = true;
  }
  changed_.notify_all();
}

void Worker::relist() {
  const std::lock_guard lock(mutex_);
  relist_ = true;
  changed_.notify_all();
}

Worker::Work Worker::wait_for_work() {
  std::unique_lock lock(mutex_);
  Work work;
  while (true) {
    const Clock::time_point now = Clock::now();
    // What failed is not asked again before its time.
    const bool may_try = is_up() || state_.kind == SourceState::Kind::kUntried || now >= next_list_;
    const bool is_due = now >= next_list_ && !(is_up() && is_followed_);
    if (may_try && (relist_ || is_due)) {
      relist_ = false;
      work.list = true;
    }
    while (!refreshes_.empty() && refreshes_.begin()->first <= now) {
      if (is_up()) {
        work.refreshes.push_back(std::move(refreshes_.begin()->second));
      }
      refreshes_.erase(refreshes_.begin());
    }
    work.asks.swap(asks_);
    if (work.list || !work.refreshes.empty() || !work.asks.empty()) {
      return work;
    }
    Clock::time_point until = now + std::chrono::hours(1);
    if (!(is_up() && is_followed_)) {
      until = std::min(until, next_list_);
    }
    if (!refreshes_.empty()) {
      until = std::min(until, refreshes_.begin()->first);
    }
    changed_.wait_until(lock, until);
  }
}

void Worker::run() {
  bool is_first = true;
  while (true) {
    Work work = wait_for_work();
    if (work.list || work.asks.size() + work.refreshes.size() > kMaxAsksAtOnce) {
      list();
    } else {
      for (const Ask& ask : work.asks) {
        (void)look_up_now(ask);
      }
      for (Refresh& what : work.refreshes) {
        const std::string state = look_up_now({.cgroup = {}, .id = what.id, .pid = 0});
        if (!what.state.empty() && state != what.state && ++what.tries < kMaxTries) {
          refresh(std::move(what));
        }
      }
    }
    for (const Ask& ask : work.asks) {
      hub_.looked_up(ask);
    }
    if (is_first) {
      is_first = false;
      hub_.listed();
    }
  }
}

void Worker::set_state(const SourceState& state) {
  if (state != state_) {
    hub_.source_changed(*source_, state);
  }
  state_ = state;
}

void Worker::list() {
  std::vector<Container> found;
  const SourceState state = guarded([&] { return source_->list(found); });
  set_state(state);
  if (is_up()) {
    backoff_ = milliseconds(0);
    next_list_ = Clock::now() + source_->relist_every();
    hub_.replace(*source_, std::move(found));
    // Most sockets are not there on most machines: no thread for them.
    if (!has_follower_) {
      has_follower_ = true;
      std::thread([this] { run_follower(); }).detach();
    }
    return;
  }
  backoff_ = state.kind == SourceState::Kind::kMissing ? kMissingBackoff
                                                       : std::clamp(2 * backoff_, kFirstBackoff, kLastBackoff);
  next_list_ = Clock::now() + backoff_;
}

std::string Worker::look_up_now(const Ask& ask) {
  std::string its_state;
  if (!is_up()) {
    return its_state;
  }
  std::vector<Container> found;
  const SourceState state = guarded([&] { return source_->look_up(ask, found); });
  set_state(state);
  if (!is_up()) {
    next_list_ = Clock::now();
    return its_state;
  }
  for (Container& container : found) {
    if (container.id == ask.id) {
      its_state = container.state;
    }
    hub_.put(*source_, std::move(container), false);
  }
  return its_state;
}

void Worker::run_follower() {
  milliseconds backoff = kFirstBackoff;
  while (true) {
    const Source::Watcher watcher{
        .connected =
            [this, &backoff] {
              backoff = kFirstBackoff;
              const std::lock_guard lock(mutex_);
              is_followed_ = true;
              relist_ = true;
              changed_.notify_all();
            },
        .changed = [this](const Container& container) { hub_.container_changed(*source_, container); }};
    const SourceState end = guarded([&] { return source_->follow(watcher); });
    {
      const std::lock_guard lock(mutex_);
      is_followed_ = false;
      relist_ = relist_ || end.kind != SourceState::Kind::kUntried;
      changed_.notify_all();
    }
    if (end.kind == SourceState::Kind::kUntried) {
      return;
    }
    std::this_thread::sleep_for(backoff);
    backoff = std::min(2 * backoff, kLastBackoff);
  }
}

}  // namespace snoop::metadata
