// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/options.h"

namespace CLI {
class App;
}

namespace snoop {

// The commands that read reports and nothing else. Neither the environment nor a configuration file sets what they do:
// SNOOP_CONTAINER is of record. Without the options of the log.

CLI::App* add_merge_command(CLI::App& app, Options& options);
CLI::App* add_diff_command(CLI::App& app, Options& options);
CLI::App* add_packages_command(CLI::App& app, Options& options);

/// Throws CLI::ParseError where the reports cannot be these.
void check_reports(const Options& options);

}  // namespace snoop
