// SPDX-License-Identifier: Apache-2.0
#include "pipeline/use_counts.h"

#include <algorithm>
#include <utility>

namespace snoop {

namespace {

/// The kernel side remembers 131,072; the others came and went since the last collection.
constexpr size_t kMostKnown = 1'000'000;

}  // namespace

void UseCounts::learn(uint64_t number, uint32_t target, uint32_t file_index) {
  if (number == 0) {
    return;
  }
  if (known_.size() >= kMostKnown) {
    known_.erase(known_.begin(), known_.begin() + kMostKnown / 2);
    gave_up_ = true;
  }
  known_.push_back({number, target, file_index, 0, false});
}

void UseCounts::collect(std::vector<snoop_seen> entries, Recorder& recorder, WallTime now) {
  std::sort(entries.begin(), entries.end(), [](const snoop_seen& a, const snoop_seen& b) { return a.entry < b.entry; });
  std::stable_sort(known_.begin(), known_.end(), [](const Known& a, const Known& b) { return a.number < b.number; });
  // An entry that gained a kind of access was told of again.
  known_.erase(
      std::unique(known_.begin(), known_.end(), [](const Known& a, const Known& b) { return a.number == b.number; }),
      known_.end());

  auto entry = entries.begin();
  const auto is_gone = [&](Known& known) {
    while (entry != entries.end() && entry->entry < known.number) {
      entry++;
    }
    Container* container = recorder.find(known.target);
    if (entry == entries.end() || entry->entry != known.number) {
      if (!std::exchange(known.missed, true)) {
        return false;
      }
      if (container != nullptr) {
        container->counts_are_lower_bounds = true;
      }
      return true;
    }
    if (container != nullptr && entry->repeats != known.repeats) {
      // Unsigned: right even if it has wrapped.
      container->files.add_uses(known.file_index, entry->repeats - known.repeats, now);
      known.repeats = entry->repeats;
    }
    return false;
  };
  known_.erase(std::remove_if(known_.begin(), known_.end(), is_gone), known_.end());
  if (std::exchange(gave_up_, false)) {
    for (Container& container : recorder.containers()) {
      container.counts_are_lower_bounds = true;
    }
  }
}

}  // namespace snoop
