/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* From an access to a record: was it seen before, and if not, out with it. */
#ifndef SNOOP_EMIT_BPF_H
#define SNOOP_EMIT_BPF_H

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
static __always_inline __u64 begin_hash(__u32 target)
{
  __u64 generation = *(volatile __u64 *)&seen_generation;

  return mix_word(cfg_hash_seed[0], generation << 32 ^ target, cfg_hash_seed[1]);
}

/* That, and a second lane of another kind: an odd multiplier, and a shift, as in MurmurHash. */
static __always_inline void mix(struct seen_key *key, __u64 word)
{
  key->hash[0] = mix_word(key->hash[0], word, cfg_hash_seed[1]);
  key->hash[1] = (key->hash[1] ^ word) * 0xff51afd7ed558ccdULL;
  key->hash[1] ^= key->hash[1] >> 32;
}

static __always_inline void begin_key(struct seen_key *key, __u32 target)
{
  key->hash[0] = begin_hash(target);
  key->hash[1] = cfg_hash_seed[1] ^ target;
}

/* One number of both lanes. */
static __always_inline __u64 check_of(const struct seen_key *key)
{
  return key->hash[0] ^ key->hash[1];
}

static __always_inline void count_use(__u32 entry, __u32 count)
{
  __u32 index = entry & (SNOOP_USE_COUNTS - 1);
  __u64 *sum = bpf_map_lookup_elem(&use_counts, &index);

  if (sum)
    __sync_fetch_and_add(sum, count);
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
 * numbers that are never used again, that of its mount stands for all above. 0: too deep to say.
 */
static __always_inline __u64 file_identity_inline(const struct place *place)
{
  struct dentry *dentry = place->dentry;
  struct inode *inode = READ(dentry, d_inode);
  __u64 identity = begin_identity(inode);
  struct dentry *top;

  if (!bpf_core_field_exists(struct mount, mnt_id_unique)) {
    __u64 whole = place_identity(place);

    return whole || READ(dentry, d_parent) != dentry ? whole : identity;
  }
  top = READ(place->mnt, mnt.mnt_root);
  for (__u32 i = 0; i < STEPS_INLINE && dentry != top; i++) {
    struct link link = link_of(dentry);

    if (link.parent == dentry)
      return identity; /* in no directory: a memfd, a pipe */
    identity = mix_name(identity, link.hash_len);
    dentry = link.parent;
  }
  return dentry == top ? mix_name(identity, READ(place->mnt, mnt_id_unique)) | 1 : place_identity(place);
}

/* The same as a function, where that is no matter: its stack is free again. */
static __noinline __u64 file_identity(const struct place *place)
{
  return file_identity_inline(place);
}

#ifndef SNOOP_TYPED_READS
#define file_identity_inline file_identity
#endif

/* Two places where it can be, in one cache line. */
static __always_inline struct snoop_recent *recent_of(struct recents *own, __u64 tag)
{
  return &own->known.slots[(tag >> 40) & (SNOOP_RECENTS - 2)];
}

/* The next time the call is known by its arguments. What was there longest is counted for
 * good, once it is there no more: user space may look in between, and may miss it for now,
 * but must not count it twice. */
static __always_inline void set_recent(__u64 tag, __u64 entry)
{
  struct recents *own = own_recents();
  volatile struct snoop_recent *recent;
  struct snoop_recent newer;
  __u32 older;
  __u32 count;

  if (!own)
    return;
  recent = recent_of(own, tag);
  newer.tag = recent[0].tag;
  newer.entry = recent[0].entry;
  newer.count = recent[0].count;
  older = recent[1].entry;
  count = recent[1].count;
  recent[1].tag = 0;
  recent[1].count = 0;
  recent[0].tag = 0;
  recent[0].count = 0;
  recent[1].entry = newer.entry;
  recent[1].count = newer.count;
  recent[1].tag = newer.tag;
  recent[0].entry = entry;
  recent[0].tag = tag;
  if (count)
    count_use(older, count);
}

/* Of a hash that has target, path and base in it, and nothing else yet. */
static __always_inline struct seen_bucket *seen_bucket_of(__u64 hash)
{
  __u32 zero = 0;
  struct seen_table *table = bpf_map_lookup_elem(&seen_paths, &zero);

  return table ? &table->buckets[hash >> 47] : NULL;
}
_Static_assert(SEEN_BUCKETS == 1 << (64 - 47), "seen_bucket_of");

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

/* In the place of the same entry, in an empty one, or in that of any other. */
static __always_inline void set_seen(struct seen_bucket *bucket, const struct seen_key *key, __u64 kinds, __u32 entry)
{
  __u32 way = entry % SEEN_WAYS;

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
    return;
  *(volatile __u64 *)&bucket->kinds[way] = kinds;
  *(volatile __u32 *)&bucket->entries[way] = entry;
  *(volatile __u64 *)&bucket->tags[way] = seen_tag(key, kinds, entry);
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

/* The path alone, into `scratch.key`. */
static __always_inline void hash_path(struct scratch *scratch, __u32 which)
{
  struct seen_key *key = &scratch->key;
  __u32 len = scratch->event.path_len;

  begin_key(key, scratch->event.target);
  for (__u32 i = 0; i < HASH_INLINE; i += 8) {
    if (i >= len)
      break;
    mix(key, *(const __u64 *)(scratch->data + i));
  }
  if (len > HASH_INLINE)
    bpf_loop((len - HASH_INLINE + 7) / 8, hash_word, &which, 0);
}

/* All of the access, into `scratch.key`; returns its bucket. */
static __always_inline struct seen_bucket *hash_access(struct scratch *scratch, __u32 which, __u64 base)
{
  struct seen_key *key = &scratch->key;
  struct seen_bucket *bucket;

  if (!scratch->access.path_hashed)
    hash_path(scratch, which);
  if (base)
    mix(key, base);
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

/*
 * When to wake the reader: it sleeps for good only when it has said so, and
 * otherwise comes back by itself soon; then only much data is a reason.
 */
static __always_inline __u64 wakeup_flags(__u32 size)
{
  __u64 waiting;

  if (reader_waits) {
    reader_waits = 0;
    return BPF_RB_FORCE_WAKEUP;
  }
  waiting = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);
  if (waiting < cfg_wakeup_bytes && waiting + size >= cfg_wakeup_bytes)
    return BPF_RB_FORCE_WAKEUP;
  return BPF_RB_NO_WAKEUP;
}

/* The record, whose lengths stand in it. */
static __always_inline bool output(struct scratch *scratch, __u64 wakeup)
{
  struct snoop_event *event = &scratch->event;
  __u32 size = sizeof(*event) + event->path_len + event->base_len + event->resolved_len;

  if (size > sizeof(*event) + DATA_MAX)
    return false;
  event->size = size;
  event->time_ns = bpf_ktime_get_boot_ns();
  return bpf_ringbuf_output(&events, event, size, wakeup ? wakeup : wakeup_flags(size)) == 0;
}

/* A number for a directory that no other has while this one exists. Addresses of
 * the kernel go into it, but do not come out. */
static __always_inline __u64 directory_identity(const struct place *place)
{
  struct seen_key key = {.hash = {cfg_hash_seed[0], cfg_hash_seed[1]}};
  /* Out of memory they are numbers to the verifier, not pointers. */
  __u64 dentry = *(const volatile __u64 *)&place->dentry;
  __u64 mnt = *(const volatile __u64 *)&place->mnt;

  if (!dentry || !mnt)
    return 0;
  mix(&key, dentry);
  mix(&key, mnt);
  return check_of(&key);
}

/*
 * Which layer of an overlay an inode is of. struct ovl_inode (fs/overlayfs/
 * ovl_entry.h) has the inode in it; behind that the upper dentry, and then what
 * it has below: up to 6.4 a pointer that is NULL where there is nothing, since
 * 6.5 a struct ovl_entry that begins with the number of lower layers. In both
 * cases there is nothing below where the pointer is NULL or points to a zero.
 * The types themselves are of a module, which may not be loaded yet.
 */
static __always_inline __u8 layer_of(struct inode *inode)
{
  void *behind = (void *)inode + bpf_core_type_size(struct inode);
  void *pointers[2] = {};
  __u32 lower = 0;

  if (bpf_probe_read_kernel(pointers, sizeof(pointers), behind))
    return SNOOP_LAYER_UNKNOWN;
  if (!pointers[0])
    return SNOOP_LAYER_LOWER;
  if (pointers[1])
    bpf_probe_read_kernel(&lower, sizeof(lower), pointers[1]);
  return lower ? SNOOP_LAYER_COPIED : SNOOP_LAYER_UPPER;
}

/* What is known of the file that the access led to, for its record. */
static __always_inline void describe_file(struct scratch *scratch)
{
  struct inode *inode = scratch->access.inode;

  scratch->event.fs_magic = READ(READ(inode, i_sb), s_magic);
  scratch->event.layer = scratch->event.fs_magic == OVERLAYFS_SUPER_MAGIC ? layer_of(inode) : SNOOP_LAYER_PLAIN;
}

/*
 * Tells user space of a root directory that it has not heard of, and wakes it: the
 * process may end soon, and its root with it. The record has the names of the
 * directory up to the top of the mount namespace: another process may have that
 * as its root. What the scratch space holds of an access stays as it is.
 */
__noinline int announce_root(__u32 which)
{
  struct scratch *scratch = scratch_of(which);
  struct snoop_event *event;
  struct root_key key = {};
  __u8 told = 1;
  __u16 type;

  if (!scratch)
    return 0;
  event = &scratch->event;
  key.root = directory_identity(&scratch->access.root);
  key.cgroup_id = event->cgroup_id;
  event->root = key.root;
  if (!key.root || (key.root == scratch->told_root.root && key.cgroup_id == scratch->told_root.cgroup_id))
    return 0;
  if (bpf_map_lookup_elem(&known_roots, &key)) {
    scratch->told_root = key;
    return 0;
  }
  type = event->type;
  scratch->walk.at = scratch->access.root;
  scratch->walk.root.dentry = NULL;
  scratch->walk.root.mnt = NULL;
  scratch->walk.offset = event->path_len;
  walk_up(which);
  event->type = SNOOP_EVENT_ROOT;
  event->mount_at = 0;
  event->base_len = scratch->walk.offset - event->path_len;
  event->resolved_len = 0;
  if (output(scratch, BPF_RB_FORCE_WAKEUP))
    bpf_map_update_elem(&known_roots, &key, &told, BPF_ANY);
  event->type = type;
  return 0;
}

/*
 * The names of the place where a relative path begins, behind the path. false: there
 * will be no record. Global, as the next one, so that each is verified by itself.
 */
__noinline int append_base(__u32 which)
{
  struct scratch *scratch = scratch_of(which);
  struct snoop_target_stats *stats;
  struct access *access;
  struct walk *walk;
  __u32 start;
  __u32 len;
  int state;

  if (!scratch)
    return false;
  access = &scratch->access;
  stats = stats_of(access->slot);
  if (!stats)
    return false;
  walk = &scratch->walk;
  start = scratch->event.path_len;
  if (access->base_names) {
    len = access->base_len;
    if (len > SNOOP_WALK_MAX || start > SNOOP_PATH_MAX)
      return false;
    bpf_probe_read_kernel(scratch->data + start, len, (const void *)access->base_names);
    walk->offset = start + len;
  } else {
    walk->at = access->base;
    state = walk_up(which);
    if (state == WALK_CUT || state == WALK_DETACHED) {
      if (scratch->event.type == SNOOP_EVENT_ELF_INTERPRETER) {
        /* A program without a name (memfd) has a loader all the same. */
        walk->offset = start;
      } else if (state == WALK_CUT) {
        stats->path_truncated++;
        return false;
      } else {
        if (!access->may_be_nameless)
          stats->base_unknown++;
        return false;
      }
    }
    if (state == WALK_ABOVE_ROOT)
      scratch->event.flags |= SNOOP_FLAG_BASE_ABOVE_ROOT;
  }
  scratch->event.base_len = walk->offset - start;
  return true;
}

/* The same of the file that the access led to. */
__noinline int append_resolved(__u32 which)
{
  struct scratch *scratch = scratch_of(which);
  struct snoop_target_stats *stats;
  struct access *access;
  struct walk *walk;
  __u32 start;
  int state;

  if (!scratch)
    return false;
  access = &scratch->access;
  walk = &scratch->walk;
  if (access->mapped)
    place_of_mapped(&walk->at, access->file);
  else
    place_of_file(&walk->at, access->file);
  start = walk->offset;
  state = walk_up(which);
  if (state == WALK_DONE || state == WALK_ABOVE_ROOT) {
    scratch->event.resolved_len = walk->offset - start;
    scratch->event.mount_at = walk->mount_at - start;
    if (state == WALK_ABOVE_ROOT)
      scratch->event.flags |= SNOOP_FLAG_RESOLVED_ABOVE_ROOT;
    describe_file(scratch);
    return true;
  }
  if (access->may_be_nameless)
    return false;
  if (access->named_by_file) {
    stats = stats_of(access->slot);
    if (stats)
      stats->base_unknown++;
    return false;
  }
  scratch->event.flags |= SNOOP_FLAG_NAMELESS;
  return true;
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

/* Sends the access in `which`, if it is new. The path stands in the scratch
 * data; the events counter is the caller's. Global, so verified by itself. */
__noinline int emit_access(__u32 which)
{
  struct scratch *scratch = scratch_of(which);
  struct snoop_target_stats *stats;
  struct access *access;
  struct seen_bucket *bucket = NULL;
  __u64 kinds = 0; /* that were reported already */
  __u32 entry = 0;
  __u64 base = 0;

  if (!scratch)
    return 0;
  access = &scratch->access;
  access->uncached = !cfg_first_sight_only || access->too_deep;
  if (scratch->event.flags & SNOOP_FLAG_RELATIVE) {
    base = access->base_names ? access->base_identity : place_identity(&access->base);
    access->uncached |= !base;
  }
  if (access->tag_base != base)
    access->tag = 0; /* it begins elsewhere by now */
  if (!access->uncached) {
    bucket = hash_access(scratch, which, base);
    if (!bucket)
      return 0;
    kinds = find_seen(bucket, &scratch->key, &entry);
    if (kinds && (kinds & scratch->event.seen) == scratch->event.seen) {
      count_use(entry, 1);
      if (is_tag_true(scratch))
        set_recent(access->tag, entry);
      return 0;
    }
  }

  announce_root(which);
  scratch->walk.root = access->root;
  scratch->walk.offset = scratch->event.path_len;
  scratch->event.mount_at = 0;
  scratch->event.base_len = 0;
  scratch->event.resolved_len = 0;
  if ((access->base_names || scratch->event.flags & SNOOP_FLAG_RELATIVE) && !append_base(which))
    return 0;
  if (access->file && !append_resolved(which))
    return 0;

  scratch->event.entry = 0;
  if (!access->uncached)
    scratch->event.entry = kinds ? entry : __sync_fetch_and_add(&next_entry, 1);
  if (!output(scratch, 0)) {
    /* Not remembered: the next use of this path tries again. */
    stats = stats_of(access->slot);
    if (stats)
      stats->ring_full++;
    __sync_fetch_and_add(&global_stats.ring_full, 1);
    return 0;
  }
  /* Names that may be others than those of the key are not remembered under it. */
  if (bucket && scratch->event.flags & SNOOP_FLAG_RELATIVE && !access->base_names &&
      place_identity(&access->base) != base)
    return 0;
  if (bucket)
    set_seen(bucket, &scratch->key, kinds | scratch->event.seen, scratch->event.entry);
  return 0;
}

/* Begins an access of a task of a target. */
static __always_inline void start_access(struct scratch *scratch, struct task_struct *task,
                                         const struct snoop_target *target, __u64 cgroup_id)
{
  scratch->event.pid = OF_TASK(task, tgid);
  scratch->event.tid = OF_TASK(task, pid);
  __builtin_memset(&scratch->access, 0, sizeof(scratch->access));
  scratch->access.task = task;
  scratch->access.slot = target->slot;
  scratch->event.type = SNOOP_EVENT_ACCESS;
  scratch->event.flags = 0;
  scratch->event.cgroup_id = cgroup_id;
  scratch->event.seen = 0;
  scratch->event.inode = 0;
  scratch->event.target = target->id;
  scratch->event.result = 0;
  scratch->event.entry = 0;
  scratch->event.root = 0;
  scratch->event.fs_magic = 0;
  scratch->event.mount_at = 0;
  scratch->event.layer = SNOOP_LAYER_UNKNOWN;
  __builtin_memset(scratch->event.reserved, 0, sizeof(scratch->event.reserved));
}

static __always_inline void set_place(struct scratch *scratch, const struct place *place, struct inode *inode)
{
  scratch->access.inode = inode;
  scratch->access.file_id = file_identity(place);
  scratch->access.too_deep = !scratch->access.file_id;
  scratch->event.inode = READ(inode, i_ino);
}

/* The file behind a descriptor, or the image of a program. */
static __always_inline void set_file(struct scratch *scratch, struct file *file)
{
  struct place place;

  place_of_file(&place, file);
  scratch->access.file = file;
  set_place(scratch, &place, READ(file, f_inode));
}

/* A file that was made just now: no other each time, so known by its name. */
static __always_inline void set_created_file(struct scratch *scratch, struct file *file)
{
  scratch->access.file = file;
  scratch->access.inode = READ(file, f_inode);
}

/* The inode of a mapped file, as a descriptor of it would have it. */
static __always_inline struct inode *inode_of(const struct place *place)
{
  struct dentry *dentry = place->dentry;

  return READ(dentry, d_inode);
}

static __always_inline void set_mapped_file(struct scratch *scratch, struct file *file)
{
  struct place place;

  place_of_mapped(&place, file);
  scratch->access.file = file;
  scratch->access.mapped = true;
  set_place(scratch, &place, inode_of(&place));
}

#endif
