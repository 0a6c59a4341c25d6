// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <span>
#include <utility>

namespace snoop {

/// Memory that a descriptor stands for, or a part of it; unmapped at the end.
class Mapping {
 public:
  Mapping() = default;
  ~Mapping() { reset(); }
  Mapping(Mapping&& other) noexcept { *this = std::move(other); }
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(address_, other.address_);
    std::swap(size_, other.size_);
    return *this;
  }

  /// In place of what was mapped before. The offset is one of a page. false: errno
  /// tells why, and nothing is mapped.
  bool map(int fd, size_t size, size_t offset = 0, int protection = PROT_READ, int kind = MAP_SHARED) {
    reset();
    void* address = ::mmap(nullptr, size, protection, kind, fd, static_cast<off_t>(offset));
    if (address == MAP_FAILED) {
      return false;
    }
    address_ = address;
    size_ = size;
    return true;
  }
  void reset() {
    if (address_ != nullptr) {
      ::munmap(std::exchange(address_, nullptr), std::exchange(size_, 0));
    }
  }

  [[nodiscard]] void* address() const { return address_; }
  template <typename T>
  [[nodiscard]] std::span<const T> as() const {
    return {static_cast<const T*>(address_), size_ / sizeof(T)};
  }

 private:
  void* address_ = nullptr;
  size_t size_ = 0;
};

}  // namespace snoop
