// SPDX-License-Identifier: Apache-2.0
#include "probe/tier.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <sys/utsname.h>

#include <memory>

#include "preempt_bpf.skel.h"
#include "probe/kernel_types.h"

namespace snoop {

namespace {

/// What on_call_end is attached to.
constexpr std::string_view kCallEnd = "syscall_exit_to_user_mode_prepare";

/// preempt_dynamic_none and _voluntary of the kernel: it gives up the CPU only where it says so.
constexpr int kMostVoluntary = 1;

/// What CONFIG_PREEMPT_DYNAMIC is set to; -1: not to be had.
int preempt_mode() {
  const std::unique_ptr<preempt_bpf, void (*)(preempt_bpf*)> skeleton(preempt_bpf__open_and_load(),
                                                                      &preempt_bpf__destroy);
  if (!skeleton) {
    return -1;
  }
  bpf_test_run_opts run = {};
  run.sz = sizeof(run);
  const int error = bpf_prog_test_run_opts(bpf_program__fd(skeleton->progs.preempt_mode), &run);
  return error == 0 ? static_cast<int>(run.retval) : -1;
}

}  // namespace

std::string_view tier_name(Tier tier) {
  switch (tier) {
    case Tier::kAuto:
      return "auto";
    case Tier::kFexit:
      return "fexit";
    case Tier::kTracepoint:
      return "tracepoint";
  }
  return "";
}

std::optional<Tier> tier_named(std::string_view name) {
  for (const Tier tier : {Tier::kAuto, Tier::kFexit, Tier::kTracepoint}) {
    if (name == tier_name(tier)) {
      return tier;
    }
  }
  return std::nullopt;
}

std::string no_fexit_reason(const KernelTypes& kernel) {
  if (!kernel.has("register_ftrace_direct")) {
    return "this kernel is built without BPF trampolines";
  }
  if (!kernel.has(kCallEnd)) {
    return fmt::format("this kernel has no function {}", kCallEnd);
  }
  return {};
}

bool trampolines_may_skip() {
  utsname system = {};
  ::uname(&system);
  const std::string_view version = system.version;
  if (version.find("PREEMPT_DYNAMIC") == std::string_view::npos) {
    return version.find("PREEMPT") != std::string_view::npos;
  }
  const int mode = preempt_mode();
  return mode < 0 || mode > kMostVoluntary;
}

}  // namespace snoop
