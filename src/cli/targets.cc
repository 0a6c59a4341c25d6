// SPDX-License-Identifier: Apache-2.0
#include "cli/targets.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/text.h"
#include "container/cgroup_path.h"
#include "container/container_name.h"

namespace snoop {

namespace {

std::string name_of(const std::string& path) { return path == "/" ? path : std::string(last_component(path)); }

}  // namespace

Targets::Targets(const Options& options, const CgroupTree& tree, Probe& probe, Recorder& recorder, Handlers handlers)
    : options_(options),
      tree_(tree),
      probe_(probe),
      recorder_(recorder),
      handlers_(std::move(handlers)),
      pool_(probe) {}

/// Tells the kernel side; false: it knows already, or there is no room, which is counted.
Result<bool> Targets::enter(const Cgroup& cgroup, const snoop_target& target, bool replace) {
  Result<bool> added = probe_.add_cgroup(cgroup.id, target, replace);
  if (!added && added.error().code == E2BIG) {
    pool_.count_over_limit();
    return false;
  }
  return added;
}

Result<void> Targets::add_subtree(const Cgroup& cgroup, const snoop_target& target, bool replace) {
  // The parent first: what is made below it from now on inherits in the kernel.
  if (const Result<bool> added = enter(cgroup, target, replace); !added) {
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
  Result<snoop_target> target = pool_.next();
  if (!target) {
    return tl::unexpected(target.error());
  }
  target->flags = SNOOP_TARGET_TOP;
  add_container(name.empty() ? name_of(cgroup.path) : name, cgroup, *target);
  return add_subtree(cgroup, *target, true);
}

Result<void> Targets::add_configured() {
  if (options_.selects()) {
    return add_containers();
  }
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
  if (Result<void> adopting = pool_.begin_adopting(); !adopting) {
    return adopting;
  }
  return adopt_below(*root, *own, {});
}

Result<void> Targets::add_containers() {
  containers_.emplace(
      options_, tree_, probe_, recorder_, pool_,
      ContainerTargets::Handlers{.add = [this](const Cgroup& cgroup, const snoop_target& target) -> Container& {
                                   const std::string name =
                                       cgroup.path.empty() ? fmt::format("cgroup-{}", cgroup.id) : name_of(cgroup.path);
                                   return add_container(name, cgroup, target);
                                 },
                                 .on_removing = handlers_.on_removing,
                                 .on_left_out = handlers_.on_left_out,
                                 .on_found_late = handlers_.on_found_late});
  return containers_->start();
}

/// Makes a target of this cgroup and of each below. An empty one too: a process
/// may be moved into it later. What never used anything is left out of reports. Where
/// there are no more, it is in the list of the one above, as on the kernel side.
Result<void> Targets::adopt_below(const Cgroup& cgroup, const Cgroup& own, const snoop_target& above) {
  if (cgroup.id == own.id && cgroup.path != "/") {
    return {};
  }
  snoop_target target = {};
  bool is_new = false;
  if (cgroup.id != own.id) {
    const Result<snoop_target> next = pool_.next();
    is_new = next.has_value();
    target = next.value_or(above);
    target.flags = is_new ? SNOOP_TARGET_TOP : 0;
    if (!is_new) {
      pool_.count_over_limit();
    }
  }
  target.flags |= SNOOP_TARGET_ADOPT | SNOOP_TARGET_ADOPT_DEEP;
  // Not replaced: the kernel side may have adopted it a moment ago.
  const Result<bool> added = enter(cgroup, target, false);
  if (!added) {
    return tl::unexpected(added.error());
  }
  if (is_new && !*added) {
    pool_.give_back(target);
  } else if (is_new) {
    add_container(name_of(cgroup.path), cgroup, target).only_if_used = true;
  }
  for (const Cgroup& child : tree_.children(cgroup)) {
    if (Result<void> adopted = adopt_below(child, own, target); !adopted) {
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
  if (Result<void> adopting = pool_.begin_adopting(); !adopting) {
    return adopting;
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
    if (pool_.is_empty()) {
      pool_.count_over_limit();
    } else if (Result<void> added = add(sibling); !added) {
      return added;
    }
  }
  return {};
}

void Targets::on_new_cgroup(const Record& record) {
  pool_.set_aside_or_warn();
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
  target.slot = pool_.slot_of(target.id);
  if (containers_) {
    containers_->place({record.event.cgroup_id, path}, target);
    return;
  }
  add_container(name_of(path), {record.event.cgroup_id, path}, target).only_if_used = options_.all;
  spdlog::debug("new target {}", printable(path));
}

/// With an id that no other has, a container that was restarted is the same one.
Container* Targets::ended_before(const std::string& path) {
  const std::optional<ContainerName> name = parse_container_name(path);
  if (!name || name->kind != ContainerName::Kind::kContainer || !is_unique_id(name->id)) {
    return nullptr;
  }
  std::vector<Container>& containers = recorder_.containers();
  const auto found = std::find_if(containers.begin(), containers.end(), [&](const Container& container) {
    return container.ended_at != 0 && container.target != 0 && container.cgroup_path == path;
  });
  return found == containers.end() ? nullptr : &*found;
}

Container& Targets::add_container(std::string name, const Cgroup& cgroup, const snoop_target& target) {
  if (Container* ended = ended_before(cgroup.path)) {
    handlers_.on_reviving(*ended);
    recorder_.revive(*ended, cgroup.id, target);
    handlers_.on_revived(*ended);
  } else {
    handlers_.on_added(recorder_.add_container(std::move(name), cgroup.id, cgroup.path, target));
  }
  judge(target.id);
  return *recorder_.find(target.id);
}

Container* Targets::container_of(uint32_t target, uint64_t cgroup_id) {
  if (containers_) {
    return containers_->container_of(target, cgroup_id);
  }
  if (Container* container = recorder_.find(target)) {
    return container;
  }
  // The record of its cgroup was lost; the access was not.
  snoop_target lost = {};
  lost.id = target;
  lost.slot = pool_.slot_of(target);
  return &add_container(fmt::format("cgroup-{}", cgroup_id), {cgroup_id, ""}, lost);
}

void Targets::end(uint32_t target, WallTime at) {
  if (!pool_.has(target) || (containers_ && !containers_->end(target))) {
    return;
  }
  if (Container* container = recorder_.find(target)) {
    handlers_.on_ending(*container);
    container->ended_at = at;
    if (options_.cgroups.empty()) {
      spdlog::debug("target {} has ended", printable(container->cgroup_path));
    } else {
      spdlog::warn("the cgroup {} was removed; one of that name from now on is another one: start snoop again for it",
                   printable(container->cgroup_path));
    }
    if (container->only_if_used && container->all_events() == 0 && container->files.size() == 0) {
      handlers_.on_removing(*container);
      recorder_.remove(target);
    }
  }
  pool_.release(target);
}

void Targets::judge(uint32_t target) {
  Container* container = recorder_.find(target);
  if (containers_ && container != nullptr) {
    containers_->judge(*container);
  }
}

bool Targets::on_known(const KnownContainer& known) { return containers_ && containers_->on_known(known); }

void Targets::on_round(bool all) {
  if (containers_) {
    containers_->on_round(all);
  }
}

uint64_t Targets::undecided() const { return containers_ ? containers_->undecided() : 0; }

std::vector<uint32_t> Targets::find_gone() const {
  std::vector<uint32_t> gone;
  for (const Container& container : recorder_.containers()) {
    // One without a path is known by an access below its top cgroup.
    if (container.target != 0 && container.ended_at == 0 && !container.cgroup_path.empty() &&
        !probe_.has_cgroup(container.cgroup_id)) {
      gone.push_back(container.target);
    }
  }
  return gone;
}

}  // namespace snoop
