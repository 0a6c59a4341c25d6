/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What code costs by itself: four registers are added up, none of which waits for another, in so many blocks of 28
 * bytes (on x86_64). */
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

SEC("tp_btf/sys_exit")
int on_sys_exit(__u64* context) {
  asm volatile("r1 = 1\nr2 = 1\nr3 = 1\nr4 = 1" ::: "r1", "r2", "r3", "r4");
#pragma clang loop unroll(full)
  for (int i = 0; i < BLOCKS; i++) {
    asm volatile("r1 += 1000\nr2 += 1000\nr3 += 1000\nr4 += 1000" ::: "r1", "r2", "r3", "r4");
  }
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
