/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Whose access it is, and how its record begins. */
#ifndef SNOOP_TARGET_BPF_H
#define SNOOP_TARGET_BPF_H

#include "emit.bpf.h"

/* The task's target, if it is traced and not snoop itself. */
static __always_inline struct snoop_target *current_target(__u64 *cgroup_id)
{
  struct snoop_target *target;

  *cgroup_id = bpf_get_current_cgroup_id();
  target = bpf_map_lookup_elem(&cgroups, cgroup_id);
  if (!target || !target->id || bpf_get_current_pid_tgid() >> 32 == self_pid)
    return NULL;
  return target;
}

/* The same of any task. */
static __always_inline struct snoop_target *task_target(struct task_struct *task, __u64 *cgroup_id)
{
  struct snoop_target *target;

  *cgroup_id = task->cgroups->dfl_cgrp->kn->id;
  target = bpf_map_lookup_elem(&cgroups, cgroup_id);
  if (!target || !target->id || (__u32)task->tgid == self_pid)
    return NULL;
  return target;
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

static __always_inline void count_event(const struct scratch *scratch)
{
  struct snoop_target_stats *stats = stats_of(scratch->access.slot);

  if (stats)
    stats->events++;
}

#endif
