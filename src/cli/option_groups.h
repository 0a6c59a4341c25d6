// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

#include "cli/options.h"

namespace CLI {
class App;
}

namespace snoop {

// Families of options that several commands have.

/// Beside snoop, or where it was installed.
inline constexpr const char* kMetadataProgram = "snoop-metadata";

/// Stored as given and converted in a callback.
void add_duration(CLI::App& app, const std::string& name, std::chrono::milliseconds& value,
                  std::chrono::milliseconds least, const std::string& description, const std::string& shown_default);
void add_sandbox_option(CLI::App& app, Options& options);
void add_log_options(CLI::App& app, Options& options);
void add_target_options(CLI::App& app, Options& options);
void add_label_options(CLI::App& app, Options& options, const std::string& group, const std::string& namespace_text,
                       const std::string& label_text);
void add_metadata_options(CLI::App& app, Options& options);
void add_capture_options(CLI::App& app, Options& options);
void add_report_options(CLI::App& app, Options& options, const std::string& default_report);
void add_service_options(CLI::App& app, Options& options, const std::string& default_addr);

}  // namespace snoop
