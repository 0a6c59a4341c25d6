// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "output/report.h"
#include "pipeline/recorder.h"

namespace snoop {

/// What all say; the empty value where they do not agree.
template <typename Part, typename Get>
auto agreed(const std::vector<const Part*>& parts, Get get) {
  auto first = std::decay_t<std::invoke_result_t<Get, const Part&>>(get(*parts.front()));
  const bool is_same = std::all_of(parts.begin(), parts.end(), [&](const Part* part) { return get(*part) == first; });
  return is_same ? first : decltype(first)();
}

/// What those say that say anything; the empty value where they do not agree.
template <typename Part, typename Get>
auto agreed_if_known(const std::vector<const Part*>& parts, Get get) {
  std::vector<const Part*> known;
  std::copy_if(parts.begin(), parts.end(), std::back_inserter(known),
               [&](const Part* part) { return !get(*part).empty(); });
  return agreed(known.empty() ? parts : known, get);
}

/// Labels that all have, with the same value.
template <typename Part, typename Get>
std::map<std::string, std::string> agreed_labels(const std::vector<const Part*>& parts, Get get) {
  std::map<std::string, std::string> labels = get(*parts.front());
  for (const Part* part : parts) {
    std::erase_if(labels, [&](const auto& label) {
      const auto found = get(*part).find(label.first);
      return found == get(*part).end() || found->second != label.second;
    });
  }
  return labels;
}

/// Sums of a report end at what a report can say.
[[nodiscard]] inline uint64_t capped_sum(uint64_t a, uint64_t b) { return std::min(a + b, kMaxReportedCount); }

/// Sorted; what touches is one.
[[nodiscard]] std::vector<Interval> joined(std::vector<Interval> intervals);

/// The containers of reports as one, which has the files of all. The order of the parts makes no difference. There is
/// at least one.
[[nodiscard]] Container unite(const std::vector<const Container*>& parts);

}  // namespace snoop
