/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What the kernel side tells user space: the one header that both include. */
#ifndef SNOOP_EVENT_H
#define SNOOP_EVENT_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* Kinds of access. A record carries a mask of them; an open has several. */
enum snoop_kind {
  SNOOP_KIND_READ = 0,    /* open for reading */
  SNOOP_KIND_WRITE,       /* open for writing */
  SNOOP_KIND_CREATE,      /* open that made the file */
  SNOOP_KIND_DIRECTORY,   /* open of a directory */
  SNOOP_KIND_PATH,        /* open with O_PATH */
  SNOOP_KIND_EXEC,        /* program started */
  SNOOP_KIND_INTERPRETER, /* loaded by the kernel to run another file */
  SNOOP_KIND_STAT,        /* asked about */
  SNOOP_KIND_ACCESS,      /* permission asked */
  SNOOP_KIND_READLINK,    /* link read */
  SNOOP_KIND_CHANGE,      /* made, removed, renamed, or metadata changed */
  SNOOP_KIND_CONNECT,     /* socket connected or sent to */
  SNOOP_KIND_BASELINE,    /* open, mapped or running when capture began */
  SNOOP_KIND_SYMLINK,     /* link walked on the way to another file; user space finds them */
  SNOOP_KIND_COUNT,
};

/* How the access ended. */
enum snoop_outcome {
  SNOOP_OUTCOME_OK = 0,
  SNOOP_OUTCOME_MISSING, /* ENOENT, ENOTDIR */
  SNOOP_OUTCOME_REFUSED, /* EACCES, EPERM */
  SNOOP_OUTCOME_OTHER,   /* any other error: the file is there, or may be */
  SNOOP_OUTCOME_COUNT,
};

/* Bit of a kind with an outcome in a "seen" mask. */
#define SNOOP_SEEN_SHIFT(outcome) ((outcome)*16)

enum snoop_event_type {
  SNOOP_EVENT_ACCESS = 1,
  SNOOP_EVENT_ELF_INTERPRETER, /* base: the executable; resolved: its loader */
  SNOOP_EVENT_CGROUP,          /* path: the new cgroup that became a target */
  SNOOP_EVENT_CGROUP_GONE,     /* the cgroup `cgroup_id` was removed; `inode`: 1 if it was the target's top */
  SNOOP_EVENT_MOVED,           /* the process `pid` was moved into the target, with what it has open */
  SNOOP_EVENT_ROOT,            /* first process of the cgroup with this root directory */
  SNOOP_EVENT_FILE,            /* answer about a file that user space asked for; `entry` is its own number */
};

enum snoop_event_flag {
  /* The path is relative to the directory in the base section. */
  SNOOP_FLAG_RELATIVE = 1 << 0,
  /* openat2(RESOLVE_IN_ROOT): the directory is the root of the path. */
  SNOOP_FLAG_IN_ROOT = 1 << 1,
  /* A successful chdir whose former directory is not known: the base section
   * holds the directory that it led to. */
  SNOOP_FLAG_BASE_IS_RESULT = 1 << 2,
  /* The base is outside of the task's root; it starts at the mount namespace's. */
  SNOOP_FLAG_BASE_ABOVE_ROOT = 1 << 3,
  /* The same for the resolved section. */
  SNOOP_FLAG_RESOLVED_ABOVE_ROOT = 1 << 4,
  /* A file without a name (memfd): it stands in no directory. */
  SNOOP_FLAG_NAMELESS = 1 << 5,
  /* The call was on the last component itself, also where that is a link. */
  SNOOP_FLAG_NOFOLLOW = 1 << 6,
  /* The program is a script: another one runs it. */
  SNOOP_FLAG_SCRIPT = 1 << 7,
};

/* Longest path that a system call takes, with its NUL (PATH_MAX). */
#define SNOOP_PATH_MAX 4096
/* Most bytes of a directory walk, names with their NULs: 4096 levels of one
 * letter, or a path twice as long as PATH_MAX. */
#define SNOOP_WALK_MAX 8192

/* Where the opened file lies. What is not known is SNOOP_LAYER_UNKNOWN. */
enum snoop_layer {
  SNOOP_LAYER_UNKNOWN = 0,
  SNOOP_LAYER_LOWER,  /* overlayfs: of a lower layer only */
  SNOOP_LAYER_UPPER,  /* overlayfs: made at run time, no lower layer has it */
  SNOOP_LAYER_COPIED, /* overlayfs: of a lower layer, changed at run time */
  SNOOP_LAYER_PLAIN,  /* any other file system */
};

/*
 * One record of the ring buffer: this header, then three byte strings:
 *   path      path_len bytes, without NUL, as the program gave it
 *   base      base_len bytes: directory names from the leaf to the root, each
 *             with its NUL
 *   resolved  resolved_len bytes: the same for the file that was opened
 */
struct snoop_event {
  __u32 size;      /* bytes, this header included */
  __u16 type;      /* enum snoop_event_type */
  __u16 flags;     /* enum snoop_event_flag */
  __u64 time_ns;   /* CLOCK_BOOTTIME */
  __u64 cgroup_id; /* inode number of the task's cgroup directory */
  __u64 seen;      /* kinds, shifted by the outcome */
  __u64 inode;     /* of the opened or executed file; 0: not known */
  __u64 entry;     /* number of the entry in `seen_paths`; 0: none */
  __u64 root;      /* identity of the task's root directory, as Probe::describe() has it; 0: not known */
  __u32 target;    /* struct snoop_target id */
  __u32 pid;       /* process (thread group), in the initial pid namespace */
  __u32 tid;       /* thread, likewise */
  __s32 result;    /* what the call returned: 0 or more, or -errno */
  __u32 fs_magic;  /* super block's s_magic of the opened file; 0: not known */
  __u16 path_len;
  __u16 base_len;
  __u16 resolved_len;
  __u16 mount_at; /* in resolved: bytes of the names below the file's mount; the rest is the mount point */
  __u8 layer;     /* enum snoop_layer */
  __u8 reserved[3];
};

/* A cgroup that is traced: the value of the map `cgroups`. */
struct snoop_target {
  __u32 id;    /* never used twice; 0: not traced itself */
  __u32 slot;  /* index into `target_stats` */
  __u32 flags; /* enum snoop_target_flag */
  __u32 reserved;
};

enum snoop_target_flag {
  /* Each cgroup made directly below becomes a target of its own. */
  SNOOP_TARGET_ADOPT = 1 << 0,
  /* With ADOPT: the flags pass on to what is made below, to any depth. */
  SNOOP_TARGET_ADOPT_DEEP = 1 << 1,
  /* The target's top cgroup: with it the target ends. */
  SNOOP_TARGET_TOP = 1 << 2,
};

/*
 * In front of the map `cgroups`: cgroups by their address, and their targets, if any. Nothing
 * but loads, from one page. An entry is of another address, or none, unless its two
 * words fit together, so it can be written by all CPUs at once; and it holds in its
 * page's generation only, which user space moves on with each change of the map. A
 * new cgroup at the address of a former one is seen in time (on_cgroup_mkdir).
 */
struct snoop_front {
  __u64 check;  /* the address, xor target */
  __u64 target; /* its id, 0 none; slot (12 bits); generation (20 bits) */
};
#define SNOOP_FRONT_SLOT_SHIFT 32
#define SNOOP_FRONT_GENERATION_SHIFT 44
#define SNOOP_FRONT_GENERATION_MASK 0xfffffULL

struct snoop_front_page {
  __u64 generation;
  __u64 reserved;
  struct snoop_front fronts[255];
};
#define SNOOP_FRONT_PAGES 16

/* A call that was no new access, lately, on one CPU: in front of all the rest. Each cache line has three of them;
 * what would be a fourth is only written, to have the line fetched. */
#define SNOOP_RECENT_WAYS 3
#define SNOOP_RECENTS_IN_LINE 4
struct snoop_recent {
  __u64 tag;   /* hash of the call, its arguments and outcome included; 0: empty */
  __u32 entry; /* the lower half of snoop_event.entry */
  __u32 count; /* repeats that are not in `use_counts` yet */
};
#define SNOOP_RECENTS 4096
/* Targets at once. */
#define SNOOP_MAX_TARGETS 4096

/* All of a CPU, and how many repeats they have answered for each target's slot. */
struct snoop_recents {
  __u64 in_work[24]; /* of the kernel side */
  struct snoop_recent slots[SNOOP_RECENTS];
  __u64 events[SNOOP_MAX_TARGETS];
};

/* Repeats of an entry, at its number modulo the size of the map `use_counts`: the lower half of the number, and in
 * the upper half how many, modulo 2^32. Of two with the same place the newer one has it. */
#define SNOOP_USE_COUNTS (1U << 19)

/* Counted in the kernel, per CPU and target. */
struct snoop_target_stats {
  __u64 events;          /* accesses; in the kernel without what `snoop_recents` counts */
  __u64 ring_full;       /* lost: no room in the ring buffer */
  __u64 path_unreadable; /* lost: the path could not be read from the task */
  __u64 path_truncated;  /* lost: a directory too deep or too long to name */
  __u64 base_unknown;    /* lost: a relative path from an unknown directory */
};

/* Counted in the kernel for all targets. */
struct snoop_global_stats {
  __u64 targets_over_limit; /* new cgroups that no free target was left for */
  __u64 ring_full;          /* of all targets: tells that something was lost just now */
};

#ifdef __cplusplus
static_assert(sizeof(snoop_event) == 88, "shared with the kernel side");
static_assert(sizeof(snoop_front_page) == 4096, "one page");
static_assert(sizeof(snoop_recent) == 16, "shared with the kernel side");
static_assert(sizeof(snoop_target) == 16, "shared with the kernel side");
static_assert(sizeof(snoop_target_stats) == 40, "shared with the kernel side");
#else
_Static_assert(sizeof(struct snoop_event) == 88, "shared with user space");
_Static_assert(sizeof(struct snoop_recent) == 16, "shared with user space");
_Static_assert(sizeof(struct snoop_target) == 16, "shared with user space");
_Static_assert(sizeof(struct snoop_target_stats) == 40, "shared with user space");
#endif

#endif
