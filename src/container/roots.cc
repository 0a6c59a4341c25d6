// SPDX-License-Identifier: Apache-2.0
#include "container/roots.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <string>
#include <utility>

namespace snoop {

namespace {

constexpr size_t kMostHeld = 512;
constexpr size_t kMostFailed = 4096;
constexpr size_t kMostChroots = 4096;

/// Rounds of the reader for which a mount namespace is held on to after a use.
constexpr int kBatchesHeld = 2;

/// Most rounds from one look at all processes for a root to the next.
constexpr uint64_t kMostSearchRest = 1024;

}  // namespace

void Roots::hold_own() {
  UniqueFd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (const uint64_t identity = root ? describe_(root.get()).identity : 0; identity != 0) {
    hold(identity, std::move(root), UniqueFd())->is_own = true;
  }
}

Roots::Held* Roots::hold(uint64_t identity, UniqueFd root, UniqueFd mounts) {
  if (held_.size() >= kMostHeld) {
    held_.erase(std::min_element(held_.begin(), held_.end(), [](const auto& a, const auto& b) {
      return std::pair(a.second.is_own, a.second.last_use) < std::pair(b.second.is_own, b.second.last_use);
    }));
  }
  failed_.erase(identity);
  Held& held = held_[identity];
  held.walker = std::make_unique<RootWalker>(std::move(root), [this](int fd) { return describe_(fd).magic; });
  held.mounts = std::move(mounts);
  held.last_use = ++uses_;
  return &held;
}

Roots::Held* Roots::try_process(uint64_t identity, pid_t pid) {
  const std::string process = "/proc/" + std::to_string(pid);
  // First what keeps the rest in place.
  UniqueFd mounts(::open((process + "/ns/mnt").c_str(), O_RDONLY | O_CLOEXEC));
  UniqueFd root(::open((process + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  // The process may have another root by now, or the id another process.
  return root && describe_(root.get()).identity == identity ? hold(identity, std::move(root), std::move(mounts))
                                                            : nullptr;
}

RootWalker* Roots::find(uint64_t identity, uint64_t cgroup_id, pid_t pid, const std::string& path) {
  if (identity != 0 && path.size() > 1) {
    if (chroots_.size() >= kMostChroots) {
      chroots_.clear();
    }
    chroots_[identity] = path;
  }
  const auto found = identity == 0 ? held_.end() : held_.find(identity);
  Held* held = found != held_.end() ? &found->second : look(identity, pid);
  if (held == nullptr) {
    return nullptr;
  }
  held->last_use = ++uses_;
  held->batches_since_use = 0;
  if (!held->is_own) {
    held->cgroups.insert(cgroup_id);
  }
  return held->walker.get();
}

Roots::Held* Roots::look(uint64_t identity, pid_t pid) {
  if (identity == 0) {
    return nullptr;
  }
  if (failed_.size() >= kMostFailed) {
    failed_.clear();
  }
  Failed& failed = failed_[identity];
  if (pids_are_ours_ && (failed.last_pid != pid || failed.last_try != batches_)) {
    failed.last_pid = pid;
    failed.last_try = batches_;
    if (Held* held = try_process(identity, pid)) {
      return held;
    }
  }
  // A chroot of a process that is gone lies below a root that is held.
  const auto chroot = chroots_.find(identity);
  for (auto& [number, held] : held_) {
    UniqueFd root = chroot == chroots_.end() ? UniqueFd() : held.walker->open(chroot->second, false);
    if (root && describe_(root.get()).identity == identity) {
      return hold(identity, std::move(root), UniqueFd());
    }
  }
  if (batches_ < failed.next_search) {
    return nullptr;
  }
  failed.next_search = batches_ + failed.search_rest;
  failed.search_rest = std::min(2 * failed.search_rest, kMostSearchRest);
  const std::unique_ptr<DIR, int (*)(DIR*)> processes(::opendir("/proc"), &::closedir);
  while (const dirent* entry = processes ? ::readdir(processes.get()) : nullptr) {
    if (const int other = std::atoi(entry->d_name); other > 0) {
      if (Held* held = try_process(identity, other)) {
        return held;
      }
    }
  }
  return nullptr;
}

void Roots::forget(uint64_t cgroup_id) {
  for (auto root = held_.begin(); root != held_.end();) {
    std::set<uint64_t>& cgroups = root->second.cgroups;
    root = cgroups.erase(cgroup_id) > 0 && cgroups.empty() ? held_.erase(root) : std::next(root);
  }
}

std::set<uint64_t> Roots::cgroups() const {
  std::set<uint64_t> cgroups;
  for (const auto& [identity, held] : held_) {
    cgroups.insert(held.cgroups.begin(), held.cgroups.end());
  }
  return cgroups;
}

void Roots::begin_batch() {
  batches_++;
  for (auto root = held_.begin(); root != held_.end();) {
    Held& held = root->second;
    held.walker->begin_batch();
    if (held.mounts && held.batches_since_use++ >= kBatchesHeld) {
      held.mounts.reset();
    }
    root = chroots_.contains(root->first) && !held.is_own ? held_.erase(root) : std::next(root);
  }
}

}  // namespace snoop
