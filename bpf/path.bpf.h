/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Directories and files of a task, and the names that lead to them. */
#ifndef SNOOP_PATH_BPF_H
#define SNOOP_PATH_BPF_H

#include "maps.bpf.h"
#include "read.bpf.h"
#include "uapi.bpf.h"

/* include/uapi/linux/fcntl.h */
#define AT_FDCWD (-100)

static __always_inline struct mount *mount_of(struct vfsmount *mnt)
{
  return mnt ? (void *)mnt - bpf_core_field_offset(struct mount, mnt) : NULL;
}

static __always_inline void place_of_file(struct place *place, struct file *file)
{
  place->dentry = READ(file, f_path.dentry);
  place->mnt = mount_of(READ(file, f_path.mnt));
}

/* What overlayfs has mapped is a file of a layer; it keeps the path that the
 * process used (file_user_path in include/linux/fs.h). */
static __always_inline void place_of_mapped(struct place *place, struct file *file)
{
  struct backing_file *backing = (struct backing_file *)file;

  if (!bpf_core_field_exists(struct backing_file, user_path) || !(READ(file, f_mode) & fmode_backing)) {
    place_of_file(place, file);
    return;
  }
  place->dentry = READ(backing, user_path.dentry);
  place->mnt = mount_of(READ(backing, user_path.mnt));
}

static __always_inline void place_of_cwd(struct place *place, struct fs_struct *fs)
{
  place->dentry = fs->pwd.dentry;
  place->mnt = mount_of(fs->pwd.mnt);
}

static __always_inline void place_of_root(struct place *place, struct fs_struct *fs)
{
  place->dentry = fs->root.dentry;
  place->mnt = mount_of(fs->root.mnt);
}

/* The open file behind a descriptor; NULL: there is none. */
static __always_inline struct file *file_of_fd(struct task_struct *task, __s32 fd)
{
  struct fdtable *table = OF_TASK(task, files)->fdt;

  if (fd < 0 || (__u32)fd >= table->max_fds)
    return NULL;
  return (struct file *)READ_NUMBER(READ_NUMBER(&table->fd) + (__u64)fd * sizeof(struct file *));
}

/* How far up a directory's identity is made from. */
#define IDENTITY_LEVELS 64

struct climb {
  struct dentry *dentry;
  struct mount *mnt;
  struct dentry *mnt_root;
  __u64 identity;
  __u64 found; /* identity at the top; 0: none yet */
};

static long climb_step(__u32 index, struct climb *climb)
{
  struct dentry *dentry = climb->dentry;
  struct dentry *parent;

  if (dentry == climb->mnt_root) {
    struct mount *below = climb->mnt;
    struct mount *mnt = READ(below, mnt_parent);

    if (mnt == below) {
      climb->found = climb->identity | 1;
      return 1;
    }
    climb->dentry = READ(below, mnt_mountpoint);
    climb->mnt = mnt;
    climb->mnt_root = READ(mnt, mnt.mnt_root);
    return 0;
  }
  parent = READ(dentry, d_parent);
  if (parent == dentry)
    return 1; /* in no directory */
  climb->identity = (climb->identity ^ READ(dentry, d_name.hash_len)) * 0xff51afd7ed558ccdULL;
  climb->identity ^= climb->identity >> 32;
  climb->dentry = parent;
  return 0;
}

/*
 * A number that changes when the path of this place does: from the name hashes
 * of all directories up to the top of the mount namespace, mount points too. The
 * kernel salts each with the parent's address (fs/namei.c: full_name_hash), so a
 * rename at any level shows. They have 32 bits, which siblings may share: so the
 * directory's own inode is in it. No mount's own address is: they are used again.
 * 0: too deep to say. Global, so verified by itself.
 */
__noinline __u64 place_identity(const struct place *place)
{
  struct climb climb = {};
  struct dentry *dentry;
  struct inode *inode;
  struct mount *mnt;

  if (!place)
    return 0;
  mnt = place->mnt;
  dentry = place->dentry;
  inode = READ(dentry, d_inode);
  climb.identity = (READ(inode, i_ino) ^ (__u64)READ(inode, i_generation) << 32) * 0xc4ceb9fe1a85ec53ULL;
  climb.identity ^= climb.identity >> 29 ^ READ(READ(inode, i_sb), s_dev);
  climb.dentry = dentry;
  climb.mnt = mnt;
  climb.mnt_root = READ(mnt, mnt.mnt_root);
  bpf_loop(IDENTITY_LEVELS, climb_step, &climb, 0);
  return climb.found;
}

enum walk_state {
  WALK_DONE = 0,   /* at the root that was asked for */
  WALK_ABOVE_ROOT, /* at the root of the mount namespace instead */
  WALK_DETACHED,   /* at the top of something mounted nowhere */
  WALK_CUT,        /* no more room */
};

/* Whether the top of these mounts is that of a mount namespace which processes
 * live in: what fsmount and open_tree make has one of its own, without a number
 * or with a common one (include/uapi/linux/nsfs.h). */
#define MNT_NS_ANON_INO 0xEFFFFFF7

static __always_inline bool is_attached(struct mount *top)
{
  struct mnt_namespace *ns = READ(top, mnt_ns);
  __u32 number = ns ? READ(ns, ns.inum) : 0;

  return number != 0 && number != MNT_NS_ANON_INO;
}

#define NO_MOUNT ((__u32)-1)

static long walk_step(__u32 index, __u32 *which)
{
  struct scratch *scratch = scratch_of(*which);
  struct dentry *dentry;
  struct walk *walk;
  struct mount *mnt;
  __u32 offset;
  long copied;

  if (!scratch)
    return 1;
  walk = &scratch->walk;
  dentry = walk->at.dentry;
  mnt = walk->at.mnt;
  offset = walk->offset;
  if (!dentry || !mnt) {
    walk->state = WALK_DETACHED;
    return 1;
  }
  if (dentry == walk->root.dentry && mnt == walk->root.mnt) {
    walk->state = WALK_DONE;
    return 1;
  }
  if (dentry == READ(mnt, mnt.mnt_root)) {
    struct mount *parent = READ(mnt, mnt_parent);

    if (parent == mnt) {
      walk->state = is_attached(mnt) ? WALK_ABOVE_ROOT : WALK_DETACHED;
      return 1;
    }
    walk->at.dentry = READ(mnt, mnt_mountpoint);
    walk->at.mnt = parent;
    if (walk->mount_at == NO_MOUNT)
      walk->mount_at = offset;
    return 0;
  }
  walk->at.dentry = READ(dentry, d_parent);
  if (walk->at.dentry == dentry) {
    walk->state = WALK_DETACHED;
    return 1;
  }
  if (offset > walk->limit || offset > DATA_MAX) {
    walk->state = WALK_CUT;
    return 1;
  }
  copied = bpf_probe_read_kernel_str(scratch->data + offset, NAME_ROOM, READ(dentry, d_name.name));
  if (copied <= 1) {
    walk->state = WALK_CUT;
    return 1;
  }
  walk->offset = offset + copied;
  return 0;
}

/* One level takes a step, and so does each mount on the way. */
#define WALK_STEPS (2 * SNOOP_WALK_MAX)

/*
 * Appends the names from `walk.at` up to `walk.root`, the leaf first, to the scratch
 * data at `walk.offset`, and moves that behind them. Global, so verified by itself.
 */
__noinline int walk_up(__u32 which)
{
  struct scratch *scratch = scratch_of(which);
  struct walk *walk;

  if (!scratch)
    return WALK_DETACHED;
  walk = &scratch->walk;
  walk->limit = walk->offset + SNOOP_WALK_MAX - NAME_ROOM;
  walk->mount_at = NO_MOUNT;
  walk->state = WALK_CUT;
  bpf_loop(WALK_STEPS, walk_step, &which, 0);
  if (walk->mount_at == NO_MOUNT)
    walk->mount_at = walk->offset;
  return walk->state;
}

static __always_inline void remember_cwd(struct fs_struct *fs)
{
  struct place place;
  struct known_cwd cwd;
  struct dentry *dentry;
  __u64 key = (__u64)fs;

  place_of_cwd(&place, fs);
  dentry = place.dentry;
  cwd.dentry = (__u64)dentry;
  cwd.mnt = (__u64)place.mnt;
  cwd.check = READ(dentry, d_name.hash_len);
  bpf_map_update_elem(&known_cwds, &key, &cwd, BPF_ANY);
}

/* The working directory before the last change of it; false: not known. */
static __always_inline bool recall_cwd(struct place *place, struct fs_struct *fs)
{
  __u64 key = (__u64)fs;
  const struct known_cwd *cwd = bpf_map_lookup_elem(&known_cwds, &key);
  struct dentry *dentry;

  if (!cwd)
    return false;
  dentry = (struct dentry *)cwd->dentry;
  place->dentry = dentry;
  place->mnt = (struct mount *)cwd->mnt;
  return READ(dentry, d_name.hash_len) == cwd->check;
}

#endif
