/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What was there before: open files and mappings, by iterators. */
#ifndef SNOOP_HOOK_BASELINE_BPF_H
#define SNOOP_HOOK_BASELINE_BPF_H

#include "hook_exec.bpf.h"
#include "uapi.bpf.h"

/*
 * What was there before: run by user space after the hooks are attached, so that
 * nothing falls in between.
 */
static __always_inline void emit_baseline(struct task_struct *task, struct file *file, bool mapped)
{
  __u64 cgroup_id;
  struct snoop_target target = {};
  struct fs_struct *fs;
  struct scratch *scratch;
  __u16 type;

  if (!task_target(&target, task, &cgroup_id))
    return;
  type = READ(READ(file, f_inode), i_mode) & S_IFMT;
  if (type != S_IFREG && type != S_IFDIR)
    return; /* pipes, sockets, devices: no file of an image */
  fs = OF_TASK(task, fs);
  if (!fs)
    return;
  scratch = scratch_of(SCRATCH_BASELINE);
  if (!scratch)
    return;
  start_access(scratch, task, &target, cgroup_id);
  scratch->event.seen = KIND(BASELINE);
  scratch->access.named_by_file = true;
  scratch->access.may_be_nameless = true;
  place_of_root(&scratch->access.root, fs);
  if (mapped)
    set_mapped_file(scratch, file);
  else
    set_file(scratch, file);
  set_path_len(scratch, 0);
  emit_access(SCRATCH_BASELINE);
}

SEC("iter/task")
int baseline_cwds(struct bpf_iter__task *ctx)
{
  struct task_struct *task = ctx->task;
  struct snoop_target target = {};
  __u64 cgroup_id;

  if (!task)
    return 0;
  learn_cwd(task);
  if (task_target(&target, task, &cgroup_id))
    join_target(task, &target);
  return 0;
}

SEC("iter/task_file")
int baseline_files(struct bpf_iter__task_file *ctx)
{
  struct task_struct *task = ctx->task;
  struct file *file = ctx->file;

  if (task && file)
    emit_baseline(task, file, false);
  return 0;
}

SEC("iter/task_vma")
int baseline_mappings(struct bpf_iter__task_vma *ctx)
{
  struct task_struct *task = ctx->task;
  struct vm_area_struct *vma = ctx->vma;
  struct file *file;

  if (!task || !vma)
    return 0;
  file = OF(vma, vm_file);
  if (file)
    emit_baseline(task, file, true);
  return 0;
}

#endif
