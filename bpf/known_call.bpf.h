/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The short way of most calls. What a plain call leads to depends on its arguments, on
 * where its path begins, and on the file that it opened: the same again is the same access
 * again, and is only counted. All processes take this way all the time, and what it costs
 * is its code: the less there is of it, the faster (decision 23).
 */
#ifndef SNOOP_KNOWN_CALL_BPF_H
#define SNOOP_KNOWN_CALL_BPF_H

#include "outcome.bpf.h"
#include "target.bpf.h"
#include "user_text.bpf.h"

/* `cfg_rules` of a call. */
static __always_inline const volatile struct snoop_syscall_rule *rule_of(const struct call *call)
{
  return &cfg_rules[0][0] + (call->row & (ABI_COUNT * SNOOP_MAX_SYSCALL - 1));
}

/* Its first word, in a register, and a member out of that. */
static __always_inline __u64 first_word(const volatile struct snoop_syscall_rule *rule)
{
  return *(const volatile __u64 *)rule;
}
#define IN_WORD(word, member) ((word) >> 8 * __builtin_offsetof(struct snoop_syscall_rule, member) & 0xff)
_Static_assert(sizeof(struct snoop_syscall_rule) == 16 && sizeof(cfg_rules) % 16 == 0, "first_word");

static __always_inline __s32 dirfd_arg(const struct call *call, __u8 arg)
{
  return arg == SNOOP_NO_ARG ? AT_FDCWD : (__s32)arg_of(call, arg);
}

/* Whether the call wrote its result over the path that it was given. */
static __always_inline bool is_overwritten(__u64 path, __u64 path_size, __u64 result, __u64 result_size)
{
  return path < result + result_size && result < path + path_size;
}

/* The same of so many bytes of a plain call's path. */
static __always_inline bool is_path_overwritten(const struct call *call, __u64 rule, long ret, __u32 size)
{
  __u64 result_size = IN_WORD(rule, result_words) ? IN_WORD(rule, result_words) * 8 : (__u64)ret;

  /* The argument behind is how much there is room for: none, where only that was asked. */
  if (!IN_WORD(rule, result_words) && !arg_of(call, IN_WORD(rule, result) + 1))
    result_size = 0;

  return IN_WORD(rule, result) != SNOOP_NO_ARG && !error_of(ret) &&
         is_overwritten(arg_of(call, IN_WORD(rule, path)), size, arg_of(call, IN_WORD(rule, result)), result_size);
}

/* Whether it may have been: most answers are far away. None is longer than an extended attribute
 * (XATTR_SIZE_MAX in include/uapi/linux/limits.h). */
#define ANSWER_MAX 65536

static __always_inline bool is_answer_near(const struct call *call, __u64 rule)
{
  __u64 distance = arg_of(call, IN_WORD(rule, result)) - arg_of(call, IN_WORD(rule, path));

  return distance + ANSWER_MAX < ANSWER_MAX + PLAIN_PATH_MAX;
}

/* Whether all that the call means is known from it. Of a seccomp filter's answer (see finish_call) it is not. */
static __always_inline bool is_plain_call(__u64 rule, long number, long ret)
{
  return likely((__s64)rule < 0) && (likely(ret != number) || IN_WORD(rule, op) == SNOOP_OP_OPEN);
}
_Static_assert(__builtin_offsetof(struct snoop_syscall_rule, traits) == 7 && SNOOP_PLAIN == 0x80, "is_plain_call");

static __always_inline void no_news(struct recents *own)
{
  __builtin_memset(&own->news, 0, sizeof(own->news));
}

/* Its arguments and outcome, as far as call_hash() takes them. */
static __always_inline __u64 arguments_of(const struct call *call, __u64 rule, long ret)
{
  return arg_of(call, IN_WORD(rule, flags)) << 32 | (__u32)error_of(ret);
}

/* Whether the path may be empty: the call failed, or was told that it is on the descriptor. Else something was
 * written over the path: its answer, by whatever way, or what another thread has there. */
static __always_inline bool may_be_empty(const struct call *call, __u64 rule, long ret)
{
  if (error_of(ret))
    return true;
  if (IN_WORD(rule, traits) & SNOOP_NAMED)
    return false;
  if (IN_WORD(rule, traits) & SNOOP_NAMED_UNLESS_TOLD)
    return arg_of(call, IN_WORD(rule, flags)) & AT_EMPTY_PATH;
  return IN_WORD(rule, op) != SNOOP_OP_READLINK || dirfd_arg(call, IN_WORD(rule, dirfd)) != AT_FDCWD;
}

/* The hash of the call, before its path. false: it cannot be known again. `place` tells which line of the recent calls
 * it stands in, if that does not depend on the path; 0: it does. */
static __always_inline bool hash_call(const bool is_short_way, __u64 *hash, __u64 *place, struct recents *own,
                                      __u64 rule, struct task_struct *task, struct fs_struct *fs, long ret)
{
  const struct call *call = &own->call;
  struct numbers at_root = read_numbers(&fs->root);
  struct mount *mnt = (struct mount *)(at_root.first - bpf_core_field_offset(struct mount, mnt));
  __u64 root = root_number(at_root.second, mnt, own->own.factor);
  __u64 arguments = arguments_of(call, rule, ret);
  __u64 opened = 0;

  if (IN_WORD(rule, op) == SNOOP_OP_OPEN && !error_of(ret)) {
    struct file *file = opened_file(task, ret);
    struct numbers path;
    struct place where;

    if (unlikely(!file))
      return false;
    if (unlikely(arg_of(call, IN_WORD(rule, flags)) & (O_CREAT | O_TMPFILE_ONLY)) && READ(file, f_mode) & FMODE_CREATED)
      return false;
    path = read_numbers(&file->f_path);
    *place = place_of_opened(path.second, arguments, own->own.factor);
    fetch_recents(own, *place);
    where.mnt = (struct mount *)(path.first - bpf_core_field_offset(struct mount, mnt));
    where.dentry = (struct dentry *)path.second;
    opened = is_short_way ? file_identity_inline(&where) : file_identity(&where);
    if (unlikely(!opened))
      return false;
  }
  *hash = call_hash(&own->own, call, arguments, root, opened);
  return true;
}

/* Where a path begins that is not absolute; 0: not known. */
static __always_inline __u64 identity_of_base(const struct call *call, __u64 rule, struct task_struct *task,
                                              struct fs_struct *fs)
{
  __s32 dirfd = dirfd_arg(call, IN_WORD(rule, dirfd));
  struct place base;

  if (dirfd == AT_FDCWD) {
    place_of_cwd(&base, fs);
  } else {
    struct file *file = file_of_fd(task, dirfd);

    if (!file)
      return 0;
    place_of_file(&base, file);
  }
  return place_identity(&base);
}

/* Whether the call with this hash is known; if so, it is counted. */
static __always_inline bool is_known_as(struct recents *own, __u64 hash, __u64 place, bool absolute, __u64 rule,
                                        struct task_struct *task, struct fs_struct *fs)
{
  struct snoop_recent *recent;
  __u64 base = 0;
  __u64 tag;

  if (unlikely(!absolute)) {
    base = identity_of_base(&own->call, rule, task, fs);
    if (!base) {
      own->news.tag = 0;
      own->news.tag_base = 0;
      return false;
    }
    hash = mix_word(hash, base, own->own.factor);
  }
  tag = hash | 1;
  if (!place)
    place = tag;
  recent = recents_at(own, place);
  for (__u32 way = 1; unlikely(recent->tag != tag); way++) {
    if (way == SNOOP_RECENT_WAYS) {
      own->news.tag = tag;
      own->news.tag_base = base;
      own->news.place = place;
      return false;
    }
    recent++;
  }
  own->known.events[slot_of(own->own.packed)]++;
  recent->count++;
  return true;
}

/* Whether a plain call is known, by a path that is read with the helper; if not, it
 * stands in the scratch data. A function of its own so that its stack is free again. */
static __noinline bool is_known_by_helper(struct recents *own, struct task_struct *task, long ret)
{
  char path[PLAIN_PATH_MAX] __attribute__((aligned(8)));
  const struct call *call = &own->call;
  struct fs_struct *fs = OF_TASK(task, fs);
  struct scratch *scratch;
  __u64 rule = first_word(rule_of(call));
  struct text text = {};
  __u64 place = 0;
  __u64 hash;
  long size = bpf_probe_read_user_str(path, PLAIN_PATH_MAX, (const void *)arg_of(call, IN_WORD(rule, path)));

  no_news(own);
  if (size < 0 || size >= PLAIN_PATH_MAX)
    return false;
  if (is_path_overwritten(call, rule, ret, size ? size : 1))
    return false;
  if (size <= 1)
    return may_be_empty(call, rule, ret); /* the call was on the descriptor itself */
  if (!hash_call(false, &hash, &place, own, rule, task, fs, ret))
    return false;
  begin_text(&text, hash, own->own.factor);
  for (__u32 i = 0; i < PLAIN_PATH_MAX; i += 8) {
    __u64 word = *(const __u64 *)(path + i);
    __u64 zeros = zeros_of(word);

    if (zeros) {
      end_text(&text, word, zeros);
      break;
    }
    text.hash = mix_word(text.hash, word, text.factor);
  }
  if (is_known_as(own, text.hash, place, path[0] == '/', rule, task, fs))
    return true;
  scratch = scratch_of(SCRATCH_SYSCALL);
  if (!scratch)
    return false;
  __builtin_memcpy(scratch->data, path, sizeof(path));
  own->news.path_begin = hash;
  own->news.read_len = size;
  return false;
}

/* Whether a plain call is known; if so, it is counted. Otherwise it takes the long way, which remembers its tag if the
 * access was not new. */
static __always_inline bool is_known(struct recents *own, __u64 rule, struct task_struct *task, long ret)
{
  const struct call *call = &own->call;
  struct fs_struct *fs = task->fs;
  struct text text = {};
  bool absolute;
  __u64 place = 0;
  __u64 begin;

  if (!READS_TEXT)
    return is_known_by_helper(own, task, ret);
  if (unlikely(!hash_call(true, &begin, &place, own, rule, task, fs, ret))) {
    no_news(own);
    return false;
  }
  /* Worked out now, while all that it takes is at hand. */
  barrier_var(begin);
  begin_text(&text, begin, own->own.factor);
  if (unlikely(!read_text(&text, task->mm, own->own.map, arg_of(call, IN_WORD(rule, path)), NULL)))
    return is_known_by_helper(own, task, ret);
  absolute = (char)text.first == '/';
  if (unlikely(!absolute) && unlikely(!(char)text.first)) {
    if (may_be_empty(call, rule, ret) && !is_path_overwritten(call, rule, ret, 1) &&
        is_empty_text(task->mm, arg_of(call, IN_WORD(rule, path))))
      return true; /* the call was on the descriptor itself */
    return is_known_by_helper(own, task, ret);
  }
  if (unlikely(is_answer_near(call, rule)) && is_path_overwritten(call, rule, ret, text_size(&text))) {
    no_news(own);
    return false;
  }
  if (likely(is_known_as(own, text.hash, place, absolute, rule, task, fs)))
    return true;
  own->news.path_begin = begin;
  own->news.path_check = text.hash;
  own->news.read_len = 0;
  return false;
}

#endif
