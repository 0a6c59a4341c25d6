// SPDX-License-Identifier: Apache-2.0
#include "pipeline/use_counts.h"

#include <utility>

namespace snoop {

void UseCounts::learn(uint64_t number, uint32_t target, uint32_t file_index, Recorder& recorder) {
  const auto low = static_cast<uint32_t>(number);
  if (low == 0) {
    return;
  }
  const size_t place = number % SNOOP_USE_COUNTS;
  if (place >= known_.size()) {
    known_.resize(place + 1);
  }
  Known& known = known_[place];
  if (known.number == low) {
    return;  // it gained a kind of access, and was told of again
  }
  if (known.number != 0) {
    for (const uint32_t concerned : {known.target, target}) {
      if (Container* container = recorder.find(concerned)) {
        container->counts_are_lower_bounds = true;
      }
    }
  }
  // What the counter counts for the former one, it counts no more.
  known = {.number = low, .target = target, .file_index = file_index};
}

void UseCounts::add_sums(size_t first, std::span<const uint64_t> sums) {
  for (size_t i = 0; i < sums.size() && first + i < known_.size(); i++) {
    Known& known = known_[first + i];
    const auto number = static_cast<uint32_t>(sums[i]);
    const uint32_t count = number == known.number ? static_cast<uint32_t>(sums[i] >> 32U) : 0;
    known.is_taken = number != 0 && static_cast<int32_t>(number - known.number) > 0;
    known.more = count - known.collected;
  }
}

void UseCounts::add_recents(std::span<const snoop_recent> recents) {
  for (const snoop_recent& recent : recents) {
    const size_t place = recent.entry % SNOOP_USE_COUNTS;
    if (place < known_.size() && known_[place].number == recent.entry) {
      known_[place].more += recent.count;
    }
  }
}

void UseCounts::finish(Recorder& recorder, WallTime now) {
  for (Known& known : known_) {
    const auto more = static_cast<int32_t>(std::exchange(known.more, 0));
    // A little less where one was just moved from the recent ones.
    if (known.number == 0 || known.is_taken || more <= 0) {
      continue;
    }
    known.collected += static_cast<uint32_t>(more);
    if (Container* container = recorder.find(known.target)) {
      container->files.add_uses(known.file_index, static_cast<uint64_t>(more), now);
    }
  }
}

}  // namespace snoop
