// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/settings.h"

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace snoop {

/// The name that was probably meant; empty: none is near.
[[nodiscard]] std::string nearest(std::string_view name, const std::vector<std::string>& known);

/// One line that says what is wrong with the arguments, and one that says what to do.
[[nodiscard]] std::pair<std::string, std::string> describe_mistake(const CLI::App& app,
                                                                   const std::vector<std::string>& arguments,
                                                                   const std::vector<Setting>& added,
                                                                   const CLI::ParseError& error);

}  // namespace snoop
