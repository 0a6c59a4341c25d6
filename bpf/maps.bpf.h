/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Settings, maps and the scratch space of the kernel side. */
#ifndef SNOOP_MAPS_BPF_H
#define SNOOP_MAPS_BPF_H

#include "arch.bpf.h"
#include <bpf/bpf_helpers.h>
#include "event.h"
#include "syscalls.h"

/* Settings: constants once the programs are loaded. What most calls need stands
 * first, in one page. */
/* So that nobody can make two paths share a hash on purpose. The second is odd. */
const volatile __u64 cfg_hash_seed[2] = {};
/* 0: every access makes a record (snoop trace). */
const volatile __u32 cfg_first_sight_only = 1;
/* Index of a version 1 controller in css_set.subsys, whose hierarchy tells the
 * targets apart; -1: cgroup2. And the number of that hierarchy, where cgroup2 is 0
 * (kernel/cgroup/cgroup.c). */
const volatile __s32 cfg_cgroup_subsys = -1;
const volatile __s32 cfg_hierarchy_id = 0;
/* The reader is woken when this much is gathered. */
const volatile __u64 cfg_wakeup_bytes = 65536;
const volatile struct snoop_syscall_rule cfg_rules[ABI_COUNT][SNOOP_MAX_SYSCALL] = {};

/* snoop's own process, in the initial pid namespace. */
__u32 self_pid = 0;
/* And the one that asks runtimes for it; 0: none. */
__u32 own_child_pid = 0;
/* The next process that snoop forks is that one. */
__u32 own_child_expected = 0;
/* FMODE_BACKING of include/linux/fs.h, which 6.14 has moved. */
__u32 fmode_backing = 0;
/* io_uring requests have the form that hook_uring.bpf.h knows. */
__u32 knows_requests = 0;
/* What identify() has found out. */
__u64 identified = 0;
__u32 identified_magic = 0;
/* User space moves it on to be told of everything once more, and then the next. */
__u64 seen_generation = 0;
/* How often each target has changed what is mounted where, by its slot. */
__u32 mount_changes[SNOOP_MAX_TARGETS] = {};
/* What each CPU knows by itself (struct own_target) holds until this is moved on. */
__u64 own_epoch = 0;
/* Where the kernel has all memory mapped; 0: not known. See user_text.bpf.h. */
__u64 direct_map = 0;
/* User space sets it before it sleeps; whoever wakes it takes it back. */
__u32 reader_waits = 0;
struct snoop_global_stats global_stats = {};

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 16 * 1024 * 1024);
} events SEC(".maps");

/* cgroup id -> target. Children are added in the kernel. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 65536);
  __type(key, __u64);
  __type(value, struct snoop_target);
} cgroups SEC(".maps");

struct snoop_front_page front_pages[SNOOP_FRONT_PAGES] __attribute__((aligned(4096))) = {};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, SNOOP_MAX_TARGETS);
  __type(key, __u32);
  __type(value, struct snoop_target_stats);
} target_stats SEC(".maps");

/* Targets that user space has set aside for cgroups that are made later. */
struct {
  __uint(type, BPF_MAP_TYPE_QUEUE);
  __uint(max_entries, 1024);
  __type(value, struct snoop_target);
} free_targets SEC(".maps");

/* Address of a process's leader -> the target that the process is known to be of, so that
 * only what comes from elsewhere is looked at for what it brings along. A cache. */
struct member {
  __u64 born; /* its start time: addresses are used again */
  __u32 target;
  __u32 reserved;
};

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 16384);
  __type(key, __u64);
  __type(value, struct member);
} members SEC(".maps");

/* What an access is known by: of target, base directory, path and file. */
struct seen_key {
  __u64 hash[2];
};

/*
 * What was reported already of three accesses, in one cache line: the kinds as in
 * snoop_event.seen, 0 where there is none, and the lower half of its entry. A tag fits to
 * them, or they are none: all CPUs write here at once. See find_seen().
 */
#define SEEN_WAYS 3
#define SEEN_BUCKETS 131072

struct seen_bucket {
  __u64 tags[SEEN_WAYS];
  __u64 kinds[SEEN_WAYS];
  __u32 entries[SEEN_WAYS];
  __u32 reserved;
};
_Static_assert(sizeof(struct seen_bucket) == 64, "one cache line");

struct seen_table {
  struct seen_bucket buckets[SEEN_BUCKETS];
};

/* What was reported already: a cache, never the truth. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct seen_table);
} seen_paths SEC(".maps");

/* Number of the next entry of `seen_paths`; 0 is none. */
__u64 next_entry = 1;

/* A system call at its end: one cache line. */
struct call {
  __u64 args[SNOOP_NO_ARG + 1]; /* six, and 0 */
  __u64 row;                    /* of cfg_rules, those of all ABIs one after the other: the number and the ABI */
};
_Static_assert(sizeof(struct call) == 64, "arg_of");

/* No rule names the one behind them. */
static __always_inline __u64 arg_of(const struct call *call, __u32 n)
{
  return ((const __u64 *)call)[n & 7];
}

static __always_inline __u32 number_of(const struct call *call)
{
  return call->row & (SNOOP_MAX_SYSCALL - 1);
}
_Static_assert((SNOOP_MAX_SYSCALL & (SNOOP_MAX_SYSCALL - 1)) == 0, "number_of");

static __always_inline int abi_of(const struct call *call)
{
  return call->row / SNOOP_MAX_SYSCALL & (ABI_COUNT - 1);
}

/* A call that was not known. */
struct news {
  __u64 tag;        /* to know it by; 0: none */
  __u64 tag_base;   /* identity of the base that the tag was made with; 0: none */
  __u64 place;      /* of the tag, see recents_at() */
  __u64 path_begin; /* call_hash() of it */
  __u64 path_check; /* and with it; 0: the path was not read, or stands in the scratch data */
  __u64 read_len;   /* of the path that stands in the scratch data already, with its NUL; 0: none does */
};

/* Of the cgroup that the last call came from. */
struct own_target {
  __u64 cgroup; /* its address */
  __u64 epoch;  /* own_epoch of then */
  __u64 packed; /* as in snoop_front; the lower half 0: it is not traced */
  __u64 hash;   /* that its paths begin with */
  __u64 factor; /* cfg_hash_seed[1], and direct_map: here they take less code */
  __u64 map;
};

/* What a CPU has of its own. What each call needs stands first, where it is reached with
 * the least code. */
struct recents {
  union {
    struct snoop_recents known;
    struct {
      struct call call; /* that is looked up just now */
      struct own_target own;
      __u64 current_at; /* see current_of() */
      struct news news; /* of the call */
    };
  };
};
_Static_assert(__builtin_offsetof(struct recents, news) + sizeof(struct news) <=
                   sizeof(((struct snoop_recents *)0)->in_work),
               "struct recents");

/* Calls that were no new access, lately. One for each CPU, so that what all of them
 * use stays where it is. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct recents);
} recents SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, SNOOP_USE_COUNTS);
  __type(key, __u32);
  __type(value, __u64); /* the kernel gives each at least 8 bytes */
} use_counts SEC(".maps");

/* Root directories that user space was told of, so that it may hold them, as long
 * as the cgroup is there. */
struct root_key {
  __u64 root; /* its identity */
  __u64 cgroup_id;
};

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 4096);
  __type(key, struct root_key);
  __type(value, __u8);
} known_roots SEC(".maps");

/* fs_struct -> its working directory, for the exit of a chdir, when it is
 * another one already. The pointers are compared with `check`, never trusted. */
struct known_cwd {
  __u64 dentry;
  __u64 mnt;
  __u64 check; /* the dentry's name hash */
};

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 16384);
  __type(key, __u64);
  __type(value, struct known_cwd);
} known_cwds SEC(".maps");

/* Bit of a kind in a mask. */
#define KIND(kind) (1ULL << SNOOP_KIND_##kind)

/* A place in a mount: what struct path is, but with plain numbers, since some
 * of them come out of memory and are read with care only. */
struct place {
  struct dentry *dentry;
  struct mount *mnt;
};

/* One path of one access, while it is worked on. */
struct access {
  struct task_struct *task;
  struct place base;    /* of a relative path */
  struct place root;    /* where base and resolved end */
  struct file *file;    /* what it led to; NULL: not known */
  struct inode *inode;  /* of that file */
  __u64 base_names;     /* address of the base's names, walked before; 0: walk now */
  __u64 base_identity;  /* of those */
  __u32 base_len;       /* of those, in bytes */
  __u64 file_id;        /* file_identity() of it; 0: not known, too deep, or made just now */
  __u64 dentry;         /* its address, as a number; 0: not known, or made just now */
  __u64 tag;            /* of the call, for `recents`; 0: none */
  __u64 tag_base;       /* identity of the base that the tag was made with; 0: none */
  __u64 tag_place;      /* see recents_at() */
  __u64 tag_begin;      /* and call_hash() */
  __u64 tag_arguments;  /* of that */
  __u64 user_path;      /* user address */
  __u64 result_buffer;  /* user address; 0: the call wrote nothing that matters */
  __u32 result_size;    /* bytes */
  __s32 dirfd;          /* AT_FDCWD where the call has none */
  __u32 slot;           /* of the target */
  __u32 max_len;        /* of the path, where a length ends it; 0: a NUL does */
  __u32 read_len;       /* of the path that stands in the scratch data already, with its NUL; 0: none does */
  bool absolute_only;   /* what is not absolute is no path */
  bool named_by_file;   /* there is no path but that of the file */
  bool may_be_nameless; /* and if there is none either, it is nothing to report */
  bool mapped;          /* the file is that of a mapping, not of a descriptor */
  bool too_deep;        /* the file is: it has no identity */
  bool path_hashed;     /* in `key`, and nothing else is yet */
  bool uncached;        /* has no identity that a later access could be compared with */
};

/*
 * A record is put together here and then copied as long as it is. All that the
 * functions share stands here and not on the stack: each of them is then
 * verified once, with unknown values, and not again for every way to it.
 */
#define DATA_MAX (SNOOP_PATH_MAX + 2 * SNOOP_WALK_MAX)
#define NAME_ROOM 256

/* From a directory or file up to a root. */
struct walk {
  struct place at;
  struct place root;
  __u32 offset; /* into scratch.data: where the next name goes */
  __u32 limit;
  __u32 state;    /* enum walk_state */
  __u32 mount_at; /* offset of the names of the mount point, or the end */
};

/* What it comes to. */
struct meaning {
  __u64 kinds;
  __u64 flags; /* of an open or a mount */
  __u32 op;    /* enum snoop_syscall_op */
};

struct scratch {
  struct access access;
  struct walk walk;
  struct call call;
  struct meaning meaning;
  struct seen_key key;
  struct root_key told_root; /* which user space was told of last */
  __u64 not_asked;           /* bytes sent since it was asked how many there are in the ring */
  __u64 tick;                /* of the kernel, when the last record was sent */
  __u64 tick_ns;             /* CLOCK_BOOTTIME of the first in it */
  struct snoop_event event;
  /* The room behind DATA_MAX: a name that starts below it may end beyond. */
  char data[DATA_MAX + NAME_ROOM];
};

/* One for each program: a program does not run twice on one CPU at a time, but
 * where it can be preempted another may run in between. */
enum {
  SCRATCH_SYSCALL = 0,
  SCRATCH_EXEC,
  SCRATCH_CGROUP,
  SCRATCH_BASELINE,
  SCRATCH_FILE,
  SCRATCH_URING,
  SCRATCH_URING_DONE,
  SCRATCH_COUNT,
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, SCRATCH_COUNT);
  __type(key, __u32);
  __type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline struct scratch *scratch_of(__u32 which)
{
  return bpf_map_lookup_elem(&scratches, &which);
}

/* An io_uring request between its submission and its end. Its text stands behind
 * it: path, then base, without a NUL between. */
struct request {
  __u64 address; /* of the kernel's request */
  struct snoop_event event;
  struct place root;
  __u64 base_identity;
  __u64 kinds;
  __u64 open_flags;
  __u32 taken; /* sent, or being sent */
  __u32 slot;  /* of the target */
  __s32 dirfd;
  __u32 base_len;
  bool late_base; /* the directory was not open yet at the submission */
  bool opens_fd;  /* its result is a descriptor */
  bool silent;    /* nobody is told if it succeeds */
};

#define SHORT_TEXT 320
/* With what a hash map adds, 8 KiB: that is what the allocator would give. */
#define LONG_TEXT 7920

struct short_request {
  struct request request;
  char text[SHORT_TEXT];
};

struct long_request {
  struct request request;
  char text[LONG_TEXT];
};

/* By the address of the kernel's request; one more than that for a second path.
 * Most are short: their memory is set aside, since to ask for it each time would
 * take far longer than the request. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 4096);
  __type(key, __u64);
  __type(value, struct short_request);
} short_requests SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 1024);
  __type(key, __u64);
  __type(value, struct long_request);
} long_requests SEC(".maps");

/* Where an entry is put together. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct long_request);
} new_requests SEC(".maps");

static __always_inline struct snoop_target_stats *stats_of(__u32 slot)
{
  return bpf_map_lookup_elem(&target_stats, &slot);
}

#endif
