// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>

#include "base/clock.h"
#include "event.h"
#include "pipeline/recorder.h"

namespace snoop {

/// Brings the repeats that the kernel side counts for each path it remembers to
/// the files that the paths belong to. Where more paths were new than there are
/// counters, one takes the place of another, and the counts are lower bounds.
class UseCounts {
 public:
  /// The kernel's entry `number` is of this file of the target.
  void learn(uint64_t number, uint32_t target, uint32_t file_index, Recorder& recorder);
  /// How many counters, from the first on, are of known entries.
  [[nodiscard]] size_t counters() const { return known_.size(); }
  /// First: the counters from `first` on, each once, as in the map `use_counts` (event.h).
  void add_sums(size_t first, std::span<const uint64_t> sums);
  /// Then, read after those: repeats that are not in the sums yet. Of all CPUs, in any parts. What
  /// is moved from here to there meanwhile is missed for now, and not counted twice.
  void add_recents(std::span<const snoop_recent> recents);
  /// And what is more than before goes to the files.
  void finish(Recorder& recorder, WallTime now);

 private:
  struct Known {
    /// The lower half; 0: none.
    uint32_t number = 0;
    /// The kernel side counts there for a newer one, of which nothing was heard yet.
    bool is_taken = false;
    uint32_t target = 0;
    uint32_t file_index = 0;
    /// Modulo 2^32, as the kernel side's counts of recent calls are. What is more than before is exact all the
    /// same, as long as it is less than 2^31.
    uint32_t more = 0;
    uint32_t collected = 0;
  };

  /// By number modulo SNOOP_USE_COUNTS. Grows without being copied.
  std::deque<Known> known_;
};

}  // namespace snoop
