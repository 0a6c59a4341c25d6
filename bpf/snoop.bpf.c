// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The kernel side: one header for each family of hooks. */
#include "hook_baseline.bpf.h"
#include "hook_cgroup.bpf.h"
#include "hook_exec.bpf.h"
#include "hook_syscall.bpf.h"
#include "hook_uring.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* Run once by user space: a process in a pid namespace knows only its own pid. */
SEC("raw_tp")
int learn_self(void *ctx)
{
  self_pid = bpf_get_current_pid_tgid() >> 32;
  return 0;
}
