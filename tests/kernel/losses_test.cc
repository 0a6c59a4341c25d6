// SPDX-License-Identifier: Apache-2.0
// What is lost is counted, to the piece.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <set>
#include <thread>

#include "harness.h"

namespace snoop::testing {
namespace {

class LossTest : public KernelTest {
 protected:
  static int look_at(int from, int to) {
    for (int i = from; i < to; i++) {
      static_cast<void>(::access(fmt::format("file-{}", i).c_str(), F_OK));
    }
    return 0;
  }
};

TEST_F(LossTest, FullRingIsExactAndOnlyDelays) {
  constexpr int kFiles = 1000;
  Capture& capture = start({.ring_size_bytes = ring_size_at_least(1), .first_sight_only = true});
  const auto burst = capture.run([] { return look_at(0, kFiles); });
  EXPECT_GT(burst.size(), 10U);
  EXPECT_LT(burst.size(), 200U);
  EXPECT_EQ(capture.stats().ring_full, kFiles - burst.size());
  EXPECT_EQ(capture.stats().events, static_cast<uint64_t>(kFiles));

  // The reader is here again: what was lost comes in, what was seen does not.
  std::set<std::string> seen;
  for (const Access& access : burst) {
    seen.insert(access.path);
  }
  for (int i = 0; i < kFiles; i += 20) {
    for (const Access& access : capture.run([i] { return look_at(i, i + 20); })) {
      EXPECT_TRUE(seen.insert(access.path).second) << "twice: " << access.path;
    }
  }
  EXPECT_EQ(seen.size(), static_cast<size_t>(kFiles));
}

TEST_F(LossTest, DefaultRingTakesALongBurst) {
  constexpr int kFiles = 50'000;
  Capture& capture = start();
  const auto burst = capture.run([] { return look_at(0, kFiles); });
  EXPECT_EQ(burst.size(), static_cast<size_t>(kFiles));
  EXPECT_EQ(capture.stats().ring_full, 0U);
  EXPECT_EQ(capture.probe().skipped_runs(), 0U);
}

TEST_F(LossTest, ManyThreadsOnAllProcessors) {
  constexpr int kThreads = 8;
  constexpr int kFiles = 2000;
  Capture& capture = start();
  const auto burst = capture.run([] {
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; i++) {
      threads.emplace_back([i] { look_at(i * kFiles, (i + 1) * kFiles); });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    return 0;
  });
  EXPECT_EQ(burst.size() + capture.stats().ring_full, static_cast<size_t>(kThreads * kFiles));
  EXPECT_EQ(capture.probe().skipped_runs(), 0U);
}

}  // namespace
}  // namespace snoop::testing
