/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Programs that were started, and working directories that pass on with a fork. */
#ifndef SNOOP_HOOK_EXEC_BPF_H
#define SNOOP_HOOK_EXEC_BPF_H

#include "target.bpf.h"
#include <bpf/bpf_tracing.h>

/* Fills in where the path, relative or not, begins. */
static __always_inline void set_cwd_base(struct scratch *scratch, struct fs_struct *fs)
{
  if (scratch->data[0] == '/')
    return;
  scratch->event.flags |= SNOOP_FLAG_RELATIVE;
  place_of_cwd(&scratch->access.base, fs);
}

/* "/dev/fd/N" or "/dev/fd/N/path": how the kernel spells execveat(N, path). */
#define FD_PATH_PREFIX 8
#define FD_PATH_DIGITS 10

/*
 * The path of an execveat on a descriptor. The descriptor itself may be closed
 * already (O_CLOEXEC); then the file that it led to must speak for it.
 */
static __always_inline bool read_fd_path(struct scratch *scratch, const char *fdpath, bool is_script)
{
  struct task_struct *task = bpf_get_current_task_btf();
  struct access *access = &scratch->access;
  struct file *dir;
  char digits[FD_PATH_DIGITS + 2] = {};
  __u32 length = 0;
  __s32 fd = 0;
  bool has_path = false;

  bpf_probe_read_kernel_str(digits, sizeof(digits), fdpath + FD_PATH_PREFIX);
  for (int i = 0; i < FD_PATH_DIGITS + 1; i++) {
    if (digits[i] < '0' || digits[i] > '9') {
      has_path = digits[i] == '/';
      break;
    }
    fd = fd * 10 + (digits[i] - '0');
    length++;
  }
  dir = file_of_fd(task, fd);
  if (!has_path) {
    set_path_len(scratch, 0);
    if (is_script && dir)
      set_file(scratch, dir);
    return access->file != NULL;
  }
  if (!read_kernel_path(scratch, fdpath + FD_PATH_PREFIX + length + 1))
    return false;
  scratch->event.flags |= SNOOP_FLAG_RELATIVE;
  if (dir) {
    place_of_file(&access->base, dir);
  } else if (access->file) {
    scratch->event.flags |= SNOOP_FLAG_BASE_IS_RESULT;
    place_of_file(&access->base, access->file);
  }
  return true;
}

/* Whether the mapped file is this one. */
static __always_inline bool is_file_of(struct file *mapped, struct file *image)
{
  struct place place;

  place_of_mapped(&place, mapped);
  return inode_of(&place) == READ(image, f_inode);
}

static long on_vma(struct task_struct *task, struct vm_area_struct *vma, struct file **file)
{
  *file = READ(vma, vm_file);
  return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
  __u64 cgroup_id;
  struct snoop_target target = {};
  struct scratch *scratch;
  struct fs_struct *fs;
  const char *fdpath;
  struct file *image;
  struct file *loader = NULL;
  const struct pt_regs *regs;
  bool is_script;

  if (!task_target(&target, task, &cgroup_id))
    return 0;
  scratch = scratch_of(SCRATCH_EXEC);
  if (!scratch)
    return 0;
  start_access(scratch, task, &target, cgroup_id);
  fs = OF_TASK(task, fs);
  remember_cwd(fs);
  place_of_root(&scratch->access.root, fs);
  image = READ(bprm, file);
  set_path_len(scratch, 0);
  announce_root(SCRATCH_EXEC);
  is_script = READ(bprm, interp) != READ(bprm, filename);
  fdpath = READ(bprm, fdpath);

  count_event(scratch);
  scratch->event.seen = KIND(EXEC);
  if (is_script)
    scratch->event.flags |= SNOOP_FLAG_SCRIPT;
  else
    set_file(scratch, image);
  if (fdpath) {
    if (read_fd_path(scratch, fdpath, is_script))
      emit_access(SCRATCH_EXEC);
  } else if (read_kernel_path(scratch, READ(bprm, filename))) {
    set_cwd_base(scratch, fs);
    emit_access(SCRATCH_EXEC);
  }

  scratch->event.seen = KIND(INTERPRETER);
  if (is_script) {
    count_event(scratch);
    scratch->event.flags = 0;
    set_file(scratch, image);
    if (read_kernel_path(scratch, READ(bprm, interp))) {
      set_cwd_base(scratch, fs);
      emit_access(SCRATCH_EXEC);
    }
  }

  /* The new program starts in its loader, if it has one. */
  regs = (const struct pt_regs *)bpf_task_pt_regs(task);
  bpf_find_vma(task, user_ip(regs), on_vma, &loader, 0);
  if (loader && !is_file_of(loader, image)) {
    count_event(scratch);
    scratch->event.type = SNOOP_EVENT_ELF_INTERPRETER;
    scratch->event.flags = SNOOP_FLAG_RELATIVE;
    place_of_file(&scratch->access.base, image);
    set_mapped_file(scratch, loader);
    set_path_len(scratch, 0);
    emit_access(SCRATCH_EXEC);
  }
  return 0;
}

/* The working directory of a task that is a target's now, by its fork or because
 * it was moved: whatever was known of this fs_struct is of another task. */
static __always_inline void learn_cwd(struct task_struct *task)
{
  struct snoop_target target = {};
  __u64 cgroup_id;

  if (task_target(&target, task, &cgroup_id) && OF_TASK(task, fs))
    remember_cwd(OF_TASK(task, fs));
}

/* The child may be in another cgroup than its parent: CLONE_INTO_CGROUP. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
  struct snoop_target target = {};
  struct snoop_target former = {};
  __u64 cgroup_id;
  __u64 former_id;

  if (own_child_expected && (__u32)OF_TASK(OF_TASK(child, real_parent), tgid) == self_pid &&
      child->tgid != parent->tgid)
    own_child_pid = child->tgid;
  if (OF_TASK(child, fs) != OF_TASK(parent, fs))
    learn_cwd(child);
  if (child->tgid == parent->tgid)
    return 0;
  if (!task_target(&target, child, &cgroup_id))
    return 0;
  join_target(child, &target);
  if (!task_target(&former, parent, &former_id) || former.id != target.id)
    send_moved(child, &target, cgroup_id);
  return 0;
}

#endif
