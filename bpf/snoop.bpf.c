// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The kernel side: one header for each family of hooks. */
#include "ask_file.bpf.h"
#include "hook_baseline.bpf.h"
#include "hook_call_end.bpf.h"
#include "hook_cgroup.bpf.h"
#include "hook_exec.bpf.h"
#include "hook_syscall.bpf.h"
#include "hook_uring.bpf.h"

char LICENSE[] SEC("license") = "GPL";
