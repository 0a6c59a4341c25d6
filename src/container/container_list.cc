// SPDX-License-Identifier: Apache-2.0
#include "container/container_list.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "container/cgroup_path.h"
#include "container/container_name.h"

namespace snoop {

namespace {

using Kind = ContainerName::Kind;

constexpr size_t kShortId = 12;

bool has_processes(const CgroupTree& tree, const Cgroup& cgroup) {
  if (!tree.processes(cgroup).empty()) {
    return true;
  }
  const std::vector<Cgroup> children = tree.children(cgroup);
  return std::any_of(children.begin(), children.end(), [&](const Cgroup& child) { return has_processes(tree, child); });
}

KnownContainer by_path(const CgroupTree& tree, const Cgroup& cgroup, const ContainerName& name) {
  KnownContainer container;
  container.identity.runtime = name.runtime;
  container.identity.id = name.id;
  container.identity.pod_uid = name.pod_uid;
  container.name = is_unique_id(name.id) ? name.id.substr(0, kShortId) : name.id;
  container.cgroup_path = cgroup.path;
  container.state = has_processes(tree, cgroup) ? "running" : "empty";
  if (name.kind == Kind::kVirtualMachine) {
    container.identity.not_observable = "a virtual machine: its kernel is another one";
  }
  return container;
}

}  // namespace

std::vector<KnownContainer> list_containers(const CgroupTree& tree, std::vector<KnownContainer> told) {
  std::vector<KnownContainer> list;
  if (const Result<Cgroup> root = tree.at("/")) {
    tree.visit(*root, [&](const Cgroup& cgroup) {
      const std::optional<ContainerName> name = parse_container_name(cgroup.path);
      if (name && name->is_top && (name->kind == Kind::kContainer || name->kind == Kind::kVirtualMachine)) {
        list.push_back(by_path(tree, cgroup, *name));
      }
    });
  }
  for (KnownContainer& one : told) {
    if (one.state == "removed") {
      continue;
    }
    const auto found = std::find_if(list.begin(), list.end(), [&](const KnownContainer& other) {
      // A path may have a name of its own for what its runtime calls otherwise.
      const bool same_cgroup = !is_unique_id(other.identity.id) && other.cgroup_path == one.cgroup_path;
      return other.identity.source.empty() &&
             (same_cgroup || (other.identity.id == one.identity.id && is_told_of(one.cgroup_path, other.cgroup_path)));
    });
    if (found == list.end()) {
      list.push_back(std::move(one));
      continue;
    }
    // Its top cgroup, not that of one of its processes.
    one.cgroup_path = found->cgroup_path;
    one.identity.runtime = one.identity.runtime.empty() ? found->identity.runtime : one.identity.runtime;
    one.name = one.name.empty() ? found->name : one.name;
    one.state = one.state.empty() ? found->state : one.state;
    if (one.identity.not_observable.empty()) {
      one.identity.not_observable = found->identity.not_observable;
    }
    *found = std::move(one);
  }
  std::sort(list.begin(), list.end(), [](const KnownContainer& a, const KnownContainer& b) {
    return std::tie(a.cgroup_path, a.identity.id, a.name) < std::tie(b.cgroup_path, b.identity.id, b.name);
  });
  return list;
}

}  // namespace snoop
