/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Constants of the kernel's interface that the hooks look for. */
#ifndef SNOOP_UAPI_BPF_H
#define SNOOP_UAPI_BPF_H

#include "kernel_types.bpf.h"

/* include/uapi/asm-generic/fcntl.h, the same on x86 and arm64 but for two. */
#define O_ACCMODE 00000003
#define O_WRONLY 00000001
#define O_RDWR 00000002
#define O_CREAT 00000100
#define O_PATH 010000000
#define O_TMPFILE_ONLY 020000000
#define O_EXCL 00000200
#if defined(__TARGET_ARCH_arm64)
#define O_DIRECTORY 040000
#define O_NOFOLLOW 0100000
#else
#define O_DIRECTORY 0200000
#define O_NOFOLLOW 0400000
#endif
#define AT_SYMLINK_NOFOLLOW 0x100
#define AT_SYMLINK_FOLLOW 0x400
#define AT_EMPTY_PATH 0x1000
/* include/linux/fs.h */
#define FMODE_CREATED 0x100000
#define S_IFMT 0170000
#define S_IFDIR 0040000
#define S_IFREG 0100000
/* include/uapi/linux/magic.h */
#define OVERLAYFS_SUPER_MAGIC 0x794c7630
/* include/uapi/linux/mount.h */
#define MS_BIND 4096
#define MS_MOVE 8192
/* include/uapi/linux/openat2.h */
#define RESOLVE_IN_ROOT 0x10
struct open_how {
  __u64 flags;
  __u64 mode;
  __u64 resolve;
};

/* include/linux/socket.h, include/uapi/linux/un.h */
#define AF_UNIX 1
#define UNIX_PATH_MAX 108

/* include/uapi/asm-generic/errno*.h, include/linux/errno.h */
#define EPERM 1
#define ENOENT 2
#define EBADF 9
#define EACCES 13
#define EFAULT 14
#define ENOTDIR 20
#define ENAMETOOLONG 36
#define ENOSYS 38
#define ECANCELED 125
#define ERESTARTNOINTR 513

#endif
