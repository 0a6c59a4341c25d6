/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* System calls with a path, at their exit. */
#ifndef SNOOP_HOOK_SYSCALL_BPF_H
#define SNOOP_HOOK_SYSCALL_BPF_H

#include "known_call.bpf.h"
#include "outcome.bpf.h"
#include "socket_path.bpf.h"
#include "uapi.bpf.h"
#include <bpf/bpf_tracing.h>

/* An access whose path is gone: what it opened has a name all the same, if not the one that it was asked for by. */
static __always_inline int emit_by_file(__u32 which)
{
  struct scratch *scratch = scratch_of(which);
  struct task_struct *task;

  if (!scratch || !scratch->access.file)
    return 0;
  task = task_of(scratch);
  scratch->event.flags = 0;
  scratch->access.named_by_file = true;
  scratch->access.too_deep |= !scratch->access.dentry; /* one that was made just now is known by its name only */
  set_path_len(scratch, 0);
  place_of_root(&scratch->access.root, OF_TASK(task, fs));
  return emit_access(which);
}

/* The path of a system call at its exit: reads it, finds where it begins. What
 * is known from the registers stands in the scratch space already. */
__noinline int on_path(__u32 which, __u32 op)
{
  struct scratch *scratch = scratch_of(which);
  struct snoop_target_stats *stats;
  struct task_struct *task;
  struct fs_struct *fs;
  struct access *access;
  bool overwritten;
  long len;

  if (!scratch)
    return 0;
  access = &scratch->access;
  task = task_of(scratch);
  fs = OF_TASK(task, fs);
  stats = stats_of(access->slot);
  if (!stats)
    return 0;
  if (op == SNOOP_OP_HANDLE) {
    stats->events++;
    set_path_len(scratch, 0);
    place_of_root(&access->root, fs);
    return emit_access(which);
  }
  if (!access->user_path)
    return 0;
  if (access->read_len)
    len = access->read_len;
  else if (access->max_len)
    len = read_socket_path(scratch);
  else
    len = bpf_probe_read_user_str(scratch->data, SNOOP_PATH_MAX, (const void *)access->user_path);
  if (len == 0)
    len = 1; /* kernels before 6.13 leave the NUL of an empty string out (mm/maccess.c) */
  if (len < 1 && scratch->event.result == -EFAULT)
    return 0; /* the kernel could not read it either */
  overwritten = is_overwritten(access->user_path, len, access->result_buffer, access->result_size);
  if (len == 1 && !overwritten) {
    if (may_be_empty(&scratch->call, first_word(rule_of(&scratch->call)), scratch->event.result))
      return 0; /* the call was on the descriptor itself */
    overwritten = true;
  }
  if (len > 1 && access->absolute_only && scratch->data[0] != '/')
    return 0;
  stats->events++;
  if (len < 1 || overwritten) {
    stats->path_unreadable++;
    return emit_by_file(which);
  }
  set_path_len(scratch, len - 1);

  place_of_root(&access->root, fs);
  if (scratch->data[0] != '/' || scratch->event.flags & SNOOP_FLAG_IN_ROOT) {
    if (access->dirfd != AT_FDCWD) {
      struct file *file = file_of_fd(task, access->dirfd);

      if (!file) {
        stats->base_unknown++;
        return 0;
      }
      place_of_file(&access->base, file);
      scratch->event.flags |= SNOOP_FLAG_RELATIVE;
    } else if (op == SNOOP_OP_CHDIR && scratch->event.result == 0) {
      if (recall_cwd(&access->base, fs)) {
        scratch->event.flags |= SNOOP_FLAG_RELATIVE;
      } else {
        place_of_cwd(&access->base, fs);
        scratch->event.flags |= SNOOP_FLAG_RELATIVE | SNOOP_FLAG_BASE_IS_RESULT;
      }
    } else {
      place_of_cwd(&access->base, fs);
      scratch->event.flags |= SNOOP_FLAG_RELATIVE;
    }
  }
  if (op == SNOOP_OP_CHROOT && scratch->event.result == 0) {
    /* The root that the path was meant for is not known any more. */
    access->root.dentry = NULL;
    access->root.mnt = NULL;
  }
  return emit_access(which);
}

/* struct mmsghdr and struct compat_mmsghdr: a struct msghdr and its result. */
#define MMSGHDR_SIZE 64
#define COMPAT_MMSGHDR_SIZE 32

struct messages {
  __u64 first; /* user address of the first struct mmsghdr */
  int abi;
};

static long on_next_message(__u32 index, struct messages *messages)
{
  struct scratch *scratch = scratch_of(SCRATCH_SYSCALL);
  __u32 size = messages->abi == ABI_NATIVE ? MMSGHDR_SIZE : COMPAT_MMSGHDR_SIZE;
  struct msg_name name = {};

  if (!scratch)
    return 1;
  read_msg_name(&name, messages->first + (__u64)(index + 1) * size, messages->abi);
  if (set_socket_path(&scratch->access, &name)) {
    scratch->event.flags = 0;
    on_path(SCRATCH_SYSCALL, SNOOP_OP_CONNECT);
  }
  return 0;
}

/* A root directory that a task has given itself just now, before it starts
 * anything there: a container's is held before its own program runs. */
static __always_inline void learn_root(struct task_struct *task, struct fs_struct *fs,
                                       const struct snoop_target *target, __u64 cgroup_id)
{
  struct scratch *scratch = scratch_of(SCRATCH_FILE);

  if (!scratch)
    return;
  start_access(scratch, task, target, cgroup_id);
  place_of_root(&scratch->access.root, fs);
  set_path_len(scratch, 0);
  announce_root(SCRATCH_FILE);
}

/* Where the task is now, after a call that moved it. */
static __noinline void learn_base(const struct scratch *scratch)
{
  struct snoop_target target = {.id = scratch->event.target, .slot = scratch->access.slot};
  struct task_struct *task = bpf_get_current_task_btf();
  struct fs_struct *fs = OF_TASK(task, fs);

  remember_cwd(fs);
  learn_root(task, fs, &target, scratch->event.cgroup_id);
}

/* Whether the call did not follow a link that the path ends with. */
static __always_inline bool is_nofollow(const struct scratch *scratch)
{
  const struct call *call = &scratch->call;
  const volatile struct snoop_syscall_rule *rule = rule_of(call);

  switch (rule->follow) {
  case SNOOP_FOLLOW_NEVER: return true;
  case SNOOP_FOLLOW_UNLESS_TOLD: return (arg_of(call, rule->follow_arg) & AT_SYMLINK_NOFOLLOW) != 0;
  case SNOOP_FOLLOW_IF_TOLD: return !(arg_of(call, rule->follow_arg) & AT_SYMLINK_FOLLOW);
  case SNOOP_FOLLOW_OPEN: return is_nofollow_open(scratch->meaning.flags);
  default: return false;
  }
}

static __noinline __u64 read_open_how(struct scratch *scratch, __u64 user_how)
{
  struct open_how how = {};

  bpf_probe_read_user(&how, sizeof(how), (const void *)user_how);
  if (how.resolve & RESOLVE_IN_ROOT)
    scratch->event.flags |= SNOOP_FLAG_IN_ROOT;
  return how.flags;
}

/*
 * The second half of on_call: kinds, flags and operation of the call stand in the
 * scratch space. Global, so that it is verified once and not for each of them.
 */
__noinline int finish_call(__u32 which)
{
  struct scratch *scratch = scratch_of(which);
  const volatile struct snoop_syscall_rule *rule;
  const struct meaning *meaning;
  const struct call *call;
  struct task_struct *task;
  bool is_sure = false;
  __u64 kinds;
  __u32 outcome;
  __u32 op;
  long ret;

  if (!scratch)
    return 0;
  task = task_of(scratch);
  call = &scratch->call;
  meaning = &scratch->meaning;
  rule = rule_of(call);
  kinds = meaning->kinds;
  op = meaning->op;
  ret = scratch->event.result;
  if (ret >= 0 && (op <= SNOOP_OP_OPENAT2 || op == SNOOP_OP_HANDLE)) {
    struct file *file = file_of_fd(task, ret);

    is_sure = file; /* else another thread may have closed it already */
    if (file)
      kinds |= set_opened(scratch, file, meaning->flags);
  }
  if (is_nofollow(scratch))
    scratch->event.flags |= SNOOP_FLAG_NOFOLLOW;
  outcome = outcome_of(ret);
  /* A seccomp filter that traps or kills puts the number of the call where its result should be
   * (syscall_rollback); or the result happens to be as large. */
  if (ret > 0 && ret == number_of(call) && !is_sure && op != SNOOP_OP_READLINK)
    outcome = SNOOP_OUTCOME_OTHER;
  scratch->event.seen = kinds << SNOOP_SEEN_SHIFT(outcome);

  on_path(which, op);
  /* From memory again: the verifier knows too much of what it is now. */
  op = meaning->op;
  ret = scratch->event.result;
  if ((op == SNOOP_OP_CHDIR || op == SNOOP_OP_CHROOT) && ret == 0)
    remember_cwd(OF_TASK(task, fs)); /* pivot_root, which counts as chroot, moves it */
  if (op == SNOOP_OP_CHROOT && ret == 0)
    learn_base(scratch);
  if (rule->path2 != SNOOP_NO_ARG) {
    scratch->access.user_path = arg_of(call, rule->path2);
    scratch->access.dirfd = dirfd_arg(call, rule->dirfd2);
    scratch->access.absolute_only = op == SNOOP_OP_MOUNT && !(meaning->flags & (MS_BIND | MS_MOVE));
    scratch->event.flags &= SNOOP_FLAG_NOFOLLOW;
    on_path(which, op);
  }
  if (IN_WORD(first_word(rule), traits) & SNOOP_MOUNTS && scratch->event.result == 0)
    forget_accesses(scratch->access.slot);
  return 0;
}

/*
 * A call with a path, of a target, at its end: whichever hook saw it. What it was
 * stands in `scratch.call`, and its result in the event. Global, so verified by itself.
 */
__noinline int on_call(__u32 which)
{
  struct scratch *scratch = scratch_of(which);
  const volatile struct snoop_syscall_rule *rule;
  struct meaning *meaning;
  const struct call *call;
  __u64 kinds = KIND(CHANGE);
  long ret;

  if (!scratch)
    return 0;
  call = &scratch->call;
  meaning = &scratch->meaning;
  ret = scratch->event.result;
  rule = rule_of(call);
  meaning->op = rule->op;
  meaning->flags = 0;
  if (meaning->op == SNOOP_OP_REBASE) {
    learn_base(scratch);
    return 0;
  }
  scratch->access.user_path = arg_of(call, rule->path);
  scratch->access.dirfd = dirfd_arg(call, rule->dirfd);
  if (rule->result != SNOOP_NO_ARG && ret >= 0) {
    scratch->access.result_buffer = arg_of(call, rule->result);
    if (rule->result & SNOOP_BEHIND)
      bpf_probe_read_user(&scratch->access.result_buffer, sizeof(scratch->access.result_buffer),
                          (const void *)scratch->access.result_buffer);
    scratch->access.result_size = rule->result_words ? rule->result_words * 8 : (__u32)ret;
    if (!rule->result_words && !(rule->result & SNOOP_BEHIND) && !arg_of(call, rule->result + 1))
      scratch->access.result_size = 0; /* only asked how much there is */
  }
  switch (meaning->op) {
  case SNOOP_OP_OPEN:
    meaning->flags = arg_of(call, rule->extra);
    kinds = kinds_of_flags(meaning->flags);
    break;
  case SNOOP_OP_OPENAT2:
    meaning->flags = read_open_how(scratch, arg_of(call, rule->extra));
    kinds = kinds_of_flags(meaning->flags);
    break;
  case SNOOP_OP_CREAT: kinds = KIND(WRITE); break;
  case SNOOP_OP_EXEC: kinds = KIND(EXEC); break;
  case SNOOP_OP_ACCESS: kinds = KIND(ACCESS); break;
  case SNOOP_OP_READLINK: kinds = KIND(READLINK); break;
  case SNOOP_OP_HANDLE:
    if (ret < 0)
      return 0; /* nothing that could be named */
    meaning->flags = arg_of(call, rule->extra);
    kinds = kinds_of_flags(meaning->flags);
    scratch->access.named_by_file = true;
    break;
  case SNOOP_OP_BIND:
  case SNOOP_OP_CONNECT:
  case SNOOP_OP_SENDMSG:
  case SNOOP_OP_SENDMMSG:
  case SNOOP_OP_SOCKETCALL:
    if (!socket_path(scratch, rule) && meaning->op != SNOOP_OP_SENDMMSG)
      return 0;
    if (meaning->op != SNOOP_OP_BIND)
      kinds = KIND(CONNECT);
    break;
  case SNOOP_OP_MOUNT: meaning->flags = arg_of(call, rule->extra); break;
  case SNOOP_OP_UMOUNT: scratch->access.may_be_nameless = ret == 0; break;
  case SNOOP_OP_CHANGE: break;
  default: kinds = KIND(STAT);
  }
  meaning->kinds = kinds;
  finish_call(which);
  if (meaning->op == SNOOP_OP_SENDMMSG && scratch->event.result > 1) {
    struct messages messages = {.first = arg_of(call, rule->path), .abi = abi_of(call)};

    bpf_loop(scratch->event.result - 1, on_next_message, &messages, 0);
  }
  return 0;
}

/* Has the bucket fetched that the access will be looked for in: it takes its time to come out of memory. As with
 * fetch_recents() nothing waits for a store, unless it waits for page tables itself. */
static __always_inline void fetch_seen(const struct scratch *scratch, const struct recents *own)
{
  const struct access *access = &scratch->access;
  volatile struct seen_bucket *bucket;
  __u64 hash = scratch->key.hash[0];
  __u64 dentry;

  if (own->news.tag_base)
    hash = mix_word(hash, own->news.tag_base, own->own.factor);
  if (rule_of(&own->call)->op == SNOOP_OP_OPEN && scratch->event.result >= 0) {
    dentry = dentry_of_place(own->news.place, access->tag_arguments, own->own.factor);
    bucket = seen_bucket_beside(dentry, own->own.hash, hash);
  } else {
    bucket = seen_bucket_of(hash);
  }
  if (bucket)
    bucket->reserved = 0;
}

/* The path that is_known() has read, once more, to have it. Global, so verified by itself. */
__noinline int copy_path(__u32 which)
{
  struct scratch *scratch = scratch_of(which);
  struct recents *own = own_recents();
  struct text text = {};

  if (!scratch || !own)
    return 0;
  begin_text(&text, own->news.path_begin, own->own.factor);
  if (!read_text(&text, OF_TASK(task_of(scratch), mm), own->own.map, arg_of(&own->call, rule_of(&own->call)->path),
                 scratch->data) ||
      text.hash != own->news.path_check) {
    scratch->access.tag = 0; /* it may be another path by now */
    return 0;
  }
  scratch->access.read_len = text_size(&text);
  set_path_len(scratch, scratch->access.read_len - 1);
  hash_path(which);
  scratch->access.path_hashed = true;
  fetch_seen(scratch, own);
  return 0;
}

/* The long way of a call's end, to where all of it stands in the scratch space. false: nothing does. */
static __noinline bool begin_call(const struct recents *own, struct task_struct *task, long ret)
{
  const volatile struct snoop_syscall_rule *rule = rule_of(&own->call);
  struct snoop_target target = {.id = own->own.packed, .slot = slot_of(own->own.packed)};
  struct scratch *scratch;

  if (is_snoop(task))
    return false;
  if ((rule->op == SNOOP_OP_EXEC && ret >= 0) || (rule->op == SNOOP_OP_REBASE && ret < 0))
    return false;
  scratch = scratch_of(SCRATCH_SYSCALL);
  if (!scratch)
    return false;
  start_access(scratch, task, &target, cgroup_of(task));
  scratch->call = own->call;
  scratch->event.result = ret;
  scratch->access.tag = own->news.tag;
  scratch->access.tag_base = own->news.tag_base;
  scratch->access.tag_place = own->news.place;
  scratch->access.tag_begin = own->news.path_begin;
  scratch->access.tag_arguments = arguments_of(&own->call, first_word(rule), ret);
  scratch->access.read_len = own->news.read_len;
  if (own->news.path_check)
    copy_path(SCRATCH_SYSCALL);
  return true;
}

/* A call at its end, whichever hook saw it. */
static __always_inline int on_end(const struct pt_regs *regs, __u64 number, long ret)
{
  const volatile struct snoop_syscall_rule *rule;
  struct task_struct *task;
  struct recents *own;
  __s64 error;
  __u64 word;

  if (number >= SNOOP_MAX_SYSCALL)
    return 0;
  rule = &cfg_rules[ABI_NATIVE][number & (SNOOP_MAX_SYSCALL - 1)];
  word = first_word(rule);
  if (!word)
    return 0;
  own = own_recents();
  if (!own)
    return 0;
  task = current_of(own);
  find_own_target(own, task);
  if (!(__u32)own->own.packed)
    return 0;
  own->call.row = number;
  /* A branch, so that what comes next need not wait for it. */
  if (likely(task_abi(task) == ABI_NATIVE)) {
    copy_args(own->call.args, regs, ABI_NATIVE);
  } else {
    own->call.row += ABI_COMPAT * SNOOP_MAX_SYSCALL;
    copy_args(own->call.args, regs, ABI_COMPAT);
    rule += ABI_COMPAT * SNOOP_MAX_SYSCALL;
    word = first_word(rule);
  }
  error = error_of(ret);
  /* EFAULT of one of two paths: they are read before either is looked up. */
  if (unlikely(error) && (is_no_access(error) || (error == -EFAULT && rule->path2 != SNOOP_NO_ARG)))
    return 0;
  if (likely(is_plain_call(word, number, ret))) {
    if (likely(is_known(own, word, task, ret)))
      return 0;
  } else {
    if (!IN_WORD(word, op))
      return 0;
    no_news(own);
  }
  if (begin_call(own, task, ret))
    on_call(SCRATCH_SYSCALL);
  return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long ret)
{
  return on_end(regs, syscall_number(regs), ret);
}

#endif
