// SPDX-License-Identifier: Apache-2.0
#include "pipeline/access_store.h"

#include <algorithm>
#include <cstring>
#include <functional>

namespace snoop {

namespace {

constexpr size_t kFirstSlots = 256;
constexpr size_t kBlockBytes = 64UL * 1024;

}  // namespace

AccessStore::Added AccessStore::add(std::string_view path, std::string_view resolved, uint64_t seen) {
  // At most three quarters full.
  if ((entries_.size() + 1) * 4 > slots_.size() * 3) {
    grow();
  }
  const size_t mask = slots_.size() - 1;
  size_t slot = std::hash<std::string_view>{}(path)&mask;
  while (slots_[slot] != 0) {
    Entry& entry = entries_[slots_[slot] - 1];
    if (entry.path == path) {
      entry.seen |= seen;
      if (resolved.empty() || entry.resolved == resolved) {
        return Added::kMerged;
      }
      if (!entry.resolved.empty()) {
        return Added::kOtherFile;
      }
      entry.resolved = resolved == path ? entry.path : keep(resolved);
      return Added::kMerged;
    }
    slot = (slot + 1) & mask;
  }
  if (entries_.size() >= max_files_) {
    return Added::kOverLimit;
  }
  Entry entry;
  entry.path = keep(path);
  entry.resolved = resolved == path ? entry.path : keep(resolved);
  entry.seen = seen;
  entries_.push_back(entry);
  slots_[slot] = static_cast<uint32_t>(entries_.size());
  return Added::kNew;
}

std::string_view AccessStore::keep(std::string_view text) {
  if (text.empty()) {
    return {};
  }
  if (block_left_ < text.size()) {
    const size_t size = std::max(kBlockBytes, text.size());
    blocks_.push_back(std::make_unique<char[]>(size));
    block_left_ = size;
  }
  // Filled from the end, so that what is left begins at the front.
  block_left_ -= text.size();
  char* place = blocks_.back().get() + block_left_;
  std::memcpy(place, text.data(), text.size());
  return {place, text.size()};
}

void AccessStore::grow() {
  std::vector<uint32_t> slots(std::max(kFirstSlots, slots_.size() * 2));
  const size_t mask = slots.size() - 1;
  for (size_t i = 0; i < entries_.size(); i++) {
    size_t slot = std::hash<std::string_view>{}(entries_[i].path) & mask;
    while (slots[slot] != 0) {
      slot = (slot + 1) & mask;
    }
    slots[slot] = static_cast<uint32_t>(i + 1);
  }
  slots_ = std::move(slots);
}

}  // namespace snoop
