// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace snoop {

/// Nanoseconds since 1970, UTC.
using WallTime = int64_t;

[[nodiscard]] WallTime wall_now();

/// What the wall clock shows for a CLOCK_BOOTTIME reading, as it goes now.
[[nodiscard]] WallTime wall_from_boottime(uint64_t boottime_ns);

/// RFC 3339 with milliseconds, in UTC.
[[nodiscard]] std::string rfc3339(WallTime time);

}  // namespace snoop
