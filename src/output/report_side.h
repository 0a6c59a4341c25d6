// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "output/report_json.h"
#include "output/report_reader.h"

namespace snoop {

// Containers of a report, for commands that read reports.

using Containers = std::vector<const Container*>;

/// What a report says of one container, or of several as one.
struct ReportSide {
  /// As one, where there are several.
  const Container* container = nullptr;
  std::unique_ptr<Container> united;
  size_t containers = 0;
  /// Time watched, without what lies between.
  WallTime observed = 0;
  /// Accesses.
  uint64_t lost = 0;
  bool complete = false;
  bool final = false;
};

/// There is at least one. Valid as long as they are.
[[nodiscard]] ReportSide side_of(const ReportHeader& header, const Containers& containers);

[[nodiscard]] Containers all_of(const ReportContents& report);
/// Those of this name, "NAME" or "NAMESPACE/NAME".
[[nodiscard]] Containers named(const Containers& all, const std::string& name);

/// "NAMESPACE/NAME", or the name where there is no namespace.
[[nodiscard]] std::string full_name(const Container& container);
/// Each name once, with its image if that is known.
[[nodiscard]] std::string names_of(const Containers& containers);

// For people, safe for a terminal.

/// "3d 4h", "2h 5m", "1m 30s", "12s".
[[nodiscard]] std::string duration_text(WallTime time);
/// Who it is, and which image if that is known.
[[nodiscard]] std::string title_of(const Container& container);
/// How far it can be trusted.
[[nodiscard]] std::string trust_text(const ReportSide& side);

/// The same as a member: docs/report-format.md#comparing.
void put_side(ReportWriter& json, std::string_view key, const ReportSide& side);

}  // namespace snoop
