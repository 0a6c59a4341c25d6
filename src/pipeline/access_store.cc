// SPDX-License-Identifier: Apache-2.0
#include "pipeline/access_store.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace snoop {

namespace {

constexpr size_t kFirstSlots = 256;
constexpr size_t kBlockBytes = 64UL * 1024;

bool is_found_in(uint64_t seen) {
  return (kinds_with(seen, SNOOP_OUTCOME_OK) | kinds_with(seen, SNOOP_OUTCOME_REFUSED) |
          kinds_with(seen, SNOOP_OUTCOME_OTHER)) != 0;
}

uint32_t seconds_of(WallTime time) {
  constexpr WallTime kMost = std::numeric_limits<uint32_t>::max();
  return static_cast<uint32_t>(std::clamp<WallTime>(time / kSecond, 0, kMost));
}

uint32_t sum_of(uint32_t count, uint64_t more) {
  constexpr uint64_t kMost = std::numeric_limits<uint32_t>::max();
  return static_cast<uint32_t>(more > kMost - count ? kMost : count + more);
}

constexpr uint64_t kWalkedLink = 1ULL << SNOOP_KIND_SYMLINK << SNOOP_SEEN_SHIFT(SNOOP_OUTCOME_OK);

}  // namespace

std::string_view origin_name(FileOrigin origin) {
  constexpr std::array<std::string_view, 5> kNames = {"unknown", "image", "written", "volume", "pseudo"};
  return kNames.at(static_cast<size_t>(origin));
}

bool AccessStore::Entry::is_found() const { return is_found_in(seen_); }

AccessStore::Added AccessStore::add(const Use& use) {
  // At most three quarters full.
  if ((entries_.size() + 1) * 4 > slots_.size() * 3) {
    grow();
  }
  const size_t mask = slots_.size() - 1;
  const uint32_t hash = hash_of(use.path);
  size_t slot = hash & mask;
  for (; slots_[slot].number != 0; slot = (slot + 1) & mask) {
    if (slots_[slot].hash != hash) {
      continue;
    }
    const uint32_t index = slots_[slot].number - 1;
    Entry& entry = entries_[index];
    if (entry.path() == use.path) {
      Added added{Outcome::kMerged, index, !entry.is_found() && is_found_in(use.seen)};
      // What a link names is one step of the way; where a use of it led is the end.
      const bool is_step = use.seen == kWalkedLink;
      const bool was_step = entry.seen_ == kWalkedLink;
      entry.seen_ |= use.seen;
      entry.first_seen_s_ = std::min(entry.first_seen_s_, seconds_of(use.first_seen));
      entry.last_seen_s_ = std::max(entry.last_seen_s_, seconds_of(use.last_seen));
      entry.count_ = sum_of(entry.count_, use.count);
      set_origin(entry, use);
      if (!use.resolved.empty() && entry.resolved() != use.resolved) {
        // One that leads to itself is also what a call that does not follow links tells.
        const bool is_settled = entry.resolved_size_ != 0 && entry.resolved() != entry.path() && !was_step;
        const bool leads_to_itself = entry.resolved_size_ != 0 && use.resolved == use.path;
        if (leads_to_itself || (is_step && is_settled)) {
          return added;
        }
        if (is_settled) {
          added.outcome = Outcome::kOtherFile;
        } else {
          set_resolved(entry, use.resolved);
        }
      }
      return added;
    }
  }
  if (entries_.size() >= max_files_ || entries_.size() >= kNoIndex - 1) {
    return {};
  }
  Entry entry;
  const std::string_view path = keep(use.path);
  entry.path_ = path.data();
  entry.path_size_ = static_cast<uint32_t>(path.size());
  set_resolved(entry, use.resolved);
  entry.seen_ = use.seen;
  entry.first_seen_s_ = seconds_of(use.first_seen);
  entry.last_seen_s_ = seconds_of(use.last_seen);
  entry.count_ = use.count;
  set_origin(entry, use);
  entries_.push_back(entry);
  slots_[slot] = {hash, static_cast<uint32_t>(entries_.size())};
  return {Outcome::kNew, slots_[slot].number - 1, entry.is_found()};
}

const AccessStore::Entry* AccessStore::find(std::string_view path) const {
  if (slots_.empty()) {
    return nullptr;
  }
  const size_t mask = slots_.size() - 1;
  const uint32_t hash = hash_of(path);
  for (size_t slot = hash & mask; slots_[slot].number != 0; slot = (slot + 1) & mask) {
    const Entry& entry = entries_[slots_[slot].number - 1];
    if (slots_[slot].hash == hash && entry.path() == path) {
      return &entry;
    }
  }
  return nullptr;
}

void AccessStore::add_uses(uint32_t index, uint64_t count, WallTime last_seen) {
  if (index >= entries_.size()) {
    return;
  }
  Entry& entry = entries_[index];
  entry.count_ = sum_of(entry.count_, count);
  entry.last_seen_s_ = std::max(entry.last_seen_s_, seconds_of(last_seen));
}

AccessStore::Use AccessStore::use_of(const Entry& entry) const {
  return {.path = entry.path(),
          .resolved = entry.resolved(),
          .seen = entry.seen_,
          .first_seen = entry.first_seen(),
          .last_seen = entry.last_seen(),
          .count = entry.count_,
          .origin = entry.origin_,
          .mount = mounts_[entry.mount_]};
}

void AccessStore::set_resolved(Entry& entry, std::string_view resolved) {
  // Most paths lead to themselves: kept once.
  const std::string_view kept = resolved == entry.path() ? entry.path() : keep(resolved);
  entry.resolved_ = kept.data();
  entry.resolved_size_ = static_cast<uint32_t>(kept.size());
}

void AccessStore::set_origin(Entry& entry, const Use& use) {
  if (use.origin == FileOrigin::kUnknown || entry.origin_ == FileOrigin::kImage) {
    return;
  }
  // A file of the image that is copied up later still is one.
  if (use.origin == FileOrigin::kImage || entry.origin_ == FileOrigin::kUnknown) {
    entry.origin_ = use.origin;
    entry.mount_ = mount_number(use.mount);
  } else if (entry.origin_ == use.origin && entry.mount_ == 0) {
    entry.mount_ = mount_number(use.mount);
  }
}

uint16_t AccessStore::mount_number(std::string_view mount) {
  if (const auto found = mount_numbers_.find(mount); found != mount_numbers_.end()) {
    return found->second;
  }
  if (mounts_.size() > std::numeric_limits<uint16_t>::max()) {
    return 0;
  }
  const auto number = static_cast<uint16_t>(mounts_.size());
  mounts_.emplace_back(mount);
  mount_numbers_.emplace(mount, number);
  return number;
}

std::string_view AccessStore::keep(std::string_view text) {
  if (text.empty()) {
    return {};
  }
  if (block_left_ < text.size()) {
    const size_t size = std::max(kBlockBytes, text.size());
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(size));
    block_left_ = size;
  }
  // Filled from the end, so that what is left begins at the front.
  block_left_ -= text.size();
  char* place = blocks_.back().get() + block_left_;
  std::memcpy(place, text.data(), text.size());
  return {place, text.size()};
}

void AccessStore::grow() {
  std::vector<Slot> slots(std::max(kFirstSlots, slots_.size() * 2));
  const size_t mask = slots.size() - 1;
  for (const Slot& former : slots_) {
    if (former.number != 0) {
      size_t slot = former.hash & mask;
      while (slots[slot].number != 0) {
        slot = (slot + 1) & mask;
      }
      slots[slot] = former;
    }
  }
  slots_ = std::move(slots);
}

}  // namespace snoop
