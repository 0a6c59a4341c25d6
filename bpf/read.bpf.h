/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* How kernel memory is read. */
#ifndef SNOOP_READ_BPF_H
#define SNOOP_READ_BPF_H

#include "maps.bpf.h"
#include <bpf/bpf_core_read.h>

/*
 * What hangs on a task that the program was given (its fs_struct, its table of
 * files) is of a type that the verifier knows: plain loads. What was read out of
 * memory (an open file, a dentry) is a number to it. From 6.2 on it can be given
 * its type back and is a load as well, one that a bad address makes 0; before that
 * bpf_probe_read_kernel does the same with a call, some 15 ns each. There is an
 * object file for either kind of kernel: to choose at the load would leave the
 * verifier much to take out.
 */
#ifdef SNOOP_TYPED_READS
extern void *bpf_rdonly_cast(const void *memory, __u32 type) __ksym;

#define TYPED(pointer) ((typeof(pointer))bpf_rdonly_cast(pointer, bpf_core_type_id_kernel(*(pointer))))
#define READ(pointer, field)                                                                                           \
  ({                                                                                                                   \
    const typeof(pointer) read_from = (pointer);                                                                       \
    TYPED(read_from)->field;                                                                                           \
  })
#else
#define TYPED(pointer) (pointer)
#define READ(pointer, field)                                                                                           \
  ({                                                                                                                   \
    const typeof(pointer) read_from = (pointer);                                                                       \
    typeof(read_from->field) read_value;                                                                               \
    bpf_core_read(&read_value, sizeof(read_value), &read_from->field);                                                 \
    read_value;                                                                                                        \
  })
#endif

/*
 * A pointer out of what a program was given. The verifier of 6.2 and later searches all
 * types of the kernel by name for each one that is loaded from what it trusts, as it does
 * a task: half of the time that the programs take to load. So the trust is taken away first.
 */
#define OF(given, field)                                                                                               \
  ({                                                                                                                   \
    typeof(given) of_given = (given);                                                                                  \
    TYPED(of_given)->field;                                                                                            \
  })
#define OF_TASK(task, field) OF((struct task_struct *)(task), field)

/* To read a pointer as a number, which the verifier lets be reckoned with: as if it were
 * a member that is one, and the first of its structure (include/linux/dcache.h). */
#ifdef SNOOP_TYPED_READS
#define READ_NUMBER(address) (*(const __u64 *)TYPED((struct qstr *)(address)))
#else
#define READ_NUMBER(address) READ((struct qstr *)(address), hash_len)
#endif

/* The same of two pointers side by side, as in struct path. */
struct numbers {
  __u64 first;
  __u64 second;
};

static __always_inline struct numbers read_numbers(const void *address)
{
  struct numbers numbers;

#ifdef SNOOP_TYPED_READS
  const __u64 *words = (const __u64 *)TYPED((struct pt_regs *)address);

  numbers.first = words[0];
  numbers.second = words[1];
#else
  bpf_probe_read_kernel(&numbers, sizeof(numbers), address);
#endif
  return numbers;
}

/* So that the short way runs straight on: a branch that is taken costs a processor that has not seen it lately. */
#ifndef likely
#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)
#endif

/* In a word of text: not 0 if one of its bytes is 0. The lowest bit of it is that byte's highest. */
static __always_inline __u64 zeros_of(__u64 word)
{
  return (word - 0x0101010101010101ULL) & ~word & 0x8080808080808080ULL;
}

/* Of that: the lowest bit of the first byte that is 0; 0: none is. */
static __always_inline __u64 lowest_nul(__u64 zeros)
{
  return (zeros & -zeros) >> 7;
}

static __always_inline __u64 first_nul(__u64 word)
{
  return lowest_nul(zeros_of(word));
}

/* How many bytes there are below that bit: as many lowest bits, summed up in the highest byte. */
static __always_inline __u32 bytes_below(__u64 bit)
{
  return ((bit - 1) & 0x0101010101010101ULL) * 0x0101010101010101ULL >> 56;
}

#endif
