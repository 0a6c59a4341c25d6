// SPDX-License-Identifier: Apache-2.0
#include "cli/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>

namespace snoop {
namespace {

/// The errno that a call has in a process with the filter; 0: it succeeded.
int errno_behind_filter(const std::function<long()>& call) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (!filter_calls()) {
      ::_exit(255);
    }
    errno = 0;
    ::_exit(call() < 0 ? errno : 0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

long bpf(int command) {
  bpf_attr attributes = {};
  return ::syscall(SYS_bpf, command, &attributes, sizeof(attributes));
}

TEST(Sandbox, LeavesOutWhatIsNotNeeded) {
  struct Row {
    const char* name;
    std::function<long()> call;
  };
  char nothing[] = "";
  char* const none[] = {nullptr};
  const iovec memory = {.iov_base = nothing, .iov_len = 1};
  for (const Row& row : {
           Row{"execve", [&] { return ::execve("/bin/true", none, none); }},
           Row{"execveat", [&] { return ::syscall(SYS_execveat, AT_FDCWD, "/bin/true", none, none, 0); }},
           Row{"clone3", [] { return ::syscall(SYS_clone3, nullptr, 0); }},
           Row{"kill", [] { return ::kill(::getppid(), 0); }},
           Row{"tgkill", [] { return ::syscall(SYS_tgkill, ::getppid(), ::getppid(), 0); }},
           Row{"process_vm_writev", [&] { return ::process_vm_writev(::getppid(), &memory, 1, &memory, 1, 0); }},
           Row{"unshare", [] { return ::unshare(CLONE_NEWNS); }},
           Row{"setns", [] { return ::setns(-1, 0); }},
           Row{"mount", [] { return ::mount("none", "/nowhere", "tmpfs", 0, nullptr); }},
           Row{"chroot", [] { return ::chroot("/"); }},
           Row{"mknod", [] { return ::mknod("/nowhere/x", S_IFCHR | 0600, 0); }},
           Row{"symlink", [] { return ::symlink("x", "/nowhere/x"); }},
           Row{"link", [] { return ::link("/nowhere/x", "/nowhere/y"); }},
           Row{"chmod", [] { return ::chmod("/nowhere/x", 0777); }},
           Row{"chown", [] { return ::chown("/nowhere/x", 0, 0); }},
           Row{"truncate", [] { return ::truncate("/nowhere/x", 0); }},
           Row{"setxattr", [] { return ::syscall(SYS_setxattr, "/nowhere/x", "user.x", "", 0, 0); }},
           Row{"setuid", [] { return ::syscall(SYS_setuid, 0); }},
           Row{"capset", [] { return ::syscall(SYS_capset, nullptr, nullptr); }},
           Row{"perf_event_open", [] { return ::syscall(SYS_perf_event_open, nullptr, 0, -1, -1, 0); }},
           Row{"io_uring_setup", [] { return ::syscall(SYS_io_uring_setup, 1, nullptr); }},
           Row{"userfaultfd", [] { return ::syscall(SYS_userfaultfd, 0); }},
           Row{"keyctl", [] { return ::syscall(SYS_keyctl, 0, 0, 0, 0, 0); }},
           Row{"init_module", [] { return ::syscall(SYS_init_module, nullptr, 0, ""); }},
           Row{"connect", [] { return ::connect(0, nullptr, 0); }},
           Row{"bpf, to load a program", [] { return bpf(BPF_PROG_LOAD); }},
           Row{"bpf, to make a map", [] { return bpf(BPF_MAP_CREATE); }},
           Row{"bpf, to pin", [] { return bpf(BPF_OBJ_PIN); }},
           Row{"bpf, to get what others have", [] { return bpf(BPF_PROG_GET_FD_BY_ID); }},
           Row{"socket of the kernel's", [] { return ::socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE); }},
           Row{"socket of packets", [] { return ::socket(AF_PACKET, SOCK_RAW, 0); }},
           Row{"mmap of code",
               [] {
                 return ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
                            ? -1L
                            : 0L;
               }},
           Row{"mprotect to code", [] { return ::mprotect(nullptr, 4096, PROT_READ | PROT_EXEC); }},
       }) {
    EXPECT_EQ(errno_behind_filter(row.call), ENOSYS) << row.name;
  }
}

TEST(Sandbox, LeavesWhatIsNeeded) {
  EXPECT_EQ(errno_behind_filter([] { return ::open("/proc/self/status", O_RDONLY); }), 0);
  EXPECT_EQ(errno_behind_filter([] { return ::socket(AF_INET, SOCK_STREAM, 0); }), 0);
  EXPECT_NE(errno_behind_filter([] { return bpf(BPF_MAP_LOOKUP_ELEM); }), ENOSYS);
  EXPECT_EQ(errno_behind_filter([] {
              void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              return memory == MAP_FAILED ? -1L : ::munmap(memory, 4096);
            }),
            0);
}

}  // namespace
}  // namespace snoop
