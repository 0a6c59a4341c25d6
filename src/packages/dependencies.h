// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "packages/database.h"

namespace snoop {

/// For each package, those that need it, directly, and are among the `roots` or needed by one of them themselves.
/// Sorted. Of a choice each that is installed counts, whatever its version and architecture. `owners_of`: the packages
/// that own a path.
[[nodiscard]] std::vector<std::vector<uint32_t>> needed_by(
    const std::vector<Package>& packages, const std::vector<uint32_t>& roots,
    const std::function<std::vector<uint32_t>(const std::string&)>& owners_of);

}  // namespace snoop
