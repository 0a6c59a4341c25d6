// SPDX-License-Identifier: Apache-2.0
#include "pipeline/discovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <numeric>
#include <random>

namespace snoop {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

uint64_t sum_of(const Discovery& curve) {
  return std::accumulate(curve.new_files().begin(), curve.new_files().end(), uint64_t{0});
}

TEST(Discovery, CountsBySecondsFirst) {
  Discovery curve(100 * kSecond);
  EXPECT_THAT(curve.new_files(), IsEmpty());
  curve.add(100 * kSecond);
  curve.add(101 * kSecond - 1);
  curve.add(102 * kSecond);
  curve.add(99 * kSecond);
  EXPECT_EQ(curve.bucket_seconds(), 1U);
  EXPECT_THAT(curve.new_files(), ElementsAre(3U, 0U, 1U));
  curve.extend(104 * kSecond);
  EXPECT_THAT(curve.new_files(), ElementsAre(3U, 0U, 1U, 0U, 0U));
}

TEST(Discovery, DoublesItsWidthWhenTimeOutgrowsIt) {
  Discovery curve(0);
  for (WallTime i = 0; i < 64; i++) {
    curve.add(i * kSecond);
  }
  EXPECT_EQ(curve.bucket_seconds(), 1U);
  EXPECT_EQ(curve.new_files().size(), 64U);
  curve.add(64 * kSecond);
  EXPECT_EQ(curve.bucket_seconds(), 2U);
  EXPECT_EQ(curve.new_files().size(), 33U);
  EXPECT_EQ(curve.new_files()[0], 2U);
  EXPECT_EQ(curve.new_files()[32], 1U);
  EXPECT_EQ(sum_of(curve), 65U);
}

TEST(Discovery, IsTheSameWheneverItWasWidened) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 50; round++) {
    const WallTime from = 1'700'000'000 * kSecond;
    Discovery once(from);
    Discovery often(from);
    WallTime last = from;
    for (int i = 0; i < 200; i++) {
      const WallTime time = from + static_cast<WallTime>(random() % (1ULL << (round + 10)));
      last = std::max(last, time);
      once.add(time);
      often.add(time);
      often.extend(last);
    }
    once.extend(last);
    EXPECT_EQ(once.new_files(), often.new_files());
    EXPECT_EQ(once.bucket_seconds(), often.bucket_seconds());
    EXPECT_LE(once.new_files().size(), Discovery::kMaxBuckets);
    EXPECT_EQ(sum_of(once), 200U);
  }
}

TEST(Discovery, TakesAnyTime) {
  Discovery curve(std::numeric_limits<WallTime>::min() + kSecond);
  curve.add(std::numeric_limits<WallTime>::max());
  curve.add(std::numeric_limits<WallTime>::min());
  EXPECT_EQ(sum_of(curve), 2U);
  EXPECT_LE(curve.new_files().size(), Discovery::kMaxBuckets);
}

}  // namespace
}  // namespace snoop
