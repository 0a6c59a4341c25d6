// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace snoop {

/// Whether a cgroup is another one, or below it.
[[nodiscard]] bool is_at_or_below(std::string_view path, std::string_view top);

/// "/a/b" to "b".
[[nodiscard]] std::string_view last_component(std::string_view path);

/// Whether what a runtime tells of a container in the cgroup `told` (empty: it does not say) may be of the one with the
/// top cgroup `own`. A container's id in a path need not be that container's: who may make cgroups may call one so.
[[nodiscard]] bool is_told_of(std::string_view told, std::string_view own);

/// Whether the cgroup may be a container's although its path does not say so: runc and others put one where they are
/// told to. No unit of systemd's is.
[[nodiscard]] bool may_be_container(std::string_view path);

}  // namespace snoop
