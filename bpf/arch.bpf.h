/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What differs between architectures at the exit of a system call. */
#ifndef SNOOP_ARCH_BPF_H
#define SNOOP_ARCH_BPF_H

#include "kernel_types.bpf.h"

/* Tables of `cfg_rules`. */
enum { ABI_NATIVE = 0, ABI_COMPAT = 1, ABI_COUNT = 2 }; /* what task_abi returns */

#if defined(__TARGET_ARCH_x86)

/* arch/x86/include/asm/thread_info.h: set from a 32-bit entry to its exit. */
#define TS_COMPAT 0x0002

/* The kernel takes the lower half of the register, whatever stands in the upper one. */
static __always_inline __u64 syscall_number(const struct pt_regs *regs)
{
  return (__u32)regs->orig_ax;
}

static __always_inline long syscall_result(const struct pt_regs *regs)
{
  return regs->ax;
}

static __always_inline int task_abi(const struct task_struct *task)
{
  return (task->thread_info.status & TS_COMPAT) / TS_COMPAT;
}

static __always_inline void copy_args(__u64 *args, const struct pt_regs *regs, int abi)
{
  if (abi == ABI_COMPAT) {
    args[0] = (__u32)regs->bx;
    args[1] = (__u32)regs->cx;
    args[2] = (__u32)regs->dx;
    args[3] = (__u32)regs->si;
    args[4] = (__u32)regs->di;
    args[5] = (__u32)regs->bp;
    return;
  }
  args[0] = regs->di;
  args[1] = regs->si;
  args[2] = regs->dx;
  args[3] = regs->r10;
  args[4] = regs->r8;
  args[5] = regs->r9;
}

static __always_inline __u64 user_ip(const struct pt_regs *regs)
{
  return regs->ip;
}

#elif defined(__TARGET_ARCH_arm64)

/* arch/arm64/include/asm/thread_info.h */
#define TIF_32BIT 22

static __always_inline __u64 syscall_number(const struct pt_regs *regs)
{
  return (__u32)regs->syscallno;
}

static __always_inline long syscall_result(const struct pt_regs *regs)
{
  return regs->regs[0];
}

static __always_inline int task_abi(const struct task_struct *task)
{
  return task->thread_info.flags >> TIF_32BIT & 1;
}

/* regs[0] holds the result already; orig_x0 the first argument. */
static __always_inline void copy_args(__u64 *args, const struct pt_regs *regs, int abi)
{
  args[0] = regs->orig_x0;
  args[1] = regs->regs[1];
  args[2] = regs->regs[2];
  args[3] = regs->regs[3];
  args[4] = regs->regs[4];
  args[5] = regs->regs[5];
}

static __always_inline __u64 user_ip(const struct pt_regs *regs)
{
  return regs->pc;
}

#endif

#endif
