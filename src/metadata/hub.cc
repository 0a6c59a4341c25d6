// SPDX-License-Identifier: Apache-2.0
#include "metadata/hub.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "metadata/worker.h"

namespace snoop::metadata {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstRetry(100);
constexpr milliseconds kLastRetry(10'000);
constexpr std::chrono::seconds kGiveUp(90);
constexpr size_t kMaxPending = 10'000;

}  // namespace

Hub::Hub(std::function<void(const std::string&)> write) : write_(std::move(write)) {}

Hub::~Hub() = default;

void Hub::add(std::unique_ptr<Source> source) {
  workers_.push_back(std::make_unique<Worker>(*this, std::move(source)));
}

void Hub::start() {
  if (workers_.empty()) {
    write_(listed_line());
  }
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->start();
  }
}

void Hub::wait_until_listed() {
  std::unique_lock lock(mutex_);
  all_listed_.wait(lock, [this] { return listed_ == workers_.size(); });
}

void Hub::ask(Ask ask) {
  const std::lock_guard lock(mutex_);
  if (const std::string line = store_.find(ask); !line.empty()) {
    write_(line);
    return;
  }
  if (workers_.empty() || pending_.size() >= kMaxPending) {
    write_(unknown_line(ask));
    return;
  }
  AskKey key(ask.cgroup, ask.id);
  const Clock::time_point now = Clock::now();
  Pending pending{.ask = std::move(ask), .due = now, .give_up = now + kGiveUp, .delay = kFirstRetry};
  const auto [found, is_new] = pending_.try_emplace(std::move(key), pending);
  if (!is_new) {
    found->second.give_up = pending.give_up;
    found->second.told_unknown = false;
  }
}

std::optional<Hub::Clock::time_point> Hub::tick() {
  const std::lock_guard lock(mutex_);
  const Clock::time_point now = Clock::now();
  std::optional<Clock::time_point> next;
  for (auto at = pending_.begin(); at != pending_.end();) {
    Pending& pending = at->second;
    if (pending.looking == 0 && now >= pending.give_up) {
      at = pending_.erase(at);
      continue;
    }
    if (pending.looking == 0 && now >= pending.due) {
      pending.looking = workers_.size();
      pending.due = now + pending.delay;
      pending.delay = std::min(2 * pending.delay, kLastRetry);
      for (const std::unique_ptr<Worker>& worker : workers_) {
        worker->look_up(pending.ask);
      }
    }
    next = next ? std::min(*next, pending.due) : pending.due;
    ++at;
  }
  return next;
}

void Hub::put(const Source& source, Container container, bool is_part) {
  const std::lock_guard lock(mutex_);
  write_(store_.put(source.rank(), source.name(), source.endpoint(), std::move(container), is_part));
}

void Hub::replace(const Source& source, std::vector<Container> containers) {
  const std::lock_guard lock(mutex_);
  write_(store_.replace(source.rank(), source.name(), source.endpoint(), std::move(containers)));
}

void Hub::source_changed(const Source& source, const SourceState& state) {
  const std::lock_guard lock(mutex_);
  write_(source_line(source.name(), source.endpoint(), state));
}

void Hub::looked_up(const Ask& ask) {
  const std::lock_guard lock(mutex_);
  const auto found = pending_.find({ask.cgroup, ask.id});
  if (found == pending_.end()) {
    return;
  }
  Pending& pending = found->second;
  pending.looking--;
  if (!pending.is_answered) {
    // The line was written when it was put in; but that may have been long before.
    const std::string line = store_.find(ask);
    pending.is_answered = !line.empty();
    write_(line);
  }
  if (pending.looking > 0) {
    return;
  }
  if (pending.is_answered) {
    pending_.erase(found);
  } else if (!pending.told_unknown) {
    pending.told_unknown = true;
    write_(unknown_line(ask));
  }
}

void Hub::listed() {
  const std::lock_guard lock(mutex_);
  if (++listed_ == workers_.size()) {
    write_(listed_line());
    all_listed_.notify_all();
  }
}

void Hub::container_changed(const Source& source, const Container& container) {
  put(source, container, true);
  // Others at the same socket know it, too.
  for (const std::unique_ptr<Worker>& worker : workers_) {
    if (worker->source().endpoint() == source.endpoint()) {
      worker->refresh(container.id, container.state);
    }
  }
}

}  // namespace snoop::metadata
