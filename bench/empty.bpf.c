/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The least that a hook on system calls can cost: a program that does nothing. */
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

SEC("tp_btf/sys_exit")
int on_sys_exit(__u64* context) { return 0; }

char LICENSE[] SEC("license") = "GPL";
