// SPDX-License-Identifier: Apache-2.0
#include "cli/target_pool.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace snoop {

TargetPool::TargetPool(Probe& probe) : probe_(probe) {
  for (uint32_t slot = 0; slot < Probe::max_targets(); slot++) {
    free_slots_.push_back(slot);
  }
}

Result<snoop_target> TargetPool::next() {
  if (free_slots_.empty()) {
    return fail(E2BIG, fmt::format("more than {} targets", Probe::max_targets()),
                "name a cgroup further up with --cgroup: all below it is one target");
  }
  snoop_target target = {};
  target.slot = free_slots_.front();
  target.id = ++last_target_;
  free_slots_.pop_front();
  slot_of_target_[target.id] = target.slot;
  return target;
}

void TargetPool::give_back(const snoop_target& target) {
  slot_of_target_.erase(target.id);
  free_slots_.push_front(target.slot);
}

void TargetPool::release(uint32_t target) {
  const auto found = slot_of_target_.find(target);
  if (found == slot_of_target_.end()) {
    return;
  }
  probe_.clear_target_stats(found->second);
  free_slots_.push_back(found->second);
  slot_of_target_.erase(found);
  set_aside_or_warn();
}

uint32_t TargetPool::slot_of(uint32_t target) const {
  const auto found = slot_of_target_.find(target);
  return found == slot_of_target_.end() ? Probe::max_targets() : found->second;
}

Result<void> TargetPool::begin_adopting() {
  adopts_ = true;
  return set_aside();
}

Result<void> TargetPool::set_aside() {
  while (adopts_ && !free_slots_.empty()) {
    const Result<snoop_target> target = next();
    if (!target) {
      return tl::unexpected(target.error());
    }
    const Result<bool> added = probe_.add_free_target(*target);
    if (added && *added) {
      continue;
    }
    give_back(*target);
    return added ? Result<void>() : tl::unexpected(added.error());
  }
  return {};
}

void TargetPool::set_aside_or_warn() {
  if (const Result<void> aside = set_aside(); !aside) {
    spdlog::warn("{}", aside.error().message());
  }
}

}  // namespace snoop
