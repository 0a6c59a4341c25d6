// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace snoop {

/// The files that one container used. Only ever grows: what does not fit any
/// more is refused, never exchanged for something older.
class AccessStore {
 public:
  struct Entry {
    std::string_view path;
    /// Empty: not known.
    std::string_view resolved;
    /// Kinds, shifted by the outcome (event.h).
    uint64_t seen = 0;
  };

  enum class Added {
    kNew,
    kMerged,
    /// Refused: the bound is reached.
    kOverLimit,
    /// Merged, but the path led to another file than before.
    kOtherFile,
  };

  explicit AccessStore(size_t max_files) : max_files_(max_files) {}

  Added add(std::string_view path, std::string_view resolved, uint64_t seen);

  [[nodiscard]] size_t size() const { return entries_.size(); }
  /// In the order of their first use.
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::string_view keep(std::string_view text);
  void grow();

  size_t max_files_;
  std::vector<Entry> entries_;
  /// Open addressing over entries_; 0 is free, else the index plus one.
  std::vector<uint32_t> slots_;
  /// The bytes of all paths, in blocks that never move.
  std::vector<std::unique_ptr<char[]>> blocks_;
  size_t block_left_ = 0;
};

}  // namespace snoop
