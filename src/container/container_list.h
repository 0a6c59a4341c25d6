// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "container/cgroup.h"
#include "container/identity.h"

namespace snoop {

/// What there is of containers: those whose cgroups say so, and those that runtimes tell of, each once; sorted by
/// cgroup and id. Without its runtime's word a container is "running" if there are processes in its cgroup, else
/// "empty".
[[nodiscard]] std::vector<KnownContainer> list_containers(const CgroupTree& tree, std::vector<KnownContainer> told);

}  // namespace snoop
