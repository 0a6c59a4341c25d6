// SPDX-License-Identifier: Apache-2.0
#include "probe/ring.h"

#include <linux/bpf.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace snoop {

namespace {

/// To map a page costs as much as to read half a record: the size hardly matters.
constexpr uint64_t kWindowBytes = 256UL * 1024;

constexpr uint64_t round_up(uint64_t bytes, uint64_t unit) { return (bytes + unit - 1) / unit * unit; }

/// A record with the header in front of it.
constexpr uint64_t room_of(uint32_t record_bytes) { return round_up(BPF_RINGBUF_HDR_SZ + uint64_t{record_bytes}, 8); }

}  // namespace

RingWindow ring_window_at(uint64_t position, uint64_t length, uint64_t ring_bytes, uint64_t page_bytes) {
  const uint64_t begin = position - position % page_bytes;
  // The kernel has the data twice in a row, so that no record is broken.
  const uint64_t most = 2 * ring_bytes - begin % ring_bytes;
  return {begin, std::min(std::max(kWindowBytes, round_up(position - begin + length, page_bytes)), most)};
}

Ring::Ring(int fd, uint64_t size_bytes)
    : fd_(fd), size_(size_bytes), page_(static_cast<uint64_t>(::sysconf(_SC_PAGESIZE))) {}

Result<Ring> Ring::open(int fd, uint64_t size_bytes) {
  Ring ring(fd, size_bytes);
  // A page with the position of each side, then the data.
  if (!ring.consumer_.map(fd, ring.page_, 0, PROT_READ | PROT_WRITE) ||
      !ring.producer_.map(fd, ring.page_, ring.page_)) {
    return fail(errno, "cannot map the ring buffer");
  }
  return ring;
}

const std::byte* Ring::at(uint64_t position, uint64_t length) {
  if (!window_.holds(position, length)) {
    window_ = ring_window_at(position, length, size_, page_);
    if (!data_.map(fd_, window_.bytes, 2 * page_ + window_.begin % size_)) {
      spdlog::error("cannot map a part of the ring buffer: {}", strerrordesc_np(errno));
      window_ = {};
      return nullptr;
    }
  }
  return static_cast<const std::byte*>(data_.address()) + (position - window_.begin);
}

Ring::Drained Ring::drain(const Handler& handler) {
  auto* const consumed = static_cast<uint64_t*>(consumer_.address());
  const auto* const produced = static_cast<const uint64_t*>(producer_.address());
  // Nobody else writes it.
  uint64_t position = __atomic_load_n(consumed, __ATOMIC_RELAXED);
  const uint64_t last = position + size_;
  Drained drained;
  for (uint64_t end = position; position < last;) {
    if (position == end) {
      end = __atomic_load_n(produced, __ATOMIC_ACQUIRE);
      if (position == end) {
        return drained;
      }
    }
    const std::byte* record = at(position, BPF_RINGBUF_HDR_SZ);
    if (record == nullptr) {
      return drained;
    }
    // Once it does not say busy any more, what is behind it is there.
    const uint32_t header = __atomic_load_n(reinterpret_cast<const uint32_t*>(record), __ATOMIC_ACQUIRE);
    if ((header & BPF_RINGBUF_BUSY_BIT) != 0) {
      return drained;
    }
    const uint32_t bytes = header & ~static_cast<uint32_t>(BPF_RINGBUF_DISCARD_BIT);
    const uint64_t room = room_of(bytes);
    record = at(position, room);
    if (record == nullptr) {
      return drained;
    }
    if ((header & BPF_RINGBUF_DISCARD_BIT) == 0) {
      drained.count++;
      handler({record + BPF_RINGBUF_HDR_SZ, bytes});
    }
    position += room;
    __atomic_store_n(consumed, position, __ATOMIC_RELEASE);
  }
  drained.more = true;
  return drained;
}

}  // namespace snoop
