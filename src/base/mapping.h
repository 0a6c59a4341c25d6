// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <span>
#include <utility>

namespace snoop {

/// Memory that a descriptor stands for, to read; unmapped at the end.
class Mapping {
 public:
  Mapping() = default;
  ~Mapping() {
    if (address_ != nullptr) {
      ::munmap(address_, size_);
    }
  }
  Mapping(Mapping&& other) noexcept { *this = std::move(other); }
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(address_, other.address_);
    std::swap(size_, other.size_);
    return *this;
  }

  /// false: errno tells why. At most once.
  bool map(int fd, size_t size, int kind = MAP_SHARED) {
    void* address = ::mmap(nullptr, size, PROT_READ, kind, fd, 0);
    if (address == MAP_FAILED) {
      return false;
    }
    address_ = address;
    size_ = size;
    return true;
  }
  template <typename T>
  [[nodiscard]] std::span<const T> as() const {
    return {static_cast<const T*>(address_), size_ / sizeof(T)};
  }

 private:
  void* address_ = nullptr;
  size_t size_ = 0;
};

}  // namespace snoop
