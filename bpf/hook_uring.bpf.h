/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Requests of io_uring with a path. The kernel copies the path when a request is
 * submitted and lets it go before the request is completed; how it ended is known
 * only then. So what there is to say is noted at the first and sent at the second.
 */
#ifndef SNOOP_HOOK_URING_BPF_H
#define SNOOP_HOOK_URING_BPF_H

#include "outcome.bpf.h"
#include "target.bpf.h"
#include "uapi.bpf.h"
#include <bpf/bpf_tracing.h>

/* include/uapi/linux/io_uring.h */
enum {
  IORING_OP_SENDMSG = 9,
  IORING_OP_CONNECT = 16,
  IORING_OP_OPENAT = 18,
  IORING_OP_STATX = 21,
  IORING_OP_SEND = 26,
  IORING_OP_OPENAT2 = 28,
  IORING_OP_RENAMEAT = 35,
  IORING_OP_UNLINKAT = 36,
  IORING_OP_MKDIRAT = 37,
  IORING_OP_SYMLINKAT = 38,
  IORING_OP_LINKAT = 39,
  IORING_OP_SETXATTR = 42,
  IORING_OP_GETXATTR = 44,
  IORING_OP_SEND_ZC = 47,
  IORING_OP_SENDMSG_ZC = 48,
  IORING_OP_BIND = 56,
};
#define IOSQE_CQE_SKIP_SUCCESS (1U << 6)

#define OP(name) (1ULL << IORING_OP_##name)
#define OPS_OPEN (OP(OPENAT) | OP(OPENAT2))
#define OPS_TWO_PATHS (OP(RENAMEAT) | OP(LINKAT))
#define OPS_SEND (OP(SEND) | OP(SEND_ZC) | OP(SENDMSG) | OP(SENDMSG_ZC))
#define OPS_SOCKET (OP(CONNECT) | OP(BIND) | OPS_SEND)
#define OPS_WITH_PATH                                                                                                  \
  (OPS_OPEN | OPS_TWO_PATHS | OPS_SOCKET | OP(STATX) | OP(UNLINKAT) | OP(MKDIRAT) | OP(SYMLINKAT) | OP(SETXATTR) |     \
   OP(GETXATTR))

static __always_inline bool is_op_of(__u8 opcode, __u64 ops)
{
  return opcode < 64 && (ops >> opcode) & 1;
}

/* Which task runs when a request is sent. */
enum { BY_STRANGER = 0, BY_ITSELF = 1 };

/* Sends what was noted, with its result. Its names stand in the request, which
 * must outlive the call. Global, so verified by itself. */
__noinline int emit_request(struct request *request, __s32 result, __u32 which, int by)
{
  struct scratch *scratch = scratch_of(which);
  struct snoop_target_stats *stats;
  struct access *access;
  __u32 path_len;
  __u64 text;
  __u64 kinds;

  if (!request)
    return 0;
  stats = stats_of(request->slot);
  path_len = request->event.path_len;
  text = (__u64)request + sizeof(*request);
  kinds = request->kinds;
  /* Taken once, by whoever comes first. */
  if (__sync_val_compare_and_swap(&request->taken, 0, 1) != 0)
    return 0;
  if (!scratch || !stats || path_len >= SNOOP_PATH_MAX || is_no_access(result) || result == -ECANCELED)
    return 0;
  stats->events++;
  access = &scratch->access;
  __builtin_memset(access, 0, sizeof(*access));
  scratch->event = request->event;
  scratch->event.result = result;
  access->slot = request->slot;
  access->root = request->root;
  access->base_identity = request->base_identity;
  access->base_len = request->base_len;
  access->base_names = text + path_len;
  if (request->late_base) {
    struct file *file = by == BY_ITSELF ? file_of_fd(bpf_get_current_task_btf(), request->dirfd) : NULL;

    if (!file) {
      stats->base_unknown++;
      return 0;
    }
    place_of_file(&access->base, file);
    access->base_names = 0;
  }
  if (request->opens_fd && result >= 0 && by == BY_ITSELF) {
    struct file *file = file_of_fd(bpf_get_current_task_btf(), result);

    if (file)
      kinds |= set_opened(scratch, file, request->open_flags);
  }
  barrier_var(path_len); /* 6.1 has lost the bound by now, and the compiler would take the mask away */
  bpf_probe_read_kernel(scratch->data, path_len & (SNOOP_PATH_MAX - 1), (const void *)text);
  set_path_len(scratch, path_len);
  scratch->event.seen = kinds << SNOOP_SEEN_SHIFT(outcome_of(result));
  return emit_access(which);
}

static __always_inline void finish_request(__u64 key, __s32 result, __u32 which, int by)
{
  struct request *request = bpf_map_lookup_elem(&short_requests, &key);

  if (request) {
    emit_request(request, result, which, by);
    bpf_map_delete_elem(&short_requests, &key);
    return;
  }
  request = bpf_map_lookup_elem(&long_requests, &key);
  if (request) {
    emit_request(request, result, which, by);
    bpf_map_delete_elem(&long_requests, &key);
  }
}

/* The path of a socket address, out of the kernel's copy. Returns its length with
 * a NUL. */
static __always_inline long copy_socket_path(struct scratch *scratch)
{
  __u32 size = scratch->access.max_len;

  if (size > UNIX_PATH_MAX)
    size = UNIX_PATH_MAX;
  if (bpf_probe_read_kernel(scratch->data, size, (const void *)scratch->access.user_path))
    return -EFAULT;
  scratch->data[size] = '\0';
  /* For its length only: the copy is overwritten. */
  return bpf_probe_read_kernel_str(scratch->data + NAME_ROOM, UNIX_PATH_MAX + 1, scratch->data);
}

/* Notes one path of the request that is in the scratch space; `user_path` is the
 * address of the kernel's copy here. */
__noinline int note_path(__u32 number)
{
  struct task_struct *task = bpf_get_current_task_btf();
  struct fs_struct *fs = OF_TASK(task, fs);
  struct scratch *scratch = scratch_of(SCRATCH_URING);
  __u32 zero = 0;
  struct long_request *new_request = bpf_map_lookup_elem(&new_requests, &zero);
  struct request *request;
  struct snoop_target_stats *stats;
  struct access *access;
  __u32 path_len;
  __u32 end;
  __u64 key;
  long len;
  int state;

  if (!scratch || !new_request)
    return 0;
  request = &new_request->request;
  key = request->address + number;
  access = &scratch->access;
  stats = stats_of(access->slot);
  if (!stats || !access->user_path)
    return 0;
  if (access->max_len)
    len = copy_socket_path(scratch);
  else
    len = bpf_probe_read_kernel_str(scratch->data, SNOOP_PATH_MAX, (const void *)access->user_path);
  if (len == 1)
    return 0; /* an empty path: the request is on the descriptor itself */
  if (len < 1 || len > SNOOP_PATH_MAX) {
    stats->events++;
    stats->path_unreadable++;
    return 0;
  }
  path_len = len - 1;
  scratch->event.path_len = path_len;
  end = path_len;

  place_of_root(&access->root, fs);
  request->base_identity = 0;
  request->late_base = false;
  if (scratch->data[0] != '/' || scratch->event.flags & SNOOP_FLAG_IN_ROOT) {
    scratch->event.flags |= SNOOP_FLAG_RELATIVE;
    if (access->dirfd == AT_FDCWD) {
      place_of_cwd(&access->base, fs);
    } else {
      struct file *file = file_of_fd(task, access->dirfd);

      if (file)
        place_of_file(&access->base, file);
      else
        request->late_base = true; /* an earlier request of the chain opens it */
    }
    if (!request->late_base) {
      request->base_identity = place_identity(&access->base);
      scratch->walk.at = access->base;
      scratch->walk.root = access->root;
      scratch->walk.offset = path_len;
      state = walk_up(SCRATCH_URING);
      end = scratch->walk.offset;
      if (place_identity(&access->base) != request->base_identity)
        request->base_identity = 0; /* renamed meanwhile: the names may be another's */
      if (state == WALK_CUT || state == WALK_DETACHED) {
        stats->events++;
        if (state == WALK_CUT)
          stats->path_truncated++;
        else
          stats->base_unknown++;
        return 0;
      }
      if (state == WALK_ABOVE_ROOT)
        scratch->event.flags |= SNOOP_FLAG_BASE_ABOVE_ROOT;
    }
  }

  if (end <= LONG_TEXT) {
    request->event = scratch->event;
    request->root = access->root;
    request->slot = access->slot;
    request->dirfd = access->dirfd;
    request->base_len = end - path_len;
    request->taken = 0;
    bpf_probe_read_kernel(new_request->text, end, scratch->data);
    if (end <= SHORT_TEXT && !bpf_map_update_elem(&short_requests, &key, new_request, BPF_ANY))
      return 0;
    if (!bpf_map_update_elem(&long_requests, &key, new_request, BPF_ANY))
      return 0;
  }
  /* No room to wait for the result. In doubt the file was used. */
  stats->events++;
  if (request->late_base) {
    stats->base_unknown++;
    return 0;
  }
  scratch->event.flags &= ~SNOOP_FLAG_BASE_ABOVE_ROOT;
  scratch->event.seen = request->kinds << SNOOP_SEEN_SHIFT(SNOOP_OUTCOME_OK);
  set_path_len(scratch, path_len);
  return emit_access(SCRATCH_URING);
}

/* include/linux/socket.h: address families end before this one. */
#define AF_END 64

/* Where the kernel's copy of a socket address is; false: none, or no path. Before
 * 6.11 it is not made in time. */
static __always_inline bool request_address(struct access *access, struct io_kiocb *req, __u8 opcode, void *command)
{
  void *address = BPF_CORE_READ(req, async_data);
  struct io_async_msghdr *message = address;
  __u16 family = 0;
  __s32 length;

  if (!bpf_core_type_exists(struct io_bind) || !message)
    return false;
  if (opcode == IORING_OP_CONNECT || opcode == IORING_OP_BIND) {
    if (opcode == IORING_OP_CONNECT)
      length = BPF_CORE_READ((struct io_connect *)command, addr_len);
    else
      length = BPF_CORE_READ((struct io_bind *)command, addr_len);
    /* The address alone, or within a message, which begins with a pointer. */
    bpf_probe_read_kernel(&family, sizeof(family), address);
    if (family == 0 || family >= AF_END)
      address += bpf_core_field_offset(struct io_async_msghdr, addr);
  } else {
    address = BPF_CORE_READ(message, msg.msg_name);
    length = BPF_CORE_READ(message, msg.msg_namelen);
  }
  if (!address || length <= (__s32)sizeof(family))
    return false;
  bpf_probe_read_kernel(&family, sizeof(family), address);
  if (family != AF_UNIX)
    return false;
  length -= sizeof(family);
  access->user_path = (__u64)address + sizeof(family);
  access->max_len = length < UNIX_PATH_MAX ? length : UNIX_PATH_MAX;
  return true;
}

/* For ever, maybe not: a path stands behind a plain pointer. User space has found
 * struct io_cmd_data (6.0). */
static __always_inline bool are_requests_known(void)
{
  return bpf_core_field_exists(struct io_open, filename);
}

static __always_inline int on_request(struct io_kiocb *req)
{
  struct snoop_target target = {};
  struct filename *second = NULL;
  struct filename *first = NULL;
  struct request *request;
  struct scratch *scratch;
  __u64 key = (__u64)req;
  __u64 kinds = KIND(CHANGE);
  __s32 second_dirfd = AT_FDCWD;
  bool nofollow = false;
  __s32 dirfd = AT_FDCWD;
  __u8 opcode = req->opcode;
  __u32 zero = 0;
  __u64 cgroup_id;
  struct task_struct *task;
  void *command;

  if (!is_op_of(opcode, OPS_WITH_PATH) || !are_requests_known())
    return 0;
  /* This address was used before, and the request then ended without a word, as
   * it does with IOSQE_CQE_SKIP_SUCCESS. */
  finish_request(key, 0, SCRATCH_URING, BY_STRANGER);
  if (is_op_of(opcode, OPS_TWO_PATHS))
    finish_request(key + 1, 0, SCRATCH_URING, BY_STRANGER);
  task = bpf_get_current_task_btf();
  if (!task_target(&target, task, &cgroup_id))
    return 0;
  request = bpf_map_lookup_elem(&new_requests, &zero);
  scratch = scratch_of(SCRATCH_URING);
  if (!scratch || !request)
    return 0;
  start_access(scratch, task, &target, cgroup_id);
  request->address = key;
  request->open_flags = 0;
  request->opens_fd = false;
  request->silent = (req->flags & IOSQE_CQE_SKIP_SUCCESS) != 0;

  command = (void *)req + bpf_core_field_offset(struct io_kiocb, cmd);
  switch (opcode) {
  case IORING_OP_OPENAT:
  case IORING_OP_OPENAT2: {
    struct io_open *open = command;

    first = BPF_CORE_READ(open, filename);
    dirfd = BPF_CORE_READ(open, dfd);
    request->open_flags = BPF_CORE_READ(open, how.flags);
    request->opens_fd = BPF_CORE_READ(open, file_slot) == 0;
    kinds = kinds_of_flags(request->open_flags);
    nofollow = is_nofollow_open(request->open_flags);
    if (BPF_CORE_READ(open, how.resolve) & RESOLVE_IN_ROOT)
      scratch->event.flags |= SNOOP_FLAG_IN_ROOT;
    break;
  }
  case IORING_OP_STATX: {
    struct io_statx *statx = command;

    first = BPF_CORE_READ(statx, filename);
    dirfd = BPF_CORE_READ(statx, dfd);
    kinds = KIND(STAT);
    nofollow = BPF_CORE_READ(statx, flags) & AT_SYMLINK_NOFOLLOW;
    break;
  }
  case IORING_OP_RENAMEAT: {
    struct io_rename *rename = command;

    first = BPF_CORE_READ(rename, oldpath);
    dirfd = BPF_CORE_READ(rename, old_dfd);
    second = BPF_CORE_READ(rename, newpath);
    second_dirfd = BPF_CORE_READ(rename, new_dfd);
    nofollow = true;
    break;
  }
  case IORING_OP_UNLINKAT: {
    struct io_unlink *unlink = command;

    first = BPF_CORE_READ(unlink, filename);
    dirfd = BPF_CORE_READ(unlink, dfd);
    nofollow = true;
    break;
  }
  case IORING_OP_MKDIRAT: {
    struct io_mkdir *mkdir = command;

    first = BPF_CORE_READ(mkdir, filename);
    dirfd = BPF_CORE_READ(mkdir, dfd);
    nofollow = true;
    break;
  }
  case IORING_OP_SYMLINKAT: {
    struct io_link *link = command;

    /* The old path is the text of the link. */
    first = BPF_CORE_READ(link, newpath);
    dirfd = BPF_CORE_READ(link, new_dfd);
    nofollow = true;
    break;
  }
  case IORING_OP_LINKAT: {
    struct io_link *link = command;

    first = BPF_CORE_READ(link, oldpath);
    dirfd = BPF_CORE_READ(link, old_dfd);
    second = BPF_CORE_READ(link, newpath);
    second_dirfd = BPF_CORE_READ(link, new_dfd);
    nofollow = !(BPF_CORE_READ(link, flags) & AT_SYMLINK_FOLLOW);
    break;
  }
  case IORING_OP_GETXATTR:
  case IORING_OP_SETXATTR: {
    struct io_xattr *xattr = command;

    first = BPF_CORE_READ(xattr, filename);
    if (opcode == IORING_OP_GETXATTR)
      kinds = KIND(STAT);
    break;
  }
  default:
    if (!request_address(&scratch->access, req, opcode, command))
      return 0;
    if (opcode != IORING_OP_BIND)
      kinds = KIND(CONNECT);
  }

  request->kinds = kinds;
  if (nofollow)
    scratch->event.flags |= SNOOP_FLAG_NOFOLLOW;
  scratch->access.dirfd = dirfd;
  if (first)
    scratch->access.user_path = (__u64)BPF_CORE_READ(first, name);
  note_path(0);
  if (second) {
    scratch->access.user_path = (__u64)BPF_CORE_READ(second, name);
    scratch->access.dirfd = second_dirfd;
    scratch->event.flags &= SNOOP_FLAG_NOFOLLOW;
    note_path(1);
  }
  return 0;
}

/* Since 6.4; the request is prepared, that is, its path is copied. */
SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(on_uring_submit_req, struct io_kiocb *req)
{
  return on_request(req);
}

/* The same before 6.4. */
SEC("tp_btf/io_uring_submit_sqe")
int BPF_PROG(on_uring_submit_sqe, struct io_kiocb *req)
{
  return on_request(req);
}

/* `req` is without a type for the verifier, and NULL where a request gives more
 * than one result. */
SEC("tp_btf/io_uring_complete")
int BPF_PROG(on_uring_complete, void *ring, struct io_kiocb *req)
{
  __s32 result;
  __u8 opcode;

  if (!req)
    return 0;
  opcode = BPF_CORE_READ(req, opcode);
  if (!is_op_of(opcode, OPS_WITH_PATH))
    return 0;
  result = BPF_CORE_READ(req, cqe.res);
  finish_request((__u64)req, result, SCRATCH_URING_DONE, BY_ITSELF);
  if (is_op_of(opcode, OPS_TWO_PATHS))
    finish_request((__u64)req + 1, result, SCRATCH_URING_DONE, BY_ITSELF);
  return 0;
}

/* A request that does not happen, since one before it in its chain failed. It may
 * end without a word. */
SEC("tp_btf/io_uring_fail_link")
int BPF_PROG(on_uring_fail_link, struct io_kiocb *req, struct io_kiocb *link)
{
  __u64 key = (__u64)link;

  if (!is_op_of(link->opcode, OPS_WITH_PATH))
    return 0;
  bpf_map_delete_elem(&short_requests, &key);
  bpf_map_delete_elem(&long_requests, &key);
  key++;
  bpf_map_delete_elem(&short_requests, &key);
  bpf_map_delete_elem(&long_requests, &key);
  return 0;
}

struct bpf_map;

static long flush_short(struct bpf_map *map, __u64 *key, struct request *request, bool *all)
{
  if (*all || request->silent) {
    emit_request(request, 0, SCRATCH_BASELINE, BY_STRANGER);
    bpf_map_delete_elem(&short_requests, key);
  }
  return 0;
}

static long flush_long(struct bpf_map *map, __u64 *key, struct request *request, bool *all)
{
  if (*all || request->silent) {
    emit_request(request, 0, SCRATCH_BASELINE, BY_STRANGER);
    bpf_map_delete_elem(&long_requests, key);
  }
  return 0;
}

/* Run by user space: sends as succeeded what may have ended without a word, and
 * with an argument other than 0 what has not ended yet, too. */
SEC("raw_tp")
int flush_requests(struct bpf_raw_tracepoint_args *ctx)
{
  bool all = ctx->args[0] != 0;

  bpf_for_each_map_elem(&short_requests, flush_short, &all, 0);
  bpf_for_each_map_elem(&long_requests, flush_long, &all, 0);
  return 0;
}

#endif
