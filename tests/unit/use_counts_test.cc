// SPDX-License-Identifier: Apache-2.0
#include "pipeline/use_counts.h"

#include <gtest/gtest.h>

namespace snoop {
namespace {

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
  void collect(const std::vector<snoop_seen>& entries) { counts.collect(entries, recorder, 5'000'000'000); }
  [[nodiscard]] const AccessStore::Entry& entry(uint32_t index) {
    return recorder.containers().front().files.entries()[index];
  }
  static snoop_seen of(uint64_t number, uint32_t repeats) {
    return {.seen = 1, .entry = number, .repeats = repeats, .reserved = 0};
  }

  Recorder recorder{{.exclude = {}, .max_files = 100}};
  UseCounts counts;
};

TEST_F(UseCountsTest, RepeatsGoToTheirFile) {
  const uint32_t a = add("/a");
  const uint32_t b = add("/b");
  counts.learn(7, kTarget.id, b);
  counts.learn(3, kTarget.id, a);
  collect({of(7, 10), of(3, 0), of(99, 5)});
  EXPECT_EQ(entry(a).count(), 1U);
  EXPECT_EQ(entry(a).last_seen(), 1'000'000'000);
  EXPECT_EQ(entry(b).count(), 11U);
  EXPECT_EQ(entry(b).last_seen(), 5'000'000'000) << "between the last collection and this one";
  collect({of(3, 2), of(7, 10)});
  EXPECT_EQ(entry(a).count(), 3U);
  EXPECT_EQ(entry(b).count(), 11U) << "nothing twice";
  EXPECT_FALSE(recorder.containers().front().counts_are_lower_bounds);
}

TEST_F(UseCountsTest, OneEntryToldTwiceCountsOnce) {
  const uint32_t a = add("/a");
  counts.learn(3, kTarget.id, a);
  counts.learn(3, kTarget.id, a);
  collect({of(3, 4)});
  EXPECT_EQ(entry(a).count(), 5U);
  EXPECT_EQ(counts.size(), 1U);
}

TEST_F(UseCountsTest, WhatTheKernelForgotIsALowerBound) {
  const uint32_t a = add("/a");
  counts.learn(3, kTarget.id, a);
  collect({});
  EXPECT_FALSE(recorder.containers().front().counts_are_lower_bounds) << "it may be on its way";
  collect({});
  EXPECT_TRUE(recorder.containers().front().counts_are_lower_bounds);
  EXPECT_EQ(counts.size(), 0U);
}

TEST_F(UseCountsTest, NoEntryIsNone) {
  counts.learn(0, kTarget.id, 0);
  EXPECT_EQ(counts.size(), 0U);
}

}  // namespace
}  // namespace snoop
