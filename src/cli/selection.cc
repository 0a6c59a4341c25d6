// SPDX-License-Identifier: Apache-2.0
#include "cli/selection.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "container/identity.h"

namespace snoop {

namespace {

/// As runtimes abbreviate ids.
constexpr size_t kShortId = 12;

bool is_id_of(std::string_view text, const Container& container) {
  const std::string& id = container.identity.id;
  return !id.empty() && (text == id || (is_unique_id(id) && text.size() >= kShortId && id.starts_with(text)));
}

}  // namespace

Selection::Verdict Selection::judge(const Container& container) const {
  Verdict verdict = judge_name(container);
  const Identity& identity = container.identity;
  const auto require = [&](bool is_asked, bool fits, bool is_settled) {
    if (is_asked && !fits && verdict != Verdict::kNo) {
      verdict = is_settled ? Verdict::kNo : Verdict::kUnknown;
    }
  };
  require(!options_.pods.empty(),
          std::find(options_.pods.begin(), options_.pods.end(), identity.pod_name) != options_.pods.end(),
          identity.settled.pod);
  require(!options_.namespace_name.empty(), identity.namespace_name == options_.namespace_name,
          identity.settled.pod);
  for (const auto& [key, value] : options_.labels) {
    const auto found = identity.labels.find(key);
    require(true, found != identity.labels.end() && found->second == value, identity.settled.labels);
  }
  return verdict;
}

Selection::Verdict Selection::judge_name(const Container& container) const {
  const std::vector<std::string>& names = options_.containers;
  if (names.empty() ||
      std::any_of(names.begin(), names.end(), [&](const std::string& name) { return is_id_of(name, container); })) {
    return Verdict::kYes;
  }
  const bool is_told = !container.identity.source.empty();
  if (is_told && std::find(names.begin(), names.end(), container.name) != names.end()) {
    return Verdict::kYes;
  }
  // Whole ids are no names.
  const bool only_ids =
      std::all_of(names.begin(), names.end(), [](const std::string& name) { return is_unique_id(name); });
  const bool is_settled = container.identity.settled.name || (only_ids && is_unique_id(container.identity.id));
  return is_settled ? Verdict::kNo : Verdict::kUnknown;
}

}  // namespace snoop
