// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdio>
#include <vector>

#include "base/result.h"
#include "output/report.h"

namespace snoop {

/// Of a report that can be read.
inline constexpr size_t kMaxContainers = 100'000;

/// What a report says. Writing it again gives the same bytes.
struct ReportContents {
  ReportHeader header;
  /// Of no target; all that they had is earlier_events, earlier_losses.
  std::vector<Container> containers;
};

/// Reads a report to its end, as a stream. An error says whether it is damaged,
/// no report of snoop at all, or one of a newer snoop. Unknown members are passed
/// over. Takes no more memory than what it reads is worth, whatever it is.
[[nodiscard]] Result<ReportContents> read_report(std::FILE* stream);

}  // namespace snoop
