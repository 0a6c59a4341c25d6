/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What arguments and results say of an access, whichever way it was asked for. */
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

/* No branches in these: the verifier would follow each to the end of the call. */
#define MISSING_ERRORS (1ULL << ENOENT | 1ULL << ENOTDIR)
#define REFUSED_ERRORS (1ULL << EACCES | 1ULL << EPERM)
#define OTHER_ERRORS ~(1ULL | MISSING_ERRORS | REFUSED_ERRORS)
/* The errors, 0 for none, whose outcome has this bit. */
#define ERRORS_WITH(bit)                                                                                               \
  ((SNOOP_OUTCOME_MISSING & (bit) ? MISSING_ERRORS : 0) | (SNOOP_OUTCOME_REFUSED & (bit) ? REFUSED_ERRORS : 0) |       \
   (SNOOP_OUTCOME_OTHER & (bit) ? OTHER_ERRORS : 0))
_Static_assert(SNOOP_OUTCOME_OK == 0 && SNOOP_OUTCOME_OTHER < 4, "outcome_of");

static __always_inline __u32 outcome_of(long ret)
{
  __u64 error = -error_of(ret);

  if (error > 63)
    error = 63; /* as any other */
  return (ERRORS_WITH(1) >> error & 1) | (ERRORS_WITH(2) >> error & 1) << 1;
}

/* Of O_RDONLY, O_WRONLY, O_RDWR, and both bits; 16 bits each. */
#define KINDS_OF_MODES (KIND(READ) | KIND(WRITE) << 16 | (KIND(READ) | KIND(WRITE)) << 32 | KIND(READ) << 48)

static __always_inline __u64 kinds_of_flags(__u64 flags)
{
  __u64 kinds = flags & O_PATH ? KIND(PATH) : KINDS_OF_MODES >> 16 * (flags & O_ACCMODE) & 0xffff;

  return kinds | (flags / O_DIRECTORY & 1) << SNOOP_KIND_DIRECTORY;
}

/* Whether an open with these flags does not follow a link that its path ends with. */
static __always_inline bool is_nofollow_open(__u64 flags)
{
  return flags & O_NOFOLLOW || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL);
}

/* The file that an open led to. Returns what it adds to the kinds. */
static __always_inline __u64 set_opened(struct scratch *scratch, struct file *file, __u64 flags)
{
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
