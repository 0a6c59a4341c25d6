// SPDX-License-Identifier: Apache-2.0
#include "cli/baseline.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "container/proc_files.h"

namespace snoop {

namespace {

/// From a move to the look at the process: who starts a container moves itself
/// into it first and then becomes the container's program.
constexpr std::chrono::milliseconds kDelay{50};
/// From one look to the next, as a multiple of what the last one took.
constexpr int kRest = 20;
/// With more at a time, one look at all processes costs less.
constexpr size_t kMostMoved = 64;

}  // namespace

Baseline::Baseline(const CgroupTree& tree, Probe& probe, Recorder& recorder)
    : tree_(tree), probe_(probe), recorder_(recorder), delay_(kDelay) {}

std::vector<std::string> Baseline::take(bool wanted, const std::function<void()>& drain) {
  wanted_ = wanted;
  const bool by_proc = wanted && !probe_.has_iterators();
  const Result<void> scanned = wanted && !by_proc ? probe_.scan_baseline() : Result<void>();
  if (!scanned) {
    spdlog::warn("{}", scanned.error().message());
  }
  // Each with kBeforeCapture in it: `snoop packages` looks for that.
  std::vector<std::string> not_seen;
  if (!scanned || !wanted) {
    not_seen.emplace_back("files open, mapped or running before capture started");
  } else if (!probe_.sees_same_pids()) {
    // Neither the iterators nor /proc show more.
    not_seen.emplace_back(
        "files open, mapped or running before capture started, of processes outside of snoop's pid namespace");
  } else if (by_proc) {
    not_seen.emplace_back(
        "of what was open before capture started: descriptors that a thread has for itself, and files of processes "
        "that snoop may not look into");
  }
  drain();
  if (by_proc) {
    std::map<uint32_t, Cgroup> tops;
    for (const Container& container : recorder_.containers()) {
      tops[container.target] = {container.cgroup_id, container.cgroup_path};
    }
    for (const auto& [target, cgroup] : tops) {
      scan_proc(cgroup, target);
    }
  }
  return not_seen;
}

void Baseline::take_again() {
  if (const Result<void> scanned = probe_.scan_baseline(); !scanned) {
    spdlog::warn("{}", scanned.error().message());
  }
}

void Baseline::scan_proc(const Cgroup& cgroup, uint32_t target) {
  for (const pid_t pid : tree_.processes(cgroup)) {
    scan_proc(pid, target, cgroup.id);
  }
  for (const Cgroup& child : tree_.children(cgroup)) {
    // A target within a target has its own list.
    const auto& containers = recorder_.containers();
    if (std::none_of(containers.begin(), containers.end(),
                     [&](const Container& container) { return container.cgroup_id == child.id; })) {
      scan_proc(child, target);
    }
  }
}

void Baseline::scan_proc(pid_t pid, uint32_t target, uint64_t cgroup_id) {
  if (pid <= 0 || pid == ::getpid() || !probe_.sees_same_pids()) {
    return;
  }
  for (std::string& path : files_in_use(pid)) {
    Access access;
    access.path = path;
    access.resolved = std::move(path);
    access.seen = uint64_t{1} << SNOOP_KIND_BASELINE;
    access.pid = pid;
    access.tid = pid;
    access.target = target;
    access.cgroup_id = cgroup_id;
    access.time = wall_now();
    recorder_.add(access);
  }
}

Result<void> Baseline::watch(EventLoop& loop) {
  Result<Timer> timer = Timer::create();
  if (!timer) {
    return tl::unexpected(timer.error());
  }
  timer_ = std::make_unique<Timer>(std::move(*timer));
  return loop.watch(timer_->fd(), [this] {
    timer_->acknowledge();
    scan_moved();
  });
}

void Baseline::on_moved(const Record& record, uint32_t target) {
  look_at(static_cast<pid_t>(record.event.pid), target, record.event.cgroup_id);
}

void Baseline::on_found(const Container& container) {
  look_at({container.cgroup_id, container.cgroup_path}, container.target);
}

void Baseline::look_at(const Cgroup& cgroup, uint32_t target) {
  for (const pid_t pid : tree_.processes(cgroup)) {
    look_at(pid, target, cgroup.id);
  }
  for (const Cgroup& child : tree_.children(cgroup)) {
    look_at(child, target);
  }
}

void Baseline::look_at(pid_t pid, uint32_t target, uint64_t cgroup_id) {
  if (!wanted_) {
    return;
  }
  if (moved_.empty()) {
    timer_->start(delay_);
  }
  moved_[pid] = {target, cgroup_id};
}

void Baseline::scan_moved() {
  const std::map<pid_t, Moved> moved = std::exchange(moved_, {});
  if (moved.empty()) {
    return;
  }
  const auto began = std::chrono::steady_clock::now();
  Result<void> scanned;
  if (!probe_.has_iterators()) {
    for (const auto& [pid, where] : moved) {
      scan_proc(pid, where.target, where.cgroup_id);
    }
  } else if (moved.size() > kMostMoved || !probe_.sees_same_pids()) {
    scanned = probe_.scan_baseline();
  } else {
    std::vector<pid_t> pids;
    pids.reserve(moved.size());
    for (const auto& [pid, where] : moved) {
      pids.push_back(pid);
    }
    scanned = probe_.scan_baseline(pids);
  }
  delay_ = std::max<std::chrono::nanoseconds>(kDelay, kRest * (std::chrono::steady_clock::now() - began));
  if (!scanned) {
    spdlog::warn("{}", scanned.error().message());
  }
}

}  // namespace snoop
