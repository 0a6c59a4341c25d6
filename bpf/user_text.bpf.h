/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A process's text, read without a call. */
#ifndef SNOOP_USER_TEXT_BPF_H
#define SNOOP_USER_TEXT_BPF_H

#include "emit.bpf.h"

/* Paths that are shorter are known by their calls. */
#define PLAIN_PATH_MAX 128

/*
 * bpf_probe_read_user_str takes longer than all else that a repeated access costs: it is
 * six functions deep, and where returns are guarded (retbleed, SRSO) each of them costs
 * more than ten loads. So the process's page tables are walked here, with plain loads,
 * and the text is read where the kernel has all memory mapped (Documentation/arch/x86/
 * x86_64/mm.rst, "direct mapping"). Tables are freed after a grace period only. The page
 * itself may be another's by the time that it is read; so what was read once serves to
 * recognise a path, and only what was read twice, with a walk in between, is one. In all
 * other cases the path is read with the helper.
 */
#if defined(__TARGET_ARCH_x86) && defined(SNOOP_TYPED_READS)
#define SNOOP_DIRECT_TEXT

/* arch/x86/include/asm/pgtable_types.h */
#define PAGE_OF_USER 0x005ULL /* _PAGE_PRESENT | _PAGE_USER */
#define PAGE_IS_LARGE 0x080ULL
#define PAGE_IS_SPECIAL 0x200ULL /* not memory that the kernel counts */
#define PAGE_FRAME 0x000ffffffffff000ULL
#define PAGE_BYTES 4096
/* With five levels of tables the kernel has its half elsewhere. */
#define FOUR_LEVELS_FROM 0xffff800000000000ULL

/* Bytes from the start of a table of 512 entries. */
#define TABLE_INDEX(address, shift) ((((address) >> (shift)) & 511) * 8)

/* Where the kernel sees the memory at this address of the task; 0: it cannot be said. */
static __always_inline __u64 direct_address(struct task_struct *task, __u64 map, __u64 address)
{
  struct mm_struct *mm = OF_TASK(task, mm);
  __u64 table = READ_NUMBER(&mm->pgd);
  __u64 entry;

  if (map < FOUR_LEVELS_FROM) {
    if (address >> 56)
      return 0;
    entry = READ_NUMBER(table + TABLE_INDEX(address, 48));
    if (~entry & PAGE_OF_USER)
      return 0;
    table = map + (entry & PAGE_FRAME);
  } else if (address >> 47) {
    return 0;
  }
  entry = READ_NUMBER(table + TABLE_INDEX(address, 39));
  if (~entry & PAGE_OF_USER)
    return 0;
  entry = READ_NUMBER(map + (entry & PAGE_FRAME) + TABLE_INDEX(address, 30));
  if (~entry & PAGE_OF_USER || entry & PAGE_IS_LARGE)
    return 0;
  entry = READ_NUMBER(map + (entry & PAGE_FRAME) + TABLE_INDEX(address, 21));
  if (~entry & PAGE_OF_USER)
    return 0;
  if (entry & PAGE_IS_LARGE)
    return entry & PAGE_IS_SPECIAL ? 0 : map + (entry & PAGE_FRAME & ~0x1fffffULL) + (address & 0x1fffff);
  entry = READ_NUMBER(map + (entry & PAGE_FRAME) + TABLE_INDEX(address, 12));
  if (~entry & PAGE_OF_USER || entry & PAGE_IS_SPECIAL)
    return 0;
  return map + (entry & PAGE_FRAME) + (address & (PAGE_BYTES - 1));
}

/* It begins at a whole GiB (arch/x86/mm/kaslr.c), below the tables that lie in it. The
 * search goes upwards from where nothing is mapped, and ends where it begins. */
#define DIRECT_MAP_STEP (1ULL << 30)

struct map_search {
  __u64 first;
  __u64 address; /* of a word in snoop's own memory */
  __u64 word;    /* and what stands there */
};

static long try_map(__u32 index, struct map_search *search)
{
  __u64 map = search->first + index * DIRECT_MAP_STEP;
  __u64 found = direct_address(bpf_get_current_task_btf(), map, search->address);

  if (!found || READ_NUMBER(found) != search->word)
    return 0;
  direct_map = map;
  return 1;
}

static __noinline void find_direct_map(__u64 address, __u64 word, __u64 span_gib)
{
  struct mm_struct *mm = OF_TASK(bpf_get_current_task_btf(), mm);
  struct map_search search = {.address = address, .word = word};

  if (!span_gib)
    return;
  search.first = (READ_NUMBER(&mm->pgd) & ~(DIRECT_MAP_STEP - 1)) - span_gib * DIRECT_MAP_STEP;
  bpf_loop(span_gib + 1, try_map, &search, 0);
}

/*
 * Mixes a path at this address of the task into the key as hash_access does. false: it is
 * empty, or to be read with the helper. Otherwise tells its bytes with the NUL, and the
 * first. It also gets into `copy`, if that is not NULL, and up to 7 bytes more.
 */
static __always_inline bool mix_user_path(struct seen_key *key, struct task_struct *task, __u64 address, __u32 *len,
                                          char *first, char *copy)
{
  __u64 map = direct_map;
  __u64 room = PAGE_BYTES - (address & (PAGE_BYTES - 1));
  __u64 at = map ? direct_address(task, map, address) : 0;

  if (!at)
    return false;
  for (__u32 i = 0; i < PLAIN_PATH_MAX; i += 8) {
    __u64 word;
    __u64 nul;

    if (room < i + 8)
      return false;
    word = READ_NUMBER(at + i);
    if (i == 0)
      *first = (char)word;
    if (copy)
      *(__u64 *)(copy + i) = word;
    nul = first_nul(word);
    if (nul) {
      __u32 bytes = i + bytes_below(nul) + 1;

      if (nul > 1)
        mix(key, word & (nul - 1));
      else if (i == 0)
        return false;
      /* So that the verifier takes one length for another, and goes through what follows once. */
      barrier_var(bytes);
      *len = bytes & (2 * PLAIN_PATH_MAX - 1);
      return true;
    }
    mix(key, word);
  }
  return false;
}

#else

static __always_inline void find_direct_map(__u64 address, __u64 word, __u64 span_gib) {}

static __always_inline bool mix_user_path(struct seen_key *key, struct task_struct *task, __u64 address, __u32 *len,
                                          char *first, char *copy)
{
  return false;
}

#endif

#endif
