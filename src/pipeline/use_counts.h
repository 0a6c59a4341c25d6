// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/clock.h"
#include "event.h"
#include "pipeline/recorder.h"

namespace snoop {

/// Brings the repeats that the kernel side counts for each path it remembers to
/// the files that the paths belong to. What the kernel side forgets between two
/// collections is missing in the counts, which then are lower bounds.
class UseCounts {
 public:
  /// The kernel's entry `number` is of this file of the target.
  void learn(uint64_t number, uint32_t target, uint32_t file_index);
  /// All entries that the kernel side has now, in any order.
  void collect(std::vector<snoop_seen> entries, Recorder& recorder, WallTime now);

  /// How many entries are known.
  [[nodiscard]] size_t size() const { return known_.size(); }

 private:
  struct Known {
    uint64_t number = 0;
    uint32_t target = 0;
    uint32_t file_index = 0;
    uint32_t repeats = 0;
    /// The last collection did not have it: the kernel side sends the record
    /// first, and remembers it then.
    bool missed = false;
  };

  std::vector<Known> known_;
  /// Some were given up to stay within bounds.
  bool gave_up_ = false;
};

}  // namespace snoop
