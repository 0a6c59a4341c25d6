// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

/// One input; ends the process if what is made of it cannot be.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace snoop {

inline std::string_view text_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// What must be true of any input.
inline void expect(bool is_true, const char* what) {
  if (!is_true) {
    std::fprintf(stderr, "not true: %s\n", what);
    std::abort();
  }
}

}  // namespace snoop
