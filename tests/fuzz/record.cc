// SPDX-License-Identifier: Apache-2.0
// Records of the kernel side: lengths are checked, and what processes chose becomes a path.
#include <cstring>
#include <span>
#include <string>

#include "base/text.h"
#include "fuzz.h"
#include "pipeline/access.h"
#include "pipeline/path.h"
#include "probe/record.h"
#include "record_builder.h"

namespace {

void take(std::span<const std::byte> bytes) {
  const std::optional<snoop::Record> record = snoop::decode(bytes);
  if (!record) {
    return;
  }
  const std::optional<snoop::Access> access = snoop::to_access(*record);
  if (access && !access->path.empty()) {
    snoop::expect(access->path.front() == '/', "a path is absolute");
    snoop::expect(access->path.find('\0') == std::string::npos, "a path has no NUL");
    snoop::expect(snoop::is_utf8(snoop::printable(access->path)), "what is printed is text");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  take(std::as_bytes(std::span(data, size)));
  // The same with lengths that add up: header, path, base and resolved, a 0xFF between.
  snoop::RecordBuilder built;
  if (size < sizeof(built.event)) {
    return 0;
  }
  std::memcpy(&built.event, data, sizeof(built.event));
  std::string* part = &built.path;
  for (size_t i = sizeof(built.event); i < size; i++) {
    if (data[i] == 0xFF && part != &built.resolved) {
      part = part == &built.path ? &built.base : &built.resolved;
    } else if (part->size() < 0xFFFF) {
      *part += static_cast<char>(data[i]);
    }
  }
  take(built.bytes());
  return 0;
}
