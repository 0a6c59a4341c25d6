/* SPDX-License-Identifier: Apache-2.0 */
/* What io_uring does for a program: no system call of the program names the file. */
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "recall.h"

/* Newer than the headers of Debian 12. */
#define OP_BIND 56
#define OP_LISTEN 57

static struct {
  int fd;
  unsigned flags;
  unsigned *head, *tail, *mask, *array, *sq_flags;
  unsigned *cq_head, *cq_tail, *cq_mask;
  struct io_uring_cqe* cqes;
  struct io_uring_sqe* sqes;
} ring;

static void* map(size_t size, off_t offset) {
  void* memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, offset);
  must(memory == MAP_FAILED ? -1 : 0, "mmap of the ring");
  return memory;
}

static void start(unsigned flags) {
  struct io_uring_params params = {.flags = flags, .sq_thread_idle = 2000};
  const long fd = syscall(SYS_io_uring_setup, 8, &params);
  if (fd < 0) {
    if (errno == ENOSYS) skip("this kernel has no io_uring");
    if (errno == EPERM) skip("io_uring is forbidden here");
    must(fd, "io_uring_setup");
  }
  ring.fd = (int)fd;
  ring.flags = flags;
  char* sq = map(params.sq_off.array + params.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
  char* cq = map(params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
  ring.sqes = map(params.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
  ring.tail = (unsigned*)(void*)(sq + params.sq_off.tail);
  ring.mask = (unsigned*)(void*)(sq + params.sq_off.ring_mask);
  ring.array = (unsigned*)(void*)(sq + params.sq_off.array);
  ring.sq_flags = (unsigned*)(void*)(sq + params.sq_off.flags);
  ring.cq_head = (unsigned*)(void*)(cq + params.cq_off.head);
  ring.cq_tail = (unsigned*)(void*)(cq + params.cq_off.tail);
  ring.cq_mask = (unsigned*)(void*)(cq + params.cq_off.ring_mask);
  ring.cqes = (struct io_uring_cqe*)(void*)(cq + params.cq_off.cqes);
}

/* Does one request; the result as a system call has it. */
static long submit(struct io_uring_sqe sqe) {
  const unsigned at = *ring.tail & *ring.mask;
  ring.sqes[at] = sqe;
  ring.array[at] = at;
  __atomic_store_n(ring.tail, *ring.tail + 1, __ATOMIC_RELEASE);
  if (!(ring.flags & IORING_SETUP_SQPOLL)) {
    must(syscall(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0), "io_uring_enter");
  } else {
    if (__atomic_load_n(ring.sq_flags, __ATOMIC_SEQ_CST) & IORING_SQ_NEED_WAKEUP)
      must(syscall(SYS_io_uring_enter, ring.fd, 0, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0), "io_uring_enter");
    must(syscall(SYS_io_uring_enter, ring.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0), "io_uring_enter");
  }
  const unsigned head = *ring.cq_head;
  must(head == __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE) ? -1 : 0, "no completion");
  const int result = ring.cqes[head & *ring.cq_mask].res;
  __atomic_store_n(ring.cq_head, head + 1, __ATOMIC_RELEASE);
  if (result >= 0) return result;
  errno = -result;
  return -1;
}

static uint64_t address(const void* it) { return (uint64_t)(uintptr_t)it; }

static struct io_uring_sqe at_cwd(uint8_t opcode, const char* name) {
  struct io_uring_sqe sqe = {.opcode = opcode, .fd = AT_FDCWD, .addr = address(name)};
  return sqe;
}

static struct io_uring_sqe two_paths(uint8_t opcode, const char* from, const char* to) {
  struct io_uring_sqe sqe = at_cwd(opcode, from);
  sqe.addr2 = address(to);
  sqe.len = (uint32_t)AT_FDCWD;
  return sqe;
}

static void files(void) {
  make_file("file");
  make_file("a");
  make_file("b");
  make_directory("dir");
  make_file("dir/file");
}

static void open_it(const char* name) { did("open", submit(at_cwd(IORING_OP_OPENAT, name)), name); }

static void opened(void) {
  start(0);
  open_it("file");
  struct io_uring_sqe sqe = at_cwd(IORING_OP_OPENAT, "file");
  sqe.fd = (int)did("open", open("dir", O_PATH), "dir");
  did("open", submit(sqe), "dir/file");
  failed("open", ENOENT, submit(at_cwd(IORING_OP_OPENAT, "none")), "none");
}

static void opened_openat2(void) {
  struct open_how how = {.flags = O_RDONLY};
  start(0);
  struct io_uring_sqe sqe = at_cwd(IORING_OP_OPENAT2, "file");
  sqe.addr2 = address(&how);
  sqe.len = sizeof(how);
  did("open", submit(sqe), "file");
}

static void opened_directly(void) {
  int table[4] = {-1, -1, -1, -1};
  struct open_how how = {.flags = O_RDONLY};
  start(0);
  must(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, table, 4), "io_uring_register");
  struct io_uring_sqe sqe = at_cwd(IORING_OP_OPENAT, "file");
  sqe.file_index = 1;
  did("open", submit(sqe), "file");
  sqe = at_cwd(IORING_OP_OPENAT2, "a");
  sqe.addr2 = address(&how);
  sqe.len = sizeof(how);
  sqe.file_index = 2;
  did("open", submit(sqe), "a");
}

static void opened_in_worker(void) {
  start(0);
  struct io_uring_sqe sqe = at_cwd(IORING_OP_OPENAT, "file");
  sqe.flags = IOSQE_ASYNC;
  did("open", submit(sqe), "file");
}

static void opened_by_thread(void) {
  start(IORING_SETUP_SQPOLL);
  open_it("file");
  failed("open", ENOENT, submit(at_cwd(IORING_OP_OPENAT, "none")), "none");
}

static void stats(void) {
  char buffer[256];
  start(0);
  struct io_uring_sqe sqe = at_cwd(IORING_OP_STATX, "file");
  sqe.off = address(buffer);
  sqe.len = STATX_BASIC_STATS;
  did("stat", submit(sqe), "file");
  sqe.addr = address("none");
  failed("stat", ENOENT, submit(sqe), "none");
}

static void removes(void) {
  start(0);
  did("change", submit(at_cwd(IORING_OP_UNLINKAT, "a")), "a");
}

static void renames(void) {
  start(0);
  did("change", submit(two_paths(IORING_OP_RENAMEAT, "a", "new")), "a");
  used("change", "ok", "new");
}

static void makes_directory(void) {
  start(0);
  struct io_uring_sqe sqe = at_cwd(IORING_OP_MKDIRAT, "made");
  sqe.len = 0755;
  did("change", submit(sqe), "made");
}

static void makes_links(void) {
  start(0);
  did("change", submit(two_paths(IORING_OP_LINKAT, "a", "hard")), "a");
  used("change", "ok", "hard");
  struct io_uring_sqe sqe = at_cwd(IORING_OP_SYMLINKAT, "text");
  sqe.addr2 = address("soft");
  did("change", submit(sqe), "soft");
}

static void attributes(void) {
  char value[16] = "1";
  start(0);
  struct io_uring_sqe sqe = {.opcode = IORING_OP_SETXATTR, .addr = address("user.x"), .len = 1};
  sqe.addr2 = address(value);
  sqe.addr3 = address("a");
  if (submit(sqe) < 0) {
    if (errno == EOPNOTSUPP || errno == EINVAL) skip("no extended attributes here");
    must(-1, "setxattr");
  }
  used("change", "ok", "a");
  sqe.opcode = IORING_OP_GETXATTR;
  sqe.len = sizeof(value);
  did("stat", submit(sqe), "a");
}

static void connects(void) {
  const struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "socket"};
  const int server = (int)must(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
  did("change", bind(server, (const struct sockaddr*)&name, sizeof(name)), "socket");
  must(listen(server, 1), "listen");
  start(0);
  const struct io_uring_sqe sqe = {.opcode = IORING_OP_CONNECT,
                                   .fd = (int)must(socket(AF_UNIX, SOCK_STREAM, 0), "socket"),
                                   .addr = address(&name),
                                   .off = sizeof(name)};
  did("connect", submit(sqe), "socket");
}

static void binds(void) {
  const struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "bound"};
  start(0);
  const struct io_uring_sqe sqe = {.opcode = OP_BIND,
                                   .fd = (int)must(socket(AF_UNIX, SOCK_STREAM, 0), "socket"),
                                   .addr = address(&name),
                                   .off = sizeof(name)};
  if (submit(sqe) < 0) {
    if (errno == EINVAL) skip("io_uring of this kernel has no bind");
    must(-1, "bind");
  }
  used("change", "ok", "bound");
}

const struct recall_case recall_cases[] = {
    {"io_uring_openat", opened, files, RECALL_NEW},
    {"io_uring_openat2", opened_openat2, files, RECALL_NEW},
    {"io_uring_direct_descriptor", opened_directly, files, RECALL_NEW},
    {"io_uring_worker", opened_in_worker, files, RECALL_NEW},
    {"io_uring_sqpoll", opened_by_thread, files, RECALL_NEW},
    {"io_uring_statx", stats, files, RECALL_NEW},
    {"io_uring_unlinkat", removes, files, RECALL_NEW},
    {"io_uring_renameat", renames, files, RECALL_NEW},
    {"io_uring_mkdirat", makes_directory, files, RECALL_NEW},
    {"io_uring_links", makes_links, files, RECALL_NEW},
    {"io_uring_xattr", attributes, files, RECALL_NEW},
    {"io_uring_connect", connects, NULL, RECALL_NEW},
    {"io_uring_bind", binds, NULL, RECALL_NEW},
    {0},
};
