/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Cgroups that come and go. */
#ifndef SNOOP_HOOK_CGROUP_BPF_H
#define SNOOP_HOOK_CGROUP_BPF_H

#include "hook_exec.bpf.h"

static __always_inline bool is_our_hierarchy(struct cgroup *cgroup)
{
  return OF(cgroup, root)->hierarchy_id == cfg_hierarchy_id;
}

/* A cgroup below a target belongs to it before its first process runs. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(on_cgroup_mkdir, struct cgroup *cgroup, const char *path)
{
  struct snoop_target child = {};
  struct scratch *scratch;
  const struct snoop_target *parent;
  __u64 id = OF(cgroup, kn)->id;
  __u64 parent_id;

  if (!is_our_hierarchy(cgroup))
    return 0;
  forget_front(READ_NUMBER(&cgroup->self.cgroup));
  parent_id = OF(cgroup, self.parent)->cgroup->kn->id;
  parent = bpf_map_lookup_elem(&cgroups, &parent_id);
  if (!parent)
    return 0;
  if (!(parent->flags & SNOOP_TARGET_ADOPT)) {
    child = *parent;
    child.flags &= ~SNOOP_TARGET_TOP;
    if (bpf_map_update_elem(&cgroups, &id, &child, BPF_ANY))
      __sync_fetch_and_add(&global_stats.targets_over_limit, 1);
    return 0;
  }

  if (bpf_map_pop_elem(&free_targets, &child)) {
    __sync_fetch_and_add(&global_stats.targets_over_limit, 1);
    /* Rather in the list of the cgroup above than in none. */
    if (parent->id) {
      child = *parent;
      child.flags &= ~SNOOP_TARGET_TOP;
      bpf_map_update_elem(&cgroups, &id, &child, BPF_ANY);
    }
    return 0;
  }
  child.flags = SNOOP_TARGET_TOP;
  if (parent->flags & SNOOP_TARGET_ADOPT_DEEP)
    child.flags |= SNOOP_TARGET_ADOPT | SNOOP_TARGET_ADOPT_DEEP;
  if (bpf_map_update_elem(&cgroups, &id, &child, BPF_ANY)) {
    __sync_fetch_and_add(&global_stats.targets_over_limit, 1);
    bpf_map_push_elem(&free_targets, &child, 0);
    return 0;
  }
  scratch = scratch_of(SCRATCH_CGROUP);
  if (!scratch)
    return 0;
  start_access(scratch, bpf_get_current_task_btf(), &child, id);
  scratch->event.type = SNOOP_EVENT_CGROUP;
  scratch->event.base_len = 0;
  scratch->event.resolved_len = 0;
  if (read_kernel_path(scratch, path))
    output(scratch, 0);
  return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(on_cgroup_rmdir, struct cgroup *cgroup, const char *path)
{
  const struct snoop_target *found;
  struct snoop_target target;
  __u64 id = OF(cgroup, kn)->id;

  if (!is_our_hierarchy(cgroup))
    return 0;
  found = bpf_map_lookup_elem(&cgroups, &id);
  if (!found)
    return 0;
  target = *found;
  bpf_map_delete_elem(&cgroups, &id);
  /* If there is no room for it, user space finds out when it reports. */
  if (target.id)
    send_notice(SNOOP_EVENT_CGROUP_GONE, &target, id, NULL, !!(target.flags & SNOOP_TARGET_TOP));
  return 0;
}

/*
 * Called when the move is done, once for a process with all its threads (task: its
 * leader), or for a single thread. Where it came from is not to be seen any more.
 */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(on_cgroup_attach, struct cgroup *cgroup, const char *path, struct task_struct *task, bool threadgroup)
{
  struct snoop_target target = {};
  __u64 cgroup_id;

  if (!is_our_hierarchy(cgroup))
    return 0;
  learn_cwd(task);
  if (!task_target(&target, task, &cgroup_id)) {
    leave_target(task);
  } else if (join_target(task, &target)) {
    send_moved(task, &target, cgroup_id);
  }
  return 0;
}

#endif
