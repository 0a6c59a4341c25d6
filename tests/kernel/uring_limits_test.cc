// SPDX-License-Identifier: Apache-2.0
// What goes through io_uring, where it is long, much, or not ended.
#include <fcntl.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <thread>

#include "uring.h"

namespace snoop::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

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
    if (::write(*procs, "0", 1) != 1) {
      ::_exit(1);
    }
    Ring ring;
    io_uring_sqe& wait = ring.add(IORING_OP_POLL_ADD, ends[0]);
    wait.poll32_events = POLLIN;
    wait.flags = IOSQE_IO_LINK;
    ring.openat(AT_FDCWD, "waits");
    ring.hand_over();
    if (::write(ready[1], "x", 1) != 1) {
      ::_exit(1);
    }
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
