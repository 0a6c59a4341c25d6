/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Directories and files of a task, and the names that lead to them. */
#ifndef SNOOP_PATH_BPF_H
#define SNOOP_PATH_BPF_H

#include "maps.bpf.h"
#include "uapi.bpf.h"
#include <bpf/bpf_core_read.h>

/* include/uapi/linux/fcntl.h */
#define AT_FDCWD (-100)

static __always_inline struct mount *mount_of(struct vfsmount *mnt)
{
  return mnt ? (void *)mnt - bpf_core_field_offset(struct mount, mnt) : NULL;
}

/*
 * Two ways to follow a pointer. What hangs on a task that the program was given
 * (its fs_struct, its table of files) is of a type that the verifier knows:
 * plain loads. What was read out of memory (an open file, a dentry) is a number
 * to it: bpf_probe_read_kernel, by BPF_CORE_READ, which costs a call.
 */
static __always_inline void place_of_file(struct place *place, struct file *file)
{
  struct path path;

  bpf_core_read(&path, sizeof(path), &file->f_path);
  place->dentry = path.dentry;
  place->mnt = mount_of(path.mnt);
}

/* What overlayfs has mapped is a file of a layer; it keeps the path that the
 * process used (file_user_path in include/linux/fs.h). */
static __always_inline void place_of_mapped(struct place *place, struct file *file)
{
  struct path path;

  if (!bpf_core_field_exists(struct backing_file, user_path) || !(BPF_CORE_READ(file, f_mode) & fmode_backing)) {
    place_of_file(place, file);
    return;
  }
  bpf_core_read(&path, sizeof(path), &((struct backing_file *)file)->user_path);
  place->dentry = path.dentry;
  place->mnt = mount_of(path.mnt);
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
  struct fdtable *table = task->files->fdt;
  struct file *file = NULL;

  if (fd < 0 || (__u32)fd >= table->max_fds)
    return NULL;
  bpf_probe_read_kernel(&file, sizeof(file), table->fd + fd);
  return file;
}

/* How far up a directory's identity is made from. */
#define IDENTITY_LEVELS 64

/*
 * A number that changes when the path of this place does: from the name hashes
 * of all directories up to the top of the mount namespace, mount points too. The
 * kernel salts each with the parent's address (fs/namei.c: full_name_hash), so a
 * rename at any level shows. No mount's own address is in it: they are used
 * again. 0: too deep to say.
 */
static __always_inline __u64 place_identity(const struct place *place)
{
  struct dentry *dentry = place->dentry;
  struct mount *mnt = place->mnt;
  struct dentry *mnt_root = BPF_CORE_READ(mnt, mnt.mnt_root);
  __u64 identity = 0;

  for (int i = 0; i < IDENTITY_LEVELS; i++) {
    struct dentry *parent;

    if (dentry == mnt_root) {
      struct mount *below = mnt;

      mnt = BPF_CORE_READ(below, mnt_parent);
      if (mnt == below)
        return identity | 1;
      dentry = BPF_CORE_READ(below, mnt_mountpoint);
      mnt_root = BPF_CORE_READ(mnt, mnt.mnt_root);
      continue;
    }
    parent = BPF_CORE_READ(dentry, d_parent);
    if (parent == dentry)
      return 0; /* in no directory */
    identity = (identity ^ BPF_CORE_READ(dentry, d_name.hash_len)) * 0xff51afd7ed558ccdULL;
    identity ^= identity >> 32;
    dentry = parent;
  }
  return 0;
}

enum walk_state {
  WALK_GOING = 0,
  WALK_DONE,       /* at the root that was asked for */
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
  struct mnt_namespace *ns = BPF_CORE_READ(top, mnt_ns);
  __u32 number = ns ? BPF_CORE_READ(ns, ns.inum) : 0;

  return number != 0 && number != MNT_NS_ANON_INO;
}

struct walk {
  struct place at;
  struct place root;
  __u32 scratch;
  __u32 offset; /* into scratch.data: where the next name goes */
  __u32 limit;
  __u32 state;
  __u32 mount_at; /* offset of the first name that is not below the mount of `from` */
};

#define NO_MOUNT ((__u32)-1)

static long walk_step(__u32 index, struct walk *walk)
{
  struct scratch *scratch = scratch_of(walk->scratch);
  struct dentry *dentry = walk->at.dentry;
  struct mount *mnt = walk->at.mnt;
  __u32 offset = walk->offset;
  long copied;

  if (!scratch || !dentry || !mnt) {
    walk->state = WALK_DETACHED;
    return 1;
  }
  if (dentry == walk->root.dentry && mnt == walk->root.mnt) {
    walk->state = WALK_DONE;
    return 1;
  }
  if (dentry == BPF_CORE_READ(mnt, mnt.mnt_root)) {
    struct mount *parent = BPF_CORE_READ(mnt, mnt_parent);

    if (parent == mnt) {
      walk->state = is_attached(mnt) ? WALK_ABOVE_ROOT : WALK_DETACHED;
      return 1;
    }
    walk->at.dentry = BPF_CORE_READ(mnt, mnt_mountpoint);
    walk->at.mnt = parent;
    if (walk->mount_at == NO_MOUNT)
      walk->mount_at = offset;
    return 0;
  }
  walk->at.dentry = BPF_CORE_READ(dentry, d_parent);
  if (walk->at.dentry == dentry) {
    walk->state = WALK_DETACHED;
    return 1;
  }
  if (offset > walk->limit || offset > DATA_MAX) {
    walk->state = WALK_CUT;
    return 1;
  }
  copied = bpf_probe_read_kernel_str(scratch->data + offset, NAME_ROOM, BPF_CORE_READ(dentry, d_name.name));
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
 * Appends the names from `from` up to `root`, the leaf first, to the scratch
 * data at `*offset`, and moves `*offset` behind them. `*mount_at`: where the
 * names of the mount point begin, or the end.
 */
static __always_inline int walk_up(const struct place *from, const struct place *root, __u32 which, __u32 *offset,
                                   __u32 *mount_at)
{
  struct walk walk = {
      .at = *from,
      .root = *root,
      .scratch = which,
      .offset = *offset,
      .limit = *offset + SNOOP_WALK_MAX - NAME_ROOM,
      .mount_at = NO_MOUNT,
  };

  bpf_loop(WALK_STEPS, walk_step, &walk, 0);
  *offset = walk.offset;
  *mount_at = walk.mount_at == NO_MOUNT ? walk.offset : walk.mount_at;
  return walk.state == WALK_GOING ? WALK_CUT : (int)walk.state;
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
  cwd.check = BPF_CORE_READ(dentry, d_name.hash_len);
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
  return BPF_CORE_READ(dentry, d_name.hash_len) == cwd->check;
}

#endif
