// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "container/identity.h"

namespace snoop {

/// Nobody who was asked knows this container.
struct UnknownContainer {
  std::string id;
};
/// All that was there at the start has been told.
struct AllListed {};
using MetadataMessage = std::variant<KnownContainer, MetadataSource, UnknownContainer, AllListed>;

/// One line of what snoop-metadata writes, without its newline; nothing where it makes no sense. What a container can
/// make as long as it likes, labels and its command, is cut to what is worth keeping.
[[nodiscard]] std::optional<MetadataMessage> parse_metadata_line(std::string_view line);

/// The line, with its newline, that asks who this is. Members may be empty or 0: not known.
[[nodiscard]] std::string metadata_question(std::string_view cgroup_path, std::string_view id, pid_t pid);

}  // namespace snoop
