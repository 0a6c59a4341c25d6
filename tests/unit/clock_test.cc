// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace snoop {
namespace {

TEST(Clock, WritesRfc3339) {
  struct Row {
    WallTime time;
    const char* expected;
  };
  for (const Row& row : {
           Row{0, "1970-01-01T00:00:00.000Z"},
           Row{1'700'000'000 * kSecond + 123'456'789, "2023-11-14T22:13:20.123Z"},
           Row{1'709'164'800 * kSecond, "2024-02-29T00:00:00.000Z"},
           Row{kSecond - 1, "1970-01-01T00:00:00.999Z"},
           Row{kSecond + 1'000'000, "1970-01-01T00:00:01.001Z"},
           Row{4'102'444'799 * kSecond + 999'999'999, "2099-12-31T23:59:59.999Z"},
           // A machine whose clock is not set yet, and a record from before.
           Row{-1, "1969-12-31T23:59:59.999Z"},
           Row{-kSecond, "1969-12-31T23:59:59.000Z"},
           Row{-kSecond - 1'000'000, "1969-12-31T23:59:58.999Z"},
       }) {
    EXPECT_EQ(rfc3339(row.time), row.expected) << row.time;
  }
}

TEST(Clock, ReadsWhatItWrites) {
  for (const WallTime time : {WallTime{0}, 1'709'164'800 * kSecond, 4'102'444'799 * kSecond, 9'000'000'000 * kSecond}) {
    for (const WallTime more : {0, 1, 999}) {
      EXPECT_EQ(from_rfc3339(rfc3339(time + more * 1'000'000)), time + more * 1'000'000);
    }
    EXPECT_EQ(from_rfc3339(rfc3339_seconds(time + 999'999'999)), time);
  }
  for (const char* text :
       {"", "2023-11-14", "2023-11-14T22:13:20", "2023-11-14T22:13:20.12Z", "2023-11-14 22:13:20Z",
        "2023-02-29T00:00:00Z", "2023-13-01T00:00:00Z", "2023-01-01T24:00:00Z", "2023-01-01T00:60:00Z",
        "2023-01-01T00:00:60Z", "1969-12-31T23:59:59Z", "2262-01-01T00:00:00Z", "2023-11-14T22:13:20.123z",
        "2023-11-14T22:13:2xZ", "2023-11-14T22:13:20.123+0"}) {
    EXPECT_EQ(from_rfc3339(text), std::nullopt) << text;
  }
}

TEST(Clock, RoundsDownToMilliseconds) {
  EXPECT_EQ(to_whole_milliseconds(1'999'999), 1'000'000);
  EXPECT_EQ(to_whole_milliseconds(2'000'000), 2'000'000);
  EXPECT_EQ(to_whole_milliseconds(-1), -1'000'000);
  EXPECT_EQ(to_whole_milliseconds(0), 0);
}

TEST(Clock, IsUtcInAnyTimeZone) {
  ::setenv("TZ", "America/New_York", 1);
  ::tzset();
  EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00.000Z");
  ::unsetenv("TZ");
  ::tzset();
}

TEST(Clock, TurnsBootTimeIntoWallTime) {
  timespec boot = {};
  ASSERT_EQ(::clock_gettime(CLOCK_BOOTTIME, &boot), 0);
  const auto boot_ns = static_cast<uint64_t>(boot.tv_sec * kSecond + boot.tv_nsec);
  EXPECT_NEAR(static_cast<double>(wall_from_boottime(boot_ns)), static_cast<double>(wall_now()), 5e8);
  EXPECT_NEAR(static_cast<double>(wall_now() - wall_from_boottime(boot_ns - 3'600 * kSecond)), 3'600e9, 5e8);
}

}  // namespace
}  // namespace snoop
