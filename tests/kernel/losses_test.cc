// SPDX-License-Identifier: Apache-2.0
// What is lost is counted, to the piece.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
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

/// All write to what is remembered of the same files.
TEST_F(LossTest, EachKindOfEachFileFromAllProcessors) {
  constexpr int kFiles = 10'000;
  Capture& capture = start();
  const auto burst = capture.run([] {
    using Call = int (*)(const char*);
    const Call calls[] = {[](const char* path) { return ::access(path, F_OK); },
                          [](const char* path) {
                            struct stat of = {};
                            return ::stat(path, &of);
                          },
                          [](const char* path) {
                            char text[8];
                            return static_cast<int>(::readlink(path, text, sizeof(text)));
                          },
                          [](const char* path) { return ::open(path, O_RDONLY); }};
    std::vector<std::thread> threads;
    for (const Call call : calls) {
      threads.emplace_back([call] {
        for (int i = 0; i < kFiles; i++) {
          call(fmt::format("file-{}", i).c_str());
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    return 0;
  });
  std::map<std::string, uint64_t> seen;
  for (const Access& access : burst) {
    seen[access.path] |= access.seen;
  }
  constexpr uint64_t kAll =
      (1ULL << SNOOP_KIND_ACCESS | 1ULL << SNOOP_KIND_STAT | 1ULL << SNOOP_KIND_READLINK | 1ULL << SNOOP_KIND_READ)
      << SNOOP_SEEN_SHIFT(SNOOP_OUTCOME_MISSING);
  EXPECT_EQ(capture.stats().ring_full, 0U);
  EXPECT_EQ(seen.size(), static_cast<size_t>(kFiles));
  for (const auto& [path, kinds] : seen) {
    ASSERT_EQ(kinds, kAll) << path;
  }
}

/// What is forgotten comes again.
TEST_F(LossTest, MoreThanCanBeRemembered) {
  constexpr int kFiles = 300'000;
  Capture& capture = start({.ring_size_bytes = 128UL << 20, .first_sight_only = true});
  const auto burst = capture.run([] { return look_at(0, kFiles); });
  EXPECT_EQ(burst.size(), static_cast<size_t>(kFiles));
  std::set<std::string> again;
  for (const Access& access : capture.run([] { return look_at(0, kFiles); })) {
    again.insert(access.path);
  }
  EXPECT_GT(again.size(), kFiles / 20U);
  EXPECT_LT(again.size(), kFiles / 2U);
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
