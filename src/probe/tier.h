// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace snoop {

class KernelTypes;

/// By which hook system calls are seen; what is seen is the same.
enum class Tier {
  /// The first of kTiers that can be used without losing anything.
  kAuto,
  /// A BPF trampoline at the end of each call.
  kFexit,
  /// tp_btf/sys_exit: works on every kernel that snoop works on.
  kTracepoint,
};

constexpr std::array<Tier, 2> kTiers = {Tier::kFexit, Tier::kTracepoint};

/// As in --tier and in the report.
[[nodiscard]] std::string_view tier_name(Tier tier);
[[nodiscard]] std::optional<Tier> tier_named(std::string_view name);

/// Why this kernel cannot have the tier fexit, as far as it can be told before it is tried; empty: it may have it.
[[nodiscard]] std::string no_fexit_reason(const KernelTypes& kernel);
/// Whether kMaySkip holds here, or may hold: this kernel does not tell.
[[nodiscard]] bool trampolines_may_skip();
constexpr std::string_view kMaySkip =
    "this kernel may preempt a program that a trampoline has called, and skips that program on the same CPU meanwhile";

}  // namespace snoop
