/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The kernel's types, as far as they are used: field names only. Offsets come
 * from the running kernel's BTF (CO-RE), so this builds without its headers and
 * without a dump of the build machine.
 */
#ifndef SNOOP_KERNEL_TYPES_BPF_H
#define SNOOP_KERNEL_TYPES_BPF_H

#include <stdbool.h>
#include <linux/types.h>
#include <linux/bpf.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct qstr {
  __u64 hash_len;
  const unsigned char *name;
};

struct super_block {
  __u32 s_dev;
  unsigned long s_magic;
};

struct inode {
  unsigned short i_mode;
  struct super_block *i_sb;
  unsigned long i_ino;
  __u32 i_generation;
};

typedef struct {
  unsigned int sequence;
} seqcount_t;

typedef struct {
  seqcount_t seqcount;
} seqcount_spinlock_t;

struct dentry {
  seqcount_spinlock_t d_seq; /* odd while its name or parent is changed */
  struct dentry *d_parent;
  struct qstr d_name;
  struct inode *d_inode;
};

struct vfsmount {
  struct dentry *mnt_root;
};

struct ns_common {
  unsigned int inum;
};

struct mnt_namespace {
  struct ns_common ns;
};

struct mount {
  struct mount *mnt_parent;
  struct dentry *mnt_mountpoint;
  struct vfsmount mnt;
  struct mnt_namespace *mnt_ns;
  int mnt_id;
  __u64 mnt_id_unique; /* never used again; since 6.8 */
};

struct path {
  struct vfsmount *mnt;
  struct dentry *dentry;
};

struct fs_struct {
  struct path root;
  struct path pwd;
};

struct file {
  struct path f_path;
  struct inode *f_inode;
  unsigned int f_mode;
};

/* A file of a lower file system that another one has opened (6.5); from 6.8 on
 * with the path that the user knows it by (include/linux/fs.h). */
struct backing_file {
  struct path user_path;
};

struct fdtable {
  unsigned int max_fds;
  struct file **fd;
};

struct files_struct {
  struct fdtable *fdt;
};

struct thread_info {
  unsigned long flags;
  __u32 status; /* x86 */
};

struct kernfs_node {
  __u64 id;
};

struct cgroup;

struct cgroup_subsys_state {
  struct cgroup *cgroup;
  struct cgroup_subsys_state *parent;
};

struct cgroup_root {
  int hierarchy_id;
};

struct cgroup {
  struct cgroup_subsys_state self;
  struct kernfs_node *kn;
  struct cgroup_root *root;
};

struct css_set {
  struct cgroup *dfl_cgrp;
  struct cgroup_subsys_state *subsys[1]; /* as many as the kernel has controllers */
};

struct mm_struct {
  __u64 *pgd;
};

/* kernel/sched/sched.h */
struct rq {
  int cpu;
  struct task_struct *curr; /* that runs on this CPU */
};

struct cfs_rq {
  struct rq *rq; /* of that CPU, since 6.x; where group scheduling is built in */
};

struct sched_entity {
  struct cfs_rq *cfs_rq;
};

struct task_struct {
  struct thread_info thread_info;
  int pid;
  int tgid;
  struct sched_entity se;
  struct task_struct *real_parent;
  struct task_struct *group_leader;
  __u64 start_boottime;
  struct css_set *cgroups;
  struct mm_struct *mm;
  struct fs_struct *fs;
  struct files_struct *files;
};

struct vm_area_struct {
  unsigned long vm_start;
  unsigned long vm_end;
  struct file *vm_file;
};

struct linux_binprm {
  struct file *file;
  const char *filename;
  const char *interp;
  const char *fdpath;
};

/* io_uring: a request, and what its command area holds for each operation. */
struct filename {
  const char *name;
};

struct io_cmd_data {
  struct file *file;
};

struct io_cqe {
  __s32 res;
};

struct io_kiocb {
  struct io_cmd_data cmd;
  __u8 opcode;
  __u64 flags;
  struct io_cqe cqe;
  void *async_data;
};

struct io_open {
  int dfd;
  __u32 file_slot;
  struct filename *filename;
  struct {
    __u64 flags;
    __u64 resolve;
  } how;
};

struct io_statx {
  int dfd;
  unsigned int flags;
  struct filename *filename;
};

struct io_rename {
  int old_dfd;
  int new_dfd;
  struct filename *oldpath;
  struct filename *newpath;
};

struct io_unlink {
  int dfd;
  struct filename *filename;
};

struct io_mkdir {
  int dfd;
  struct filename *filename;
};

struct io_link {
  int old_dfd;
  int new_dfd;
  struct filename *oldpath;
  struct filename *newpath;
  int flags;
};

struct io_xattr {
  struct filename *filename;
};

struct io_connect {
  int addr_len;
};

struct io_bind {
  int addr_len;
};

struct __kernel_sockaddr_storage {
  unsigned short ss_family;
};

struct msghdr {
  void *msg_name;
  int msg_namelen;
};

struct io_async_msghdr {
  struct msghdr msg;
  struct __kernel_sockaddr_storage addr;
};

/* Contexts of the iterators (kernel/bpf/task_iter.c). */
struct bpf_iter__task {
  struct task_struct *task;
};

struct bpf_iter__task_file {
  struct task_struct *task;
  struct file *file;
};

struct bpf_iter__task_vma {
  struct task_struct *task;
  struct vm_area_struct *vma;
};

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
  unsigned long bx;
  unsigned long cx;
  unsigned long dx;
  unsigned long si;
  unsigned long di;
  unsigned long bp;
  unsigned long r8;
  unsigned long r9;
  unsigned long r10;
  unsigned long ax;
  unsigned long orig_ax;
  unsigned long ip;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
  __u64 regs[31];
  __u64 pc;
  __u64 orig_x0;
  int syscallno;
};
#else
#error "snoop knows x86_64 and arm64"
#endif

#pragma clang attribute pop

#endif
