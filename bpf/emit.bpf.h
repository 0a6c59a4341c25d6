/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* From an access to a record: was it seen before, and if not, out with it. */
#ifndef SNOOP_EMIT_BPF_H
#define SNOOP_EMIT_BPF_H

#include "path.bpf.h"

/* Of two lanes: an odd multiplier each, and a shift that brings the high bits
 * down again, as in MurmurHash. */
static __always_inline void mix(struct seen_key *key, __u64 word)
{
  key->hash[0] = (key->hash[0] ^ word) * 0xff51afd7ed558ccdULL;
  key->hash[0] ^= key->hash[0] >> 32;
  key->hash[1] = (key->hash[1] + word) * 0xc4ceb9fe1a85ec53ULL;
  key->hash[1] ^= key->hash[1] >> 29;
}

static __always_inline void hash_access(struct seen_key *key, const struct scratch *scratch, __u64 base)
{
  __u32 len = scratch->event.path_len;

  key->hash[0] = cfg_hash_seed[0];
  key->hash[1] = cfg_hash_seed[1];
  mix(key, ((__u64)scratch->event.target << 32) | ((__u64)scratch->event.type << 24) |
               ((__u64)scratch->event.flags << 16) | len);
  mix(key, (__u64)scratch->access.root.dentry);
  mix(key, base);
  mix(key, scratch->event.inode);
  mix(key, scratch->access.device);
  for (__u32 i = 0; i < SNOOP_PATH_MAX; i += 8) {
    if (i >= len)
      break;
    mix(key, *(const __u64 *)(scratch->data + i));
  }
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

static __always_inline bool output(struct scratch *scratch, __u32 base_len, __u32 resolved_len)
{
  struct snoop_event *event = &scratch->event;
  __u32 size = sizeof(*event) + event->path_len + base_len + resolved_len;

  if (size > sizeof(*event) + DATA_MAX)
    return false;
  event->size = size;
  event->time_ns = bpf_ktime_get_boot_ns();
  event->base_len = base_len;
  event->resolved_len = resolved_len;
  return bpf_ringbuf_output(&events, event, size, wakeup_flags(size)) == 0;
}

/* Sends the access in `which`, if it is new. The path stands in the scratch
 * data; the events counter is the caller's. Global, so verified by itself. */
__noinline int emit_access(__u32 which)
{
  struct scratch *scratch = scratch_of(which);
  struct snoop_target_stats *stats;
  struct access *access;
  struct seen_key key = {};
  __u64 *seen = NULL;
  __u64 base = 0;
  __u32 offset;
  __u32 start;
  __u32 base_len = 0;
  __u32 resolved_len = 0;
  int state;

  if (!scratch)
    return 0;
  access = &scratch->access;
  stats = stats_of(access->slot);
  if (!stats)
    return 0;
  access->uncached = !cfg_first_sight_only;
  if (scratch->event.flags & SNOOP_FLAG_RELATIVE) {
    base = access->base_names ? access->base_identity : place_identity(&access->base);
    access->uncached |= !base;
  }
  if (!access->uncached) {
    hash_access(&key, scratch, base);
    seen = bpf_map_lookup_elem(&seen_paths, &key);
    if (seen && (*seen & scratch->event.seen) == scratch->event.seen)
      return 0;
  }

  offset = scratch->event.path_len;
  if (access->base_names) {
    base_len = access->base_len;
    if (base_len > SNOOP_WALK_MAX || offset > SNOOP_PATH_MAX)
      return 0;
    bpf_probe_read_kernel(scratch->data + offset, base_len, (const void *)access->base_names);
    offset += base_len;
  } else if (scratch->event.flags & SNOOP_FLAG_RELATIVE) {
    start = offset;
    state = walk_up(&access->base, &access->root, which, &offset);
    if (state == WALK_CUT) {
      stats->path_truncated++;
      return 0;
    }
    if (state == WALK_DETACHED) {
      if (!access->may_be_nameless)
        stats->base_unknown++;
      return 0;
    }
    if (state == WALK_ABOVE_ROOT)
      scratch->event.flags |= SNOOP_FLAG_BASE_ABOVE_ROOT;
    base_len = offset - start;
  }
  if (access->file) {
    struct place place;

    place_of_file(&place, access->file);
    start = offset;
    state = walk_up(&place, &access->root, which, &offset);
    if (state == WALK_DONE || state == WALK_ABOVE_ROOT) {
      resolved_len = offset - start;
    } else if (access->may_be_nameless) {
      return 0;
    } else if (access->named_by_file) {
      stats->base_unknown++;
      return 0;
    } else {
      scratch->event.flags |= SNOOP_FLAG_NAMELESS;
    }
    if (state == WALK_ABOVE_ROOT)
      scratch->event.flags |= SNOOP_FLAG_RESOLVED_ABOVE_ROOT;
  }

  if (!output(scratch, base_len, resolved_len)) {
    /* Not remembered: the next use of this path tries again. */
    stats->ring_full++;
    return 0;
  }
  if (access->uncached)
    return 0;
  if (seen)
    *seen |= scratch->event.seen;
  else
    bpf_map_update_elem(&seen_paths, &key, &scratch->event.seen, BPF_ANY);
  return 0;
}

/* Begins an access of a target; NULL: no such slot. */
static __always_inline struct scratch *start_access(__u32 which, const struct snoop_target *target, __u64 cgroup_id)
{
  struct scratch *scratch = scratch_of(which);
  __u64 id = bpf_get_current_pid_tgid();

  if (!scratch)
    return NULL;
  scratch->event.pid = id >> 32;
  scratch->event.tid = (__u32)id;
  __builtin_memset(&scratch->access, 0, sizeof(scratch->access));
  scratch->access.slot = target->slot;
  scratch->event.type = SNOOP_EVENT_ACCESS;
  scratch->event.flags = 0;
  scratch->event.cgroup_id = cgroup_id;
  scratch->event.seen = 0;
  scratch->event.inode = 0;
  scratch->event.target = target->id;
  scratch->event.result = 0;
  scratch->event.entry = 0;
  scratch->event.root_inode = 0;
  scratch->event.root_mount = 0;
  scratch->event.fs_magic = 0;
  scratch->event.mount_at = 0;
  scratch->event.layer = SNOOP_LAYER_UNKNOWN;
  return scratch;
}

static __always_inline void set_file(struct scratch *scratch, struct file *file)
{
  struct inode *inode = BPF_CORE_READ(file, f_inode);

  scratch->access.file = file;
  scratch->event.inode = BPF_CORE_READ(inode, i_ino);
  scratch->access.device = BPF_CORE_READ(inode, i_sb, s_dev);
}

#endif
