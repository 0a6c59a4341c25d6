// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"
#include "output/merge.h"

namespace snoop {

/// Reads a report that was named on the command line; "-" is stdin. The error names it.
[[nodiscard]] Result<NamedReport> read_report_of(const std::string& path);

}  // namespace snoop
