// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
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

  /// In place of what was mapped before. false: errno tells why, and nothing is mapped.
  bool map(int fd, size_t size, size_t offset = 0, int protection = PROT_READ, int kind = MAP_SHARED) {
    reset();
    const size_t lead = offset % page_size();
    void* address = ::mmap(nullptr, size + lead, protection, kind, fd, static_cast<off_t>(offset - lead));
    if (address == MAP_FAILED) {
      return false;
    }
    address_ = static_cast<std::byte*>(address) + lead;
    size_ = size;
    return true;
  }
  void reset() {
    if (address_ != nullptr) {
      const size_t lead = reinterpret_cast<uintptr_t>(address_) % page_size();
      ::munmap(std::exchange(address_, nullptr) - lead, std::exchange(size_, 0) + lead);
    }
  }

  [[nodiscard]] void* address() const { return address_; }
  template <typename T>
  [[nodiscard]] std::span<const T> as() const {
    return {reinterpret_cast<const T*>(address_), size_ / sizeof(T)};
  }

 private:
  static size_t page_size() {
    static const auto size = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    return size;
  }

  std::byte* address_ = nullptr;
  size_t size_ = 0;
};

}  // namespace snoop
