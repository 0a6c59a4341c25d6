// SPDX-License-Identifier: Apache-2.0
#include "base/event_loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <csignal>
#include <optional>

namespace snoop {
namespace {

using std::chrono::milliseconds;

struct Pipe {
  Pipe() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    in = UniqueFd(ends[0]);
    out = UniqueFd(ends[1]);
  }
  void put() const { EXPECT_EQ(::write(out.get(), "x", 1), 1); }
  [[nodiscard]] bool take() const {
    char byte = 0;
    return ::read(in.get(), &byte, 1) == 1;
  }

  UniqueFd in;
  UniqueFd out;
};

class EventLoopTest : public testing::Test {
 protected:
  EventLoopTest() {
    loop = std::move(*EventLoop::create());
    limit = std::move(*Timer::create());
    EXPECT_TRUE(loop->watch(limit->fd(), [this] {
      limit->acknowledge();
      loop->stop();
    }));
  }
  void watch(int fd, EventLoop::Callback callback, bool edge = false) {
    ASSERT_TRUE(loop->watch(fd, std::move(callback), edge));
  }
  /// Runs until stop(), or for this long.
  void run(milliseconds at_most) {
    limit->start(at_most);
    ASSERT_TRUE(loop->run());
    limit->stop();
  }

  std::optional<EventLoop> loop;
  std::optional<Timer> limit;
};

TEST_F(EventLoopTest, CallsBackAsLongAsThereIsSomethingToRead) {
  const Pipe pipe;
  pipe.put();
  pipe.put();
  int calls = 0;
  watch(pipe.in.get(), [&] {
    calls++;
    if (!pipe.take()) {
      ADD_FAILURE() << "nothing to read";
    }
    if (calls == 2) {
      loop->stop();
    }
  });
  run(milliseconds(90));
  EXPECT_EQ(calls, 2);
}

TEST_F(EventLoopTest, EdgeCallsBackOncePerWakeUp) {
  const Pipe pipe;
  int calls = 0;
  watch(
      pipe.in.get(), [&] { calls++; }, true);
  pipe.put();
  run(milliseconds(20));
  EXPECT_EQ(calls, 1) << "what was not read must not call again";
  pipe.put();
  run(milliseconds(20));
  EXPECT_EQ(calls, 2);
}

TEST_F(EventLoopTest, CallbackMayUnwatchItself) {
  const Pipe pipe;
  pipe.put();
  int calls = 0;
  const auto held = std::make_shared<int>(7);
  watch(pipe.in.get(), [&, held] {
    calls++;
    loop->unwatch(pipe.in.get());
    // What the callback holds is still there.
    EXPECT_EQ(*held, 7);
  });
  run(milliseconds(20));
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(EventLoopTest, CallbackMayUnwatchAnother) {
  const Pipe first;
  const Pipe second;
  first.put();
  second.put();
  int calls = 0;
  watch(first.in.get(), [&] {
    calls++;
    loop->unwatch(first.in.get());
    loop->unwatch(second.in.get());
  });
  watch(second.in.get(), [&] {
    calls++;
    loop->unwatch(first.in.get());
    loop->unwatch(second.in.get());
  });
  run(milliseconds(20));
  EXPECT_EQ(calls, 1) << "both were ready, and the one that ran took the other away";
}

TEST_F(EventLoopTest, StopLeavesTheRestForLater) {
  const Pipe first;
  const Pipe second;
  first.put();
  second.put();
  int calls = 0;
  const auto once = [&](const Pipe& pipe) {
    return [&] {
      calls++;
      EXPECT_TRUE(pipe.take());
      loop->stop();
    };
  };
  watch(first.in.get(), once(first));
  watch(second.in.get(), once(second));
  run(milliseconds(90));
  EXPECT_EQ(calls, 1);
  run(milliseconds(90));
  EXPECT_EQ(calls, 2);
}

TEST_F(EventLoopTest, TheOtherEndClosedIsAnEvent) {
  Pipe pipe;
  pipe.out.reset();
  int calls = 0;
  watch(pipe.in.get(), [&] {
    calls++;
    loop->stop();
  });
  run(milliseconds(90));
  EXPECT_EQ(calls, 1);
}

TEST_F(EventLoopTest, WatchingWhatCannotBeWatchedFails) {
  const Result<void> none = loop->watch(-1, [] {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, EBADF);
  const UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  EXPECT_FALSE(loop->watch(file.get(), [] {}));
  const Pipe pipe;
  watch(pipe.in.get(), [] {});
  EXPECT_FALSE(loop->watch(pipe.in.get(), [] {})) << "twice";
}

TEST_F(EventLoopTest, ASignalHandlerDoesNotEndIt) {
  struct sigaction action = {};
  struct sigaction former = {};
  action.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGALRM, &action, &former), 0);
  const itimerval soon = {{0, 0}, {0, 5'000}};
  const itimerval never = {};
  ::setitimer(ITIMER_REAL, &soon, nullptr);
  const auto begin = std::chrono::steady_clock::now();
  run(milliseconds(30));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(25));
  ::setitimer(ITIMER_REAL, &never, nullptr);
  ::sigaction(SIGALRM, &former, nullptr);
}

TEST_F(EventLoopTest, TimerFiresOnce) {
  Timer timer = std::move(*Timer::create());
  int calls = 0;
  watch(timer.fd(), [&] {
    timer.acknowledge();
    calls++;
  });
  run(milliseconds(10));
  EXPECT_EQ(calls, 0) << "not started";
  timer.start(milliseconds(5));
  run(milliseconds(40));
  EXPECT_EQ(calls, 1);
}

TEST_F(EventLoopTest, TimerRepeatsUntilStopped) {
  Timer timer = std::move(*Timer::create());
  int calls = 0;
  watch(timer.fd(), [&] {
    timer.acknowledge();
    if (++calls == 3) {
      timer.stop();
    }
  });
  timer.start(milliseconds(1), milliseconds(1));
  run(milliseconds(60));
  EXPECT_EQ(calls, 3);
}

TEST_F(EventLoopTest, TimerStartedAgainCountsFromThere) {
  Timer timer = std::move(*Timer::create());
  bool fired = false;
  watch(timer.fd(), [&] {
    timer.acknowledge();
    fired = true;
  });
  timer.start(milliseconds(5));
  timer.start(std::chrono::hours(1));
  run(milliseconds(30));
  EXPECT_FALSE(fired);
}

}  // namespace
}  // namespace snoop
