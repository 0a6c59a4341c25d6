// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "event.h"

namespace snoop {

/// One record of the kernel side, its lengths checked. The views point into the
/// ring buffer: valid only until the callback that got it returns.
struct Record {
  snoop_event event = {};
  /// As the program gave it.
  std::string_view path;
  /// Directory names from the leaf to the root, each with a NUL.
  std::string_view base;
  /// The same for the file that the path led to.
  std::string_view resolved;

  [[nodiscard]] bool has(snoop_event_flag flag) const { return (event.flags & flag) != 0; }
};

/// Nothing where the bytes are no record: too short, lengths that do not add
/// up, an unknown type, or a section that is not what it should be.
[[nodiscard]] std::optional<Record> decode(std::span<const std::byte> bytes);

}  // namespace snoop
