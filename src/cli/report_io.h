// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <functional>
#include <string>

#include "base/result.h"
#include "output/merge.h"

namespace snoop {

/// Reads a report that was named on the command line; "-" is stdin. The error names it.
[[nodiscard]] Result<NamedReport> read_report_of(const std::string& path);

/// What nobody gets is an error.
[[nodiscard]] Result<void> write_to_stdout(const std::function<void(std::FILE*)>& write);

}  // namespace snoop
