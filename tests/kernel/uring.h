// SPDX-License-Identifier: Apache-2.0
// Requests through io_uring, as the tests make them.
#pragma once

#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <vector>

#include "harness.h"

namespace snoop::testing {

inline uint64_t address_of(const void* memory) { return reinterpret_cast<uintptr_t>(memory); }

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
inline int status(int result) { return result < 0 ? -result : 0; }

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

}  // namespace snoop::testing
