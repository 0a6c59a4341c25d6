/* SPDX-License-Identifier: Apache-2.0 */
/* 32-bit system calls of a 64-bit program: other numbers, and pointers of 32 bits. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "recall.h"

#if defined(__x86_64__)
/* arch/x86/entry/syscalls/syscall_32.tbl */
enum { I386_OPEN = 5, I386_UNLINK = 10, I386_ACCESS = 33, I386_STAT64 = 195, I386_OPENAT = 295, I386_READLINK = 85 };

static long call(long number, const void* a, long b, long c) {
  long result;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(number), "b"(a), "c"(b), "d"(c)
                   : "memory", "r8", "r9", "r10", "r11");
  result = (int)result;
  if (result >= 0) return result;
  errno = (int)-result;
  return -1;
}

/* Memory below 4 GiB, and a name in it. */
static char* low_memory(const char* text) {
  char* low = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  must(low == MAP_FAILED ? -1 : 0, "mmap");
  return strcpy(low, text);
}

static void need_32bit(void) {
  int status = 0;
  const pid_t pid = fork();
  if (pid == 0) {
    signal(SIGSEGV, SIG_DFL);
    _exit(call(20 /* getpid */, NULL, 0, 0) > 0 ? 0 : 1);
  }
  waitpid(pid, &status, 0);
  if (status != 0) skip("this kernel has no 32-bit system calls");
}

static void opens(void) {
  need_32bit();
  did("open", call(I386_OPEN, low_memory("a"), O_RDONLY, 0), "a");
  failed("open", ENOENT, call(I386_OPEN, low_memory("none"), O_RDONLY, 0), "none");
  const long dir = did("open", open("dir", O_PATH), "dir");
  did("open", call(I386_OPENAT, (const void*)dir, (long)low_memory("file"), O_RDONLY), "dir/file");
}

static void others(void) {
  need_32bit();
  char* name = low_memory("b");
  did("access", call(I386_ACCESS, name, R_OK, 0), "b");
  did("stat", call(I386_STAT64, low_memory("a"), (long)(name + 4096), 0), "a");
  did("readlink", call(I386_READLINK, low_memory("link"), (long)(name + 4096), 64), "link");
  did("change", call(I386_UNLINK, name, 0, 0), "b");
}

/* x32: the numbers of x86_64 with a bit set. */
static void x32(void) {
  const long fd = syscall(SYS_open | 0x40000000, "a", O_RDONLY);
  if (fd < 0 && errno == ENOSYS) skip("this kernel has no x32 system calls");
  did("open", fd, "a");
}
#else
static void opens(void) { skip("x86_64 only"); }
static void others(void) { skip("x86_64 only"); }
static void x32(void) { skip("x86_64 only"); }
#endif

static void files(void) {
  make_file("a");
  make_file("b");
  make_link("text", "link");
  make_directory("dir");
  make_file("dir/file");
}

const struct recall_case recall_cases[] = {
    {"int_0x80_open", opens, files, RECALL_NEW},
    {"int_0x80_others", others, files, RECALL_NEW},
    {"x32", x32, files, RECALL_NEW},
    {0},
};
