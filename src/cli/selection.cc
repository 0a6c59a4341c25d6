// SPDX-License-Identifier: Apache-2.0
#include "cli/selection.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "container/container_name.h"
#include "container/identity.h"

namespace snoop {

namespace {

/// As runtimes abbreviate ids.
constexpr size_t kShortId = 12;

bool is_id_of(std::string_view text, const Container& container) {
  const std::string& id = container.identity.id;
  return !id.empty() && (text == id || (is_unique_id(id) && text.size() >= kShortId && id.starts_with(text)));
}

/// By its name, or by its id, which may be another one in the path of its cgroup than for its runtime.
bool is_called(std::string_view text, const Container& container) {
  if (is_id_of(text, container) || (!container.identity.source.empty() && text == container.name)) {
    return true;
  }
  const std::optional<ContainerName> name = parse_container_name(container.cgroup_path);
  return name && name->kind == ContainerName::Kind::kContainer && text == name->id;
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
  require(!options_.namespace_name.empty(), identity.namespace_name == options_.namespace_name, identity.settled.pod);
  for (const auto& [key, value] : options_.labels) {
    const auto found = identity.labels.find(key);
    require(true, found != identity.labels.end() && found->second == value, identity.settled.labels);
  }
  return verdict;
}

Selection::Verdict Selection::judge_name(const Container& container) const {
  const std::vector<std::string>& names = options_.containers;
  if (names.empty() ||
      std::any_of(names.begin(), names.end(), [&](const std::string& name) { return is_called(name, container); })) {
    return Verdict::kYes;
  }
  // Whole ids are no names.
  const bool only_ids =
      std::all_of(names.begin(), names.end(), [](const std::string& name) { return is_unique_id(name); });
  const bool is_settled = container.identity.settled.name || (only_ids && is_unique_id(container.identity.id));
  return is_settled ? Verdict::kNo : Verdict::kUnknown;
}

std::vector<std::string> Selection::missing(const std::vector<Container>& containers) const {
  std::vector<std::string> missing;
  const auto look_for = [&](const char* what, const std::vector<std::string>& names, const auto& fits) {
    for (const std::string& name : names) {
      const bool is_there = std::any_of(containers.begin(), containers.end(), [&](const Container& container) {
        return container.target != 0 && fits(container, name);
      });
      if (!is_there) {
        missing.push_back(fmt::format("{} '{}'", what, name));
      }
    }
  };
  look_for("container", options_.containers,
           [](const Container& one, const std::string& name) { return is_called(name, one); });
  look_for("container of pod", options_.pods,
           [](const Container& one, const std::string& name) { return one.identity.pod_name == name; });
  const bool any_fits = std::any_of(containers.begin(), containers.end(),
                                    [&](const Container& one) { return judge(one) == Verdict::kYes; });
  if (missing.empty() && !any_fits) {
    missing.emplace_back("container that fits");
  }
  return missing;
}

}  // namespace snoop
