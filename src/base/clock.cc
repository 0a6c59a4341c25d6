// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

namespace snoop {

namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;
constexpr int64_t kNanosPerMilli = 1'000'000;

int64_t read_clock(clockid_t clock) {
  timespec now = {};
  ::clock_gettime(clock, &now);
  return now.tv_sec * kNanosPerSecond + now.tv_nsec;
}

}  // namespace

WallTime wall_now() { return read_clock(CLOCK_REALTIME); }

WallTime wall_from_boottime(uint64_t boottime_ns) {
  // Wraps around for a reading that cannot be, instead of overflowing.
  const auto booted = static_cast<uint64_t>(read_clock(CLOCK_REALTIME) - read_clock(CLOCK_BOOTTIME));
  return static_cast<WallTime>(booted + boottime_ns);
}

std::string rfc3339(WallTime time) {
  // Rounded down, also before 1970.
  const int64_t rest = (time % kNanosPerSecond + kNanosPerSecond) % kNanosPerSecond;
  const time_t seconds = time / kNanosPerSecond - (time % kNanosPerSecond < 0 ? 1 : 0);
  const int64_t millis = rest / kNanosPerMilli;
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(seconds), millis);
}

}  // namespace snoop
