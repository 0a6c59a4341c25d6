// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/options.h"

namespace snoop {

/// Each returns the exit code of the process.
[[nodiscard]] int run_command(const Options& options);
[[nodiscard]] int record_command(const Options& options);
[[nodiscard]] int trace_command(const Options& options);
[[nodiscard]] int containers_command(const Options& options);
[[nodiscard]] int merge_command(const Options& options);
[[nodiscard]] int diff_command(const Options& options);
[[nodiscard]] int packages_command(const Options& options);
[[nodiscard]] int check_command(const Options& options);
[[nodiscard]] int version_command();
[[nodiscard]] int config_command(const Options& options);

}  // namespace snoop
