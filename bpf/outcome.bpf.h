/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What arguments and results say of an access, whichever way it was asked for. The
 * functions are global, so that each is verified once and not for every way to it. */
#ifndef SNOOP_OUTCOME_BPF_H
#define SNOOP_OUTCOME_BPF_H

#include "emit.bpf.h"
#include "uapi.bpf.h"

/* Errors that say nothing about the file: the path named none, the call did not happen, or it surely happens
 * again. ERESTARTSYS is EINTR where a signal's handler says so. EFAULT may be of where the answer should go: see
 * on_path(). */
#define NO_ACCESS_ERRORS (1ULL << ENAMETOOLONG | 1ULL << EBADF | 1ULL << ENOSYS)

static __always_inline bool is_no_access(long ret)
{
  __u64 error = -ret;

  if (error < 64)
    return NO_ACCESS_ERRORS >> error & 1;
  return error == ERESTARTNOINTR;
}

/* The error, or 0: of a number of its own the verifier learns what is asked of it, and
 * not of the result. Otherwise it would go through what follows for each answer. */
static __always_inline __s64 error_of(long ret)
{
  __s64 sign = ret >> 63;

  barrier_var(sign);
  return ret & sign;
}

__noinline __u32 outcome_of(long ret)
{
  if (ret >= 0)
    return SNOOP_OUTCOME_OK;
  if (ret == -ENOENT || ret == -ENOTDIR)
    return SNOOP_OUTCOME_MISSING;
  if (ret == -EACCES || ret == -EPERM)
    return SNOOP_OUTCOME_REFUSED;
  return SNOOP_OUTCOME_OTHER;
}

__noinline __u64 kinds_of_flags(__u64 flags)
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

/* Whether an open with these flags does not follow a link that its path ends with. */
static __always_inline bool is_nofollow_open(__u64 flags)
{
  return flags & O_NOFOLLOW || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL);
}

/* The file that an open led to, by its address. Returns what it adds to the kinds. */
__noinline __u64 set_opened(__u32 which, __u64 address, __u64 flags)
{
  struct scratch *scratch = scratch_of(which);
  struct file *file = (struct file *)address;

  if (!scratch)
    return 0;
  /* With O_TMPFILE the path is that of the directory. */
  if (flags & O_TMPFILE_ONLY)
    return 0;
  if (READ(file, f_mode) & FMODE_CREATED) {
    set_created_file(scratch, file);
    return KIND(CREATE);
  }
  set_file(scratch, file);
  return (READ(READ(file, f_inode), i_mode) & S_IFMT) == S_IFDIR ? KIND(DIRECTORY) : 0;
}

#endif
