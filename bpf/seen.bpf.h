/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What accesses and calls are known by, and the tables of what was seen. */
#ifndef SNOOP_SEEN_BPF_H
#define SNOOP_SEEN_BPF_H

#include "path.bpf.h"

/* Half a step of the hash of the short way: an odd multiplier that nobody knows, and a shift that brings the
 * high bits down again. */
static __always_inline __u64 stir(__u64 hash, __u64 factor)
{
  hash *= factor;
  return hash ^ hash >> 32;
}

/* A step. It is multiplied twice: the highest bit of what comes in stays one single bit in the first product, so that
 * it would be known which word undoes it. */
static __always_inline __u64 mix_word(__u64 hash, __u64 word, __u64 factor)
{
  return stir(hash + word, factor) * factor;
}

/* What all paths of a target begin with. */
static __always_inline __u64 begin_hash(__u32 target, __u32 slot)
{
  __u64 generation = *(volatile __u64 *)&seen_generation;
  __u64 changes = *(volatile __u32 *)&mount_changes[slot & (SNOOP_MAX_TARGETS - 1)];

  return mix_word(cfg_hash_seed[0] + (changes << 32), generation << 32 ^ target, cfg_hash_seed[1]);
}

/* The target has changed what is mounted where: all that it uses from now on is new. What opens nothing has nothing
 * else in its key that tells on which mount it ended. */
static __always_inline void forget_accesses(__u32 slot)
{
  __sync_fetch_and_add(&mount_changes[slot & (SNOOP_MAX_TARGETS - 1)], 1);
  __sync_fetch_and_add(&own_epoch, 1);
}

/* That, and a second lane of another kind: an odd multiplier, and a shift, as in MurmurHash. */
static __always_inline void mix(struct seen_key *key, __u64 word)
{
  key->hash[0] = mix_word(key->hash[0], word, cfg_hash_seed[1]);
  key->hash[1] = (key->hash[1] ^ word) * 0xff51afd7ed558ccdULL;
  key->hash[1] ^= key->hash[1] >> 32;
}

static __always_inline void begin_key(struct seen_key *key, __u32 target, __u32 slot)
{
  key->hash[0] = begin_hash(target, slot);
  key->hash[1] = cfg_hash_seed[1] ^ target;
}

/* One number of both lanes. */
static __always_inline __u64 check_of(const struct seen_key *key)
{
  return key->hash[0] ^ key->hash[1];
}

/* A counter has the number of its entry in its lower half. The first use of a newer one takes it over. */
static __always_inline void count_use(__u32 entry, __u32 count)
{
  __u32 index = entry & (SNOOP_USE_COUNTS - 1);
  __u64 *sum = bpf_map_lookup_elem(&use_counts, &index);
  __u64 is;

  if (!sum)
    return;
  is = *(volatile __u64 *)sum;
  if ((__u32)is != entry) {
    __u64 was = is;

    if (was && (__s32)(entry - (__u32)was) < 0)
      return; /* it is another's by now */
    is = __sync_val_compare_and_swap(sum, was, (__u64)count << 32 | entry);
    if (is == was || (__u32)is != entry)
      return;
  }
  __sync_fetch_and_add(sum, (__u64)count << 32);
}

static __always_inline struct recents *own_recents(void)
{
  __u32 cpu = bpf_get_smp_processor_id();

  return bpf_map_lookup_elem(&recents, &cpu);
}

/*
 * The hash of a call, before its path: of its target, with which all paths begin; of its arguments
 * and outcome, of its kind; of its root; of the file that it opened, or 0.
 */
static __always_inline __u64 call_hash(const struct own_target *own, const struct call *call, __u64 arguments,
                                       __u64 root, __u64 file_id)
{
  /* Of addresses of the kernel the upper 16 bits are the same. */
  return mix_word(own->hash, stir(arguments + file_id, own->factor) + (root ^ call->row << 48), own->factor);
}

/* A number for a root directory, which that mount may have at another place too. */
static __always_inline __u64 root_number(__u64 dentry, struct mount *mnt, __u64 factor)
{
  __u64 mount = (__u64)mnt;

  if (bpf_core_field_exists(struct mount, mnt_id_unique))
    mount = READ(mnt, mnt_id_unique);
  return dentry + mount * factor;
}

/*
 * A number for a file and for where it is: an inode can have several names, and its number can be
 * used again, as can the addresses of dentries. As place_identity() has it, but where mounts have
 * numbers that are never used again, that of its mount stands for all above, and for the device.
 * 0: too deep to say.
 */
static __always_inline __u64 file_identity_inline(const struct place *place)
{
  struct dentry *dentry = place->dentry;
  struct inode *inode = READ(dentry, d_inode);
  /* Multiplied, so that a name hash cannot make up for another number. */
  __u64 identity = READ(inode, i_ino) * 0xc4ceb9fe1a85ec53ULL;
  struct dentry *top;

  if (!bpf_core_field_exists(struct mount, mnt_id_unique)) {
    __u64 whole = place_identity(place);

    return whole || READ(dentry, d_parent) != dentry ? whole : nameless_identity(inode);
  }
  top = READ(place->mnt, mnt.mnt_root);
  for (__u32 i = 0; i < STEPS_INLINE && dentry != top; i++) {
    struct link link = link_of(dentry);

    if (unlikely(link.parent == dentry))
      return nameless_identity(inode);
    identity = mix_name(identity, link.hash_len);
    dentry = link.parent;
  }
  return likely(dentry == top) ? mix_name(identity, READ(place->mnt, mnt_id_unique)) | 1 : place_identity(place);
}

/* The same as a function, where that is no matter: verified once. */
__noinline __u64 file_identity(const struct place *place)
{
  return place ? file_identity_inline(place) : 0;
}

#ifndef SNOOP_TYPED_READS
#define file_identity_inline file_identity
#endif

/* Where a call stands that opened a file: beside those of the dentries beside it. */
static __always_inline __u64 place_of_opened(__u64 dentry, __u64 arguments, __u64 factor)
{
  return (dentry << 34) + arguments * factor;
}

/* The lower 30 bits of the dentry, from that. */
static __always_inline __u64 dentry_of_place(__u64 place, __u64 arguments, __u64 factor)
{
  return (place - arguments * factor) >> 34;
}

/* The first of the ways that a call can stand in. */
static __always_inline struct snoop_recent *recents_at(struct recents *own, __u64 place)
{
  return &own->known.slots[(place >> 40) & (SNOOP_RECENTS - SNOOP_RECENTS_IN_LINE)];
}

/* Has their cache line fetched: nothing waits for a store, as it would for a load. What is looked up now and then only
 * has to come out of memory, and does so while the path is read. */
static __always_inline void fetch_recents(struct recents *own, __u64 place)
{
  *(volatile __u64 *)&recents_at(own, place)[SNOOP_RECENT_WAYS].tag = 0;
}

static __always_inline void move_recent(volatile struct snoop_recent *from, volatile struct snoop_recent *to)
{
  __u64 tag = from->tag;
  __u32 count = from->count;

  to->entry = from->entry;
  from->tag = 0;
  from->count = 0;
  to->count = count;
  to->tag = tag;
}

/* The next time the call is known by its arguments. What was there longest is counted for
 * good, once it is there no more: user space may look in between, and may miss it for now,
 * but must not count it twice. */
static __always_inline void set_recent(__u64 tag, __u64 place, __u64 entry)
{
  struct recents *own = own_recents();
  volatile struct snoop_recent *recent;
  __u32 older;
  __u32 count;

  if (!own)
    return;
  recent = recents_at(own, place);
  older = recent[2].entry;
  count = recent[2].count;
  recent[2].tag = 0;
  recent[2].count = 0;
  move_recent(&recent[1], &recent[2]);
  move_recent(&recent[0], &recent[1]);
  recent[0].entry = entry;
  recent[0].tag = tag;
  if (count)
    count_use(older, count);
}

_Static_assert(SNOOP_RECENT_WAYS == 3 && SNOOP_RECENTS_IN_LINE * sizeof(struct snoop_recent) == 64, "set_recent");

/* Of a hash that has target, path and base in it, and nothing else yet. */
static __always_inline struct seen_bucket *seen_bucket_of(__u64 hash)
{
  __u32 zero = 0;
  struct seen_table *table = bpf_map_lookup_elem(&seen_paths, &zero);

  if (!table)
    return NULL;
  hash >>= 47;
  barrier_var(hash); /* not added before `table` is known to be there */
  return &table->buckets[hash];
}
_Static_assert(SEEN_BUCKETS == 1 << (64 - 47), "seen_bucket_of");

/*
 * The same where the access led to a file. What is looked up one after the other gets dentries side by side, and so its
 * buckets are side by side: their memory is at hand, and above all its page table. A file can have many paths
 * (busybox), so that they stand in four buckets. `begin` is begin_hash() of the target, `hash` as above.
 */
static __always_inline struct seen_bucket *seen_bucket_beside(__u64 dentry, __u64 begin, __u64 hash)
{
  return seen_bucket_of(((dentry << 40) + begin) ^ (hash & 3ULL << 47));
}

/* Of the access with this key, mixed with what is known of it: other kinds or another entry
 * fit no more. */
static __always_inline __u64 seen_tag(const struct seen_key *key, __u64 kinds, __u32 entry)
{
  return check_of(key) ^ (kinds ^ (__u64)entry << 32) * 0xff51afd7ed558ccdULL;
}

/* What was reported already of the access; 0: nothing. */
static __always_inline __u64 find_seen(const struct seen_bucket *bucket, const struct seen_key *key, __u32 *entry)
{
  for (__u32 i = 0; i < SEEN_WAYS; i++) {
    __u64 kinds = *(const volatile __u64 *)&bucket->kinds[i];

    *entry = *(const volatile __u32 *)&bucket->entries[i];
    if (kinds && *(const volatile __u64 *)&bucket->tags[i] == seen_tag(key, kinds, *entry))
      return kinds;
  }
  return 0;
}

/* In the place of the same entry, in an empty one, or in that of any other. Global, so verified by itself. */
__noinline int set_seen(struct seen_bucket *bucket, const struct seen_key *key, __u64 kinds, __u32 entry)
{
  __u32 way = entry % SEEN_WAYS;

  if (!bucket || !key)
    return 0;
  for (__u32 i = 0; i < SEEN_WAYS; i++) {
    if (!bucket->kinds[i])
      way = i;
  }
  for (__u32 i = 0; i < SEEN_WAYS; i++) {
    if (bucket->kinds[i] && bucket->entries[i] == entry)
      way = i;
  }
  barrier_var(way); /* the compiler knows, the verifier does not */
  if (way >= SEEN_WAYS)
    return 0;
  *(volatile __u64 *)&bucket->kinds[way] = kinds;
  *(volatile __u32 *)&bucket->entries[way] = entry;
  *(volatile __u64 *)&bucket->tags[way] = seen_tag(key, kinds, entry);
  return 0;
}

/* So much of a path is hashed inline, the rest by calls. */
#define HASH_INLINE 128

static long hash_word(__u32 index, __u32 *which)
{
  struct scratch *scratch = scratch_of(*which);
  __u32 at = HASH_INLINE + index * 8;

  if (!scratch || at >= SNOOP_PATH_MAX)
    return 1;
  mix(&scratch->key, *(const __u64 *)(scratch->data + at));
  return 0;
}

/* The path alone, into `scratch.key`. Global, so verified by itself. */
__noinline int hash_path(__u32 which)
{
  struct scratch *scratch = scratch_of(which);
  struct seen_key *key;
  __u32 len;

  if (!scratch)
    return 0;
  key = &scratch->key;
  len = scratch->event.path_len;
  begin_key(key, scratch->event.target, scratch->access.slot);
  for (__u32 i = 0; i < HASH_INLINE; i += 8) {
    if (i >= len)
      break;
    mix(key, *(const __u64 *)(scratch->data + i));
  }
  if (len > HASH_INLINE)
    bpf_loop((len - HASH_INLINE + 7) / 8, hash_word, &which, 0);
  return 0;
}

/* All of the access, into `scratch.key`; returns its bucket. */
static __always_inline struct seen_bucket *hash_access(struct scratch *scratch, __u32 which, __u64 base)
{
  struct seen_key *key = &scratch->key;
  struct seen_bucket *bucket;

  if (!scratch->access.path_hashed)
    hash_path(which);
  if (base)
    mix(key, base);
  if (scratch->access.dentry)
    bucket = seen_bucket_beside(scratch->access.dentry, begin_hash(scratch->event.target, scratch->access.slot),
                                key->hash[0]);
  else
    bucket = seen_bucket_of(key->hash[0]);
  mix(key, ((__u64)scratch->event.type << 32) | ((__u64)scratch->event.flags << 16) | scratch->event.path_len);
  /* Out of memory it is a number to the verifier, not a pointer. */
  mix(key,
      root_number(*(const volatile __u64 *)&scratch->access.root.dentry, scratch->access.root.mnt, cfg_hash_seed[1]));
  mix(key, scratch->access.file_id);
  return bucket;
}

/* Ends the path with a whole word of zeros, for hash_access. */
static __always_inline void set_path_len(struct scratch *scratch, __u32 len)
{
  scratch->event.path_len = len;
  if (len < SNOOP_PATH_MAX)
    __builtin_memset(scratch->data + len, 0, 8);
}

/* Whether all that the tag was made of is what the access turned out to be, root and file included. */
static __always_inline bool is_tag_true(const struct scratch *scratch)
{
  const struct access *access = &scratch->access;
  __u64 root = root_number(*(const volatile __u64 *)&access->root.dentry, access->root.mnt, cfg_hash_seed[1]);
  struct recents *own = own_recents();

  return own && access->tag &&
         call_hash(&own->own, &scratch->call, access->tag_arguments, root, access->file_id) == access->tag_begin;
}

#endif
