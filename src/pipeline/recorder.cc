// SPDX-License-Identifier: Apache-2.0
#include "pipeline/recorder.h"

#include "pipeline/path.h"

namespace snoop {

Losses& Losses::operator+=(const Losses& other) {
  ring_full += other.ring_full;
  path_unreadable += other.path_unreadable;
  path_truncated += other.path_truncated;
  base_unknown += other.base_unknown;
  files_over_limit += other.files_over_limit;
  return *this;
}

Container& Recorder::add_container(std::string name, uint64_t cgroup_id, std::string cgroup_path,
                                   const snoop_target& target) {
  Container container{.name = std::move(name),
                      .image = {},
                      .image_digest = {},
                      .cgroup_id = cgroup_id,
                      .cgroup_path = std::move(cgroup_path),
                      .target = target.id,
                      .slot = target.slot,
                      .observed_from = wall_now(),
                      .ended_at = 0,
                      .only_if_used = false,
                      .total_events = 0,
                      .losses = {},
                      .base_unknown_here = 0,
                      .files = AccessStore(options_.max_files)};
  by_target_[target.id] = containers_.size();
  containers_.push_back(std::move(container));
  return containers_.back();
}

Container* Recorder::find(uint32_t target) {
  const auto found = by_target_.find(target);
  return found == by_target_.end() ? nullptr : &containers_[found->second];
}

void Recorder::remove(uint32_t target) {
  const auto found = by_target_.find(target);
  if (found == by_target_.end()) {
    return;
  }
  const size_t index = found->second;
  by_target_.erase(found);
  if (index + 1 != containers_.size()) {
    containers_[index] = std::move(containers_.back());
    by_target_[containers_[index].target] = index;
  }
  containers_.pop_back();
}

void Recorder::add(const Access& access) {
  Container* container = find(access.target);
  if (container == nullptr) {
    return;
  }
  if (access.base_unknown) {
    container->base_unknown_here++;
  }
  std::string_view path = access.path;
  if (is_excluded(path, options_.exclude)) {
    // What is left out may lead to what is not: /proc/self/root/etc/passwd.
    path = access.resolved;
    if (path.empty() || is_excluded(path, options_.exclude)) {
      return;
    }
  }
  AccessStore::Added added = container->files.add(path, access.resolved, access.seen);
  if (added == AccessStore::Added::kOtherFile && !is_excluded(access.resolved, options_.exclude)) {
    // One path, now another file: the second stands under its own name.
    added = container->files.add(access.resolved, access.resolved, access.seen);
  }
  if (added == AccessStore::Added::kOverLimit) {
    container->losses.files_over_limit++;
  }
}

}  // namespace snoop
