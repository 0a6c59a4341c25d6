// SPDX-License-Identifier: Apache-2.0
#include "probe/record.h"

#include <algorithm>
#include <cstring>

namespace snoop {

namespace {

bool is_known_type(uint16_t type) { return type >= SNOOP_EVENT_ACCESS && type <= SNOOP_EVENT_FILE; }

/// Names, none of them empty, each with a NUL.
bool is_name_list(std::string_view names) {
  if (names.empty()) {
    return true;
  }
  const auto are_nul = [](char a, char b) { return a == '\0' && b == '\0'; };
  return names.front() != '\0' && names.back() == '\0' &&
         std::adjacent_find(names.begin(), names.end(), are_nul) == names.end();
}

}  // namespace

std::optional<Record> decode(std::span<const std::byte> bytes) {
  Record record;
  if (bytes.size() < sizeof(record.event)) {
    return std::nullopt;
  }
  std::memcpy(&record.event, bytes.data(), sizeof(record.event));
  const snoop_event& event = record.event;
  const size_t sections = size_t{event.path_len} + event.base_len + event.resolved_len;
  // The ring rounds up to 8 bytes but says how long the record is.
  if (event.size != bytes.size() || event.size != sizeof(event) + sections || !is_known_type(event.type)) {
    return std::nullopt;
  }
  const std::string_view data(reinterpret_cast<const char*>(bytes.data()) + sizeof(event), sections);
  record.path = data.substr(0, event.path_len);
  record.base = data.substr(event.path_len, event.base_len);
  record.resolved = data.substr(size_t{event.path_len} + event.base_len);
  if (event.mount_at > event.resolved_len) {
    return std::nullopt;
  }
  if (record.path.find('\0') != std::string_view::npos || !is_name_list(record.base) ||
      !is_name_list(record.resolved)) {
    return std::nullopt;
  }
  return record;
}

}  // namespace snoop
