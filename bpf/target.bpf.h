/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Whose access it is, and how its record begins. */
#ifndef SNOOP_TARGET_BPF_H
#define SNOOP_TARGET_BPF_H

#include "emit.bpf.h"

#ifdef SNOOP_TYPED_READS
/* Where the scheduler has the task of this CPU: in its run queue, which each task there leads to. 0: not known. */
static __noinline __u64 learn_current(struct recents *own)
{
  __u64 task = (__u64)bpf_get_current_task_btf();

  if (bpf_core_field_exists(struct task_struct, se.cfs_rq) && bpf_core_field_exists(struct cfs_rq, rq) &&
      bpf_core_field_exists(struct rq, cpu) && bpf_core_field_exists(struct rq, curr)) {
    struct cfs_rq *cfs_rq = OF_TASK(task, se.cfs_rq);
    struct rq *rq = READ(cfs_rq, rq);

    if ((__u32)READ(rq, cpu) == bpf_get_smp_processor_id() && READ_NUMBER(&rq->curr) == task)
      own->current_at = (__u64)&rq->curr;
  }
  return task;
}
#endif

/*
 * The task that runs, out of the run queue of this CPU: the helper takes longer. A run queue
 * stays where it is, and names the next task only when the former one is on its way out, in
 * __schedule() (kernel/sched/core.c), where no program of these runs.
 */
static __always_inline struct task_struct *current_of(struct recents *own)
{
#ifdef SNOOP_TYPED_READS
  __u64 task = READ_NUMBER(own->current_at);

  if (!task)
    task = learn_current(own);
  return TYPED((struct task_struct *)task); /* not trusted: OF_TASK is not needed */
#else
  return bpf_get_current_task_btf();
#endif
}

/* Address of a task's cgroup in the hierarchy of the targets. */
static __always_inline __u64 cgroup_address(struct css_set *cgroups)
{
  __u64 state;

  if (cfg_cgroup_subsys < 0)
    return READ_NUMBER(&cgroups->dfl_cgrp);
  state = READ_NUMBER((__u64)&cgroups->subsys[0] + cfg_cgroup_subsys * sizeof(state));
  return READ_NUMBER(&((struct cgroup_subsys_state *)state)->cgroup);
}

static __always_inline __u64 cgroup_of(struct task_struct *task)
{
  struct cgroup *cgroup = (struct cgroup *)cgroup_address(OF_TASK(task, cgroups));

  return READ(READ(cgroup, kn), id);
}

static __always_inline struct snoop_front_page *front_page_of(__u64 hash)
{
  return &front_pages[hash >> 60];
}

/* The first place is that of the generation. */
static __always_inline struct snoop_front *front_of(struct snoop_front_page *page, __u64 hash)
{
  __u32 index = (hash >> 52) & 255;

  return (struct snoop_front *)page + (index ? index : 1);
}

static __always_inline __u64 front_hash(__u64 address)
{
  return address * 0x9e3779b97f4a7c15ULL;
}

/* The long way, by the map. */
static __noinline __u64 look_up_target(struct task_struct *task)
{
  __u64 address = cgroup_address(OF_TASK(task, cgroups));
  __u64 hash = front_hash(address);
  struct snoop_front_page *page = front_page_of(hash);
  struct snoop_front *front = front_of(page, hash);
  /* Before the map is looked at, on every architecture. */
  __u64 generation = __sync_fetch_and_add(&page->generation, 0) & SNOOP_FRONT_GENERATION_MASK;
  __u64 cgroup_id = cgroup_of(task);
  const struct snoop_target *known = bpf_map_lookup_elem(&cgroups, &cgroup_id);
  __u64 target = generation << SNOOP_FRONT_GENERATION_SHIFT;

  if (known && known->id)
    target |= (__u64)known->slot << SNOOP_FRONT_SLOT_SHIFT | known->id;
  front->target = target;
  front->check = address ^ target;
  return target;
}

/* Whatever cgroup had this address before. Its next one has no process yet. */
static __always_inline void forget_front(__u64 address)
{
  __u64 hash = front_hash(address);
  struct snoop_front *front = front_of(front_page_of(hash), hash);

  front->check = 0;
  front->target = 0;
  __sync_fetch_and_add(&own_epoch, 1);
}

/* The task's target, if it is traced, as it stands in snoop_front; the lower half is 0 if not. */
static __always_inline __u64 packed_target(struct task_struct *task)
{
  __u64 address = cgroup_address(OF_TASK(task, cgroups));
  __u64 hash = front_hash(address);
  struct snoop_front_page *page = front_page_of(hash);
  const volatile struct snoop_front *front = front_of(page, hash);
  __u64 packed = front->target;

  if ((front->check ^ packed) != address ||
      packed >> SNOOP_FRONT_GENERATION_SHIFT != (*(volatile __u64 *)&page->generation & SNOOP_FRONT_GENERATION_MASK))
    packed = look_up_target(task);
  return packed;
}

static __always_inline __u32 slot_of(__u64 packed)
{
  return (packed >> SNOOP_FRONT_SLOT_SHIFT) & (SNOOP_MAX_TARGETS - 1);
}
_Static_assert(SNOOP_MAX_TARGETS == 1 << (SNOOP_FRONT_GENERATION_SHIFT - SNOOP_FRONT_SLOT_SHIFT), "slot_of");

static __noinline void learn_own_target(struct recents *own, struct task_struct *task, __u64 cgroup)
{
  /* Before all else is looked at, on every architecture. */
  own->own.epoch = __sync_fetch_and_add(&own_epoch, 0);
  own->own.packed = packed_target(task);
  own->own.hash = begin_hash(own->own.packed, slot_of(own->own.packed));
  own->own.factor = cfg_hash_seed[1];
  own->own.map = direct_map;
  own->own.cgroup = cgroup;
}

/* The same of the task that runs, as its CPU knows it: once more in `own`. */
static __always_inline void find_own_target(struct recents *own, struct task_struct *task)
{
  struct css_set *cgroups = task->cgroups;
  /* As a pointer, which takes less code; it is only compared. */
  __u64 cgroup = cfg_cgroup_subsys < 0 ? (__u64)cgroups->dfl_cgrp : cgroup_address(cgroups);

  if (unlikely(own->own.cgroup != cgroup || own->own.epoch != *(volatile __u64 *)&own_epoch))
    learn_own_target(own, task, cgroup);
}

/* The same, in members. Its flags are not set. false: it is not traced. */
static __always_inline bool find_target(struct snoop_target *target, struct task_struct *task)
{
  __u64 packed = packed_target(task);

  target->id = packed;
  target->slot = slot_of(packed);
  return target->id != 0;
}

static __always_inline bool is_snoop(struct task_struct *task)
{
  __u32 process = OF_TASK(task, tgid);

  return process == self_pid || process == own_child_pid;
}

/* The same, but not of snoop itself; with the id of the cgroup. */
static __always_inline bool task_target(struct snoop_target *target, struct task_struct *task, __u64 *cgroup_id)
{
  if (!find_target(target, task) || is_snoop(task))
    return false;
  *cgroup_id = cgroup_of(task);
  return true;
}

/* Copies a path out of kernel memory; false: counted as lost. */
static __always_inline bool read_kernel_path(struct scratch *scratch, const char *path)
{
  struct snoop_target_stats *stats;
  long len = bpf_probe_read_kernel_str(scratch->data, SNOOP_PATH_MAX, path);

  if (len >= 1) {
    set_path_len(scratch, len - 1);
    return true;
  }
  stats = stats_of(scratch->access.slot);
  if (stats)
    stats->path_unreadable++;
  return false;
}

/* A record that is no access: nothing but its header. */
static __always_inline bool send_notice(__u16 type, const struct snoop_target *target, __u64 cgroup_id,
                                        struct task_struct *task, __u64 inode)
{
  struct snoop_event event = {};

  event.size = sizeof(event);
  event.type = type;
  event.time_ns = bpf_ktime_get_boot_ns();
  event.cgroup_id = cgroup_id;
  event.inode = inode;
  event.target = target->id;
  if (task) {
    event.pid = task->tgid;
    event.tid = task->pid;
  }
  return bpf_ringbuf_output(&events, &event, sizeof(event), wake_sleeper()) == 0;
}

/* The task's process is of this target now; false: it was already. */
static __always_inline bool join_target(struct task_struct *task, const struct snoop_target *target)
{
  struct task_struct *leader = OF_TASK(task, group_leader);
  struct member member = {.born = OF_TASK(leader, start_boottime), .target = target->id};
  __u64 process = (__u64)leader;
  struct member *known = bpf_map_lookup_elem(&members, &process);

  if (!known) {
    bpf_map_update_elem(&members, &process, &member, BPF_ANY);
    return true;
  }
  if (known->born == member.born && known->target == member.target)
    return false;
  /* In place: an update takes far longer. Whoever reads half of it takes it for another process. */
  known->born = member.born;
  known->target = member.target;
  return true;
}

static __always_inline void leave_target(struct task_struct *task)
{
  __u64 process = (__u64)OF_TASK(task, group_leader);

  bpf_map_delete_elem(&members, &process);
}

/* It comes with files and mappings that no hook has seen. */
static __always_inline void send_moved(struct task_struct *task, const struct snoop_target *target, __u64 cgroup_id)
{
  struct snoop_target_stats *stats;

  if (send_notice(SNOOP_EVENT_MOVED, target, cgroup_id, task, 0))
    return;
  stats = stats_of(target->slot);
  if (stats)
    stats->ring_full++;
}

static __always_inline void count_event(const struct scratch *scratch)
{
  struct snoop_target_stats *stats = stats_of(scratch->access.slot);

  if (stats)
    stats->events++;
}

#endif
