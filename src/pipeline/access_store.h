// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "pipeline/access.h"

namespace snoop {

/// "unknown", "image", "written", "volume", "pseudo".
[[nodiscard]] std::string_view origin_name(FileOrigin origin);

/// The files that one container used. Only ever grows: what does not fit any
/// more is refused, never exchanged for something older.
class AccessStore {
 public:
  /// 48 bytes: there may be a million.
  class Entry {
   public:
    [[nodiscard]] std::string_view path() const { return {path_, path_size_}; }
    /// Empty: not known.
    [[nodiscard]] std::string_view resolved() const { return {resolved_, resolved_size_}; }
    /// Kinds, shifted by the outcome (event.h).
    [[nodiscard]] uint64_t seen() const { return seen_; }
    /// In whole seconds, rounded down.
    [[nodiscard]] WallTime first_seen() const { return first_seen_s_ * kSecond; }
    [[nodiscard]] WallTime last_seen() const { return last_seen_s_ * kSecond; }
    /// Accesses; stays at its maximum. 0: only walked over, or there before capture.
    [[nodiscard]] uint32_t count() const { return count_; }
    [[nodiscard]] FileOrigin origin() const { return origin_; }
    /// false: every attempt ended in "no such file".
    [[nodiscard]] bool is_found() const;

   private:
    friend class AccessStore;

    const char* path_ = nullptr;
    const char* resolved_ = nullptr;
    uint64_t seen_ = 0;
    uint32_t path_size_ = 0;
    uint32_t resolved_size_ = 0;
    /// Since 1970.
    uint32_t first_seen_s_ = 0;
    uint32_t last_seen_s_ = 0;
    uint32_t count_ = 0;
    uint16_t mount_ = 0;
    FileOrigin origin_ = FileOrigin::kUnknown;
  };

  /// One or more accesses to one path.
  struct Use {
    std::string_view path;
    /// Empty: not known.
    std::string_view resolved = {};
    /// Kinds, shifted by the outcome (event.h).
    uint64_t seen = 0;
    WallTime first_seen = 0;
    WallTime last_seen = 0;
    uint32_t count = 0;
    FileOrigin origin = FileOrigin::kUnknown;
    /// Empty: none, or not known.
    std::string_view mount = {};
  };

  enum class Outcome {
    kNew,
    kMerged,
    /// Refused: the bound is reached.
    kOverLimit,
    /// Merged, but the path led to another file than before.
    kOtherFile,
  };
  static constexpr uint32_t kNoIndex = std::numeric_limits<uint32_t>::max();
  struct Added {
    Outcome outcome = Outcome::kOverLimit;
    /// Of the entry: stays the same for good.
    uint32_t index = kNoIndex;
    /// The file was found for the first time.
    bool first_found = false;
  };

  explicit AccessStore(size_t max_files) : max_files_(max_files) {}
  AccessStore(AccessStore&&) = default;
  AccessStore& operator=(AccessStore&&) = default;
  AccessStore(const AccessStore&) = delete;
  AccessStore& operator=(const AccessStore&) = delete;
  ~AccessStore() = default;

  Added add(const Use& use);
  /// nullptr: there is none.
  [[nodiscard]] const Entry* find(std::string_view path) const;
  /// Further accesses to the entry at `index`, and when the last one was.
  void add_uses(uint32_t index, uint64_t count, WallTime last_seen);

  [[nodiscard]] size_t size() const { return entries_.size(); }
  /// In the order of their first use.
  [[nodiscard]] const std::deque<Entry>& entries() const { return entries_; }
  /// The use that would make this entry.
  [[nodiscard]] Use use_of(const Entry& entry) const;

  [[nodiscard]] size_t max_files() const { return max_files_; }
  /// What is there already stays.
  void set_max_files(size_t max_files) { max_files_ = max_files; }

 private:
  std::string_view keep(std::string_view text);
  void set_resolved(Entry& entry, std::string_view resolved);
  void set_origin(Entry& entry, const Use& use);
  [[nodiscard]] uint16_t mount_number(std::string_view mount);
  void grow();

  size_t max_files_;
  /// Grows without being copied.
  std::deque<Entry> entries_;
  struct Slot {
    /// The lower half of the path's: tells most others without a look at them.
    uint32_t hash = 0;
    /// Into entries_, plus one; 0: free.
    uint32_t number = 0;
  };
  [[nodiscard]] static uint32_t hash_of(std::string_view path) {
    return static_cast<uint32_t>(std::hash<std::string_view>{}(path));
  }
  /// Open addressing.
  std::vector<Slot> slots_;
  /// The bytes of all paths, in blocks that never move.
  std::vector<std::unique_ptr<char[]>> blocks_;
  size_t block_left_ = 0;
  /// Mount points: the first is none.
  std::vector<std::string> mounts_ = {""};
  std::map<std::string, uint16_t, std::less<>> mount_numbers_ = {{"", 0}};
};

}  // namespace snoop
