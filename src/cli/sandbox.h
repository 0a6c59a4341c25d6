// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"
#include "cli/options.h"
#include "probe/probe.h"

namespace snoop {

/// Gives up, for good, what a capture that has begun needs no more: capabilities, new
/// privileges by exec, and system calls (docs/privileges.md). From then on no program
/// can be started, and no BPF program loaded. What cannot be given up is logged. This
/// process must have one thread.
void enter_sandbox(const Options& options, const Probe& probe);

/// The last part of it: from now on other system calls look as if this kernel did not have them.
[[nodiscard]] Result<void> filter_calls();

}  // namespace snoop
