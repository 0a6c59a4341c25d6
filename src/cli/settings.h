// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace snoop {

/// Where a value comes from; a later one beats an earlier one.
enum class Place { kDefault, kFile, kEnvironment, kFlag };

enum class Form { kText, kNumber, kSwitch, kList };

/// One option of a command, with the value that counts.
struct Setting {
  /// As it is called in the file, "max-files".
  std::string name;
  Form form = Form::kText;
  /// As given, one unless it is a list; empty: not set, and no default.
  std::vector<std::string> values;
  Place place = Place::kDefault;
  /// The variable, or "FILE, line N"; empty for the other places.
  std::string where;
};

/// "--max-files" or "max-files" to "SNOOP_MAX_FILES".
[[nodiscard]] std::string environment_name(std::string_view option);

/// Index of the first argument that names a command; their number: there is none.
[[nodiscard]] size_t command_among(const std::vector<std::string>& arguments, const CLI::App& app, size_t from = 0);

/// Adds behind the command's name an option for each that the environment or the
/// configuration file set, and no higher place does. The settings that came in
/// that way go into `added`, without a value. Throws CLI::ParseError where the file
/// is wrong.
void add_settings(std::vector<std::string>& arguments, const CLI::App& app, std::vector<Setting>& added);

/// All options of a command after it was parsed.
[[nodiscard]] std::vector<Setting> settings_of(const CLI::App& command, const std::vector<Setting>& added);

/// What to say of variables that begin with SNOOP_ and are none of an option of any command.
[[nodiscard]] std::vector<std::string> unknown_variables(const CLI::App& app);

/// As a configuration file, with where each value comes from.
[[nodiscard]] std::string settings_text(std::string_view command, const std::vector<Setting>& settings);

}  // namespace snoop
