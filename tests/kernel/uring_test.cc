// SPDX-License-Identifier: Apache-2.0
// What goes through io_uring is recorded as the same system call would be.
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <thread>

#include "uring.h"

namespace snoop::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

/// Linux 6.11, not in the headers of the build machine.
constexpr uint8_t kOpBind = 56;

/// An operation both ways.
struct Operation {
  const char* name;
  std::function<void(Ring&, int dirfd, const char* path)> request;
  std::function<long(int dirfd, const char* path)> call;
};

open_how how_to_open(uint64_t flags, uint64_t resolve = 0) {
  open_how how = {};
  how.flags = flags;
  how.resolve = resolve;
  return how;
}

const open_how kHow = how_to_open(O_RDWR);
struct statx statx_buffer;
char value[16] = "value";

const Operation kOperations[] = {
    {"openat", [](Ring& ring, int dirfd, const char* path) { ring.openat(dirfd, path); },
     [](int dirfd, const char* path) { return ::openat(dirfd, path, O_RDONLY); }},
    {"openat_path", [](Ring& ring, int dirfd, const char* path) { ring.openat(dirfd, path, O_PATH); },
     [](int dirfd, const char* path) { return ::openat(dirfd, path, O_PATH); }},
    {"openat2",
     [](Ring& ring, int dirfd, const char* path) {
       io_uring_sqe& sqe = ring.add(IORING_OP_OPENAT2, dirfd, path);
       sqe.addr2 = address_of(&kHow);
       sqe.len = sizeof(kHow);
     },
     [](int dirfd, const char* path) { return ::syscall(SYS_openat2, dirfd, path, &kHow, sizeof(kHow)); }},
    {"statx",
     [](Ring& ring, int dirfd, const char* path) {
       io_uring_sqe& sqe = ring.add(IORING_OP_STATX, dirfd, path);
       sqe.len = STATX_BASIC_STATS;
       sqe.addr2 = address_of(&statx_buffer);
     },
     [](int dirfd, const char* path) { return ::statx(dirfd, path, 0, STATX_BASIC_STATS, &statx_buffer); }},
    {"unlinkat", [](Ring& ring, int dirfd, const char* path) { ring.add(IORING_OP_UNLINKAT, dirfd, path); },
     [](int dirfd, const char* path) { return ::unlinkat(dirfd, path, 0); }},
    {"renameat",
     [](Ring& ring, int dirfd, const char* path) {
       io_uring_sqe& sqe = ring.add(IORING_OP_RENAMEAT, dirfd, path);
       sqe.len = static_cast<uint32_t>(dirfd);
       sqe.addr2 = address_of("second");
     },
     [](int dirfd, const char* path) { return ::renameat(dirfd, path, dirfd, "second"); }},
    {"linkat",
     [](Ring& ring, int dirfd, const char* path) {
       io_uring_sqe& sqe = ring.add(IORING_OP_LINKAT, dirfd, path);
       sqe.len = static_cast<uint32_t>(dirfd);
       sqe.addr2 = address_of("second");
     },
     [](int dirfd, const char* path) { return ::linkat(dirfd, path, dirfd, "second", 0); }},
    {"mkdirat", [](Ring& ring, int dirfd, const char* path) { ring.add(IORING_OP_MKDIRAT, dirfd, path).len = 0755; },
     [](int dirfd, const char* path) { return ::mkdirat(dirfd, path, 0755); }},
    {"symlinkat",
     [](Ring& ring, int dirfd, const char* path) {
       ring.add(IORING_OP_SYMLINKAT, dirfd, "text").addr2 = address_of(path);
     },
     [](int dirfd, const char* path) { return ::symlinkat("text", dirfd, path); }},
};

class UringOperationTest : public UringTest, public ::testing::WithParamInterface<Operation> {
 protected:
  Capture& begin() override { return share(); }

  /// Both ways from the same beginning must be told alike.
  void expect_alike(const std::string& name, int expected_status, bool with_dirfd) {
    const Operation& operation = GetParam();
    std::vector<Access> accesses[2];
    for (const bool by_ring : {false, true}) {
      std::filesystem::remove_all("d");
      std::filesystem::create_directory("d");
      write_file("d/there");
      const auto body = [&] {
        const int directory = ::open("d", O_PATH | O_DIRECTORY);
        if (!with_dirfd && ::chdir("d") != 0) {
          return errno;
        }
        const int dirfd = with_dirfd ? directory : AT_FDCWD;
        if (!by_ring) {
          return operation.call(dirfd, name.c_str()) >= 0 ? 0 : errno;
        }
        Ring ring;
        operation.request(ring, dirfd, name.c_str());
        ring.submit();
        return status(ring.result());
      };
      accesses[by_ring] = capture_->run(body);
      EXPECT_EQ(last_status(), expected_status);
      // What led there.
      std::erase_if(accesses[by_ring], [&](const Access& access) { return access.path == path("d"); });
    }
    ASSERT_THAT(accesses[0], Not(IsEmpty()));
    EXPECT_EQ(paths_of(accesses[1]), paths_of(accesses[0]));
    for (size_t i = 0; i < std::min(accesses[0].size(), accesses[1].size()); i++) {
      EXPECT_EQ(accesses[1][i].seen, accesses[0][i].seen);
      EXPECT_EQ(accesses[1][i].resolved, accesses[0][i].resolved);
      EXPECT_EQ(accesses[1][i].result < 0, accesses[0][i].result < 0);
      EXPECT_EQ(accesses[1][i].target, accesses[0][i].target);
    }
  }

  [[nodiscard]] static bool makes() {
    const std::string name = GetParam().name;
    return name == "mkdirat" || name == "symlinkat";
  }
};

TEST_P(UringOperationTest, Found) {
  expect_alike(makes() ? "new" : "there", 0, false);
  expect_alike(makes() ? "new" : "there", 0, true);
}

TEST_P(UringOperationTest, Absolute) { expect_alike(path(makes() ? "d/new" : "d/there"), 0, false); }

TEST_P(UringOperationTest, Missing) {
  expect_alike("no/such", ENOENT, false);
  expect_alike("no/such", ENOENT, true);
}

TEST_P(UringOperationTest, AddressThatIsNone) {
  const uint64_t before = capture_->stats().events;
  const auto accesses = run([](Ring& ring) { GetParam().request(ring, AT_FDCWD, reinterpret_cast<const char*>(8)); });
  EXPECT_EQ(last_status(), EFAULT);
  EXPECT_THAT(accesses, IsEmpty());
  EXPECT_EQ(capture_->stats().events, before);
}

INSTANTIATE_TEST_SUITE_P(All, UringOperationTest, ::testing::ValuesIn(kOperations),
                         [](const auto& parameter) { return std::string(parameter.param.name); });

TEST_F(UringTest, ExtendedAttributes) {
  write_file("name");
  const auto accesses = capture_->run([] {
    Ring ring;
    io_uring_sqe& set = ring.add(IORING_OP_SETXATTR, 0, "trusted.snoop");
    set.addr2 = address_of(value);
    set.len = 5;
    set.addr3 = address_of("name");
    ring.submit();
    io_uring_sqe& get = ring.add(IORING_OP_GETXATTR, 0, "trusted.snoop");
    get.addr2 = address_of(value);
    get.len = sizeof(value);
    get.addr3 = address_of("name");
    ring.submit();
    io_uring_sqe& none = ring.add(IORING_OP_GETXATTR, 0, "trusted.snoop");
    none.addr2 = address_of(value);
    none.len = sizeof(value);
    none.addr3 = address_of("none");
    ring.submit();
    return ring.result(2) == -ENOENT ? status(ring.result(0)) : 1;
  });
  if (last_status() == EOPNOTSUPP || last_status() == EPERM) {
    GTEST_SKIP() << "no trusted attributes in /tmp";
  }
  EXPECT_EQ(last_status(), 0);
  ASSERT_THAT(paths_of(accesses), ElementsAre(path("name"), path("name"), path("none")));
  EXPECT_THAT(kinds_of(accesses[0]), ElementsAre("change"));
  EXPECT_THAT(kinds_of(accesses[1]), ElementsAre("stat"));
  EXPECT_NE(kinds_with(accesses[2].seen, SNOOP_OUTCOME_MISSING), 0);
}

TEST_F(UringTest, Sockets) {
  if (!capture_->probe().sees_io_uring_sockets()) {
    GTEST_SKIP() << "this kernel copies the address of a socket too late";
  }
  const auto accesses = capture_->run([] {
    sockaddr_un name = {};
    name.sun_family = AF_UNIX;
    std::strcpy(name.sun_path, "name");
    const socklen_t length = offsetof(sockaddr_un, sun_path) + 5;
    Ring ring;
    const int listener = ::socket(AF_UNIX, SOCK_DGRAM, 0);
    ring.add(kOpBind, listener, reinterpret_cast<const char*>(&name)).addr2 = length;
    ring.submit();
    if (ring.result() == -EINVAL && ::bind(listener, reinterpret_cast<sockaddr*>(&name), length) != 0) {
      return errno;
    }
    const int client = ::socket(AF_UNIX, SOCK_DGRAM, 0);
    ring.add(IORING_OP_CONNECT, client, reinterpret_cast<const char*>(&name)).off = length;
    ring.submit();
    if (ring.result() != 0) {
      return status(ring.result());
    }
    iovec data = {value, 1};
    msghdr message = {};
    message.msg_name = &name;
    message.msg_namelen = length;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    std::strcpy(name.sun_path, "./name");
    message.msg_namelen = length + 2;
    ring.add(IORING_OP_SENDMSG, ::socket(AF_UNIX, SOCK_DGRAM, 0), reinterpret_cast<const char*>(&message)).len = 1;
    ring.submit();
    // Without an address, and one that is no path.
    ring.add(IORING_OP_SEND, client, value).len = 1;
    name.sun_path[0] = '\0';
    ring.add(IORING_OP_CONNECT, client, reinterpret_cast<const char*>(&name)).off = length;
    ring.submit();
    return status(ring.result(2));
  });
  EXPECT_EQ(last_status(), 0);
  ASSERT_THAT(paths_of(accesses), ElementsAre(path("name"), path("name"), path("name")));
  EXPECT_THAT(kinds_of(accesses[0]), ElementsAre("change"));
  EXPECT_THAT(kinds_of(accesses[1]), ElementsAre("connect"));
  EXPECT_THAT(kinds_of(accesses[2]), ElementsAre("connect"));
  EXPECT_EQ(capture_->stats().events, 3U);
}

TEST_F(UringTest, WhatAnOpenLedTo) {
  write_file("file");
  ASSERT_EQ(::symlink("file", "link"), 0);
  const auto accesses = capture_->run([] {
    Ring ring;
    ring.openat(AT_FDCWD, "link");
    ring.openat(AT_FDCWD, "new", O_CREAT | O_WRONLY);
    ring.openat(AT_FDCWD, ".");
    ring.submit();
    return status(std::min({ring.result(0), ring.result(1), ring.result(2)}));
  });
  EXPECT_EQ(last_status(), 0);
  ASSERT_THAT(paths_of(accesses), UnorderedElementsAre(path("link"), path("new"), directory()));
  const Access link = at(accesses, path("link"))[0];
  EXPECT_EQ(link.resolved, path("file"));
  EXPECT_THAT(kinds_of(link), ElementsAre("open", "open:read"));
  EXPECT_THAT(kinds_of(at(accesses, path("new"))[0]), ElementsAre("open", "open:write", "open:create"));
  EXPECT_THAT(kinds_of(at(accesses, directory())[0]), ElementsAre("open", "open:read", "open:directory"));
}

TEST_F(UringTest, InRoot) {
  std::filesystem::create_directories("root/etc");
  write_file("root/etc/passwd");
  static const open_how how = how_to_open(O_RDONLY, RESOLVE_IN_ROOT);
  const auto accesses = run([](Ring& ring) {
    const int root = ::open("root", O_PATH | O_DIRECTORY);
    io_uring_sqe& sqe = ring.add(IORING_OP_OPENAT2, root, "/../etc/passwd");
    sqe.addr2 = address_of(&how);
    sqe.len = sizeof(how);
  });
  EXPECT_EQ(last_status(), 0);
  EXPECT_THAT(paths_of(accesses), ElementsAre(path("root"), path("root/etc/passwd")));
}

TEST_F(UringTest, DirectDescriptor) {
  write_file("file");
  const auto accesses = capture_->run([] {
    Ring ring;
    const std::array<int, 4> slots = {-1, -1, -1, -1};
    if (::syscall(SYS_io_uring_register, ring.fd(), IORING_REGISTER_FILES, slots.data(), slots.size()) != 0) {
      return errno;
    }
    ring.openat(AT_FDCWD, "file").file_index = 2;
    ring.openat(AT_FDCWD, "missing").file_index = 3;
    ring.submit();
    return ring.result(1) == -ENOENT ? status(ring.result(0)) : 1;
  });
  EXPECT_EQ(last_status(), 0);
  ASSERT_THAT(paths_of(accesses), UnorderedElementsAre(path("file"), path("missing")));
  EXPECT_EQ(kinds_with(at(accesses, path("file"))[0].seen, SNOOP_OUTCOME_OK), 1U << SNOOP_KIND_READ);
  EXPECT_EQ(kinds_with(at(accesses, path("missing"))[0].seen, SNOOP_OUTCOME_MISSING), 1U << SNOOP_KIND_READ);
}

TEST_F(UringTest, KernelThreadSubmits) {
  write_file("file");
  const auto accesses = capture_->run([] {
    Ring ring(IORING_SETUP_SQPOLL);
    ring.openat(AT_FDCWD, "file");
    ring.openat(AT_FDCWD, "missing");
    ring.submit();
    return ring.result(1) == -ENOENT ? status(ring.result(0)) : 1;
  });
  EXPECT_EQ(last_status(), 0);
  ASSERT_THAT(paths_of(accesses), UnorderedElementsAre(path("file"), path("missing")));
  const Access file = at(accesses, path("file"))[0];
  EXPECT_EQ(file.resolved, path("file"));
  EXPECT_NE(file.tid, file.pid) << "it is the thread of the ring that submits";
  EXPECT_EQ(file.cgroup_id, capture_->cgroup().cgroup().id);
}

TEST_F(UringTest, ProcessMovedAfterItMadeTheRing) {
  write_file("file");
  for (const unsigned flags : {0U, static_cast<unsigned>(IORING_SETUP_SQPOLL)}) {
    start();
    const Result<int> procs = capture_->cgroup().open_procs();
    ASSERT_TRUE(procs.has_value());
    const pid_t child = ::fork();
    if (child == 0) {
      Ring ring(flags);
      ring.openat(AT_FDCWD, "before");
      ring.openat(AT_FDCWD, "before-async").flags = IOSQE_ASYNC;
      ring.submit();
      if (::write(*procs, "0", 1) != 1) {
        ::_exit(99);
      }
      ring.openat(AT_FDCWD, "file");
      ring.openat(AT_FDCWD, "missing").flags = IOSQE_ASYNC;
      ring.submit();
      ::_exit(ring.result(3) == -ENOENT ? status(ring.result(2)) : 1);
    }
    ::close(*procs);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_THAT(paths_of(capture_->drain()), UnorderedElementsAre(path("file"), path("missing"))) << flags;
  }
}

TEST_F(UringTest, OtherCgroupsAreNotRecorded) {
  const Result<OwnedCgroup> other = OwnedCgroup::create(capture_->tree(), *capture_->tree().own(),
                                                        "snoop-kernel-other-" + std::to_string(::getpid()));
  ASSERT_TRUE(other.has_value());
  const auto accesses = capture_->run_in(*other, [] {
    Ring ring;
    ring.openat(AT_FDCWD, "not-recorded");
    ring.submit();
    return ring.result() == -ENOENT ? 0 : 1;
  });
  EXPECT_EQ(last_status(), 0);
  EXPECT_THAT(accesses, IsEmpty());
  EXPECT_EQ(capture_->stats().events, 0U);
}

TEST_F(UringTest, Batch) {
  constexpr int kFiles = 64;
  std::vector<std::string> names;
  for (int i = 0; i < kFiles; i++) {
    names.push_back("file-" + std::to_string(i));
    if (i % 2 == 0) {
      write_file(names.back());
    }
  }
  const auto accesses = capture_->run([&] {
    Ring ring;
    for (const std::string& name : names) {
      ring.openat(AT_FDCWD, name.c_str());
    }
    ring.submit();
    return 0;
  });
  ASSERT_THAT(accesses, SizeIs(kFiles));
  EXPECT_EQ(capture_->stats().events, static_cast<uint64_t>(kFiles));
  for (int i = 0; i < kFiles; i++) {
    const auto found = at(accesses, path(names[static_cast<size_t>(i)]));
    ASSERT_THAT(found, SizeIs(1));
    EXPECT_EQ(found[0].result < 0, i % 2 == 1);
    EXPECT_EQ(found[0].resolved, i % 2 == 0 ? found[0].path : "");
  }
}

TEST_F(UringTest, WorkerOfTheRing) {
  write_file("file");
  const auto accesses = capture_->run([] {
    Ring ring;
    ring.openat(AT_FDCWD, "file").flags = IOSQE_ASYNC;
    ring.openat(AT_FDCWD, "missing").flags = IOSQE_ASYNC;
    ring.submit();
    return ring.result(1) == -ENOENT ? status(ring.result(0)) : 1;
  });
  EXPECT_EQ(last_status(), 0);
  ASSERT_THAT(paths_of(accesses), UnorderedElementsAre(path("file"), path("missing")));
  EXPECT_EQ(at(accesses, path("file"))[0].resolved, path("file"));
  EXPECT_EQ(at(accesses, path("file"))[0].pid, at(accesses, path("file"))[0].tid) << "of the submitter";
}

TEST_F(UringTest, WhatIsCancelledWithItsChainIsNoAccess) {
  for (const uint8_t silent : {uint8_t{0}, uint8_t{IOSQE_CQE_SKIP_SUCCESS}}) {
    start();
    const auto accesses = capture_->run([&] {
      Ring ring;
      ring.openat(AT_FDCWD, "missing").flags = IOSQE_IO_LINK | silent;
      ring.openat(AT_FDCWD, "never").flags = IOSQE_IO_LINK | silent;
      ring.add(IORING_OP_RENAMEAT, AT_FDCWD, "never-one").addr2 = address_of("never-two");
      ring.submit(silent != 0 ? 2 : 0);
      return ring.result(0) == -ENOENT ? 0 : 1;
    });
    EXPECT_EQ(last_status(), 0);
    EXPECT_THAT(paths_of(accesses), ElementsAre(path("missing")));
    capture_->probe().detach();
    capture_->probe().flush_requests();
    EXPECT_THAT(capture_->drain(), IsEmpty());
    EXPECT_EQ(capture_->stats().events, 1U);
  }
}

TEST_F(UringTest, ChainThatOpensItsOwnDirectory) {
  std::filesystem::create_directory("d");
  write_file("d/file");
  const auto accesses = capture_->run([] {
    Ring ring;
    const int next = ::dup(0);  // what the first of the chain is going to have
    ::close(next);
    ring.openat(AT_FDCWD, "d", O_PATH | O_DIRECTORY).flags = IOSQE_IO_LINK;
    ring.openat(next, "file");
    ring.submit();
    return ring.result(0) == next ? status(ring.result(1)) : 1;
  });
  EXPECT_EQ(last_status(), 0);
  EXPECT_THAT(paths_of(accesses), ElementsAre(path("d"), path("d/file")));
  EXPECT_EQ(capture_->stats().base_unknown, 0U);
}

TEST_F(UringTest, SuccessWithoutAWord) {
  write_file("file");
  write_file("other");
  const auto accesses = capture_->run([] {
    Ring ring;
    ring.openat(AT_FDCWD, "file").flags = IOSQE_CQE_SKIP_SUCCESS;
    ring.openat(AT_FDCWD, "missing").flags = IOSQE_CQE_SKIP_SUCCESS;
    ring.submit(1);
    return ring.result(1) == -ENOENT ? 0 : 1;
  });
  EXPECT_EQ(last_status(), 0);
  EXPECT_NE(kinds_with(at(accesses, path("missing")).at(0).seen, SNOOP_OUTCOME_MISSING), 0);
  if (accesses.size() == 1) {
    capture_->probe().flush_requests();
    const auto later = capture_->drain();
    ASSERT_THAT(paths_of(later), ElementsAre(path("file")));
    EXPECT_NE(kinds_with(later[0].seen, SNOOP_OUTCOME_OK), 0);
  }
  EXPECT_EQ(capture_->stats().events, 2U);
}

TEST_F(UringTest, SuccessWithoutAWordIsSentWhenTheRequestIsUsedAgain) {
  std::vector<std::string> names;
  for (int i = 0; i < 200; i++) {
    names.push_back("file-" + std::to_string(i));
    write_file(names.back());
  }
  auto accesses = capture_->run([&] {
    Ring ring;
    for (const std::string& name : names) {
      ring.openat(AT_FDCWD, name.c_str()).flags = IOSQE_CQE_SKIP_SUCCESS;
      ring.submit(1);
    }
    return 0;
  });
  EXPECT_GT(accesses.size(), 100U);
  capture_->probe().flush_requests();
  for (Access& access : capture_->drain()) {
    accesses.push_back(std::move(access));
  }
  EXPECT_THAT(accesses, SizeIs(names.size()));
  EXPECT_EQ(capture_->stats().events, names.size());
}

TEST_F(UringTest, RepeatedRequestSendsNothingButCounts) {
  write_file("file");
  const auto accesses = capture_->run([] {
    Ring ring;
    for (int i = 0; i < 100; i++) {
      ring.openat(AT_FDCWD, i % 2 == 0 ? "file" : "missing");
      ring.submit();
    }
    return 0;
  });
  EXPECT_THAT(paths_of(accesses), UnorderedElementsAre(path("file"), path("missing")));
  EXPECT_EQ(capture_->stats().events, 100U);
}

TEST_F(UringTest, SharesFirstSightWithSystemCalls) {
  write_file("file");
  const auto accesses = capture_->run([] {
    Ring ring;
    static_cast<void>(::open("file", O_RDONLY));
    ring.openat(AT_FDCWD, "file");
    ring.submit();
    return status(ring.result());
  });
  EXPECT_THAT(accesses, SizeIs(1));
  EXPECT_EQ(capture_->stats().events, 2U);
}

}  // namespace
}  // namespace snoop::testing
