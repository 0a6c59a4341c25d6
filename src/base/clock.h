// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace snoop {

/// Nanoseconds since 1970, UTC.
using WallTime = int64_t;
inline constexpr WallTime kSecond = 1'000'000'000;

[[nodiscard]] WallTime wall_now();

/// What the wall clock showed for a CLOCK_BOOTTIME reading, as it went when a later
/// one, or this, was first asked for. Readings come in order, more or less.
[[nodiscard]] WallTime wall_from_boottime(uint64_t boottime_ns);

/// RFC 3339 with milliseconds, in UTC.
[[nodiscard]] std::string rfc3339(WallTime time);
/// The same in whole seconds, rounded down.
[[nodiscard]] std::string rfc3339_seconds(WallTime time);
/// Reads what the two above write, from 1970 on; nothing where it is anything else.
[[nodiscard]] std::optional<WallTime> from_rfc3339(std::string_view text);

/// Rounded down to what a report shows.
[[nodiscard]] WallTime to_whole_milliseconds(WallTime time);

}  // namespace snoop
