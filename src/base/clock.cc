// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>
#include <limits>

namespace snoop {

namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;
constexpr int64_t kNanosPerMilli = 1'000'000;

int64_t read_clock(clockid_t clock) {
  timespec now = {};
  ::clock_gettime(clock, &now);
  return now.tv_sec * kNanosPerSecond + now.tv_nsec;
}

/// Rounded down, also before 1970.
time_t whole_seconds(WallTime time) { return time / kNanosPerSecond - (time % kNanosPerSecond < 0 ? 1 : 0); }

}  // namespace

WallTime wall_now() { return read_clock(CLOCK_REALTIME); }

WallTime wall_from_boottime(uint64_t boottime_ns) {
  // One look at the clocks is enough for all that came before it.
  static uint64_t looked_at = 0;
  static uint64_t booted = 0;
  if (boottime_ns > looked_at || looked_at == 0) {
    looked_at = static_cast<uint64_t>(read_clock(CLOCK_BOOTTIME));
    booted = static_cast<uint64_t>(read_clock(CLOCK_REALTIME)) - looked_at;
  }
  // Wraps around for a reading that cannot be, instead of overflowing.
  return static_cast<WallTime>(booted + boottime_ns);
}

std::string rfc3339(WallTime time) {
  const int64_t rest = (time % kNanosPerSecond + kNanosPerSecond) % kNanosPerSecond;
  const int64_t millis = rest / kNanosPerMilli;
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(whole_seconds(time)), millis);
}

std::string rfc3339_seconds(WallTime time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}Z", fmt::gmtime(whole_seconds(time)));
}

std::optional<WallTime> from_rfc3339(std::string_view text) {
  constexpr std::string_view kPattern = "0000-00-00T00:00:00.000Z";
  constexpr std::string_view kSecondsPattern = "0000-00-00T00:00:00Z";
  const std::string_view pattern = text.size() == kPattern.size() ? kPattern : kSecondsPattern;
  if (text.size() != pattern.size()) {
    return std::nullopt;
  }
  for (size_t i = 0; i < text.size(); i++) {
    const bool fits = pattern[i] == '0' ? text[i] >= '0' && text[i] <= '9' : text[i] == pattern[i];
    if (!fits) {
      return std::nullopt;
    }
  }
  const auto number = [&](size_t at, size_t size) {
    int value = 0;
    for (const char digit : text.substr(at, size)) {
      value = value * 10 + (digit - '0');
    }
    return value;
  };
  const int year = number(0, 4);
  // Up to what nanoseconds in 64 bits can hold.
  if (year < 1970 || year > 2261) {
    return std::nullopt;
  }
  tm parts = {};
  parts.tm_year = year - 1900;
  parts.tm_mon = number(5, 2) - 1;
  parts.tm_mday = number(8, 2);
  parts.tm_hour = number(11, 2);
  parts.tm_min = number(14, 2);
  parts.tm_sec = number(17, 2);
  const bool has_millis = text.size() == kPattern.size();
  const WallTime time = ::timegm(&parts) * kNanosPerSecond + (has_millis ? number(20, 3) * kNanosPerMilli : 0);
  // timegm takes the 31st of February for a day in March.
  const std::string again = has_millis ? rfc3339(time) : rfc3339_seconds(time);
  return again == text ? std::optional(time) : std::nullopt;
}

WallTime to_whole_milliseconds(WallTime time) {
  const int64_t rest = (time % kNanosPerMilli + kNanosPerMilli) % kNanosPerMilli;
  // The last millisecond that a time can be in is not whole.
  return time < std::numeric_limits<WallTime>::min() + kNanosPerMilli ? time : time - rest;
}

}  // namespace snoop
