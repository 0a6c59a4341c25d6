// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "base/mapping.h"
#include "base/result.h"

namespace snoop {

/// What of a ring buffer's data is mapped. Positions count all bytes that ever were
/// in it, as the kernel does.
struct RingWindow {
  uint64_t begin = 0;
  uint64_t bytes = 0;

  [[nodiscard]] bool holds(uint64_t position, uint64_t length) const {
    return position >= begin && position + length <= begin + bytes;
  }
};

/// The window for what is read next: begins with the page of `position` and has at
/// least `length` bytes from there, which is no more than the ring buffer has. Its
/// size is a power of two and whole pages.
[[nodiscard]] RingWindow ring_window_at(uint64_t position, uint64_t length, uint64_t ring_bytes, uint64_t page_bytes);

/// The reader's end of a BPF ring buffer (Documentation/bpf/ringbuf.rst of the kernel).
/// All that is mapped of it counts as memory of this process, and libbpf maps the
/// data whole and twice; here it is a window that moves on with what is read.
class Ring {
 public:
  using Handler = std::function<void(std::span<const std::byte>)>;

  /// `fd`: of the map, which stays open meanwhile.
  [[nodiscard]] static Result<Ring> open(int fd, uint64_t size_bytes);

  struct Drained {
    size_t count = 0;
    /// Records came as fast as they were taken: there may be more.
    bool more = false;
  };
  /// Hands every waiting record to `handler`, and what comes meanwhile, up to
  /// as much as the ring buffer holds: so it ends, whatever the programs do.
  Drained drain(const Handler& handler);

 private:
  Ring(int fd, uint64_t size_bytes);
  /// nullptr: it cannot be mapped.
  [[nodiscard]] const std::byte* at(uint64_t position, uint64_t length);

  int fd_;
  uint64_t size_;
  uint64_t page_;
  Mapping consumer_;
  Mapping producer_;
  Mapping data_;
  RingWindow window_;
};

}  // namespace snoop
