/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Directories and files of a task, and the names that lead to them. */
#ifndef SNOOP_PATH_BPF_H
#define SNOOP_PATH_BPF_H

#include "maps.bpf.h"
#include "read.bpf.h"
#include "uapi.bpf.h"

/* include/uapi/linux/fcntl.h */
#define AT_FDCWD (-100)

/* The task of the access that a program of this one works on: not looked for again where it need not be. */
static __always_inline struct task_struct *task_of(const struct scratch *scratch)
{
#ifdef SNOOP_TYPED_READS
  return scratch->access.task;
#else
  return bpf_get_current_task_btf();
#endif
}

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

/* The file behind a descriptor that the task was given just now. If it was not (a supervisor of seccomp can say
 * so), this can be any other: only to see whether it is known already. */
static __always_inline struct file *opened_file(struct task_struct *task, __u32 fd)
{
  struct fdtable *table = OF_TASK(task, files)->fdt;

  return (struct file *)READ_NUMBER(READ_NUMBER(&table->fd) + (__u64)fd * sizeof(struct file *));
}

/* How far up a directory's identity is made from. */
#define IDENTITY_LEVELS 64

/* So many steps up are a loop, the rest calls: each of those takes as long as five steps. */
#define STEPS_INLINE 12

struct climb {
  struct dentry *dentry;
  struct mount *mnt;
  struct dentry *mnt_root;
  __u64 identity;
  __u64 found; /* identity at the top; 0: none yet */
};

/* Its directory, and the hash of its name in there. */
struct link {
  struct dentry *parent;
  __u64 hash_len;
};

static __always_inline struct link link_of(struct dentry *dentry)
{
  struct link link;

#ifndef SNOOP_TYPED_READS
  /* With one call, where they lie side by side. */
  if (bpf_core_field_offset(struct dentry, d_name.hash_len) ==
      bpf_core_field_offset(struct dentry, d_parent) + sizeof(link.parent)) {
    bpf_probe_read_kernel(&link, sizeof(link), (void *)dentry + bpf_core_field_offset(struct dentry, d_parent));
    return link;
  }
#endif
  link.parent = READ(dentry, d_parent);
  link.hash_len = READ(dentry, d_name.hash_len);
  return link;
}

/* An identity is made of these: it begins with the inode, and takes in each name on the way up. */
static __always_inline __u64 begin_identity(struct inode *inode)
{
  __u64 identity = (READ(inode, i_ino) ^ (__u64)READ(inode, i_generation) << 32) * 0xc4ceb9fe1a85ec53ULL;

  return identity ^ identity >> 29 ^ READ(READ(inode, i_sb), s_dev);
}

/* Of what is in no directory: a memfd, a pipe. */
static __noinline __u64 nameless_identity(struct inode *inode)
{
  return begin_identity(inode);
}

static __always_inline __u64 mix_name(__u64 identity, __u64 hash_len)
{
  identity = (identity ^ hash_len) * 0xff51afd7ed558ccdULL;
  return identity ^ identity >> 32;
}

/* true: at the top. */
static __always_inline bool climb_once(struct climb *climb)
{
  struct dentry *dentry = climb->dentry;
  struct link link;

  if (dentry == climb->mnt_root) {
    struct mount *below = climb->mnt;
    struct mount *mnt = READ(below, mnt_parent);

    if (mnt == below) {
      climb->found = climb->identity | 1;
      return true;
    }
    climb->dentry = READ(below, mnt_mountpoint);
    climb->mnt = mnt;
    climb->mnt_root = READ(mnt, mnt.mnt_root);
    return false;
  }
  link = link_of(dentry);
  if (link.parent == dentry)
    return true; /* in no directory */
  climb->identity = mix_name(climb->identity, link.hash_len);
  climb->dentry = link.parent;
  return false;
}

static long climb_step(__u32 index, struct climb *climb)
{
  return climb_once(climb);
}

/*
 * A number that changes when the path of this place does: from the name hashes of it and
 * of all directories up to the top of the mount namespace, mount points too. The
 * kernel salts each with the parent's address (fs/namei.c: full_name_hash), so a
 * rename at any level shows. They have 32 bits, which siblings may share: so the
 * own inode is in it. No mount's own address is: they are used again.
 * 0: too deep to say. Global, so verified by itself.
 */
__noinline __u64 place_identity(const struct place *place)
{
  struct climb climb = {};
  struct climb rest;
  struct dentry *dentry;
  struct inode *inode;
  struct mount *mnt;

  if (!place)
    return 0;
  mnt = place->mnt;
  dentry = place->dentry;
  inode = READ(dentry, d_inode);
  climb.identity = begin_identity(inode);
  climb.dentry = dentry;
  climb.mnt = mnt;
  climb.mnt_root = READ(mnt, mnt.mnt_root);
  for (__u32 i = 0; i < STEPS_INLINE; i++) {
    if (climb_once(&climb))
      return climb.found;
  }
  /* In memory, as that above need not be. */
  rest = climb;
  bpf_loop(IDENTITY_LEVELS - STEPS_INLINE, climb_step, &rest, 0);
  return rest.found;
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

/* Names that are shorter are copied without a call. */
#define NAME_INLINE 32

/* A name, with its NUL: bytes; 1 or less: there is none. */
static __always_inline long copy_name(struct scratch *scratch, __u32 offset, const unsigned char *name)
{
#ifdef SNOOP_TYPED_READS
  for (__u32 i = 0; i < NAME_INLINE; i += 8) {
    __u64 word = READ_NUMBER((__u64)name + i);
    __u64 nul = first_nul(word);

    *(__u64 *)(scratch->data + offset + i) = word;
    if (nul)
      return i + bytes_below(nul) + 1;
  }
#endif
  return bpf_probe_read_kernel_str(scratch->data + offset, NAME_ROOM, name);
}

/* true: at the end. */
static __always_inline bool walk_once_inline(struct scratch *scratch)
{
  struct walk *walk = &scratch->walk;
  struct dentry *dentry = walk->at.dentry;
  struct mount *mnt = walk->at.mnt;
  __u32 offset = walk->offset;
  const unsigned char *name;
  struct dentry *parent;
  __u32 sequence;
  long copied;

  if (!dentry || !mnt) {
    walk->state = WALK_DETACHED;
    return true;
  }
  if (dentry == walk->root.dentry && mnt == walk->root.mnt) {
    walk->state = WALK_DONE;
    return true;
  }
  if (dentry == READ(mnt, mnt.mnt_root)) {
    struct mount *parent = READ(mnt, mnt_parent);

    if (parent == mnt) {
      walk->state = is_attached(mnt) ? WALK_ABOVE_ROOT : WALK_DETACHED;
      return true;
    }
    walk->at.dentry = READ(mnt, mnt_mountpoint);
    walk->at.mnt = parent;
    if (walk->mount_at == NO_MOUNT)
      walk->mount_at = offset;
    return false;
  }
  sequence = READ(dentry, d_seq.seqcount.sequence);
  parent = READ(dentry, d_parent);
  if (parent == dentry) {
    walk->state = WALK_DETACHED;
    return true;
  }
  name = READ(dentry, d_name.name);
  barrier_var(offset); /* asked right here: 6.1 forgets bounds at a call */
  if (offset > walk->limit || offset > DATA_MAX) {
    walk->state = WALK_CUT;
    return true;
  }
  copied = copy_name(scratch, offset, name);
  if (sequence & 1 || READ(dentry, d_seq.seqcount.sequence) != sequence)
    return false; /* it was renamed meanwhile: once more */
  if (copied <= 1) {
    walk->state = WALK_CUT;
    return true;
  }
  walk->at.dentry = parent;
  walk->offset = offset + copied;
  return false;
}

/* Some steps, since each return takes time (decision 22). Global, so that they are verified once. */
#define STEPS_AT_ONCE 4
__noinline int walk_some(__u32 which)
{
  struct scratch *scratch = scratch_of(which);

  if (!scratch)
    return true;
  for (__u32 i = 0; i < STEPS_AT_ONCE; i++) {
    if (walk_once_inline(scratch))
      return true;
  }
  return false;
}

/* Without a call, of which there must not be more than eight in one another. */
static long walk_step(__u32 index, __u32 *which)
{
  struct scratch *scratch = scratch_of(*which);

  return !scratch || walk_once_inline(scratch);
}

_Static_assert(STEPS_INLINE % STEPS_AT_ONCE == 0, "walk_up");

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
  __u32 step = 0;

  if (!scratch)
    return WALK_DETACHED;
  walk = &scratch->walk;
  walk->limit = walk->offset + SNOOP_WALK_MAX - NAME_ROOM;
  walk->mount_at = NO_MOUNT;
  walk->state = WALK_CUT;
  while (step < STEPS_INLINE && !walk_some(which))
    step += STEPS_AT_ONCE;
  if (step == STEPS_INLINE)
    bpf_loop(WALK_STEPS - STEPS_INLINE, walk_step, &which, 0);
  if (walk->mount_at == NO_MOUNT)
    walk->mount_at = walk->offset;
  return walk->state;
}

static __always_inline void remember_cwd(struct fs_struct *fs)
{
  const struct known_cwd *known;
  struct place place;
  struct known_cwd cwd;
  struct dentry *dentry;
  __u64 key = (__u64)fs;

  place_of_cwd(&place, fs);
  dentry = place.dentry;
  cwd.dentry = (__u64)dentry;
  cwd.mnt = (__u64)place.mnt;
  cwd.check = READ(dentry, d_name.hash_len);
  /* An update takes far longer than a look. */
  known = bpf_map_lookup_elem(&known_cwds, &key);
  if (!known || known->dentry != cwd.dentry || known->mnt != cwd.mnt || known->check != cwd.check)
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
