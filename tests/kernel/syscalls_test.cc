// SPDX-License-Identifier: Apache-2.0
// Every system call of the table, done for real: the access is there, of the
// right kind, and it says whether the call succeeded.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>
#include <set>

#include "harness.h"

namespace snoop::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct SyscallCase {
  std::string name;
  /// Does the call on this path, relative to the directory `dirfd` where the
  /// call takes one; returns 0 or more, or -errno.
  std::function<long(const char* path, int dirfd)> call;
  std::vector<std::string> kinds;
  /// What must be there for it to succeed: "file", "directory", "link", "".
  std::string needs;
  bool takes_dirfd = false;
};

long checked(long result) { return result < 0 ? -errno : result; }

template <typename... Args>
long call(long number, Args... args) {
  return checked(::syscall(number, args...));
}

const char* const kOther = "other";

std::vector<SyscallCase> cases() {
  static char buffer[4096];
  const std::vector<std::string> read = {"open", "open:read"};
  const std::vector<std::string> change = {"change"};
  const std::vector<std::string> stat = {"stat"};
  std::vector<SyscallCase> list = {
      {"openat", [](const char* p, int d) { return call(SYS_openat, d, p, O_RDONLY); }, read, "file", true},
      {"openat2",
       [](const char* p, int d) {
         open_how how = {};
         how.flags = O_RDONLY;
         return call(SYS_openat2, d, p, &how, sizeof(how));
       },
       read, "file", true},
      {"execve",
       [](const char* p, int) {
         char* const none[] = {nullptr};
         return call(SYS_execve, p, none, none);
       },
       {"exec"},
       "program"},
      {"execveat",
       [](const char* p, int d) {
         char* const none[] = {nullptr};
         return call(SYS_execveat, d, p, none, none, 0);
       },
       {"exec"},
       "program",
       true},
      {"newfstatat",
       [](const char* p, int d) {
         struct stat info = {};
         return call(SYS_newfstatat, d, p, &info, 0);
       },
       stat, "file", true},
      {"statx", [](const char* p, int d) { return call(SYS_statx, d, p, 0, STATX_BASIC_STATS, buffer); }, stat, "file",
       true},
      {"faccessat", [](const char* p, int d) { return call(SYS_faccessat, d, p, R_OK); }, {"access"}, "file", true},
      {"faccessat2",
       [](const char* p, int d) { return call(SYS_faccessat2, d, p, R_OK, AT_EACCESS); },
       {"access"},
       "file",
       true},
      {"readlinkat",
       [](const char* p, int d) { return call(SYS_readlinkat, d, p, buffer, sizeof(buffer)); },
       {"readlink"},
       "link",
       true},
      {"chdir", [](const char* p, int) { return call(SYS_chdir, p); }, stat, "directory"},
      {"truncate", [](const char* p, int) { return call(SYS_truncate, p, 0); }, change, "file"},
      {"statfs", [](const char* p, int) { return call(SYS_statfs, p, buffer); }, stat, "file"},
      {"chroot", [](const char* p, int) { return call(SYS_chroot, p); }, stat, "directory"},
      {"inotify_add_watch",
       [](const char* p, int) { return call(SYS_inotify_add_watch, ::inotify_init1(0), p, IN_OPEN); }, stat, "file"},
      {"name_to_handle_at",
       [](const char* p, int d) {
         alignas(file_handle) char memory[sizeof(file_handle) + MAX_HANDLE_SZ] = {};
         auto* handle = reinterpret_cast<file_handle*>(memory);
         handle->handle_bytes = MAX_HANDLE_SZ;
         int mount_id = 0;
         return call(SYS_name_to_handle_at, d, p, handle, &mount_id, 0);
       },
       stat, "file", true},
      {"getxattr", [](const char* p, int) { return call(SYS_getxattr, p, "user.a", buffer, 100); }, stat, "file"},
      {"lgetxattr", [](const char* p, int) { return call(SYS_lgetxattr, p, "user.a", buffer, 100); }, stat, "file"},
      {"listxattr", [](const char* p, int) { return call(SYS_listxattr, p, buffer, 100); }, stat, "file"},
      {"llistxattr", [](const char* p, int) { return call(SYS_llistxattr, p, buffer, 100); }, stat, "file"},
      {"setxattr", [](const char* p, int) { return call(SYS_setxattr, p, "user.a", "1", 1, 0); }, change, "file"},
      {"lsetxattr", [](const char* p, int) { return call(SYS_lsetxattr, p, "user.a", "1", 1, 0); }, change, "file"},
      {"removexattr", [](const char* p, int) { return call(SYS_removexattr, p, "user.a"); }, change, "file"},
      {"lremovexattr", [](const char* p, int) { return call(SYS_lremovexattr, p, "user.a"); }, change, "file"},
      {"renameat2", [](const char* p, int d) { return call(SYS_renameat2, d, p, d, kOther, 0); }, change, "file", true},
      {"linkat", [](const char* p, int d) { return call(SYS_linkat, d, p, d, kOther, 0); }, change, "file", true},
      {"symlinkat", [](const char* p, int d) { return call(SYS_symlinkat, "target", d, p); }, change, "", true},
      {"unlinkat", [](const char* p, int d) { return call(SYS_unlinkat, d, p, 0); }, change, "file", true},
      {"mkdirat", [](const char* p, int d) { return call(SYS_mkdirat, d, p, 0755); }, change, "", true},
      {"mknodat", [](const char* p, int d) { return call(SYS_mknodat, d, p, S_IFIFO | 0644, 0); }, change, "", true},
      {"fchmodat", [](const char* p, int d) { return call(SYS_fchmodat, d, p, 0600); }, change, "file", true},
      {"fchmodat2", [](const char* p, int d) { return call(452, d, p, 0600, 0); }, change, "file", true},
      {"fchownat", [](const char* p, int d) { return call(SYS_fchownat, d, p, 0, 0, 0); }, change, "file", true},
      {"utimensat", [](const char* p, int d) { return call(SYS_utimensat, d, p, nullptr, 0); }, change, "file", true},
#ifdef SYS_renameat
      {"renameat", [](const char* p, int d) { return call(SYS_renameat, d, p, d, kOther); }, change, "file", true},
#endif
#ifdef SYS_open
      {"open", [](const char* p, int) { return call(SYS_open, p, O_RDONLY); }, read, "file"},
      {"creat", [](const char* p, int) { return call(SYS_creat, p, 0644); }, {"open", "open:write", "open:create"}, ""},
      {"stat", [](const char* p, int) { return call(SYS_stat, p, buffer); }, stat, "file"},
      {"lstat", [](const char* p, int) { return call(SYS_lstat, p, buffer); }, stat, "file"},
      {"access", [](const char* p, int) { return call(SYS_access, p, R_OK); }, {"access"}, "file"},
      {"readlink",
       [](const char* p, int) { return call(SYS_readlink, p, buffer, sizeof(buffer)); },
       {"readlink"},
       "link"},
      {"rename", [](const char* p, int) { return call(SYS_rename, p, kOther); }, change, "file"},
      {"link", [](const char* p, int) { return call(SYS_link, p, kOther); }, change, "file"},
      {"symlink", [](const char* p, int) { return call(SYS_symlink, "target", p); }, change, ""},
      {"unlink", [](const char* p, int) { return call(SYS_unlink, p); }, change, "file"},
      {"mkdir", [](const char* p, int) { return call(SYS_mkdir, p, 0755); }, change, ""},
      {"rmdir", [](const char* p, int) { return call(SYS_rmdir, p); }, change, "directory"},
      {"mknod", [](const char* p, int) { return call(SYS_mknod, p, S_IFIFO | 0644, 0); }, change, ""},
      {"chmod", [](const char* p, int) { return call(SYS_chmod, p, 0600); }, change, "file"},
      {"chown", [](const char* p, int) { return call(SYS_chown, p, 0, 0); }, change, "file"},
      {"lchown", [](const char* p, int) { return call(SYS_lchown, p, 0, 0); }, change, "file"},
      {"utime", [](const char* p, int) { return call(SYS_utime, p, nullptr); }, change, "file"},
      {"utimes", [](const char* p, int) { return call(SYS_utimes, p, nullptr); }, change, "file"},
      {"futimesat", [](const char* p, int d) { return call(SYS_futimesat, d, p, nullptr); }, change, "file", true},
#endif
  };
  return list;
}

/// Two paths in one call.
const std::set<std::string> kTwoPaths = {"rename", "renameat", "renameat2", "link", "linkat"};

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const SyscallCase& one : cases()) {
    names.push_back(one.name);
  }
  return names;
}

class SyscallTest : public KernelTest, public ::testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    if (!IsSkipped() && one().call(reinterpret_cast<const char*>(0x10), AT_FDCWD) == -ENOSYS) {
      GTEST_SKIP() << "this kernel has no " << one().name;
    }
  }

  /// Makes what the call needs to succeed.
  void prepare(const std::string& name) {
    const std::string& needs = one().needs;
    if (needs == "file") {
      write_file(name);
      ASSERT_EQ(::setxattr(name.c_str(), "user.a", "1", 1, 0), 0) << "this test needs user attributes in /tmp";
    } else if (needs == "program") {
      std::filesystem::copy_file("/bin/true", name);
    } else if (needs == "directory") {
      ASSERT_EQ(::mkdir(name.c_str(), 0755), 0);
    } else if (needs == "link") {
      ASSERT_EQ(::symlink("somewhere", name.c_str()), 0);
    }
  }

  const SyscallCase& one() {
    static const std::vector<SyscallCase> all = cases();
    const auto found = std::find_if(all.begin(), all.end(), [](const SyscallCase& c) { return c.name == GetParam(); });
    return *found;
  }

  /// Status of the child: 0, or the call's errno.
  static int status(long result) { return result < 0 ? static_cast<int>(-result) : 0; }
};

void expect_one(const std::vector<Access>& accesses, const std::string& path, const std::vector<std::string>& kinds,
                snoop_outcome outcome) {
  const std::vector<Access> found = at(accesses, path);
  ASSERT_EQ(found.size(), 1U) << path << " not once in " << ::testing::PrintToString(paths_of(accesses));
  EXPECT_EQ(kinds_of(found[0]), kinds);
  EXPECT_NE(kinds_with(found[0].seen, outcome), 0);
  EXPECT_EQ(found[0].seen & ~(0xFFFFULL << SNOOP_SEEN_SHIFT(outcome)), 0U);
  EXPECT_EQ(found[0].result >= 0, outcome == SNOOP_OUTCOME_OK);
}

TEST_P(SyscallTest, Succeeds) {
  prepare("name");
  Capture& capture = share();
  const auto accesses = capture.run([&] { return status(one().call("name", AT_FDCWD)); });
  ASSERT_EQ(capture.last_status(), 0) << "the call itself failed";
  expect_one(accesses, path("name"), one().kinds, SNOOP_OUTCOME_OK);
  if (kTwoPaths.contains(one().name)) {
    expect_one(accesses, path(kOther), one().kinds, SNOOP_OUTCOME_OK);
  }
}

TEST_P(SyscallTest, FindsNothing) {
  Capture& capture = share();
  const auto accesses = capture.run([&] { return status(one().call("no/name", AT_FDCWD)); });
  ASSERT_EQ(WEXITSTATUS(capture.last_status()), ENOENT);
  std::vector<std::string> kinds = one().kinds;
  std::erase(kinds, "open:create");
  expect_one(accesses, path("no/name"), kinds, SNOOP_OUTCOME_MISSING);
}

TEST_P(SyscallTest, TakesDirectoryDescriptor) {
  if (!one().takes_dirfd) {
    return;
  }
  ASSERT_EQ(::mkdir("sub", 0755), 0);
  prepare("sub/name");
  const int dirfd = ::open("sub", O_PATH | O_DIRECTORY);
  Capture& capture = share();
  const auto accesses = capture.run([&] { return status(one().call("name", dirfd)); });
  ASSERT_EQ(capture.last_status(), 0) << "the call itself failed";
  expect_one(accesses, path("sub/name"), one().kinds, SNOOP_OUTCOME_OK);
  if (kTwoPaths.contains(one().name)) {
    expect_one(accesses, path("sub/other"), one().kinds, SNOOP_OUTCOME_OK);
  }
}

TEST_P(SyscallTest, IgnoresAnUnreadablePath) {
  Capture& capture = share();
  const auto accesses = capture.run([&] { return status(one().call(reinterpret_cast<const char*>(0x10), AT_FDCWD)); });
  EXPECT_EQ(WEXITSTATUS(capture.last_status()), EFAULT);
  EXPECT_THAT(accesses, IsEmpty());
  EXPECT_EQ(capture.stats().path_unreadable, 0U) << "no access, so none that was lost";
}

INSTANTIATE_TEST_SUITE_P(All, SyscallTest, ::testing::ValuesIn(case_names()),
                         [](const auto& test) { return test.param; });

class OpenTest : public KernelTest {
 protected:
  /// Kinds of opening "name" with these flags.
  std::vector<std::string> kinds(int flags, const std::string& name = "name") {
    const auto accesses = capture_->run([&] { return ::open(name.c_str(), flags, 0644) < 0 ? errno : 0; });
    const auto found = at(accesses, path(name));
    return found.size() == 1 ? kinds_of(found[0]) : paths_of(accesses);
  }
};

TEST_F(OpenTest, TellsModesApart) {
  start({.ring_size_bytes = 1 << 20, .first_sight_only = false});
  EXPECT_THAT(kinds(O_WRONLY | O_CREAT), ElementsAre("open", "open:write", "open:create"));
  EXPECT_THAT(kinds(O_WRONLY | O_CREAT), ElementsAre("open", "open:write")) << "it was there this time";
  EXPECT_THAT(kinds(O_RDONLY), ElementsAre("open", "open:read"));
  EXPECT_THAT(kinds(O_RDWR), ElementsAre("open", "open:read", "open:write"));
  EXPECT_THAT(kinds(O_PATH), ElementsAre("open", "open:path"));
  ASSERT_EQ(::mkdir("dir", 0755), 0);
  EXPECT_THAT(kinds(O_RDONLY, "dir"), ElementsAre("open", "open:read", "open:directory"))
      << "without O_DIRECTORY as well";
  EXPECT_THAT(kinds(O_RDONLY | O_DIRECTORY, "name"), ElementsAre("open", "open:read", "open:directory"));
}

TEST_F(OpenTest, TemporaryFileNamesItsDirectory) {
  Capture& capture = start();
  const auto accesses = capture.run([] { return ::open(".", O_TMPFILE | O_RDWR, 0600) < 0 ? errno : 0; });
  ASSERT_EQ(capture.last_status(), 0);
  const auto found = at(accesses, directory());
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].resolved, "");
}

TEST_F(OpenTest, RefusalAndOtherErrorsAreNotMissing) {
  write_file("secret", "x", 0);
  ASSERT_EQ(::chmod(directory().c_str(), 0755), 0);
  Capture& capture = start();
  const auto accesses = capture.run([] {
    if (::setuid(65534) != 0) {
      return 1;
    }
    static_cast<void>(::open("secret", O_RDONLY));
    char buffer[8];
    return static_cast<int>(::readlink("secret", buffer, sizeof(buffer)) >= 0);
  });
  const auto found = at(accesses, path("secret"));
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].result, -EACCES);
  EXPECT_NE(kinds_with(found[0].seen, SNOOP_OUTCOME_REFUSED), 0);
  EXPECT_EQ(found[1].result, -EINVAL);
  EXPECT_NE(kinds_with(found[1].seen, SNOOP_OUTCOME_OTHER), 0);
}

TEST_F(OpenTest, DescriptorCallsAreNoAccess) {
  write_file("name");
  const int fd = ::open("name", O_RDONLY);
  Capture& capture = start();
  const auto accesses = capture.run([&] {
    struct stat info = {};
    char buffer[512];
    const bool good = ::fstat(fd, &info) == 0 && ::fstatat(fd, "", &info, AT_EMPTY_PATH) == 0 &&
                      ::syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, buffer) == 0 &&
                      ::futimens(fd, nullptr) == 0 && ::fchownat(fd, "", 0, 0, AT_EMPTY_PATH) == 0;
    return good ? 0 : errno;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_THAT(accesses, IsEmpty());
  EXPECT_EQ(capture.stats().events, 0U);
}

#if defined(__x86_64__)
/// int 0x80: the numbers, registers and pointers of a 32-bit program.
long call32(long number, const char* path, long argument) {
  long result = 0;
  asm volatile("int $0x80"
               : "=a"(result)
               : "a"(number), "b"(path), "c"(argument), "d"(0L)
               : "memory", "r8", "r9", "r10", "r11");
  return result;
}

TEST_F(OpenTest, UpperHalfOfTheRegisterIsNotLookedAt) {
  write_file("name");
  Capture& capture = start();
  const auto accesses = capture.run([&] {
    const std::string name = path("name");
    long result = 0x7700000000L | SYS_open;
    register long flags asm("rsi") = O_RDONLY;
    asm volatile("syscall" : "+a"(result) : "D"(name.c_str()), "r"(flags) : "rcx", "r11", "memory");
    return result >= 0 ? 0 : 1;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_THAT(paths_of(accesses), ::testing::Contains(path("name")));
}

TEST_F(OpenTest, ThirtyTwoBitCallsHaveTheirOwnNumbers) {
  if (!has_32bit_calls()) {
    GTEST_SKIP() << "this kernel has no 32-bit system calls";
  }
  write_file("name");
  auto* low =
      static_cast<char*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
  ASSERT_NE(low, MAP_FAILED);
  std::strcpy(low, "name");
  Capture& capture = start();
  const auto accesses = capture.run([&] {
    const long fd = call32(5, low, O_RDONLY);   // open
    const long denied = call32(33, low, R_OK);  // access; 64-bit: pause
    return fd >= 0 && denied == 0 ? 0 : 1;
  });
  ASSERT_EQ(capture.last_status(), 0);
  const auto found = at(accesses, path("name"));
  ASSERT_EQ(found.size(), 2U);
  EXPECT_THAT(kinds_of(found[0]), ElementsAre("open", "open:read"));
  EXPECT_THAT(kinds_of(found[1]), ElementsAre("access"));
}
#endif

}  // namespace
}  // namespace snoop::testing
