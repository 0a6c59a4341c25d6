// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "event.h"

namespace snoop {

/// Bytes as the kernel side would send them.
struct RecordBuilder {
  snoop_event event = {};
  std::string path;
  /// From the leaf to the root, each name with a NUL.
  std::string base;
  std::string resolved;

  [[nodiscard]] std::vector<std::byte> bytes() const {
    snoop_event header = event;
    if (header.type == 0) {
      header.type = SNOOP_EVENT_ACCESS;
    }
    header.path_len = static_cast<__u16>(path.size());
    header.base_len = static_cast<__u16>(base.size());
    header.resolved_len = static_cast<__u16>(resolved.size());
    const std::string sections = path + base + resolved;
    header.size = static_cast<__u32>(sizeof(header) + sections.size());
    std::vector<std::byte> out(header.size);
    std::memcpy(out.data(), &header, sizeof(header));
    std::memcpy(out.data() + sizeof(header), sections.data(), sections.size());
    return out;
  }
};

/// "/a/b" as the kernel side sends a directory: "b\0a\0".
inline std::string names_of(std::string_view directory) {
  std::string out;
  while (!directory.empty()) {
    const size_t slash = directory.rfind('/');
    if (slash + 1 < directory.size()) {
      out += directory.substr(slash + 1);
      out += '\0';
    }
    directory = slash == std::string_view::npos ? std::string_view() : directory.substr(0, slash);
  }
  return out;
}

}  // namespace snoop
