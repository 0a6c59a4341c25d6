/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* System calls with a path at their exit, where BPF trampolines can be attached. */
#ifndef SNOOP_HOOK_CALL_END_BPF_H
#define SNOOP_HOOK_CALL_END_BPF_H

#include "hook_syscall.bpf.h"

/*
 * The function with which each call ends (kernel/entry/common.c), just before sys_exit:
 * the same registers, also of 32-bit calls and of those that a seccomp filter has
 * answered. Entered, not left: what holds a trampoline until the function returns would
 * be held forever by a task that ends in it.
 */
SEC("fentry/syscall_exit_to_user_mode_prepare")
int BPF_PROG(on_call_end, struct pt_regs *regs)
{
  return on_end(regs, syscall_number(regs), syscall_result(regs));
}

#endif
