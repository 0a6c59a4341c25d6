// SPDX-License-Identifier: Apache-2.0
#include "container/cgroup_path.h"

#include <algorithm>
#include <array>

namespace snoop {

bool is_at_or_below(std::string_view path, std::string_view top) {
  return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/' || top == "/");
}

std::string_view last_component(std::string_view path) { return path.substr(path.rfind('/') + 1); }

bool is_told_of(std::string_view told, std::string_view own) {
  // A cgroup namespace may begin further down, or show what is outside of it.
  return told.empty() || is_at_or_below(told, own) || is_at_or_below(own, told) || told.ends_with(own) ||
         told.starts_with("/..");
}

bool may_be_container(std::string_view path) {
  constexpr std::array<std::string_view, 9> kUnits = {".service", ".slice", ".mount",     ".socket", ".swap",
                                                      ".timer",   ".path",  ".automount", ".device"};
  constexpr std::array<std::string_view, 4> kScopes = {"session-", "app-", "run-", "init."};
  const std::string_view name = last_component(path);
  const auto ends_so = [&](std::string_view suffix) { return name.ends_with(suffix); };
  const auto begins_so = [&](std::string_view prefix) { return name.starts_with(prefix); };
  return !name.empty() && std::none_of(kUnits.begin(), kUnits.end(), ends_so) &&
         !(name.ends_with(".scope") && std::any_of(kScopes.begin(), kScopes.end(), begins_so));
}

}  // namespace snoop
