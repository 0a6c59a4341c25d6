// SPDX-License-Identifier: Apache-2.0
#include "pipeline/use_counts.h"

#include <gtest/gtest.h>

#include <limits>

namespace snoop {
namespace {

constexpr size_t kPart = 4;
constexpr snoop_target kTarget = {.id = 1, .slot = 0, .flags = 0, .reserved = 0};

class UseCountsTest : public testing::Test {
 protected:
  UseCountsTest() { recorder.add_container("c", 10, "/c", kTarget); }

  uint32_t add(const std::string& path) {
    Access access;
    access.path = path;
    access.target = kTarget.id;
    access.seen = 1ULL << SNOOP_KIND_STAT;
    access.time = 1'000'000'000;
    return recorder.add(access).value();
  }
  void learn(uint64_t number, uint32_t file) { counts.learn(number, kTarget.id, file, recorder); }
  void collect(const std::vector<snoop_recent>& recents = {}) {
    // In parts, as they are read.
    const std::span<const uint64_t> all(sums);
    for (size_t first = 0; first < counts.counters(); first += kPart) {
      counts.add_sums(first, all.subspan(first, kPart));
    }
    counts.add_recents(recents);
    counts.finish(recorder, 5'000'000'000);
  }
  /// As the kernel side has it.
  void set_sum(uint32_t number, uint64_t count) { sums[number % SNOOP_USE_COUNTS] = count << 32U | number; }
  [[nodiscard]] const AccessStore::Entry& entry(uint32_t index) {
    return recorder.containers().front().files.entries()[index];
  }
  [[nodiscard]] bool are_lower_bounds() { return recorder.containers().front().counts_are_lower_bounds; }

  Recorder recorder{{.exclude = {}, .max_files = 100}};
  UseCounts counts;
  std::vector<uint64_t> sums = std::vector<uint64_t>(SNOOP_USE_COUNTS);
};

TEST_F(UseCountsTest, RepeatsGoToTheirFile) {
  const uint32_t a = add("/a");
  const uint32_t b = add("/b");
  learn(7, b);
  learn(3, a);
  set_sum(7, 10);
  set_sum(99, 5);
  collect();
  EXPECT_EQ(entry(a).count(), 1U);
  EXPECT_EQ(entry(a).last_seen(), 1'000'000'000);
  EXPECT_EQ(entry(b).count(), 11U);
  EXPECT_EQ(entry(b).last_seen(), 5'000'000'000) << "between the last collection and this one";
  set_sum(3, 2);
  collect();
  EXPECT_EQ(entry(a).count(), 3U);
  EXPECT_EQ(entry(b).count(), 11U) << "nothing twice";
  EXPECT_FALSE(are_lower_bounds());
}

TEST_F(UseCountsTest, WhatTheCpusStillHaveCounts) {
  const uint32_t a = add("/a");
  learn(3, a);
  set_sum(3, 1);
  collect({{.tag = 9, .entry = 3, .count = 4}, {.tag = 8, .entry = 3, .count = 5}, {.tag = 7, .entry = 4, .count = 6}});
  EXPECT_EQ(entry(a).count(), 11U);
  set_sum(3, 6);
  collect({{.tag = 9, .entry = 3, .count = 4}});
  EXPECT_EQ(entry(a).count(), 11U) << "moved, not more";
  set_sum(3, 0);
  collect();
  EXPECT_EQ(entry(a).count(), 11U) << "read while it was moved";
  set_sum(3, 12);
  collect();
  EXPECT_EQ(entry(a).count(), 13U);
}

TEST_F(UseCountsTest, OneCallForDays) {
  constexpr uint32_t kStep = 1'000'000'007;
  const uint32_t a = add("/a");
  learn(3, a);
  set_sum(3, 2);
  for (uint32_t step = 1; step <= 4; step++) {
    collect({{.tag = 9, .entry = 3, .count = step * kStep}});
    collect({{.tag = 9, .entry = 3, .count = step * kStep}});
    EXPECT_EQ(entry(a).count(), 3 + step * kStep);
  }
  // The kernel side's count begins anew; a file's stays where it is.
  collect({{.tag = 9, .entry = 3, .count = static_cast<uint32_t>(5ULL * kStep)}});
  EXPECT_EQ(entry(a).count(), std::numeric_limits<uint32_t>::max());
  collect({{.tag = 9, .entry = 3, .count = static_cast<uint32_t>(6ULL * kStep)}});
  EXPECT_EQ(entry(a).count(), std::numeric_limits<uint32_t>::max());
}

TEST_F(UseCountsTest, OneEntryToldTwiceCountsOnce) {
  const uint32_t a = add("/a");
  learn(3, a);
  learn(3, a);
  set_sum(3, 4);
  collect();
  EXPECT_EQ(entry(a).count(), 5U);
  EXPECT_FALSE(are_lower_bounds());
}

TEST_F(UseCountsTest, OneThatTakesAnothersPlaceStartsAtNothing) {
  const uint32_t a = add("/a");
  const uint32_t b = add("/b");
  learn(3, a);
  set_sum(3, 4);
  collect({{.tag = 9, .entry = 3, .count = 1}});
  EXPECT_EQ(entry(a).count(), 6U);
  set_sum(3 + SNOOP_USE_COUNTS, 2);
  collect({{.tag = 9, .entry = 3, .count = 7}});
  EXPECT_EQ(entry(a).count(), 6U) << "what else it had, nobody knows";
  learn(3 + SNOOP_USE_COUNTS, b);
  collect({{.tag = 9, .entry = 3, .count = 7}});
  EXPECT_EQ(entry(a).count(), 6U);
  EXPECT_EQ(entry(b).count(), 3U);
  EXPECT_TRUE(are_lower_bounds());
}

TEST_F(UseCountsTest, NoEntryIsNone) {
  learn(0, 0);
  set_sum(0, 7);
  collect();
  EXPECT_TRUE(recorder.containers().front().files.entries().empty());
}

}  // namespace
}  // namespace snoop
