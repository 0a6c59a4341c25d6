// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "metadata/container.h"

namespace snoop::metadata {

/// Who is asked for: by id, or by cgroup where there is none in its path.
struct Ask {
  std::string cgroup;
  std::string id;
  pid_t pid = 0;
};

/// How a source is.
struct SourceState {
  enum class Kind { kUntried, kAnswered, kMissing, kRefused, kTimedOut, kFailed };
  Kind kind = Kind::kUntried;
  /// Why, where it is not kAnswered or kMissing.
  std::string error = {};

  bool operator==(const SourceState&) const = default;
};

/// A line of the standard input; nothing where it is anything else.
[[nodiscard]] std::optional<Ask> parse_ask(std::string_view line);

/// Lines of the standard output, each with its newline.
[[nodiscard]] std::string container_line(const Container& container, std::string_view source);
[[nodiscard]] std::string source_line(std::string_view name, std::string_view endpoint, const SourceState& state);
[[nodiscard]] std::string unknown_line(const Ask& ask);
[[nodiscard]] std::string listed_line();

}  // namespace snoop::metadata
