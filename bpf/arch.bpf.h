/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What differs between architectures at the exit of a system call. */
#ifndef SNOOP_ARCH_BPF_H
#define SNOOP_ARCH_BPF_H

#include "kernel_types.bpf.h"

/* Tables of `cfg_rules`. */
enum { ABI_NATIVE = 0, ABI_COMPAT = 1, ABI_COUNT = 2 };

#if defined(__TARGET_ARCH_x86)

/* arch/x86/include/asm/thread_info.h: set from a 32-bit entry to its exit. */
#define TS_COMPAT 0x0002

static __always_inline __u64 syscall_number(const struct pt_regs *regs)
{
  return regs->orig_ax;
}

static __always_inline int task_abi(const struct task_struct *task)
{
  return task->thread_info.status & TS_COMPAT ? ABI_COMPAT : ABI_NATIVE;
}

static __always_inline __u64 syscall_arg(const struct pt_regs *regs, int abi, __u32 n)
{
  if (abi == ABI_COMPAT) {
    switch (n) {
    case 0: return (__u32)regs->bx;
    case 1: return (__u32)regs->cx;
    case 2: return (__u32)regs->dx;
    case 3: return (__u32)regs->si;
    case 4: return (__u32)regs->di;
    case 5: return (__u32)regs->bp;
    default: return 0;
    }
  }
  switch (n) {
  case 0: return regs->di;
  case 1: return regs->si;
  case 2: return regs->dx;
  case 3: return regs->r10;
  case 4: return regs->r8;
  case 5: return regs->r9;
  default: return 0;
  }
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

static __always_inline int task_abi(const struct task_struct *task)
{
  return task->thread_info.flags & (1UL << TIF_32BIT) ? ABI_COMPAT : ABI_NATIVE;
}

/* regs[0] holds the result already; orig_x0 the first argument. */
static __always_inline __u64 syscall_arg(const struct pt_regs *regs, int abi, __u32 n)
{
  switch (n) {
  case 0: return regs->orig_x0;
  case 1: return regs->regs[1];
  case 2: return regs->regs[2];
  case 3: return regs->regs[3];
  case 4: return regs->regs[4];
  case 5: return regs->regs[5];
  default: return 0;
  }
}

static __always_inline __u64 user_ip(const struct pt_regs *regs)
{
  return regs->pc;
}

#endif

#endif
