// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapping.h"

struct btf;
struct btf_type;

namespace snoop {

/// The kernel's description of its types (BTF), as far as it is quicker to look into
/// it than to have libbpf take the whole of it apart.
class KernelTypes {
 public:
  /// Of the running kernel; knows nothing if that has none.
  KernelTypes();

  /// Whether anything has this name.
  [[nodiscard]] bool has(std::string_view name) const;
  [[nodiscard]] bool has_tracepoint(std::string_view name) const;
  [[nodiscard]] std::optional<int32_t> enumerator(std::string_view type, std::string_view name) const;
  /// A description of its own for libbpf to relocate programs by: the structures and
  /// unions that `local` has by name, with the ids that they have in the kernel, and of
  /// all other types nothing but a number. Empty: the kernel's has what is not known here.
  [[nodiscard]] std::string excerpt(const btf* local) const;

 private:
  bool read_all(int file, size_t size);
  void find_types(std::string_view section);
  [[nodiscard]] std::string_view name_at(uint32_t offset) const;

  Mapping mapping_;
  std::string copy_;
  std::string_view names_;
  /// By id; of the first there is none.
  std::vector<const btf_type*> types_;
};

}  // namespace snoop
