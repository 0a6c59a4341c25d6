/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A process's text, read without a call. */
#ifndef SNOOP_USER_TEXT_BPF_H
#define SNOOP_USER_TEXT_BPF_H

#include "emit.bpf.h"

/* Paths that are shorter are known by their calls. */
#define PLAIN_PATH_MAX 128

/* A text, while it is read. */
struct text {
  __u64 hash; /* of all whole words, and of what comes before the NUL in the last one */
  __u64 factor;
  __u64 first; /* its first word */
  __u64 end;   /* one bit: the lowest of the NUL, in the word that it is in */
  __u32 words; /* whole ones */
};

static __always_inline void begin_text(struct text *text, __u64 hash, __u64 factor)
{
  text->hash = hash;
  text->factor = factor;
}

static __always_inline void end_text(struct text *text, __u64 word, __u64 zeros)
{
  text->end = lowest_nul(zeros);
  if (likely(text->end > 1))
    text->hash = mix_word(text->hash, word & (text->end - 1), text->factor);
}

/* Bytes with the NUL; the verifier takes one for another, and goes through what follows once. */
static __always_inline __u32 text_size(const struct text *text)
{
  __u32 size = text->words * 8 + bytes_below(text->end) + 1;

  barrier_var(size);
  return size & (2 * PLAIN_PATH_MAX - 1);
}

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
#define PAGE_PRESENT 0x001ULL
#define PAGE_OF_USER 0x005ULL /* _PAGE_PRESENT | _PAGE_USER */
#define PAGE_IS_LARGE 0x080ULL
#define PAGE_IS_SPECIAL 0x200ULL /* not memory that the kernel counts */
#define PAGE_FRAME 0x000ffffffffff000ULL
#define PAGE_BYTES 4096
/* With five levels of tables the kernel has its half elsewhere. */
#define FOUR_LEVELS_FROM 0xffff800000000000ULL

/* Tables have 512 entries, so each takes 9 bits of an address: from this one on, for the highest table. */
#define TABLE_BITS 9
#define PAGE_SHIFT 12

static __always_inline __u64 top_shift(__u64 map)
{
  return unlikely(map < FOUR_LEVELS_FROM) ? PAGE_SHIFT + 4 * TABLE_BITS : PAGE_SHIFT + 3 * TABLE_BITS;
}

/* The entry for an address, of a table of physical memory. The sum is put together such that the part
 * that comes out of memory late is added last. */
static __always_inline __u64 entry_of(__u64 map, __u64 table, __u64 address, __u64 shift)
{
  __u64 place = map + ((address >> (shift - 3)) & (511 * 8));

  barrier_var(place);
  return READ_NUMBER(place + table);
}

/* The same in a page that has no table of the last kind, if it is one. */
static __always_inline __u64 large_page_address(__u64 map, __u64 address, __u64 entry, __u64 shift)
{
  __u64 flags = entry & (PAGE_OF_USER | PAGE_IS_LARGE | PAGE_IS_SPECIAL);

  if (shift != PAGE_SHIFT + TABLE_BITS || flags != (PAGE_OF_USER | PAGE_IS_LARGE))
    return 0;
  return map + (entry & PAGE_FRAME & ~0x1fffffULL) + (address & 0x1fffff);
}

/*
 * Where the kernel sees the memory at this address of the process; 0: it cannot be said. All levels are one
 * loop: it is as long as one of them, and its branches are known from the second round on. For the last
 * table, bit 7 (of the page's kind of cache) is rare.
 */
static __always_inline __u64 direct_address(struct mm_struct *mm, __u64 map, __u64 address)
{
  __u64 table = READ_NUMBER(&mm->pgd) - map;
  __u64 shift = top_shift(map);
  __u64 entry;

  if (unlikely(address >> shift >> (TABLE_BITS - 1)))
    return 0;
#pragma clang loop unroll(disable)
  do {
    barrier_var(shift);
    entry = entry_of(map, table, address, shift);
    if (unlikely((entry & (PAGE_OF_USER | PAGE_IS_LARGE | PAGE_IS_SPECIAL)) != PAGE_OF_USER))
      return large_page_address(map, address, entry, shift);
    table = entry & PAGE_FRAME;
    shift -= TABLE_BITS;
  } while (shift >= PAGE_SHIFT);
  return map + (address & (PAGE_BYTES - 1)) + table;
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
  __u64 found = direct_address(OF_TASK(bpf_get_current_task_btf(), mm), map, search->address);

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

/* read_text() may be of use. */
#define READS_TEXT true

/*
 * Reads a text at this address of the process, and mixes it into its hash.
 * false: to be read with the helper. It also gets into `copy`, if that is not NULL, and up
 * to 7 bytes more.
 */
static __always_inline bool read_text(struct text *text, struct mm_struct *mm, __u64 map, __u64 address, char *copy)
{
  __u64 room = PAGE_BYTES - (address & (PAGE_BYTES - 1));
  __u64 word;
  __u64 at;

  if (unlikely(!map))
    return false;
  at = direct_address(mm, map, address);
  if (unlikely(!at))
    return false;
  word = READ_NUMBER(at);
  text->first = word;
#pragma clang loop unroll(disable)
  for (__u64 i = 0;;) {
    __u64 zeros;

    /* What is behind the page is read, but no word of it is taken, or copied. */
    if (copy) {
      if (room < i + 8)
        return false;
      *(__u64 *)(copy + i) = word;
    }
    zeros = zeros_of(word);
    if (unlikely(zeros)) {
      if (unlikely(room < i + 8))
        return false;
      text->words = i / 8;
      end_text(text, word, zeros);
      return true;
    }
    text->hash = mix_word(text->hash, word, text->factor);
    i += 8;
    if (unlikely(i == PLAIN_PATH_MAX))
      return false;
    word = READ_NUMBER(at + i);
  }
}

/* Whether the kernel itself sees memory at this address of its own. Of some it takes it away (memfd_secret), and a load
 * there gives 0. */
static __always_inline bool is_mapped(struct mm_struct *mm, __u64 map, __u64 address)
{
  __u64 table = READ_NUMBER(&mm->pgd) - map;
  __u64 shift = top_shift(map);

#pragma clang loop unroll(disable)
  for (;;) {
    __u64 entry;

    barrier_var(shift);
    entry = entry_of(map, table, address, shift);
    if (!(entry & PAGE_PRESENT))
      return false;
    if (shift == PAGE_SHIFT || entry & PAGE_IS_LARGE)
      return true;
    table = entry & PAGE_FRAME;
    shift -= TABLE_BITS;
  }
}

/* Whether there is surely no text at this address: its page was the process's before and after it was read. */
static __noinline bool is_empty_text(struct mm_struct *mm, __u64 address)
{
  __u64 map = direct_map;
  __u64 at = direct_address(mm, map, address);
  __u64 word;

  if (!at || PAGE_BYTES - (address & (PAGE_BYTES - 1)) < sizeof(word) || !is_mapped(mm, map, at))
    return false;
  word = READ_NUMBER(at);
  return !(char)word && direct_address(mm, map, address) == at;
}

#else

#define READS_TEXT false

static __always_inline bool is_empty_text(struct mm_struct *mm, __u64 address)
{
  return false;
}

static __always_inline void find_direct_map(__u64 address, __u64 word, __u64 span_gib) {}

static __always_inline bool read_text(struct text *text, struct mm_struct *mm, __u64 map, __u64 address, char *copy)
{
  return false;
}

#endif

#endif
