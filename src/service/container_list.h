// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "pipeline/recorder.h"

namespace snoop {

/// Who is in the report, without the files: JSON, in the order of their first appearance.
[[nodiscard]] std::string container_list(const std::vector<Container>& containers);

}  // namespace snoop
