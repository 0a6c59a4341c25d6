/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* From an access to a record: was it seen before, and if not, out with it. */
#ifndef SNOOP_EMIT_BPF_H
#define SNOOP_EMIT_BPF_H

#include "seen.bpf.h"

/*
 * When to wake the reader: it sleeps for good only when it has said so, and
 * otherwise comes back by itself soon; then only much data is a reason. How
 * much there is takes a call, so it is asked for now and then.
 */
static __always_inline __u64 wake_sleeper(void)
{
  if (!reader_waits)
    return BPF_RB_NO_WAKEUP;
  reader_waits = 0;
  return BPF_RB_FORCE_WAKEUP;
}

static __always_inline __u64 wakeup_flags(struct scratch *scratch, __u32 size)
{
  if (wake_sleeper() == BPF_RB_FORCE_WAKEUP)
    return BPF_RB_FORCE_WAKEUP;
  scratch->not_asked += size;
  if (scratch->not_asked < cfg_wakeup_bytes / 64)
    return BPF_RB_NO_WAKEUP;
  scratch->not_asked = 0;
  if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) + size < cfg_wakeup_bytes)
    return BPF_RB_NO_WAKEUP;
  return BPF_RB_FORCE_WAKEUP;
}

/* CLOCK_BOOTTIME; where only what is new is sent, so that much comes at once and nothing says more than when, as it was
 * earlier in the same tick of the kernel: to look at the clock takes longer than anything else that makes a record. */
static __always_inline __u64 time_of_record(struct scratch *scratch)
{
  __u64 tick = bpf_jiffies64();

  if (scratch->tick != tick || !cfg_first_sight_only) {
    scratch->tick = tick;
    scratch->tick_ns = bpf_ktime_get_boot_ns();
  }
  return scratch->tick_ns;
}

/* The record, whose lengths stand in it. */
static __always_inline bool output(struct scratch *scratch, __u64 wakeup)
{
  struct snoop_event *event = &scratch->event;
  __u32 size = sizeof(*event) + event->path_len + event->base_len + event->resolved_len;

  if (size > sizeof(*event) + DATA_MAX)
    return false;
  event->size = size;
  event->time_ns = time_of_record(scratch);
  return bpf_ringbuf_output(&events, event, size, wakeup ? wakeup : wakeup_flags(scratch, size)) == 0;
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
        set_recent(access->tag, access->tag_place, entry);
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
  scratch->access.dentry = *(const volatile __u64 *)&place->dentry;
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

/* A file that was made just now: another one each time, so known by its name and by the directory that it is in. */
static __always_inline void set_created_file(struct scratch *scratch, struct file *file)
{
  struct place place;

  place_of_file(&place, file);
  place.dentry = READ(place.dentry, d_parent);
  scratch->access.file = file;
  scratch->access.inode = READ(file, f_inode);
  scratch->access.file_id = file_identity(&place);
  scratch->access.too_deep = !scratch->access.file_id;
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
