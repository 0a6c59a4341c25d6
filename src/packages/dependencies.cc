// SPDX-License-Identifier: Apache-2.0
#include "packages/dependencies.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace snoop {

std::vector<std::vector<uint32_t>> needed_by(
    const std::vector<Package>& packages, const std::vector<uint32_t>& roots,
    const std::function<std::vector<uint32_t>(const std::string&)>& owners_of) {
  std::unordered_map<std::string_view, std::vector<uint32_t>> named;
  for (uint32_t number = 0; number < packages.size(); number++) {
    named[packages[number].name].push_back(number);
    for (const std::string& name : packages[number].provides) {
      named[name].push_back(number);
    }
  }
  std::vector<std::vector<uint32_t>> dependents(packages.size());
  std::vector<uint32_t> open = roots;
  std::vector<bool> is_done(packages.size());
  while (!open.empty()) {
    const uint32_t number = open.back();
    open.pop_back();
    if (is_done[number]) {
      continue;
    }
    is_done[number] = true;
    const auto note = [&](const std::vector<uint32_t>& providers) {
      for (const uint32_t provider : providers) {
        // A damaged database may name one again and again.
        if (provider != number && (dependents[provider].empty() || dependents[provider].back() != number)) {
          dependents[provider].push_back(number);
          if (!is_done[provider]) {
            open.push_back(provider);
          }
        }
      }
    };
    for (const std::vector<std::string>& choice : packages[number].needs) {
      for (const std::string& name : choice) {
        if (const auto found = named.find(name); found != named.end()) {
          note(found->second);
        } else if (name.starts_with('/')) {
          note(owners_of(name));
        }
      }
    }
  }
  for (std::vector<uint32_t>& numbers : dependents) {
    std::sort(numbers.begin(), numbers.end());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  }
  return dependents;
}

}  // namespace snoop
