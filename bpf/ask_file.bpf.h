/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What the kernel knows of a file that user space holds: run on demand. */
#ifndef SNOOP_ASK_FILE_BPF_H
#define SNOOP_ASK_FILE_BPF_H

#include "hook_uring.bpf.h"
#include "user_text.bpf.h"

/* FMODE_NONOTIFY since 6.14; before that FMODE_BACKING (include/linux/fs.h). */
#define FMODE_BIT_25 0x2000000
#define FMODE_BIT_24 0x1000000

/* Run once by user space, with a descriptor that was opened with O_PATH: 6.14 and
 * later keep notifications off such a file. A process in a pid namespace knows
 * only its own pid. The rest is for find_direct_map(): address of a word, the word,
 * and how far to look, in GiB; 0: not at all. */
SEC("raw_tp")
int learn_self(struct bpf_raw_tracepoint_args *ctx)
{
  struct file *file = file_of_fd(bpf_get_current_task_btf(), ctx->args[0]);

  self_pid = bpf_get_current_pid_tgid() >> 32;
  knows_requests = are_requests_known();
  fmode_backing = file && READ(file, f_mode) & FMODE_BIT_25 ? FMODE_BIT_24 : FMODE_BIT_25;
  find_direct_map(ctx->args[1], ctx->args[2], ctx->args[3]);
  return 0;
}

/* The identity of a directory that is open as a descriptor, and its file system:
 * statfs(2) would ask a file system that may not answer. */
SEC("raw_tp")
int identify(struct bpf_raw_tracepoint_args *ctx)
{
  struct file *file = file_of_fd(bpf_get_current_task_btf(), ctx->args[0]);
  struct scratch *scratch = scratch_of(SCRATCH_FILE);

  identified = 0;
  identified_magic = 0;
  if (!file || !scratch)
    return 0;
  place_of_file(&scratch->access.root, file);
  identified = directory_identity(&scratch->access.root);
  identified_magic = READ(READ(READ(file, f_inode), i_sb), s_magic);
  return 0;
}

/*
 * Sends SNOOP_EVENT_FILE about one of snoop's own descriptors, as if a process
 * with the root directory of the second had opened it. Arguments: descriptor,
 * descriptor of the root, target, and a number for the answer.
 */
SEC("raw_tp")
int ask_file(struct bpf_raw_tracepoint_args *ctx)
{
  struct task_struct *task = bpf_get_current_task_btf();
  struct scratch *scratch = scratch_of(SCRATCH_FILE);
  struct file *file = file_of_fd(task, ctx->args[0]);
  struct file *root = file_of_fd(task, ctx->args[1]);

  if (!scratch || !file || !root)
    return 0;
  __builtin_memset(&scratch->event, 0, sizeof(scratch->event));
  scratch->event.type = SNOOP_EVENT_FILE;
  scratch->event.target = ctx->args[2];
  scratch->event.entry = ctx->args[3];
  place_of_file(&scratch->access.root, root);
  place_of_file(&scratch->walk.at, file);
  scratch->walk.root = scratch->access.root;
  scratch->walk.offset = 0;
  set_file(scratch, file);
  if (walk_up(SCRATCH_FILE) != WALK_DONE)
    return 0; /* moved away meanwhile */
  scratch->event.mount_at = scratch->walk.mount_at;
  describe_file(scratch);
  scratch->event.resolved_len = scratch->walk.offset;
  output(scratch, 0);
  return 0;
}

#endif
