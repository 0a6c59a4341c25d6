// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "metadata/container.h"
#include "metadata/lines.h"
#include "metadata/source.h"

namespace snoop::metadata {

/// What all sources know, put together.
class Store {
 public:
  explicit Store(size_t max_containers = 20'000) : max_containers_(max_containers) {}

  /// All that a source knows of a container, or with `is_part` some of it. The line about it where that was news.
  [[nodiscard]] std::string put(Rank rank, std::string_view source, const std::string& origin, Container container,
                                bool is_part = false);
  /// All that a source knows: what it knew before and knows no longer is removed. Lines.
  [[nodiscard]] std::string replace(Rank rank, std::string_view source, const std::string& origin,
                                    std::vector<Container> containers);
  /// The line about who is asked for; empty where nobody fits.
  [[nodiscard]] std::string find(const Ask& ask) const;
  [[nodiscard]] size_t size() const { return entries_.size(); }

 private:
  struct Part {
    Container container;
    std::string source;
    /// Which of the sources of this rank: its endpoint.
    std::string origin;
  };
  struct Entry {
    std::map<Rank, Part> parts;
    Container merged;
    std::string line;
    /// When it was told of last, in puts.
    uint64_t used = 0;
  };

  [[nodiscard]] static std::string key_of(const Container& container);
  [[nodiscard]] std::string merge(const std::string& key, Entry& entry);
  void forget(const std::string& key);
  void make_room();
  [[nodiscard]] const Entry* find_entry(const Ask& ask) const;
  [[nodiscard]] const Entry* by_cgroup(const std::string& cgroup) const;

  size_t max_containers_;
  uint64_t puts_ = 0;
  std::map<std::string, Entry> entries_;
  /// Keys of entries.
  std::map<std::string, std::string> by_cgroup_;
  std::map<std::string, std::set<std::string>> by_id_;
};

}  // namespace snoop::metadata
