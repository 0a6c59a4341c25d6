// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "event.h"
#include "pipeline/access.h"
#include "pipeline/access_store.h"

namespace snoop {

/// Accesses that happened and are not in the list, by cause.
struct Losses {
  uint64_t ring_full = 0;
  uint64_t path_unreadable = 0;
  uint64_t path_truncated = 0;
  uint64_t base_unknown = 0;
  uint64_t files_over_limit = 0;

  [[nodiscard]] uint64_t sum() const {
    return ring_full + path_unreadable + path_truncated + base_unknown + files_over_limit;
  }
  Losses& operator+=(const Losses& other);
};

/// A target and what it used.
struct Container {
  std::string name;
  std::string image;
  std::string image_digest;
  uint64_t cgroup_id = 0;
  std::string cgroup_path;
  uint32_t target = 0;
  uint32_t slot = 0;
  WallTime observed_from = 0;
  /// When its cgroup was removed; 0: not yet.
  WallTime ended_at = 0;
  /// Nobody asked for it by name: reported only if it used anything.
  bool only_if_used = false;

  /// Read from the kernel side by whoever reports.
  uint64_t total_events = 0;
  Losses losses;
  /// Paths that user space could not make absolute; part of losses.base_unknown.
  uint64_t base_unknown_here = 0;

  AccessStore files;
};

struct RecorderOptions {
  /// Prefixes of paths that are not kept.
  std::vector<std::string> exclude;
  /// Per container.
  size_t max_files = 0;
};

/// Where accesses become lists of files: one list per container.
class Recorder {
 public:
  explicit Recorder(RecorderOptions options) : options_(std::move(options)) {}

  Container& add_container(std::string name, uint64_t cgroup_id, std::string cgroup_path, const snoop_target& target);
  /// The container of a target; nullptr: none yet.
  [[nodiscard]] Container* find(uint32_t target);
  /// Forgets the container of a target. No Container& stays valid.
  void remove(uint32_t target);

  void add(const Access& access);

  [[nodiscard]] std::vector<Container>& containers() { return containers_; }

 private:
  RecorderOptions options_;
  std::vector<Container> containers_;
  std::map<uint32_t, size_t> by_target_;
};

}  // namespace snoop
