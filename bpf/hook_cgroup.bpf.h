/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Cgroups that come and go. */
#ifndef SNOOP_HOOK_CGROUP_BPF_H
#define SNOOP_HOOK_CGROUP_BPF_H

#include "target.bpf.h"
#include <bpf/bpf_tracing.h>

/* cgroup2 is the default hierarchy, which is number 0 (kernel/cgroup/cgroup.c). */
static __always_inline bool is_cgroup2(struct cgroup *cgroup)
{
  return cgroup->root->hierarchy_id == 0;
}

/* A cgroup below a target belongs to it before its first process runs. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(on_cgroup_mkdir, struct cgroup *cgroup, const char *path)
{
  struct snoop_target child = {};
  struct scratch *scratch;
  const struct snoop_target *parent;
  __u64 id = cgroup->kn->id;
  __u64 parent_id;

  if (!is_cgroup2(cgroup))
    return 0;
  parent_id = cgroup->self.parent->cgroup->kn->id;
  parent = bpf_map_lookup_elem(&cgroups, &parent_id);
  if (!parent)
    return 0;
  if (!(parent->flags & SNOOP_TARGET_ADOPT)) {
    child = *parent;
    if (bpf_map_update_elem(&cgroups, &id, &child, BPF_ANY))
      __sync_fetch_and_add(&global_stats.targets_over_limit, 1);
    return 0;
  }

  if (bpf_map_pop_elem(&free_targets, &child)) {
    __sync_fetch_and_add(&global_stats.targets_over_limit, 1);
    return 0;
  }
  if (parent->flags & SNOOP_TARGET_ADOPT_DEEP)
    child.flags = parent->flags;
  if (bpf_map_update_elem(&cgroups, &id, &child, BPF_ANY)) {
    __sync_fetch_and_add(&global_stats.targets_over_limit, 1);
    return 0;
  }
  scratch = start_access(SCRATCH_CGROUP, &child, id);
  if (!scratch)
    return 0;
  scratch->event.type = SNOOP_EVENT_CGROUP;
  if (read_kernel_path(scratch, path))
    output(scratch, 0, 0);
  return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(on_cgroup_rmdir, struct cgroup *cgroup, const char *path)
{
  __u64 id = cgroup->kn->id;

  if (is_cgroup2(cgroup))
    bpf_map_delete_elem(&cgroups, &id);
  return 0;
}

#endif
