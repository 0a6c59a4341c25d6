/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Every system call that takes a path: the one table, for both sides.
 *
 * User space turns it into `cfg_rules` before the programs are loaded; the
 * kernel side knows no system call by name. Numbers: arch/x86/entry/syscalls,
 * include/uapi/asm-generic/unistd.h (arm64). A unit test compares them with
 * the headers of the build machine.
 */
#ifndef SNOOP_SYSCALLS_H
#define SNOOP_SYSCALLS_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* How the arguments of a call are read. */
enum snoop_syscall_op {
  SNOOP_OP_NONE = 0,
  SNOOP_OP_OPEN,       /* extra: the argument with the open flags */
  SNOOP_OP_CREAT,      /* open with O_CREAT|O_WRONLY|O_TRUNC */
  SNOOP_OP_OPENAT2,    /* extra: the argument that points to struct open_how */
  SNOOP_OP_EXEC,       /* failures only; success is seen at sched_process_exec */
  SNOOP_OP_STAT,       /* asks about a file: stat, statfs, xattr, inotify, handle */
  SNOOP_OP_ACCESS,     /* access(2) and relatives */
  SNOOP_OP_READLINK,   /* readlink(2) and relatives */
  SNOOP_OP_CHANGE,     /* creates, removes, renames, or changes metadata */
  SNOOP_OP_CHDIR,      /* success has replaced the base of its own path */
  SNOOP_OP_CHROOT,     /* success has replaced the root of its own path */
  SNOOP_OP_REBASE,     /* no path, but the working directory may be another */
  SNOOP_OP_MOUNT,      /* path2 is a path only where it is absolute, or by the flags in extra */
  SNOOP_OP_UMOUNT,     /* success may have taken the base of its own path away */
  SNOOP_OP_HANDLE,     /* no path: the file that was opened; extra: flags */
  SNOOP_OP_BIND,       /* path: a socket address; extra: its length */
  SNOOP_OP_CONNECT,    /* the same, of a socket that is there */
  SNOOP_OP_SENDMSG,    /* path: struct msghdr with the address */
  SNOOP_OP_SENDMMSG,   /* path: an array of struct mmsghdr */
  SNOOP_OP_SOCKETCALL, /* i386: the four calls above in one */
};

/* Arguments are counted from 0; SNOOP_NO_ARG: there is none. */
#define SNOOP_NO_ARG 6
/* One more than the highest system call number that the table can hold. */
#define SNOOP_MAX_SYSCALL 512
/* The call does not exist on this architecture. */
#define SNOOP_NO_SYSCALL (-1)

#define SNOOP_BEHIND 0x40

/* A row of the table, as the kernel side has it: two words, of which plain calls need one. */
struct snoop_syscall_rule {
  __u8 op;   /* enum snoop_syscall_op */
  __u8 path; /* argument numbers, SNOOP_NO_ARG where there is none */
  __u8 dirfd;
  __u8 flags;        /* of a plain call: `extra`, or else `follow_arg` */
  __u8 result;       /* argument with the address of what the call writes; with SNOOP_BEHIND, of its address */
  __u8 result_words; /* how much that is, in 8 bytes; 0: as many bytes as it returns */
  __u8 elsewhere;    /* the number has a row in another ABI: where a first word is 0, it has none at all */
  __u8 traits;       /* SNOOP_PLAIN and those below */
  __u8 path2;
  __u8 dirfd2;
  __u8 extra;
  __u8 follow;     /* enum snoop_follow */
  __u8 follow_arg; /* argument with the AT_ flags */
  __u8 reserved2[3];
};

/* What the call means is all in its arguments, and its path is one. The first word is negative then. */
#define SNOOP_PLAIN 0x80
/* No flag lets it succeed with an empty path. */
#define SNOOP_NAMED 0x01
/* Nothing but AT_EMPTY_PATH, in `flags`, does. */
#define SNOOP_NAMED_UNLESS_TOLD 0x04
/* Where it succeeds, paths may lead elsewhere than before. */
#define SNOOP_MOUNTS 0x02

/* What a call does with a link that its path ends with. */
enum snoop_follow {
  SNOOP_FOLLOW_ALWAYS = 0,
  SNOOP_FOLLOW_NEVER,
  SNOOP_FOLLOW_UNLESS_TOLD, /* AT_SYMLINK_NOFOLLOW */
  SNOOP_FOLLOW_IF_TOLD,     /* AT_SYMLINK_FOLLOW */
  SNOOP_FOLLOW_OPEN,        /* O_NOFOLLOW, O_CREAT with O_EXCL */
};

/*
 * X(name, x86_64, i386, arm64, op, path, dirfd, extra, path2, dirfd2)
 *
 * _N and _A are what the user of the macro wants for "no such call here" and
 * "no such argument". The target of a symbolic link is text, not an access, so
 * symlink and symlinkat have one path.
 */
/* clang-format off */
#define SNOOP_SYSCALLS(X, _N, _A) \
  X(open,                 2,    5,   _N, SNOOP_OP_OPEN,      0, _A,  1, _A, _A) \
  X(openat,             257,  295,   56, SNOOP_OP_OPEN,      1,  0,  2, _A, _A) \
  X(openat2,            437,  437,  437, SNOOP_OP_OPENAT2,   1,  0,  2, _A, _A) \
  X(creat,               85,    8,   _N, SNOOP_OP_CREAT,     0, _A, _A, _A, _A) \
  X(execve,              59,   11,  221, SNOOP_OP_EXEC,      0, _A, _A, _A, _A) \
  X(execveat,           322,  358,  281, SNOOP_OP_EXEC,      1,  0, _A, _A, _A) \
  X(stat,                 4,  106,   _N, SNOOP_OP_STAT,      0, _A, _A, _A, _A) \
  X(lstat,                6,  107,   _N, SNOOP_OP_STAT,      0, _A, _A, _A, _A) \
  X(oldstat,             _N,   18,   _N, SNOOP_OP_STAT,      0, _A, _A, _A, _A) \
  X(oldlstat,            _N,   84,   _N, SNOOP_OP_STAT,      0, _A, _A, _A, _A) \
  X(stat64,              _N,  195,   _N, SNOOP_OP_STAT,      0, _A, _A, _A, _A) \
  X(lstat64,             _N,  196,   _N, SNOOP_OP_STAT,      0, _A, _A, _A, _A) \
  X(newfstatat,         262,   _N,   79, SNOOP_OP_STAT,      1,  0, _A, _A, _A) \
  X(fstatat64,           _N,  300,   _N, SNOOP_OP_STAT,      1,  0, _A, _A, _A) \
  X(statx,              332,  383,  291, SNOOP_OP_STAT,      1,  0, _A, _A, _A) \
  X(statfs,             137,   99,   43, SNOOP_OP_STAT,      0, _A, _A, _A, _A) \
  X(statfs64,            _N,  268,   _N, SNOOP_OP_STAT,      0, _A, _A, _A, _A) \
  X(getxattr,           191,  229,    8, SNOOP_OP_STAT,      0, _A, _A, _A, _A) \
  X(lgetxattr,          192,  230,    9, SNOOP_OP_STAT,      0, _A, _A, _A, _A) \
  X(listxattr,          194,  232,   11, SNOOP_OP_STAT,      0, _A, _A, _A, _A) \
  X(llistxattr,         195,  233,   12, SNOOP_OP_STAT,      0, _A, _A, _A, _A) \
  X(inotify_add_watch,  254,  292,   27, SNOOP_OP_STAT,      1, _A, _A, _A, _A) \
  X(name_to_handle_at,  303,  341,  264, SNOOP_OP_STAT,      1,  0, _A, _A, _A) \
  X(chdir,               80,   12,   49, SNOOP_OP_CHDIR,     0, _A, _A, _A, _A) \
  X(chroot,             161,   61,   51, SNOOP_OP_CHROOT,    0, _A, _A, _A, _A) \
  X(access,              21,   33,   _N, SNOOP_OP_ACCESS,    0, _A, _A, _A, _A) \
  X(faccessat,          269,  307,   48, SNOOP_OP_ACCESS,    1,  0, _A, _A, _A) \
  X(faccessat2,         439,  439,  439, SNOOP_OP_ACCESS,    1,  0, _A, _A, _A) \
  X(readlink,            89,   85,   _N, SNOOP_OP_READLINK,  0, _A, _A, _A, _A) \
  X(readlinkat,         267,  305,   78, SNOOP_OP_READLINK,  1,  0, _A, _A, _A) \
  X(truncate,            76,   92,   45, SNOOP_OP_CHANGE,    0, _A, _A, _A, _A) \
  X(truncate64,          _N,  193,   _N, SNOOP_OP_CHANGE,    0, _A, _A, _A, _A) \
  X(rename,              82,   38,   _N, SNOOP_OP_CHANGE,    0, _A, _A,  1, _A) \
  X(renameat,           264,  302,   38, SNOOP_OP_CHANGE,    1,  0, _A,  3,  2) \
  X(renameat2,          316,  353,  276, SNOOP_OP_CHANGE,    1,  0, _A,  3,  2) \
  X(link,                86,    9,   _N, SNOOP_OP_CHANGE,    0, _A, _A,  1, _A) \
  X(linkat,             265,  303,   37, SNOOP_OP_CHANGE,    1,  0, _A,  3,  2) \
  X(symlink,             88,   83,   _N, SNOOP_OP_CHANGE,    1, _A, _A, _A, _A) \
  X(symlinkat,          266,  304,   36, SNOOP_OP_CHANGE,    2,  1, _A, _A, _A) \
  X(unlink,              87,   10,   _N, SNOOP_OP_CHANGE,    0, _A, _A, _A, _A) \
  X(unlinkat,           263,  301,   35, SNOOP_OP_CHANGE,    1,  0, _A, _A, _A) \
  X(mkdir,               83,   39,   _N, SNOOP_OP_CHANGE,    0, _A, _A, _A, _A) \
  X(mkdirat,            258,  296,   34, SNOOP_OP_CHANGE,    1,  0, _A, _A, _A) \
  X(rmdir,               84,   40,   _N, SNOOP_OP_CHANGE,    0, _A, _A, _A, _A) \
  X(mknod,              133,   14,   _N, SNOOP_OP_CHANGE,    0, _A, _A, _A, _A) \
  X(mknodat,            259,  297,   33, SNOOP_OP_CHANGE,    1,  0, _A, _A, _A) \
  X(chmod,               90,   15,   _N, SNOOP_OP_CHANGE,    0, _A, _A, _A, _A) \
  X(fchmodat,           268,  306,   53, SNOOP_OP_CHANGE,    1,  0, _A, _A, _A) \
  X(fchmodat2,          452,  452,  452, SNOOP_OP_CHANGE,    1,  0, _A, _A, _A) \
  X(chown,               92,  182,   _N, SNOOP_OP_CHANGE,    0, _A, _A, _A, _A) \
  X(lchown,              94,   16,   _N, SNOOP_OP_CHANGE,    0, _A, _A, _A, _A) \
  X(chown32,             _N,  212,   _N, SNOOP_OP_CHANGE,    0, _A, _A, _A, _A) \
  X(lchown32,            _N,  198,   _N, SNOOP_OP_CHANGE,    0, _A, _A, _A, _A) \
  X(fchownat,           260,  298,   54, SNOOP_OP_CHANGE,    1,  0, _A, _A, _A) \
  X(setxattr,           188,  226,    5, SNOOP_OP_CHANGE,    0, _A, _A, _A, _A) \
  X(lsetxattr,          189,  227,    6, SNOOP_OP_CHANGE,    0, _A, _A, _A, _A) \
  X(removexattr,        197,  235,   14, SNOOP_OP_CHANGE,    0, _A, _A, _A, _A) \
  X(lremovexattr,       198,  236,   15, SNOOP_OP_CHANGE,    0, _A, _A, _A, _A) \
  X(utime,              132,   30,   _N, SNOOP_OP_CHANGE,    0, _A, _A, _A, _A) \
  X(utimes,             235,  271,   _N, SNOOP_OP_CHANGE,    0, _A, _A, _A, _A) \
  X(futimesat,          261,  299,   _N, SNOOP_OP_CHANGE,    1,  0, _A, _A, _A) \
  X(utimensat,          280,  320,   88, SNOOP_OP_CHANGE,    1,  0, _A, _A, _A) \
  X(utimensat_time64,    _N,  412,   _N, SNOOP_OP_CHANGE,    1,  0, _A, _A, _A) \
  X(acct,               163,   51,   89, SNOOP_OP_CHANGE,    0, _A, _A, _A, _A) \
  X(bind,                49,  361,  200, SNOOP_OP_BIND,      1, _A,  2, _A, _A) \
  X(connect,             42,  362,  203, SNOOP_OP_CONNECT,   1, _A,  2, _A, _A) \
  X(sendto,              44,  369,  206, SNOOP_OP_CONNECT,   4, _A,  5, _A, _A) \
  X(sendmsg,             46,  370,  211, SNOOP_OP_SENDMSG,   1, _A, _A, _A, _A) \
  X(sendmmsg,           307,  345,  269, SNOOP_OP_SENDMMSG,  1, _A, _A, _A, _A) \
  X(socketcall,          _N,  102,   _N, SNOOP_OP_SOCKETCALL, 1, _A, 0, _A, _A) \
  X(fanotify_mark,      301,   _N,  263, SNOOP_OP_STAT,      4,  3, _A, _A, _A) \
  X(fanotify_mark32,     _N,  339,   _N, SNOOP_OP_STAT,      5,  4, _A, _A, _A) \
  X(file_getattr,       468,  468,  468, SNOOP_OP_STAT,      1,  0, _A, _A, _A) \
  X(file_setattr,       469,  469,  469, SNOOP_OP_CHANGE,    1,  0, _A, _A, _A) \
  X(fspick,             433,  433,  433, SNOOP_OP_STAT,      1,  0, _A, _A, _A) \
  X(getxattrat,         464,  464,  464, SNOOP_OP_STAT,      1,  0, _A, _A, _A) \
  X(listxattrat,        465,  465,  465, SNOOP_OP_STAT,      1,  0, _A, _A, _A) \
  X(setxattrat,         463,  463,  463, SNOOP_OP_CHANGE,    1,  0, _A, _A, _A) \
  X(removexattrat,      466,  466,  466, SNOOP_OP_CHANGE,    1,  0, _A, _A, _A) \
  X(mount,              165,   21,   40, SNOOP_OP_MOUNT,     1, _A,  3,  0, _A) \
  X(mount_setattr,      442,  442,  442, SNOOP_OP_CHANGE,    1,  0, _A, _A, _A) \
  X(move_mount,         429,  429,  429, SNOOP_OP_CHANGE,    1,  0, _A,  3,  2) \
  X(open_by_handle_at,  304,  342,  265, SNOOP_OP_HANDLE,   _A, _A,  2, _A, _A) \
  X(open_tree,          428,  428,  428, SNOOP_OP_STAT,      1,  0, _A, _A, _A) \
  X(open_tree_attr,     467,  467,  467, SNOOP_OP_STAT,      1,  0, _A, _A, _A) \
  X(pivot_root,         155,  217,   41, SNOOP_OP_CHROOT,    0, _A, _A,  1, _A) \
  X(quotactl,           179,  131,   60, SNOOP_OP_STAT,      1, _A, _A, _A, _A) \
  X(swapon,             167,   87,  224, SNOOP_OP_CHANGE,    0, _A, _A, _A, _A) \
  X(swapoff,            168,  115,  225, SNOOP_OP_CHANGE,    0, _A, _A, _A, _A) \
  X(umount,              _N,   22,   _N, SNOOP_OP_UMOUNT,    0, _A, _A, _A, _A) \
  X(umount2,            166,   52,   39, SNOOP_OP_UMOUNT,    0, _A, _A, _A, _A) \
  X(uselib,             134,   86,   _N, SNOOP_OP_STAT,      0, _A, _A, _A, _A) \
  X(fchdir,              81,  133,   50, SNOOP_OP_REBASE,   _A, _A, _A, _A, _A) \
  X(setns,              308,  346,  268, SNOOP_OP_REBASE,   _A, _A, _A, _A, _A) \
  X(unshare,            272,  310,   97, SNOOP_OP_REBASE,   _A, _A, _A, _A, _A)

/*
 * What a call writes for its caller, because it may write over its own path, and
 * the path is read afterwards. X(name, argument, bytes on x86_64, of a 32-bit program
 * there, on arm64); 0 bytes: as many as it returns. SNOOP_BEHIND: the argument is
 * the address of a structure that begins with the address.
 */
#define SNOOP_RESULTS(X) \
  X(stat,              1, 144,  64,   0) \
  X(lstat,             1, 144,  64,   0) \
  X(oldstat,           1,   0,  32,   0) \
  X(oldlstat,          1,   0,  32,   0) \
  X(stat64,            1,   0,  96,   0) \
  X(lstat64,           1,   0,  96,   0) \
  X(newfstatat,        2, 144,   0, 128) \
  X(fstatat64,         2,   0,  96,   0) \
  X(statx,             4, 256, 256, 256) \
  X(statfs,            1, 120,  64, 120) \
  X(statfs64,          2,   0,  80,   0) \
  X(readlink,          1,   0,   0,   0) \
  X(readlinkat,        2,   0,   0,   0) \
  X(getxattr,          2,   0,   0,   0) \
  X(lgetxattr,         2,   0,   0,   0) \
  X(getxattrat,        4 | SNOOP_BEHIND, 0, 0, 0) \
  X(listxattr,         1,   0,   0,   0) \
  X(llistxattr,        1,   0,   0,   0) \
  X(listxattrat,       3,   0,   0,   0) \
  X(name_to_handle_at, 3,   8,   8,   8) \
  X(file_getattr,      2,  24,  24,  24) \
  X(quotactl,          3,  72,  72,  72)

/*
 * Calls that do not always follow a link that their path ends with: X(name, how,
 * argument with the flags). Of two paths, what the first does.
 */
#define SNOOP_FOLLOWS(X, _A) \
  X(open,              SNOOP_FOLLOW_OPEN,        _A) \
  X(openat,            SNOOP_FOLLOW_OPEN,        _A) \
  X(openat2,           SNOOP_FOLLOW_OPEN,        _A) \
  X(execveat,          SNOOP_FOLLOW_UNLESS_TOLD,  4) \
  X(lstat,             SNOOP_FOLLOW_NEVER,       _A) \
  X(oldlstat,          SNOOP_FOLLOW_NEVER,       _A) \
  X(lstat64,           SNOOP_FOLLOW_NEVER,       _A) \
  X(newfstatat,        SNOOP_FOLLOW_UNLESS_TOLD,  3) \
  X(fstatat64,         SNOOP_FOLLOW_UNLESS_TOLD,  3) \
  X(statx,             SNOOP_FOLLOW_UNLESS_TOLD,  2) \
  X(lgetxattr,         SNOOP_FOLLOW_NEVER,       _A) \
  X(llistxattr,        SNOOP_FOLLOW_NEVER,       _A) \
  X(name_to_handle_at, SNOOP_FOLLOW_IF_TOLD,      4) \
  X(faccessat2,        SNOOP_FOLLOW_UNLESS_TOLD,  3) \
  X(readlink,          SNOOP_FOLLOW_NEVER,       _A) \
  X(readlinkat,        SNOOP_FOLLOW_NEVER,       _A) \
  X(rename,            SNOOP_FOLLOW_NEVER,       _A) \
  X(renameat,          SNOOP_FOLLOW_NEVER,       _A) \
  X(renameat2,         SNOOP_FOLLOW_NEVER,       _A) \
  X(link,              SNOOP_FOLLOW_NEVER,       _A) \
  X(linkat,            SNOOP_FOLLOW_IF_TOLD,      4) \
  X(symlink,           SNOOP_FOLLOW_NEVER,       _A) \
  X(symlinkat,         SNOOP_FOLLOW_NEVER,       _A) \
  X(unlink,            SNOOP_FOLLOW_NEVER,       _A) \
  X(unlinkat,          SNOOP_FOLLOW_NEVER,       _A) \
  X(mkdir,             SNOOP_FOLLOW_NEVER,       _A) \
  X(mkdirat,           SNOOP_FOLLOW_NEVER,       _A) \
  X(rmdir,             SNOOP_FOLLOW_NEVER,       _A) \
  X(mknod,             SNOOP_FOLLOW_NEVER,       _A) \
  X(mknodat,           SNOOP_FOLLOW_NEVER,       _A) \
  X(fchmodat2,         SNOOP_FOLLOW_UNLESS_TOLD,  3) \
  X(lchown,            SNOOP_FOLLOW_NEVER,       _A) \
  X(lchown32,          SNOOP_FOLLOW_NEVER,       _A) \
  X(fchownat,          SNOOP_FOLLOW_UNLESS_TOLD,  4) \
  X(lsetxattr,         SNOOP_FOLLOW_NEVER,       _A) \
  X(lremovexattr,      SNOOP_FOLLOW_NEVER,       _A) \
  X(utimensat,         SNOOP_FOLLOW_UNLESS_TOLD,  3) \
  X(utimensat_time64,  SNOOP_FOLLOW_UNLESS_TOLD,  3) \
  X(file_getattr,      SNOOP_FOLLOW_UNLESS_TOLD,  4) \
  X(file_setattr,      SNOOP_FOLLOW_UNLESS_TOLD,  4) \
  X(getxattrat,        SNOOP_FOLLOW_UNLESS_TOLD,  2) \
  X(listxattrat,       SNOOP_FOLLOW_UNLESS_TOLD,  2) \
  X(setxattrat,        SNOOP_FOLLOW_UNLESS_TOLD,  2) \
  X(removexattrat,     SNOOP_FOLLOW_UNLESS_TOLD,  2) \
  X(open_tree,         SNOOP_FOLLOW_UNLESS_TOLD,  2) \
  X(open_tree_attr,    SNOOP_FOLLOW_UNLESS_TOLD,  2) \
  X(mount_setattr,     SNOOP_FOLLOW_UNLESS_TOLD,  2)
/* clang-format on */

#endif
