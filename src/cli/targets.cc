// SPDX-License-Identifier: Apache-2.0
#include "cli/targets.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/text.h"

namespace snoop {

namespace {

std::string last_component(const std::string& path) { return path == "/" ? path : path.substr(path.rfind('/') + 1); }

}  // namespace

Targets::Targets(const Options& options, const CgroupTree& tree, Probe& probe, Recorder& recorder, Handlers handlers)
    : options_(options), tree_(tree), probe_(probe), recorder_(recorder), handlers_(std::move(handlers)) {
  for (uint32_t slot = 0; slot < Probe::max_targets(); slot++) {
    free_slots_.push_back(slot);
  }
}

Result<snoop_target> Targets::next_target() {
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

void Targets::return_target(const snoop_target& target) {
  slot_of_target_.erase(target.id);
  free_slots_.push_front(target.slot);
}

Result<void> Targets::set_aside() {
  while (adopts_ && !free_slots_.empty()) {
    const Result<snoop_target> target = next_target();
    if (!target) {
      return tl::unexpected(target.error());
    }
    const Result<bool> added = probe_.add_free_target(*target);
    if (added && *added) {
      continue;
    }
    return_target(*target);
    return added ? Result<void>() : tl::unexpected(added.error());
  }
  return {};
}

void Targets::set_aside_or_warn() {
  if (const Result<void> aside = set_aside(); !aside) {
    spdlog::warn("{}", aside.error().message());
  }
}

Result<void> Targets::add_subtree(const Cgroup& cgroup, const snoop_target& target, bool replace) {
  // The parent first: what is made below it from now on inherits in the kernel.
  if (const Result<bool> added = probe_.add_cgroup(cgroup.id, target, replace); !added) {
    return tl::unexpected(added.error());
  }
  snoop_target below = target;
  below.flags &= ~static_cast<uint32_t>(SNOOP_TARGET_TOP);
  for (const Cgroup& child : tree_.children(cgroup)) {
    if (Result<void> added = add_subtree(child, below, replace); !added) {
      return added;
    }
  }
  forget_if_gone(cgroup);
  return {};
}

/// What was removed before it had an entry leaves no other trace.
void Targets::forget_if_gone(const Cgroup& cgroup) {
  const Result<Cgroup> now = tree_.at(cgroup.path);
  if (!now || now->id != cgroup.id) {
    probe_.remove_cgroup(cgroup.id);
  }
}

Result<void> Targets::add(const Cgroup& cgroup, const std::string& name) {
  Result<snoop_target> target = next_target();
  if (!target) {
    return tl::unexpected(target.error());
  }
  target->flags = SNOOP_TARGET_TOP;
  add_container(name.empty() ? last_component(cgroup.path) : name, cgroup, *target);
  return add_subtree(cgroup, *target, true);
}

Result<void> Targets::add_configured() {
  if (options_.cgroups.empty()) {
    return options_.all ? add_all() : add_siblings();
  }
  std::vector<Cgroup> cgroups;
  std::set<uint64_t> seen;
  for (const std::string& name : options_.cgroups) {
    Result<Cgroup> cgroup = tree_.named(name);
    if (!cgroup) {
      return tl::unexpected(cgroup.error());
    }
    if (seen.insert(cgroup->id).second) {
      cgroups.push_back(std::move(*cgroup));
    }
  }
  if (!options_.container_name.empty() && cgroups.size() > 1) {
    return fail(0, fmt::format("--container-name names one container, but there are {} targets", cgroups.size()));
  }
  // From the outside in: a target within another one keeps its own list.
  std::sort(cgroups.begin(), cgroups.end(), [](const Cgroup& a, const Cgroup& b) { return a.path < b.path; });
  for (const Cgroup& cgroup : cgroups) {
    if (Result<void> added = add(cgroup, options_.container_name); !added) {
      return added;
    }
  }
  return {};
}

Result<void> Targets::add_all() {
  const Result<Cgroup> root = tree_.at("/");
  const Result<Cgroup> own = tree_.own();
  if (!root || !own) {
    return tl::unexpected(root ? own.error() : root.error());
  }
  adopts_ = true;
  if (Result<void> aside = set_aside(); !aside) {
    return aside;
  }
  return adopt_below(*root, *own);
}

/// Makes a target of this cgroup and of each below. An empty one too: a process
/// may be moved into it later. What never used anything is left out of reports.
Result<void> Targets::adopt_below(const Cgroup& cgroup, const Cgroup& own) {
  if (cgroup.id == own.id && cgroup.path != "/") {
    return {};
  }
  snoop_target target = {};
  if (cgroup.id != own.id) {
    const Result<snoop_target> next = next_target();
    if (!next) {
      return tl::unexpected(next.error());
    }
    target = *next;
    target.flags = SNOOP_TARGET_TOP;
  }
  target.flags |= SNOOP_TARGET_ADOPT | SNOOP_TARGET_ADOPT_DEEP;
  // Not replaced: the kernel side may have adopted it a moment ago.
  const Result<bool> added = probe_.add_cgroup(cgroup.id, target, false);
  if (!added) {
    return tl::unexpected(added.error());
  }
  if (target.id != 0 && !*added) {
    return_target(target);
  } else if (target.id != 0) {
    add_container(last_component(cgroup.path), cgroup, target).only_if_used = true;
  }
  for (const Cgroup& child : tree_.children(cgroup)) {
    if (Result<void> adopted = adopt_below(child, own); !adopted) {
      return adopted;
    }
  }
  forget_if_gone(cgroup);
  return {};
}

Result<void> Targets::add_siblings() {
  const Result<Cgroup> own = tree_.own();
  if (!own) {
    return tl::unexpected(own.error());
  }
  if (own->path == "/") {
    return fail(
        0, "no target: snoop's own cgroup is the root, so it has no siblings",
        "name targets with --cgroup, or take --all; a container needs the host's /sys/fs/cgroup to see its siblings");
  }
  const Result<Cgroup> parent = tree_.at(parent_path(own->path));
  if (!parent) {
    return tl::unexpected(parent.error());
  }
  adopts_ = true;
  if (Result<void> aside = set_aside(); !aside) {
    return aside;
  }
  snoop_target adopting = {};
  adopting.flags = SNOOP_TARGET_ADOPT;
  if (const Result<bool> added = probe_.add_cgroup(parent->id, adopting, true); !added) {
    return tl::unexpected(added.error());
  }
  for (const Cgroup& sibling : tree_.children(*parent)) {
    if (sibling.id == own->id) {
      continue;
    }
    if (Result<void> added = add(sibling); !added) {
      return added;
    }
  }
  return {};
}

void Targets::on_new_cgroup(const Record& record) {
  set_aside_or_warn();
  if (recorder_.find(record.event.target) != nullptr) {
    return;
  }
  std::string path(record.path);
  if (const Result<Cgroup> cgroup = tree_.at_kernel_path(path, record.event.cgroup_id)) {
    above_mount_ = path.substr(0, path.size() - cgroup->path.size());
  }
  // What is gone already stood below the same directory as the others.
  if (path.starts_with(above_mount_ + "/")) {
    path.erase(0, above_mount_.size());
  }
  snoop_target target = {};
  target.id = record.event.target;
  target.slot = slot_of(target.id);
  add_container(last_component(path), {record.event.cgroup_id, path}, target).only_if_used = options_.all;
  spdlog::debug("new target {}", printable(path));
}

uint32_t Targets::slot_of(uint32_t target) const {
  const auto found = slot_of_target_.find(target);
  return found == slot_of_target_.end() ? Probe::max_targets() : found->second;
}

Container& Targets::add_container(std::string name, const Cgroup& cgroup, const snoop_target& target) {
  Container& container = recorder_.add_container(std::move(name), cgroup.id, cgroup.path, target);
  handlers_.on_added(container);
  return container;
}

Container& Targets::container_of(const Access& access) {
  if (Container* container = recorder_.find(access.target)) {
    return *container;
  }
  // The record of its cgroup was lost; the access was not.
  snoop_target target = {};
  target.id = access.target;
  target.slot = slot_of(target.id);
  const std::string name = fmt::format("cgroup-{}", access.cgroup_id);
  return add_container(name, {access.cgroup_id, ""}, target);
}

void Targets::end(uint32_t target, WallTime at) {
  const auto found = slot_of_target_.find(target);
  if (found == slot_of_target_.end()) {
    return;
  }
  const uint32_t slot = found->second;
  if (Container* container = recorder_.find(target)) {
    handlers_.on_ending(*container);
    container->ended_at = at;
    spdlog::debug("target {} has ended", printable(container->cgroup_path));
    if (container->only_if_used && container->total_events == 0 && container->files.size() == 0) {
      recorder_.remove(target);
    }
  }
  probe_.clear_target_stats(slot);
  slot_of_target_.erase(found);
  free_slots_.push_back(slot);
  set_aside_or_warn();
}

std::vector<uint32_t> Targets::find_gone() const {
  std::vector<uint32_t> gone;
  for (const Container& container : recorder_.containers()) {
    // One without a path is known by an access below its top cgroup.
    if (container.ended_at == 0 && !container.cgroup_path.empty() && !probe_.has_cgroup(container.cgroup_id)) {
      gone.push_back(container.target);
    }
  }
  return gone;
}

}  // namespace snoop
