// SPDX-License-Identifier: Apache-2.0
// What is lost is counted, to the piece.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <set>
#include <thread>

#include "base/clock.h"
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

/// They stand side by side in memory of the kernel, and so does what is remembered of them.
TEST_F(LossTest, FilesSideBySideAreRemembered) {
  constexpr int kFiles = 10'000;
  for (int i = 0; i < kFiles; i++) {
    write_file(path(fmt::format("file-{}", i)));
  }
  Capture& capture = start();
  const auto open_all = [] {
    for (int i = 0; i < kFiles; i++) {
      ::close(::open(fmt::format("file-{}", i).c_str(), O_RDONLY));
    }
    return 0;
  };
  EXPECT_EQ(capture.run(open_all).size(), static_cast<size_t>(kFiles));
  EXPECT_LT(capture.run(open_all).size(), kFiles / 50U);
}

/// As those of busybox: more than have room side by side.
TEST_F(LossTest, EachOfManyPathsToOneFile) {
  constexpr int kPaths = 300;
  write_file(path("file"));
  for (int i = 0; i < kPaths; i++) {
    ASSERT_EQ(::symlink("file", path(fmt::format("link-{}", i)).c_str()), 0);
  }
  Capture& capture = start();
  for (int round = 0; round < 3; round++) {
    const auto accesses = capture.run([] {
      for (int i = 0; i < kPaths; i++) {
        ::close(::open(fmt::format("link-{}", i).c_str(), O_RDONLY));
      }
      return 0;
    });
    const std::vector<std::string> paths = paths_of(accesses);
    EXPECT_LE(paths.size(), static_cast<size_t>(kPaths));
    if (round == 0) {
      EXPECT_EQ(std::set(paths.begin(), paths.end()).size(), static_cast<size_t>(kPaths));
    }
  }
  EXPECT_EQ(capture.stats().events, 3U * kPaths);
}

/// To a tick of the kernel, the longest of which takes 10 ms.
TEST_F(LossTest, TimeOfARecord) {
  Capture& capture = start();
  for (int i = 0; i < 20; i++) {
    const WallTime before = wall_now();
    const auto accesses = capture.run([i] { return look_at(10 * i, 10 * i + 10); });
    const WallTime after = wall_now();
    ASSERT_EQ(accesses.size(), 10U);
    for (const Access& access : accesses) {
      EXPECT_GE(access.time, before - kSecond / 100);
      EXPECT_LE(access.time, after + kSecond / 1000);
    }
  }
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
