// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/mapping.h"

namespace snoop {

/// The names in the kernel's description of its types. To look one up is much faster
/// than to have libbpf take the whole description apart.
class KernelNames {
 public:
  KernelNames();
  [[nodiscard]] bool has(std::string_view name) const;
  [[nodiscard]] bool has_tracepoint(std::string_view name) const;

 private:
  bool read_all(int file, size_t size);

  Mapping mapping_;
  std::string copy_;
  std::string_view names_;
};

}  // namespace snoop
