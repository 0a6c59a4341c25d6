// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/options.h"
#include "probe/probe.h"

namespace snoop {

/// Gives up, for good, what a capture that has begun needs no more: capabilities, new
/// privileges by exec, and system calls (docs/privileges.md). From then on no program
/// can be started, and no BPF program loaded. What cannot be given up is logged. This
/// process must have one thread.
void enter_sandbox(const Options& options, const Probe& probe);

}  // namespace snoop
