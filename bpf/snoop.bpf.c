// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The hooks. What they share is in the headers beside this file. */
#include "emit.bpf.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

/* include/uapi/asm-generic/fcntl.h, the same on x86 and arm64 but for O_DIRECTORY. */
#define O_ACCMODE 00000003
#define O_WRONLY 00000001
#define O_RDWR 00000002
#define O_CREAT 00000100
#define O_PATH 010000000
#define O_TMPFILE_ONLY 020000000
#if defined(__TARGET_ARCH_arm64)
#define O_DIRECTORY 040000
#else
#define O_DIRECTORY 0200000
#endif
/* include/linux/fs.h */
#define FMODE_CREATED 0x100000
#define S_IFMT 0170000
#define S_IFDIR 0040000
#define S_IFREG 0100000
/* include/uapi/linux/openat2.h */
#define RESOLVE_IN_ROOT 0x10
struct open_how {
  __u64 flags;
  __u64 mode;
  __u64 resolve;
};

/* include/uapi/asm-generic/errno*.h, include/linux/errno.h */
#define EPERM 1
#define ENOENT 2
#define EINTR 4
#define EBADF 9
#define EACCES 13
#define EFAULT 14
#define ENOTDIR 20
#define ENAMETOOLONG 36
#define ENOSYS 38
#define ERESTARTSYS 512
#define ERESTART_RESTARTBLOCK 516

#define KIND(kind) (1ULL << SNOOP_KIND_##kind)

/* Errors that say nothing about the file: the path named none, the call did
 * not happen, or it happens again. */
static __always_inline bool is_no_access(long ret)
{
  return ret == -EFAULT || ret == -ENAMETOOLONG || ret == -EBADF || ret == -ENOSYS || ret == -EINTR ||
         (ret <= -ERESTARTSYS && ret >= -ERESTART_RESTARTBLOCK);
}

static __always_inline __u32 outcome_of(long ret)
{
  if (ret >= 0)
    return SNOOP_OUTCOME_OK;
  if (ret == -ENOENT || ret == -ENOTDIR)
    return SNOOP_OUTCOME_MISSING;
  if (ret == -EACCES || ret == -EPERM)
    return SNOOP_OUTCOME_REFUSED;
  return SNOOP_OUTCOME_OTHER;
}

static __always_inline __u64 kinds_of_flags(__u64 flags)
{
  __u64 kinds;

  if (flags & O_PATH)
    kinds = KIND(PATH);
  else if ((flags & O_ACCMODE) == O_WRONLY)
    kinds = KIND(WRITE);
  else if ((flags & O_ACCMODE) == O_RDWR)
    kinds = KIND(READ) | KIND(WRITE);
  else
    kinds = KIND(READ);
  if (flags & O_DIRECTORY)
    kinds |= KIND(DIRECTORY);
  return kinds;
}

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

/* Whether the call wrote its result over the path that it was given. */
static __always_inline bool is_overwritten(__u64 path, __u64 path_size, __u64 result, long result_size)
{
  return result_size > 0 && path < result + result_size && result < path + path_size;
}

/* include/uapi/linux/un.h */
#define UNIX_PATH_MAX 108

/* The path of a socket address ends with a NUL or with the address, behind which
 * there may be no memory. Returns its length with a NUL. */
static __always_inline long read_socket_path(struct scratch *scratch)
{
  __u32 size = scratch->access.max_len;

  if (size > UNIX_PATH_MAX)
    size = UNIX_PATH_MAX;
  if (bpf_probe_read_user(scratch->data, size, (const void *)scratch->access.user_path))
    return -EFAULT;
  scratch->data[size] = '\0';
  /* For its length only: the copy is overwritten. */
  return bpf_probe_read_kernel_str(scratch->data + NAME_ROOM, UNIX_PATH_MAX + 1, scratch->data);
}

/* The path of a system call at its exit: reads it, finds where it begins. What
 * is known from the registers stands in the scratch space already. */
__noinline int on_path(__u32 which, __u32 op)
{
  struct task_struct *task = bpf_get_current_task_btf();
  struct fs_struct *fs = task->fs;
  struct scratch *scratch = scratch_of(which);
  struct snoop_target_stats *stats;
  struct access *access;
  long len;

  if (!scratch)
    return 0;
  access = &scratch->access;
  stats = stats_of(access->slot);
  if (!stats)
    return 0;
  if (op == SNOOP_OP_HANDLE) {
    stats->events++;
    set_path_len(scratch, 0);
    place_of_root(&access->root, fs);
    return emit_access(which);
  }
  if (!access->user_path)
    return 0;
  if (access->max_len)
    len = read_socket_path(scratch);
  else
    len = bpf_probe_read_user_str(scratch->data, SNOOP_PATH_MAX, (const void *)access->user_path);
  if (len == 1)
    return 0; /* an empty path: the call was on the descriptor itself */
  if (len > 1 && access->absolute_only && scratch->data[0] != '/')
    return 0;
  stats->events++;
  if (len < 1 || is_overwritten(access->user_path, len, access->result_buffer, scratch->event.result)) {
    stats->path_unreadable++;
    return 0;
  }
  set_path_len(scratch, len - 1);

  place_of_root(&access->root, fs);
  if (scratch->data[0] != '/' || scratch->event.flags & SNOOP_FLAG_IN_ROOT) {
    if (access->dirfd != AT_FDCWD) {
      struct file *file = file_of_fd(task, access->dirfd);

      if (!file) {
        stats->base_unknown++;
        return 0;
      }
      place_of_file(&access->base, file);
      scratch->event.flags |= SNOOP_FLAG_RELATIVE;
    } else if (op == SNOOP_OP_CHDIR && scratch->event.result == 0) {
      if (recall_cwd(&access->base, fs)) {
        scratch->event.flags |= SNOOP_FLAG_RELATIVE;
      } else {
        place_of_cwd(&access->base, fs);
        scratch->event.flags |= SNOOP_FLAG_RELATIVE | SNOOP_FLAG_BASE_IS_RESULT;
      }
    } else {
      place_of_cwd(&access->base, fs);
      scratch->event.flags |= SNOOP_FLAG_RELATIVE;
    }
    if (op == SNOOP_OP_CHROOT && scratch->event.result == 0) {
      access->root.dentry = NULL;
      access->root.mnt = NULL;
    }
  }
  return emit_access(which);
}

/* include/linux/socket.h, include/uapi/linux/net.h */
#define AF_UNIX 1
#define SYS_BIND 2
#define SYS_CONNECT 3
#define SYS_SENDTO 11
#define SYS_SENDMSG 16

/* The start of struct msghdr. */
struct msg_name {
  __u64 address;
  __u32 length;
};

/* The start of struct compat_msghdr. */
struct msg_name32 {
  __u32 address;
  __u32 length;
};

static __always_inline void read_msg_name(struct msg_name *name, __u64 from, int abi)
{
  struct msg_name32 name32 = {};

  if (abi == ABI_NATIVE) {
    bpf_probe_read_user(name, sizeof(*name), (const void *)from);
    return;
  }
  bpf_probe_read_user(&name32, sizeof(name32), (const void *)from);
  name->address = name32.address;
  name->length = name32.length;
}

/*
 * Where the path of a socket address begins and how long it can be; false: the
 * call has no address, or one that is no path (abstract ones begin with a NUL,
 * so they look like an empty path later on).
 */
static __always_inline bool socket_path(struct access *access, const struct pt_regs *regs, int abi, __u32 *op,
                                        const volatile struct snoop_syscall_rule *rule)
{
  struct msg_name name = {};
  __u64 first = syscall_arg(regs, abi, rule->path);
  __u16 family = 0;

  if (*op == SNOOP_OP_SOCKETCALL) {
    __u32 args[6] = {};
    __u64 call = syscall_arg(regs, abi, rule->extra);

    if (call != SYS_BIND && call != SYS_CONNECT && call != SYS_SENDTO && call != SYS_SENDMSG)
      return false;
    bpf_probe_read_user(args, sizeof(args), (const void *)first);
    if (call == SYS_SENDMSG) {
      read_msg_name(&name, args[1], abi);
    } else {
      name.address = call == SYS_SENDTO ? args[4] : args[1];
      name.length = call == SYS_SENDTO ? args[5] : args[2];
    }
    *op = call == SYS_BIND ? SNOOP_OP_BIND : SNOOP_OP_CONNECT;
  } else if (*op == SNOOP_OP_SENDMSG) {
    read_msg_name(&name, first, abi);
  } else {
    name.address = first;
    name.length = syscall_arg(regs, abi, rule->extra);
  }
  if (!name.address || name.length <= sizeof(family))
    return false;
  bpf_probe_read_user(&family, sizeof(family), (const void *)name.address);
  if (family != AF_UNIX)
    return false;
  name.length -= sizeof(family);
  access->user_path = name.address + sizeof(family);
  access->max_len = name.length < UNIX_PATH_MAX ? name.length : UNIX_PATH_MAX;
  return true;
}

static __always_inline __s32 dirfd_arg(const struct pt_regs *regs, int abi, __u8 arg)
{
  return arg == SNOOP_NO_ARG ? AT_FDCWD : (__s32)syscall_arg(regs, abi, arg);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long ret)
{
  const volatile struct snoop_syscall_rule *rule;
  struct task_struct *task;
  const struct snoop_target *target;
  struct scratch *scratch;
  __u64 number = syscall_number(regs);
  __u64 cgroup_id;
  __u64 flags = 0;
  __u64 kinds;
  __u32 op;
  int abi;

  if (number >= SNOOP_MAX_SYSCALL)
    return 0;
  if (!(cfg_rules[ABI_NATIVE][number].op | cfg_rules[ABI_COMPAT][number].op))
    return 0;
  target = current_target(&cgroup_id);
  if (!target)
    return 0;
  task = bpf_get_current_task_btf();
  abi = task_abi(task);
  rule = &cfg_rules[abi][number];
  op = rule->op;
  if (!op || is_no_access(ret))
    return 0;
  if (op == SNOOP_OP_REBASE) {
    if (ret >= 0)
      remember_cwd(task->fs);
    return 0;
  }
  if (op == SNOOP_OP_EXEC && ret >= 0)
    return 0;
  scratch = start_access(SCRATCH_SYSCALL, target, cgroup_id);
  if (!scratch)
    return 0;

  scratch->event.result = ret;
  scratch->access.user_path = syscall_arg(regs, abi, rule->path);
  scratch->access.dirfd = dirfd_arg(regs, abi, rule->dirfd);
  switch (op) {
  case SNOOP_OP_OPEN:
    flags = syscall_arg(regs, abi, rule->extra);
    kinds = kinds_of_flags(flags);
    break;
  case SNOOP_OP_OPENAT2: {
    struct open_how how = {};

    bpf_probe_read_user(&how, sizeof(how), (const void *)syscall_arg(regs, abi, rule->extra));
    flags = how.flags;
    kinds = kinds_of_flags(flags);
    if (how.resolve & RESOLVE_IN_ROOT)
      scratch->event.flags |= SNOOP_FLAG_IN_ROOT;
    break;
  }
  case SNOOP_OP_CREAT: kinds = KIND(WRITE); break;
  case SNOOP_OP_EXEC: kinds = KIND(EXEC); break;
  case SNOOP_OP_ACCESS: kinds = KIND(ACCESS); break;
  case SNOOP_OP_READLINK:
    kinds = KIND(READLINK);
    scratch->access.result_buffer = syscall_arg(regs, abi, rule->extra);
    break;
  case SNOOP_OP_HANDLE:
    if (ret < 0)
      return 0; /* nothing that could be named */
    flags = syscall_arg(regs, abi, rule->extra);
    kinds = kinds_of_flags(flags);
    scratch->access.named_by_file = true;
    break;
  case SNOOP_OP_BIND:
  case SNOOP_OP_CONNECT:
  case SNOOP_OP_SENDMSG:
  case SNOOP_OP_SOCKETCALL:
    if (!socket_path(&scratch->access, regs, abi, &op, rule))
      return 0;
    kinds = op == SNOOP_OP_BIND ? KIND(CHANGE) : KIND(CONNECT);
    break;
  case SNOOP_OP_CHANGE:
  case SNOOP_OP_MOUNT: kinds = KIND(CHANGE); break;
  default: kinds = KIND(STAT);
  }

  if (ret >= 0 && (op <= SNOOP_OP_OPENAT2 || op == SNOOP_OP_HANDLE)) {
    struct file *file = file_of_fd(task, ret);

    /* With O_TMPFILE the path is that of the directory. A file that was made
     * just now is no other each time: it is known by its name. */
    if (file && !(flags & O_TMPFILE_ONLY)) {
      if (BPF_CORE_READ(file, f_mode) & FMODE_CREATED) {
        kinds |= KIND(CREATE);
      } else {
        set_file(scratch, file);
        if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) == S_IFDIR)
          kinds |= KIND(DIRECTORY);
      }
    }
  }
  scratch->event.seen = kinds << SNOOP_SEEN_SHIFT(outcome_of(ret));

  on_path(SCRATCH_SYSCALL, op);
  if ((op == SNOOP_OP_CHDIR || op == SNOOP_OP_CHROOT) && ret == 0)
    remember_cwd(task->fs); /* pivot_root, which counts as chroot, moves it */
  if (rule->path2 != SNOOP_NO_ARG) {
    scratch->access.user_path = syscall_arg(regs, abi, rule->path2);
    scratch->access.dirfd = dirfd_arg(regs, abi, rule->dirfd2);
    scratch->access.absolute_only = op == SNOOP_OP_MOUNT;
    scratch->event.flags = 0;
    on_path(SCRATCH_SYSCALL, op);
  }
  return 0;
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

static long on_vma(struct task_struct *task, struct vm_area_struct *vma, struct file **file)
{
  *file = BPF_CORE_READ(vma, vm_file);
  return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
  __u64 cgroup_id;
  const struct snoop_target *target = current_target(&cgroup_id);
  struct scratch *scratch;
  struct fs_struct *fs;
  const char *fdpath;
  struct file *image;
  struct file *loader = NULL;
  const struct pt_regs *regs;
  bool is_script;

  if (!target)
    return 0;
  scratch = start_access(SCRATCH_EXEC, target, cgroup_id);
  if (!scratch)
    return 0;
  fs = task->fs;
  remember_cwd(fs);
  place_of_root(&scratch->access.root, fs);
  image = bprm->file;
  is_script = bprm->interp != bprm->filename;
  fdpath = bprm->fdpath;

  count_event(scratch);
  scratch->event.seen = KIND(EXEC);
  if (!is_script)
    set_file(scratch, image);
  if (fdpath) {
    if (read_fd_path(scratch, fdpath, is_script))
      emit_access(SCRATCH_EXEC);
  } else if (read_kernel_path(scratch, bprm->filename)) {
    set_cwd_base(scratch, fs);
    emit_access(SCRATCH_EXEC);
  }

  scratch->event.seen = KIND(INTERPRETER);
  if (is_script) {
    count_event(scratch);
    scratch->event.flags = 0;
    set_file(scratch, image);
    if (read_kernel_path(scratch, bprm->interp)) {
      set_cwd_base(scratch, fs);
      emit_access(SCRATCH_EXEC);
    }
  }

  /* The new program starts in its loader, if it has one. */
  regs = (const struct pt_regs *)bpf_task_pt_regs(task);
  bpf_find_vma(task, user_ip(regs), on_vma, &loader, 0);
  if (loader && BPF_CORE_READ(loader, f_inode) != BPF_CORE_READ(image, f_inode)) {
    count_event(scratch);
    scratch->event.type = SNOOP_EVENT_ELF_INTERPRETER;
    scratch->event.flags = SNOOP_FLAG_RELATIVE;
    place_of_file(&scratch->access.base, image);
    set_file(scratch, loader);
    set_path_len(scratch, 0);
    emit_access(SCRATCH_EXEC);
  }
  return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
  __u64 cgroup_id;

  if (child->fs != parent->fs && current_target(&cgroup_id))
    remember_cwd(child->fs);
  return 0;
}

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

/*
 * What was there before: run by user space after the hooks are attached, so that
 * nothing falls in between. A task of a target; NULL: of none, or snoop.
 */
static __always_inline struct snoop_target *task_target(struct task_struct *task, __u64 *cgroup_id)
{
  struct snoop_target *target;

  *cgroup_id = task->cgroups->dfl_cgrp->kn->id;
  target = bpf_map_lookup_elem(&cgroups, cgroup_id);
  if (!target || !target->id || (__u32)task->tgid == self_pid)
    return NULL;
  return target;
}

static __always_inline void emit_baseline(struct task_struct *task, struct file *file)
{
  __u64 cgroup_id;
  const struct snoop_target *target = task_target(task, &cgroup_id);
  struct fs_struct *fs;
  struct scratch *scratch;
  __u16 type;

  if (!target)
    return;
  type = BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT;
  if (type != S_IFREG && type != S_IFDIR)
    return; /* pipes, sockets, devices: no file of an image */
  fs = task->fs;
  if (!fs)
    return;
  scratch = start_access(SCRATCH_BASELINE, target, cgroup_id);
  if (!scratch)
    return;
  scratch->event.pid = task->tgid;
  scratch->event.tid = task->pid;
  scratch->event.seen = KIND(BASELINE);
  scratch->access.named_by_file = true;
  scratch->access.may_be_nameless = true;
  place_of_root(&scratch->access.root, fs);
  set_file(scratch, file);
  set_path_len(scratch, 0);
  emit_access(SCRATCH_BASELINE);
}

SEC("iter/task")
int baseline_cwds(struct bpf_iter__task *ctx)
{
  struct task_struct *task = ctx->task;
  __u64 cgroup_id;

  if (task && task_target(task, &cgroup_id) && task->fs)
    remember_cwd(task->fs);
  return 0;
}

SEC("iter/task_file")
int baseline_files(struct bpf_iter__task_file *ctx)
{
  struct task_struct *task = ctx->task;
  struct file *file = ctx->file;

  if (task && file)
    emit_baseline(task, file);
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
  file = vma->vm_file;
  if (file)
    emit_baseline(task, file);
  return 0;
}

/* Run once by user space: a process in a pid namespace knows only its own pid. */
SEC("raw_tp")
int learn_self(void *ctx)
{
  self_pid = bpf_get_current_pid_tgid() >> 32;
  return 0;
}
