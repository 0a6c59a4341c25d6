// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/capability.h>

#include <functional>
#include <span>
#include <string_view>

#include "base/result.h"

namespace snoop {

/// A capability that snoop has a use for.
struct Capability {
  cap_value_t value;
  std::string_view name;
  /// What does not work without it.
  std::string_view cost;
};

/// Those without which something is not seen, although snoop runs. CAP_BPF and
/// CAP_PERFMON, or CAP_SYS_ADMIN in their place, are not among them: nothing runs without.
[[nodiscard]] std::span<const Capability> useful_capabilities();

/// Whether this process can use it now.
[[nodiscard]] bool has_capability(cap_value_t capability);

/// Whether something works while these capabilities are put aside.
[[nodiscard]] bool works_without(std::span<const cap_value_t> capabilities, const std::function<bool()>& works);

/// Gives all other capabilities up, for good. Of the calling thread.
[[nodiscard]] Result<void> keep_capabilities(std::span<const cap_value_t> kept);

}  // namespace snoop
