/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Whose access it is, and how its record begins. */
#ifndef SNOOP_TARGET_BPF_H
#define SNOOP_TARGET_BPF_H

#include "emit.bpf.h"

/* Id of a task's cgroup in the hierarchy of the targets. */
static __always_inline __u64 cgroup_of(struct task_struct *task)
{
  const char *controllers;
  struct cgroup_subsys_state *state = NULL;

  if (cfg_cgroup_subsys < 0)
    return task->cgroups->dfl_cgrp->kn->id;
  controllers = (const char *)task->cgroups + bpf_core_field_offset(struct css_set, subsys);
  bpf_probe_read_kernel(&state, sizeof(state), controllers + cfg_cgroup_subsys * sizeof(state));
  return BPF_CORE_READ(state, cgroup, kn, id);
}

/* Makes the way to the target short. Before or after the map has it. */
static __always_inline void add_front(__u64 cgroup_id, const struct snoop_target *target)
{
  struct snoop_front *front = &fronts[SNOOP_FRONT_OF(cgroup_id)];
  __u64 former = __sync_val_compare_and_swap(&front->cgroup_id, 0, cgroup_id);

  if (former == 0 || (former & ~SNOOP_FRONT_CROWDED) == cgroup_id)
    /* What user space has said already stays. */
    __sync_val_compare_and_swap(&front->target, 0, target->id | (__u64)target->slot << 32);
  else
    __sync_fetch_and_or(&front->cgroup_id, SNOOP_FRONT_CROWDED);
}

static __always_inline void remove_front(__u64 cgroup_id)
{
  struct snoop_front *front = &fronts[SNOOP_FRONT_OF(cgroup_id)];

  if ((front->cgroup_id & ~SNOOP_FRONT_CROWDED) != cgroup_id)
    return;
  front->target = 0;
  /* A crowded place is never free again: what else belongs here is in the map. */
  __sync_val_compare_and_swap(&front->cgroup_id, cgroup_id, 0);
}

/* The task's target, if it is traced. Its flags are not set. */
static __always_inline bool find_target(struct snoop_target *target, struct task_struct *task, __u64 *cgroup_id)
{
  const struct snoop_front *front;
  const struct snoop_target *known;
  __u64 front_id;

  *cgroup_id = cgroup_of(task);
  front = &fronts[SNOOP_FRONT_OF(*cgroup_id)];
  front_id = front->cgroup_id;
  if (!front_id)
    return false;
  if ((front_id & ~SNOOP_FRONT_CROWDED) == *cgroup_id) {
    __u64 packed = front->target;

    target->id = packed;
    target->slot = packed >> 32;
    if (packed)
      return true;
  } else if (!(front_id & SNOOP_FRONT_CROWDED)) {
    return false;
  }
  known = bpf_map_lookup_elem(&cgroups, cgroup_id);
  if (!known || !known->id)
    return false;
  target->id = known->id;
  target->slot = known->slot;
  return true;
}

static __always_inline bool is_snoop(const struct task_struct *task)
{
  return (__u32)task->tgid == self_pid;
}

/* The same, but not of snoop itself. */
static __always_inline bool task_target(struct snoop_target *target, struct task_struct *task, __u64 *cgroup_id)
{
  return find_target(target, task, cgroup_id) && !is_snoop(task);
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
  return bpf_ringbuf_output(&events, &event, sizeof(event), wakeup_flags(sizeof(event))) == 0;
}

/* The task's process is of this target now; false: it was already. */
static __always_inline bool join_target(struct task_struct *task, const struct snoop_target *target)
{
  struct member member = {};
  const struct member *known;
  __u32 process = task->tgid;

  member.born = task->group_leader->start_boottime;
  member.target = target->id;
  known = bpf_map_lookup_elem(&members, &process);
  if (known && known->born == member.born && known->target == member.target)
    return false;
  bpf_map_update_elem(&members, &process, &member, BPF_ANY);
  return true;
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
