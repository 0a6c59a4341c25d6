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

#include "harness.h"

namespace snoop::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

/// Linux 6.11, not in the headers of the build machine.
constexpr uint8_t kOpBind = 56;

uint64_t address_of(const void* memory) { return reinterpret_cast<uintptr_t>(memory); }

/// A ring, used in the process that made it.
class Ring {
 public:
  explicit Ring(unsigned flags = 0, unsigned entries = 128) {
    params_.flags = flags;
    params_.sq_thread_idle = 1000;
    fd_ = static_cast<int>(::syscall(SYS_io_uring_setup, entries, &params_));
    if (fd_ < 0) {
      error_ = errno;
      return;
    }
    sq_ = map(params_.sq_off.array + params_.sq_entries * sizeof(uint32_t), IORING_OFF_SQ_RING);
    cq_ = map(params_.cq_off.cqes + params_.cq_entries * sizeof(io_uring_cqe), IORING_OFF_CQ_RING);
    sqes_ = reinterpret_cast<io_uring_sqe*>(map(params_.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES));
  }

  [[nodiscard]] int error() const { return error_; }
  [[nodiscard]] int fd() const { return fd_; }

  /// The next request; its results are known by the number of the request.
  io_uring_sqe& add(uint8_t opcode, int fd, const char* path = nullptr) {
    const unsigned index = tail_ & (params_.sq_entries - 1);
    io_uring_sqe& sqe = sqes_[index];
    std::memset(&sqe, 0, sizeof(sqe));
    sqe.opcode = opcode;
    sqe.fd = fd;
    sqe.addr = address_of(path);
    sqe.user_data = tail_;
    sq_word(params_.sq_off.array + index * sizeof(uint32_t)) = index;
    tail_++;
    return sqe;
  }
  io_uring_sqe& openat(int dirfd, const char* path, int flags = O_RDONLY) {
    io_uring_sqe& sqe = add(IORING_OP_OPENAT, dirfd, path);
    sqe.open_flags = static_cast<uint32_t>(flags);
    sqe.len = 0644;
    return sqe;
  }

  /// Gives what was added to the kernel and waits until it has all told its end,
  /// but for `silent` requests.
  void submit(unsigned silent = 0) {
    const unsigned count = tail_ - given_;
    given_ = tail_;
    __atomic_store_n(&sq_word(params_.sq_off.tail), tail_, __ATOMIC_RELEASE);
    unsigned enter = IORING_ENTER_GETEVENTS;
    if ((params_.flags & IORING_SETUP_SQPOLL) != 0) {
      enter |= IORING_ENTER_SQ_WAKEUP;
    }
    ::syscall(SYS_io_uring_enter, fd_, count, count - silent, enter, nullptr, 0);
    collect();
  }
  void wait(unsigned count) {
    ::syscall(SYS_io_uring_enter, fd_, 0, count, IORING_ENTER_GETEVENTS, nullptr, 0);
    collect();
  }
  /// Without waiting.
  void hand_over() {
    const unsigned count = tail_ - given_;
    given_ = tail_;
    __atomic_store_n(&sq_word(params_.sq_off.tail), tail_, __ATOMIC_RELEASE);
    ::syscall(SYS_io_uring_enter, fd_, count, 0, 0, nullptr, 0);
  }
  void collect() {
    uint32_t& head = cq_word(params_.cq_off.head);
    const uint32_t tail = __atomic_load_n(&cq_word(params_.cq_off.tail), __ATOMIC_ACQUIRE);
    const uint32_t mask = cq_word(params_.cq_off.ring_mask);
    for (; head != tail; head++) {
      const auto* cqe = reinterpret_cast<const io_uring_cqe*>(cq_ + params_.cq_off.cqes) + (head & mask);
      results_[cqe->user_data] = cqe->res;
    }
  }
  /// What the request of this number ended with.
  [[nodiscard]] int result(uint64_t number) const {
    const auto found = results_.find(number);
    return found == results_.end() ? -EINPROGRESS : found->second;
  }
  /// Of the last one.
  [[nodiscard]] int result() const { return result(tail_ - 1); }

 private:
  char* map(size_t size, off_t what) const {
    return static_cast<char*>(::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_, what));
  }
  [[nodiscard]] uint32_t& sq_word(size_t offset) const { return *reinterpret_cast<uint32_t*>(sq_ + offset); }
  [[nodiscard]] uint32_t& cq_word(size_t offset) const { return *reinterpret_cast<uint32_t*>(cq_ + offset); }

  io_uring_params params_ = {};
  int fd_ = -1;
  int error_ = 0;
  char* sq_ = nullptr;
  char* cq_ = nullptr;
  io_uring_sqe* sqes_ = nullptr;
  unsigned tail_ = 0;
  unsigned given_ = 0;
  std::map<uint64_t, int> results_;
};

/// As an exit status.
int status(int result) { return result < 0 ? -result : 0; }

class UringTest : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    if (IsSkipped()) {
      return;
    }
    const Ring ring;
    if (ring.error() == EPERM || ring.error() == ENOSYS) {
      GTEST_SKIP() << "io_uring_setup: " << strerrordesc_np(ring.error())
                   << " (built without it, kernel.io_uring_disabled, or a seccomp profile)";
    }
    ASSERT_EQ(ring.error(), 0);
    ::close(ring.fd());
    if (!begin().probe().sees_io_uring()) {
      GTEST_SKIP() << "this kernel's BTF has no io_uring tracepoints that snoop knows";
    }
  }

  virtual Capture& begin() { return start(); }

  /// Runs one request.
  std::vector<Access> run(const std::function<void(Ring&)>& request) {
    return capture_->run([&] {
      Ring ring;
      request(ring);
      ring.submit();
      return status(ring.result());
    });
  }
  [[nodiscard]] int last_status() const { return WEXITSTATUS(capture_->last_status()); }
};

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

TEST_F(UringTest, LongestPath) {
  write_file("file");
  const std::string name = path("") + std::string(PATH_MAX - 1 - path("").size() - 4, '/') + "file";
  ASSERT_EQ(name.size(), size_t{PATH_MAX - 1});
  const auto accesses = run([&](Ring& ring) { ring.openat(AT_FDCWD, name.c_str()); });
  EXPECT_EQ(last_status(), 0);
  EXPECT_THAT(paths_of(accesses), ElementsAre(path("file")));
  const std::string longer = "/" + name;
  EXPECT_THAT(run([&](Ring& ring) { ring.openat(AT_FDCWD, longer.c_str()); }), IsEmpty());
  EXPECT_EQ(last_status(), ENAMETOOLONG);
}

/// Goes `levels` directories of 200 letters down.
std::string go_down(int levels) {
  const std::string name(200, 'n');
  std::string below;
  for (int i = 0; i < levels; i++) {
    ::mkdir(name.c_str(), 0755);
    if (::chdir(name.c_str()) != 0) {
      break;
    }
    below += name + "/";
  }
  return below;
}

TEST_F(UringTest, LongBase) {
  for (const int levels : {20, 36}) {
    start();
    std::string below;
    const auto accesses = capture_->run([&] {
      below = go_down(levels);
      Ring ring;
      ring.openat(AT_FDCWD, "missing");
      ring.submit();
      return ring.result() == -ENOENT ? 0 : 1;
    });
    EXPECT_EQ(last_status(), 0);
    for (int i = 0; i < levels; i++) {
      below += std::string(200, 'n') + "/";
    }
    const auto found = at(accesses, path(below + "missing"));
    ASSERT_THAT(found, SizeIs(1)) << levels;
    EXPECT_NE(kinds_with(found[0].seen, SNOOP_OUTCOME_MISSING), 0);
  }
}

TEST_F(UringTest, WhatDoesNotFitIsUsedInDoubt) {
  const std::string name = std::string(4000, '/') + "missing";
  const std::string relative = "." + name;
  const auto accesses = capture_->run([&] {
    go_down(25);
    Ring ring;
    ring.openat(AT_FDCWD, relative.c_str());
    ring.submit();
    return ring.result() == -ENOENT ? 0 : 1;
  });
  EXPECT_EQ(last_status(), 0);
  std::string below;
  for (int i = 0; i < 25; i++) {
    below += std::string(200, 'n') + "/";
  }
  const auto found = at(accesses, path(below + "missing"));
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_NE(kinds_with(found[0].seen, SNOOP_OUTCOME_OK), 0);
  EXPECT_EQ(found[0].resolved, "");
}

TEST_F(UringTest, ManyThatWait) {
  // More than there is room for, behind one that waits for a pipe.
  constexpr int kChains = 60;
  constexpr int kLength = 100;
  std::vector<std::string> names;
  names.reserve(size_t{kChains} * kLength);
  for (int i = 0; i < kChains * kLength; i++) {
    names.push_back("missing-" + std::to_string(i));
  }
  const auto accesses = capture_->run([&] {
    Ring ring(0, 8192);
    if (ring.error() != 0) {
      return ring.error();
    }
    int ends[2];
    if (::pipe(ends) != 0) {
      return errno;
    }
    size_t next = 0;
    for (int chain = 0; chain < kChains; chain++) {
      io_uring_sqe& wait = ring.add(IORING_OP_POLL_ADD, ends[0]);
      wait.poll32_events = POLLIN;
      wait.flags = IOSQE_IO_LINK;
      for (int i = 0; i < kLength; i++) {
        io_uring_sqe& sqe = ring.openat(AT_FDCWD, names[next++].c_str());
        sqe.flags = i + 1 < kLength ? IOSQE_IO_HARDLINK : 0;
      }
    }
    ring.hand_over();
    if (::write(ends[1], "x", 1) != 1) {
      return errno;
    }
    ring.wait(kChains * (kLength + 1));
    return 0;
  });
  EXPECT_EQ(last_status(), 0);
  capture_->probe().detach();
  capture_->probe().flush_requests();
  EXPECT_THAT(accesses, SizeIs(names.size()));
  EXPECT_EQ(capture_->stats().events, names.size());
  EXPECT_THAT(capture_->drain(), IsEmpty());
}

TEST_F(UringTest, ManyRingsAtATime) {
  constexpr int kThreads = 8;
  constexpr int kRounds = 40;
  constexpr int kBatch = 25;
  const auto accesses = capture_->run([] {
    std::vector<std::thread> threads;
    threads.reserve(kThreads);
    for (int thread = 0; thread < kThreads; thread++) {
      threads.emplace_back([thread] {
        Ring ring;
        for (int round = 0; round < kRounds; round++) {
          std::array<std::string, kBatch> names;
          for (int i = 0; i < kBatch; i++) {
            std::string& name = names[static_cast<size_t>(i)];
            name = "missing-" + std::to_string(thread) + "-" + std::to_string(round * kBatch + i);
            ring.openat(AT_FDCWD, name.c_str()).flags = i % 2 == 0 ? IOSQE_ASYNC : 0;
          }
          ring.submit();
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    return 0;
  });
  EXPECT_EQ(last_status(), 0);
  EXPECT_EQ(capture_->probe().skipped_runs(), 0U);
  EXPECT_EQ(accesses.size() + capture_->stats().ring_full, static_cast<size_t>(kThreads * kRounds * kBatch));
  for (const Access& access : accesses) {
    EXPECT_NE(kinds_with(access.seen, SNOOP_OUTCOME_MISSING), 0) << access.path;
  }
}

TEST_F(UringTest, NoRoomForItsEnd) {
  // Two requests a time, four ends that nobody takes away.
  std::vector<std::string> names;
  for (int i = 0; i < 12; i++) {
    names.push_back("file-" + std::to_string(i));
    write_file(names.back());
  }
  auto accesses = capture_->run([&] {
    Ring ring(0, 2);
    for (size_t i = 0; i < names.size(); i += 2) {
      ring.openat(AT_FDCWD, names[i].c_str());
      ring.openat(AT_FDCWD, names[i + 1].c_str());
      ring.hand_over();
    }
    return 0;
  });
  capture_->probe().detach();
  capture_->probe().flush_requests();
  for (Access& access : capture_->drain()) {
    accesses.push_back(std::move(access));
  }
  EXPECT_THAT(accesses, SizeIs(names.size()));
  for (const std::string& name : names) {
    ASSERT_THAT(at(accesses, path(name)), SizeIs(1)) << name;
    EXPECT_NE(kinds_with(at(accesses, path(name))[0].seen, SNOOP_OUTCOME_OK), 0);
  }
}

TEST_F(UringTest, NotEndedAtTheEnd) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const Result<int> procs = capture_->cgroup().open_procs();
  ASSERT_TRUE(procs.has_value());
  const pid_t child = ::fork();
  if (child == 0) {
    static_cast<void>(!::write(*procs, "0", 1));
    Ring ring;
    io_uring_sqe& wait = ring.add(IORING_OP_POLL_ADD, ends[0]);
    wait.poll32_events = POLLIN;
    wait.flags = IOSQE_IO_LINK;
    ring.openat(AT_FDCWD, "waits");
    ring.hand_over();
    static_cast<void>(!::write(ready[1], "x", 1));
    ::pause();
    ::_exit(0);
  }
  ::close(*procs);
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  capture_->probe().flush_requests();
  EXPECT_THAT(capture_->drain(), IsEmpty()) << "its end will be told";
  capture_->probe().detach();
  capture_->probe().flush_requests();
  EXPECT_THAT(paths_of(capture_->drain()), ElementsAre(path("waits")));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  for (const int fd : {ends[0], ends[1], ready[0], ready[1]}) {
    ::close(fd);
  }
}

}  // namespace
}  // namespace snoop::testing
