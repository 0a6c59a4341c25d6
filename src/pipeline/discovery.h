// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace snoop {

/// How many files were found for the first time in each stretch of time: at
/// most 64 stretches of the same width. When time outgrows them, each two
/// become one, and the width doubles.
class Discovery {
 public:
  static constexpr size_t kMaxBuckets = 64;

  explicit Discovery(WallTime from = 0) : from_(to_whole_milliseconds(from)) {}
  Discovery(WallTime from, uint64_t bucket_seconds, std::vector<uint64_t> new_files)
      : from_(from), bucket_seconds_(bucket_seconds), new_files_(std::move(new_files)) {}

  /// What is before the beginning counts there: clocks are set back.
  void add(WallTime time) { new_files_[bucket_of(time)]++; }
  /// Lets the curve go on, without new files, until `time`.
  void extend(WallTime time) { bucket_of(time); }

  [[nodiscard]] WallTime from() const { return from_; }
  [[nodiscard]] uint64_t bucket_seconds() const { return bucket_seconds_; }
  [[nodiscard]] const std::vector<uint64_t>& new_files() const { return new_files_; }

 private:
  /// Makes room for it.
  size_t bucket_of(WallTime time);

  WallTime from_;
  uint64_t bucket_seconds_ = 1;
  std::vector<uint64_t> new_files_;
};

}  // namespace snoop
