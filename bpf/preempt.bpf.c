// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* How this kernel was told to preempt itself: a program of its own, to be asked before
 * the others are chosen. */
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

/* Returns enum preempt_dynamic_* of kernel/sched/core.c; -1: not to be had. */
SEC("syscall")
int preempt_mode(void *context)
{
  const char name[] = "preempt_dynamic_mode";
  __u64 address = 0;
  int mode = -1;

  if (bpf_kallsyms_lookup_name(name, sizeof(name), 0, &address) == 0)
    bpf_probe_read_kernel(&mode, sizeof(mode), (const void *)address);
  return mode;
}

char LICENSE[] SEC("license") = "GPL";
