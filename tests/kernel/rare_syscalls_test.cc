// SPDX-License-Identifier: Apache-2.0
// Calls with a path that need more than a path to succeed: sockets, mounts,
// handles, and what only a newer kernel has.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/quota.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "harness.h"
#include "probe/rules.h"

namespace snoop::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class SocketTest : public KernelTest {
 protected:
  static sockaddr_un address(const std::string& path, socklen_t& length) {
    sockaddr_un name = {};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, path.data(), path.size());
    length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    return name;
  }

  /// Kinds of what one call did with the socket "name".
  std::vector<std::string> kinds(const std::function<long(int socket, sockaddr_un* name, socklen_t length)>& call,
                                 int type = SOCK_DGRAM) {
    socklen_t length = 0;
    sockaddr_un name = address("name", length);
    const int socket = ::socket(AF_UNIX, type, 0);
    const auto accesses = capture_->run([&] { return call(socket, &name, length) >= 0 ? 0 : errno; });
    ::close(socket);
    const auto found = at(accesses, path("name"));
    return found.size() == 1 ? kinds_of(found[0]) : paths_of(accesses);
  }

  int listen() {
    socklen_t length = 0;
    sockaddr_un name = address("name", length);
    const int socket = ::socket(AF_UNIX, SOCK_DGRAM, 0);
    EXPECT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&name), length), 0);
    return socket;
  }
};

TEST_F(SocketTest, BindMakesTheFile) {
  start();
  EXPECT_THAT(kinds([](int socket, sockaddr_un* name, socklen_t length) {
                return ::bind(socket, reinterpret_cast<sockaddr*>(name), length);
              }),
              ElementsAre("change"));
}

TEST_F(SocketTest, ConnectAndSend) {
  const int listener = listen();
  start({.ring_size_bytes = 1 << 20, .first_sight_only = false});
  EXPECT_THAT(kinds([](int socket, sockaddr_un* name, socklen_t length) {
                return ::connect(socket, reinterpret_cast<sockaddr*>(name), length);
              }),
              ElementsAre("connect"));
  EXPECT_THAT(kinds([](int socket, sockaddr_un* name, socklen_t length) {
                return ::sendto(socket, "x", 1, 0, reinterpret_cast<sockaddr*>(name), length);
              }),
              ElementsAre("connect"));
  const auto message = [](sockaddr_un* name, socklen_t length) {
    msghdr header = {};
    header.msg_name = name;
    header.msg_namelen = length;
    return header;
  };
  EXPECT_THAT(kinds([&](int socket, sockaddr_un* name, socklen_t length) {
                const msghdr header = message(name, length);
                return ::sendmsg(socket, &header, 0);
              }),
              ElementsAre("connect"));
  EXPECT_THAT(kinds([&](int socket, sockaddr_un* name, socklen_t length) {
                mmsghdr header = {message(name, length), 0};
                return ::sendmmsg(socket, &header, 1, 0);
              }),
              ElementsAre("connect"));
  ::close(listener);
}

TEST_F(SocketTest, EveryMessageOfOneCall) {
  Capture& capture = start();
  const auto accesses = capture.run([] {
    std::array<sockaddr_un, 3> names = {};
    std::array<mmsghdr, 3> messages = {};
    for (size_t i = 0; i < names.size(); i++) {
      socklen_t length = 0;
      names[i] = address("name" + std::to_string(i), length);
      const int listener = ::socket(AF_UNIX, SOCK_DGRAM, 0);
      ::bind(listener, reinterpret_cast<sockaddr*>(&names[i]), length);
      messages[i].msg_hdr.msg_name = &names[i];
      messages[i].msg_hdr.msg_namelen = length;
    }
    return ::sendmmsg(::socket(AF_UNIX, SOCK_DGRAM, 0), messages.data(), messages.size(), 0) == 3 ? 0 : errno;
  });
  EXPECT_EQ(capture.last_status(), 0);
  for (int i = 0; i < 3; i++) {
    const auto found = at(accesses, path("name" + std::to_string(i)));
    ASSERT_EQ(found.size(), 2U) << i;
    EXPECT_THAT(kinds_of(found[1]), ElementsAre("connect"));
  }
}

TEST_F(SocketTest, WhatHasNoPathIsNoAccess) {
  Capture& capture = start();
  const auto accesses = capture.run([] {
    const int abstract = ::socket(AF_UNIX, SOCK_DGRAM, 0);
    socklen_t length = 0;
    const std::string name("\0snoop-abstract", 15);
    sockaddr_un unix_name = address(name, length);
    ::bind(abstract, reinterpret_cast<sockaddr*>(&unix_name), length);
    sa_family_t family = AF_UNIX;
    ::bind(::socket(AF_UNIX, SOCK_DGRAM, 0), reinterpret_cast<sockaddr*>(&family), sizeof(family));
    int pair[2];
    ::socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    ::send(pair[0], "x", 1, 0);
    sockaddr any = {};
    any.sa_family = AF_INET;
    ::bind(::socket(AF_INET, SOCK_DGRAM, 0), &any, sizeof(any));
    return 0;
  });
  EXPECT_THAT(accesses, IsEmpty());
  EXPECT_EQ(capture.stats().events, 0U);
}

TEST_F(SocketTest, PathWithoutAnEnd) {
  // 108 bytes and no NUL, at the end of the mapped memory.
  Capture& capture = start();
  const std::string name(sizeof(sockaddr_un::sun_path), 'n');
  const auto accesses = capture.run([&] {
    auto* memory =
        static_cast<char*>(::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ::munmap(memory + 4096, 4096);
    auto* unix_name = reinterpret_cast<sockaddr_un*>(memory + 4096 - sizeof(sockaddr_un));
    unix_name->sun_family = AF_UNIX;
    std::memcpy(unix_name->sun_path, name.data(), name.size());
    return ::bind(::socket(AF_UNIX, SOCK_DGRAM, 0), reinterpret_cast<sockaddr*>(unix_name), sizeof(*unix_name)) == 0
               ? 0
               : errno;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_THAT(paths_of(accesses), ElementsAre(path(name)));
}

/// Runs in a mount namespace of its own.
class MountTest : public KernelTest {
 protected:
  std::vector<Access> in_namespace(const std::function<int()>& body) {
    return capture_->run([&] {
      if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
        return 98;
      }
      return body();
    });
  }
};

TEST_F(MountTest, MountAndUmount) {
  std::filesystem::create_directory("from");
  std::filesystem::create_directory("to");
  Capture& capture = start();
  const std::string source = path("from");
  const auto accesses = in_namespace([&] {
    const bool good = ::mount(source.c_str(), "to", nullptr, MS_BIND, nullptr) == 0 && ::umount2("to", 0) == 0 &&
                      ::mount("tmpfs", "to", "tmpfs", 0, nullptr) == 0;
    return good ? 0 : errno;
  });
  ASSERT_EQ(capture.last_status(), 0);
  EXPECT_THAT(paths_of(accesses), Contains(path("from")));
  EXPECT_THAT(paths_of(accesses), Contains(path("to")));
  EXPECT_THAT(paths_of(accesses), Not(Contains(path("tmpfs")))) << "the name of a file system, not of a file";
}

TEST_F(MountTest, NewMountCalls) {
  std::filesystem::create_directory("from");
  std::filesystem::create_directory("to");
  Capture& capture = start();
  const auto accesses = in_namespace([] {
    const long tree = ::syscall(SYS_open_tree, AT_FDCWD, "from", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0) {
      return errno;
    }
    struct {
      uint64_t set, clear, propagation, userns;
    } attributes = {};
    const bool good = ::syscall(SYS_move_mount, tree, "", AT_FDCWD, "to", MOVE_MOUNT_F_EMPTY_PATH) == 0 &&
                      ::syscall(SYS_mount_setattr, AT_FDCWD, "to", 0, &attributes, sizeof(attributes)) == 0 &&
                      ::mount("tmpfs", "to", "tmpfs", 0, nullptr) == 0 &&
                      ::syscall(SYS_fspick, AT_FDCWD, "to/.", 0) >= 0;
    return good ? 0 : errno;
  });
  ASSERT_EQ(capture.last_status(), 0);
  EXPECT_THAT(paths_of(accesses), Contains(path("from")));
  EXPECT_THAT(paths_of(accesses), Contains(path("to")));
}

TEST_F(MountTest, PivotRoot) {
  std::filesystem::create_directory("root");
  Capture& capture = start();
  const std::string root = path("root");
  const auto accesses = in_namespace([&] {
    if (::mount(root.c_str(), root.c_str(), nullptr, MS_BIND, nullptr) != 0 || ::mkdir("root/old", 0755) != 0) {
      return errno;
    }
    const std::string old = root + "/old";
    if (::syscall(SYS_pivot_root, root.c_str(), old.c_str()) != 0 || ::chdir("/") != 0) {
      return errno;
    }
    return ::access("old", F_OK) == 0 ? 0 : errno;
  });
  ASSERT_EQ(capture.last_status(), 0);
  EXPECT_THAT(paths_of(accesses), Contains(path("root")));
  EXPECT_THAT(paths_of(accesses), Contains(path("root/old")));
  EXPECT_THAT(paths_of(accesses), Contains("/old")) << "in the new root";
  EXPECT_EQ(capture.stats().base_unknown, 0U);
}

TEST_F(MountTest, SourceOfABindMountMayBeRelative) {
  std::filesystem::create_directory("from");
  std::filesystem::create_directory("to");
  Capture& capture = start();
  const auto accesses = in_namespace([] { return ::mount("from", "to", nullptr, MS_BIND, nullptr) == 0 ? 0 : errno; });
  ASSERT_EQ(capture.last_status(), 0);
  EXPECT_THAT(paths_of(accesses), Contains(path("from")));
}

TEST_F(MountTest, AMountAtTheAddressOfAnother) {
  constexpr int kMounts = 100;
  Capture& capture = start();
  const auto accesses = in_namespace([] {
    for (int i = 0; i < kMounts; i++) {
      const std::string name = "m" + std::to_string(i);
      if (::mkdir(name.c_str(), 0755) != 0 || ::mount("tmpfs", name.c_str(), "tmpfs", 0, nullptr) != 0 ||
          ::chdir(name.c_str()) != 0) {
        return errno;
      }
      static_cast<void>(::access("x", F_OK));
      if (::chdir("..") != 0 || ::umount2(name.c_str(), 0) != 0) {
        return errno;
      }
    }
    return 0;
  });
  ASSERT_EQ(capture.last_status(), 0);
  for (int i = 0; i < kMounts; i++) {
    EXPECT_THAT(paths_of(accesses), Contains(path("m" + std::to_string(i) + "/x")));
  }
}

TEST_F(MountTest, AMountThatWasMoved) {
  std::filesystem::create_directories("above/before");
  std::filesystem::create_directory("after");
  Capture& capture = start();
  const auto accesses = in_namespace([] {
    if (::mount("tmpfs", "above/before", "tmpfs", 0, nullptr) != 0) {
      return errno;
    }
    const int fd = ::open("above/before", O_PATH | O_DIRECTORY);
    const auto ask = [fd] { return ::faccessat(fd, "x", F_OK, 0); };
    ask();
    if (::rename("above", "renamed") != 0) {
      return errno;
    }
    ask();
    if (::mount("renamed/before", "after", nullptr, MS_MOVE, nullptr) != 0) {
      return errno;
    }
    ask();
    return 0;
  });
  ASSERT_EQ(capture.last_status(), 0);
  EXPECT_THAT(paths_of(accesses), Contains(path("above/before/x")));
  EXPECT_THAT(paths_of(accesses), Contains(path("renamed/before/x")));
  EXPECT_THAT(paths_of(accesses), Contains(path("after/x")));
}

TEST_F(MountTest, MountedNowhere) {
  Capture& capture = start();
  const auto accesses = in_namespace([] {
    const long context = ::syscall(SYS_fsopen, "tmpfs", 0);
    ::syscall(SYS_fsconfig, context, 6 /* FSCONFIG_CMD_CREATE */, nullptr, nullptr, 0);
    const long mount = ::syscall(SYS_fsmount, context, 0, 0);
    return mount >= 0 && ::openat(static_cast<int>(mount), "inside", O_CREAT | O_WRONLY, 0644) >= 0 ? 0 : errno;
  });
  ASSERT_EQ(capture.last_status(), 0);
  EXPECT_THAT(paths_of(accesses), Not(Contains("/inside"))) << "there is no such path";
  EXPECT_EQ(capture.stats().base_unknown, 1U);
}

TEST_F(MountTest, WhatIsBelowAMountIsAnotherFile) {
  std::filesystem::create_directory("mnt");
  write_file("mnt/name");
  start();
  const auto accesses = in_namespace([] {
    struct stat info = {};
    for (int i = 0; i < 3; i++) {
      ::stat("mnt/name", &info);
    }
    if (::mount("tmpfs", "mnt", "tmpfs", 0, nullptr) != 0 || ::mknod("mnt/name", S_IFREG | 0644, 0) != 0) {
      return errno;
    }
    for (int i = 0; i < 3; i++) {
      ::stat("mnt/name", &info);
    }
    const bool good = ::umount2("mnt", 0) == 0;
    for (int i = 0; i < 3; i++) {
      ::stat("mnt/name", &info);
    }
    return good ? 0 : errno;
  });
  size_t stats = 0;
  for (const Access& access : at(accesses, path("mnt/name"))) {
    stats += (kinds_with(access.seen, SNOOP_OUTCOME_OK) & 1U << SNOOP_KIND_STAT) != 0 ? 1 : 0;
  }
  EXPECT_EQ(stats, 3U);
}

TEST_F(MountTest, UnmountedUnderneath) {
  // What runc does when it starts a container.
  std::filesystem::create_directory("mnt");
  Capture& capture = start();
  in_namespace([] {
    const bool good = ::mount("tmpfs", "mnt", "tmpfs", 0, nullptr) == 0 && ::chdir("mnt") == 0 &&
                      ::umount2(".", MNT_DETACH) == 0 && ::chdir("/") == 0;
    return good ? 0 : errno;
  });
  ASSERT_EQ(capture.last_status(), 0);
  EXPECT_EQ(capture.stats().base_unknown, 0U) << "nothing of an image was lost";
}

class RareTest : public KernelTest {};

#if defined(__x86_64__)
TEST_F(RareTest, TrappedBySeccompIsNoSuccess) {
  Capture& capture = start();
  const auto accesses = capture.run([] {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program = {4, code};
    std::signal(SIGSYS, SIG_IGN);
    struct sigaction action = {};
    action.sa_handler = [](int) { ::_exit(0); };
    ::sigaction(SIGSYS, &action, nullptr);
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
      return errno;
    }
    // The kernel has not read it, so its page must be there.
    const std::array<char, 12> name = {"never-there"};
    ::syscall(SYS_openat, AT_FDCWD, name.data(), O_RDONLY);
    return 1;
  });
  ASSERT_EQ(capture.last_status(), 0);
  // Nobody can tell it from an open that had that number as its descriptor, which is closed already.
  ASSERT_THAT(paths_of(accesses), ElementsAre(path("never-there")));
  EXPECT_EQ(kinds_with(accesses[0].seen, SNOOP_OUTCOME_OK), 0);
  EXPECT_NE(kinds_with(accesses[0].seen, SNOOP_OUTCOME_OTHER), 0);
}

TEST_F(RareTest, DescriptorWithTheNumberOfTheCall) {
  write_file("name");
  Capture& capture = start();
  const auto accesses = capture.run([] {
    constexpr int kNumber = SYS_openat;
    const rlimit limit = {kNumber + 10, kNumber + 10};
    ::setrlimit(RLIMIT_NOFILE, &limit);
    for (int fd = ::dup(0); fd < kNumber - 1; fd = ::dup(0)) {
      if (fd < 0) {
        return errno;
      }
    }
    return ::syscall(SYS_openat, AT_FDCWD, "name", O_RDONLY) == kNumber ? 0 : 1;
  });
  ASSERT_EQ(capture.last_status(), 0);
  const auto found = at(accesses, path("name"));
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_NE(kinds_with(found[0].seen, SNOOP_OUTCOME_OK), 0);
}

TEST_F(RareTest, AnsweredBySeccompIsRefused) {
  Capture& capture = start();
  const auto accesses = capture.run([] {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program = {4, code};
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
      return errno;
    }
    // The kernel has not read it, so its page must be there.
    const std::array<char, 5> name = {"name"};
    return ::syscall(SYS_openat, AT_FDCWD, name.data(), O_RDONLY) == -1 && errno == EPERM ? 0 : 1;
  });
  ASSERT_EQ(capture.last_status(), 0);
  ASSERT_THAT(paths_of(accesses), ElementsAre(path("name")));
  EXPECT_NE(kinds_with(accesses[0].seen, SNOOP_OUTCOME_REFUSED), 0);
}
#endif

TEST_F(RareTest, OpenByHandleHasThePathOfItsFile) {
  write_file("name");
  alignas(file_handle) char memory[sizeof(file_handle) + MAX_HANDLE_SZ] = {};
  auto* handle = reinterpret_cast<file_handle*>(memory);
  handle->handle_bytes = MAX_HANDLE_SZ;
  int mount_id = 0;
  ASSERT_EQ(::name_to_handle_at(AT_FDCWD, "name", handle, &mount_id, 0), 0);
  const int mount = ::open(".", O_RDONLY | O_DIRECTORY);
  Capture& capture = start();
  const auto accesses = capture.run([&] { return ::open_by_handle_at(mount, handle, O_RDONLY) >= 0 ? 0 : errno; });
  if (WEXITSTATUS(capture.last_status()) == EPERM) {
    GTEST_SKIP() << "open_by_handle_at needs CAP_DAC_READ_SEARCH";
  }
  ASSERT_EQ(capture.last_status(), 0);
  ASSERT_THAT(paths_of(accesses), ElementsAre(path("name")));
  EXPECT_THAT(kinds_of(accesses[0]), ElementsAre("open", "open:read"));
}

TEST_F(RareTest, FanotifyMark) {
  write_file("name");
  Capture& capture = start();
  const auto accesses = capture.run([] {
    const int group = ::fanotify_init(FAN_CLASS_NOTIF, O_RDONLY);
    return ::fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "name") == 0 ? 0 : errno;
  });
  EXPECT_THAT(paths_of(accesses), ElementsAre(path("name")));
}

TEST_F(RareTest, AttributesAndWhatFails) {
  write_file("name");
  write_file("acct");
  Capture& capture = start();
  const auto accesses = capture.run([] {
    char buffer[256] = {};
    // Linux 6.13 and 6.17; an older kernel does not know them, and then nothing
    // was asked about a file.
    ::syscall(464, AT_FDCWD, "name", 0, "user.none", buffer, 16);
    ::syscall(465, AT_FDCWD, "name", 0, buffer, sizeof(buffer));
    ::syscall(468, AT_FDCWD, "name", buffer, 24, 0);
    // None of these does what it could do.
    ::swapon("swap", 0);
    ::swapoff("unswap");
    ::syscall(SYS_quotactl, QCMD(Q_SYNC, 0), "quota", 0, nullptr);
    ::syscall(SYS_acct, "no/acct");
    return 0;
  });
  EXPECT_THAT(paths_of(accesses), Contains(path("swap")));
  EXPECT_THAT(paths_of(accesses), Contains(path("unswap")));
  EXPECT_THAT(paths_of(accesses), Contains(path("quota")));
  EXPECT_THAT(paths_of(accesses), Contains(path("no/acct")));
}

#if defined(__x86_64__)
TEST_F(RareTest, ThirtyTwoBitSocketCall) {
  if (!has_32bit_calls()) {
    GTEST_SKIP() << "this kernel has no 32-bit system calls";
  }
  auto* low =
      static_cast<char*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
  ASSERT_NE(low, MAP_FAILED);
  auto* name = reinterpret_cast<sockaddr_un*>(low);
  name->sun_family = AF_UNIX;
  std::strcpy(name->sun_path, "name");
  auto* arguments = reinterpret_cast<uint32_t*>(low + 1024);
  Capture& capture = start();
  const auto accesses = capture.run([&] {
    arguments[0] = static_cast<uint32_t>(::socket(AF_UNIX, SOCK_DGRAM, 0));
    arguments[1] = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(name));
    arguments[2] = offsetof(sockaddr_un, sun_path) + 5;
    long result = 0;
    asm volatile("int $0x80"
                 : "=a"(result)
                 : "a"(102L), "b"(2L), "c"(arguments), "d"(0L)
                 : "memory", "r8", "r9", "r10", "r11");
    return static_cast<int>(-result);
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_THAT(paths_of(accesses), ElementsAre(path("name")));
}
#endif

/// Calls with a user string that is no path, or one that is deliberately left.
const std::map<std::string, std::string> kNoPath = {
    {"add_key", "names of keys"},
    {"request_key", "names of keys"},
    {"fsopen", "name of a file system type"},
    {"fsconfig", "options of a file system; a source device or an overlay's layers are the host's to mount"},
    {"getcwd", "a result"},
    {"getrandom", "a buffer"},
    {"getsockopt", "a buffer"},
    {"setsockopt", "a buffer"},
    {"memfd_create", "a name that stands in no directory"},
    {"mincore", "an address"},
    {"mq_open", "name of a message queue, in no directory of the container"},
    {"mq_timedreceive", "a buffer"},
    {"mq_timedsend", "a buffer"},
    {"mq_unlink", "name of a message queue"},
    {"pread64", "a buffer"},
    {"pwrite64", "a buffer"},
    {"read", "a buffer"},
    {"write", "a buffer"},
    {"syslog", "a buffer"},
    {"setdomainname", "a name"},
    {"sethostname", "a name"},
    {"shmat", "an address"},
    {"shmdt", "an address"},
    {"fgetxattr", "name of an attribute, of a descriptor"},
    {"fsetxattr", "name of an attribute, of a descriptor"},
    {"flistxattr", "a buffer"},
    {"fremovexattr", "name of an attribute, of a descriptor"},
    {"init_module", "options of a module"},
    {"finit_module", "options of a module, of a descriptor"},
    {"delete_module", "name of a module"},
    {"prctl", "a name"},
    {"reboot", "a command"},
    {"kexec_file_load", "a command line"},
};

TEST_F(RareTest, EveryCallOfThisKernelIsDecided) {
  // What tracefs says of the arguments of each system call.
  int result[2];
  ASSERT_EQ(::pipe(result), 0);
  std::filesystem::create_directory("tracefs");
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tracefs", "tracefs", "tracefs", 0, nullptr) != 0) {
      ::_exit(77);
    }
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("tracefs/events/syscalls", error)) {
      const std::string event = entry.path().filename();
      if (!event.starts_with("sys_enter_")) {
        continue;
      }
      std::ifstream format(entry.path() / "format");
      std::string line;
      while (std::getline(format, line)) {
        if (line.find("field:const char *") != std::string::npos || line.find("field:char *") != std::string::npos) {
          const std::string name = event.substr(10) + "\n";
          if (::write(result[1], name.data(), name.size()) < 0) {
            ::_exit(1);
          }
          break;
        }
      }
    }
    ::_exit(error ? 77 : 0);
  }
  ::close(result[1]);
  std::string names;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(result[0], buffer, sizeof(buffer))) > 0;) {
    names.append(buffer, static_cast<size_t>(got));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WEXITSTATUS(status) == 77) {
    GTEST_SKIP() << "no tracefs with events/syscalls here";
  }

  std::set<std::string> known;
  for (const SyscallRow& row : syscall_rows()) {
    known.emplace(row.name);
  }
  // The kernel's name for a function is not always the call's.
  const std::map<std::string, std::string> aliases = {
      {"newstat", "stat"}, {"newlstat", "lstat"}, {"newuname", ""}, {"umount", "umount2"}};
  std::istringstream lines(names);
  std::string name;
  int decided = 0;
  while (std::getline(lines, name)) {
    const auto alias = aliases.find(name);
    const std::string call = alias == aliases.end() ? name : alias->second;
    EXPECT_TRUE(known.contains(call) || kNoPath.contains(call))
        << name << " takes a string: is it a path? Add it to bpf/syscalls.h, or here with a reason";
    decided++;
  }
  EXPECT_GT(decided, 60);
}

}  // namespace
}  // namespace snoop::testing
