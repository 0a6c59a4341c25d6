// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "container/identity.h"

namespace snoop {

/// A line for each, safe for a terminal, with a line of titles.
[[nodiscard]] std::string container_table(const std::vector<KnownContainer>& containers);

/// {"containers": [...], "sources": [...]}, each member as in a report, and a newline.
[[nodiscard]] std::string container_json(const std::vector<KnownContainer>& containers,
                                         const std::vector<MetadataSource>& sources);

}  // namespace snoop
