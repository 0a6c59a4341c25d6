// SPDX-License-Identifier: Apache-2.0
// A file in memory stands for the ring buffer of the kernel: it is laid out alike.
#include "probe/ring.h"

#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace snoop {
namespace {

uint64_t page_bytes() { return static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)); }

TEST(RingWindow, BeginsWithThePageAndHasRoomForTheRecord) {
  constexpr uint64_t kRing = 16ULL << 20;
  constexpr uint64_t kPage = 4096;
  for (const uint64_t position : std::vector<uint64_t>{0, 8, 4088, 4096, kRing - 8, kRing, 5 * kRing + 123'456}) {
    for (const uint64_t length : std::vector<uint64_t>{8, 20'584, 1ULL << 20}) {
      const RingWindow window = ring_window_at(position, length, kRing, kPage);
      EXPECT_EQ(window.begin, position / kPage * kPage);
      EXPECT_TRUE(window.holds(position, length)) << position << " " << length;
      EXPECT_EQ(window.bytes % kPage, 0U);
      EXPECT_LE(window.bytes, length + (256UL << 10)) << "not all of it";
      EXPECT_FALSE(window.holds(position + window.bytes, 8));
      EXPECT_FALSE(window.begin != 0 && window.holds(window.begin - 8, 8));
    }
  }
}

TEST(RingWindow, StaysWithinTheTwoCopiesOfTheData) {
  constexpr uint64_t kPage = 4096;
  for (const uint64_t ring : std::vector<uint64_t>{kPage, 4 * kPage, 64 * kPage}) {
    for (uint64_t position = 0; position < 3 * ring; position += 1016) {
      const uint64_t length = ring;  // as long as a record can be
      const RingWindow window = ring_window_at(position, length, ring, kPage);
      EXPECT_TRUE(window.holds(position, length)) << position << " in " << ring;
      EXPECT_LE(window.begin % ring + window.bytes, 2 * ring) << position << " in " << ring;
    }
  }
}

class RingTest : public testing::Test {
 protected:
  void make(uint64_t size) {
    size_ = size;
    file_ = UniqueFd(::memfd_create("ring", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(file_.get(), static_cast<off_t>(2 * page_bytes() + 2 * size)), 0);
    ring_.emplace(Ring::open(file_.get(), size).value());
  }
  void set_positions(uint64_t position) {
    produced_ = position;
    write(0, &position, sizeof(position));
    write(page_bytes(), &position, sizeof(position));
  }
  /// As a BPF program does; `flags` of the header.
  void put(const std::string& text, uint32_t flags = 0) {
    const uint32_t header[] = {static_cast<uint32_t>(text.size()) | flags, 0};
    std::string record(reinterpret_cast<const char*>(header), sizeof(header));
    record += text;
    record.resize((record.size() + 7) / 8 * 8);
    write_data(produced_, record.data(), record.size());
    produced_ += record.size();
    write(page_bytes(), &produced_, sizeof(produced_));
  }
  void set_header(uint64_t position, uint32_t header) { write_data(position, &header, sizeof(header)); }
  [[nodiscard]] uint64_t consumed() const {
    uint64_t position = 0;
    EXPECT_EQ(::pread(file_.get(), &position, sizeof(position), 0), 8);
    return position;
  }
  std::vector<std::string> drain() {
    std::vector<std::string> records;
    drained_ = ring_->drain([&](std::span<const std::byte> bytes) {
      records.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      if (on_record_) {
        on_record_();
      }
    });
    EXPECT_EQ(drained_.count, records.size());
    return records;
  }
  /// Each byte is there twice, the size of the ring apart.
  void write_data(uint64_t position, const void* bytes, size_t length) const {
    const uint64_t start = 2 * page_bytes();
    const uint64_t before_end = std::min(length, size_ - position % size_);
    const auto* behind = static_cast<const char*>(bytes) + before_end;
    for (const uint64_t copy : {start, start + size_}) {
      write(copy + position % size_, bytes, before_end);
      write(copy, behind, length - before_end);
    }
  }
  void write(uint64_t at, const void* bytes, size_t length) const {
    ASSERT_EQ(::pwrite(file_.get(), bytes, length, static_cast<off_t>(at)), static_cast<ssize_t>(length));
  }

  uint64_t size_ = 0;
  uint64_t produced_ = 0;
  UniqueFd file_;
  std::optional<Ring> ring_;
  Ring::Drained drained_;
  std::function<void()> on_record_;
};

TEST_F(RingTest, NothingIsThere) {
  make(page_bytes());
  EXPECT_TRUE(drain().empty());
  EXPECT_FALSE(drained_.more);
}

TEST_F(RingTest, InOrderAndAsLongAsTheyAre) {
  make(page_bytes());
  put("one");
  put("");
  put("twelve bytes");
  EXPECT_EQ(drain(), (std::vector<std::string>{"one", "", "twelve bytes"}));
  EXPECT_EQ(consumed(), 16U + 8 + 24);
  EXPECT_TRUE(drain().empty());
  put("four");
  EXPECT_EQ(drain(), std::vector<std::string>{"four"});
}

TEST_F(RingTest, WaitsForOneThatIsBeingWritten) {
  make(page_bytes());
  put("first");
  put("second", BPF_RINGBUF_BUSY_BIT);
  put("third");
  EXPECT_EQ(drain(), std::vector<std::string>{"first"});
  EXPECT_EQ(consumed(), 16U);
  EXPECT_TRUE(drain().empty());
  set_header(16, 6);
  EXPECT_EQ(drain(), (std::vector<std::string>{"second", "third"}));
}

TEST_F(RingTest, LeavesOutWhatWasDiscarded) {
  make(page_bytes());
  put("gone", BPF_RINGBUF_DISCARD_BIT);
  put("there");
  EXPECT_EQ(drain(), std::vector<std::string>{"there"});
  EXPECT_EQ(consumed(), 32U);
}

TEST_F(RingTest, ManyRoundsThroughASmallOne) {
  make(page_bytes());
  // Odd sizes, so that records lie across the end of the data in all ways.
  for (size_t round = 0; round < 1000; round++) {
    const std::string text(round * 37 % 1500, static_cast<char>('a' + round % 26));
    put(text);
    ASSERT_TRUE(drain() == std::vector<std::string>{text}) << round;
    ASSERT_EQ(consumed(), produced_);
  }
  EXPECT_GT(produced_, 100 * size_);
}

TEST_F(RingTest, MovesThroughALargeOne) {
  make(1UL << 20);
  set_positions(size_ * 1000 + size_ - 4096);
  std::vector<std::string> all;
  for (size_t number = 0; number < 40; number++) {
    all.emplace_back(20'576, static_cast<char>('a' + number % 26));
    put(all.back());
  }
  EXPECT_TRUE(drain() == all);
  EXPECT_FALSE(drained_.more);
  EXPECT_EQ(consumed(), produced_);
}

TEST_F(RingTest, TakesARecordLargerThanTheWindow) {
  make(1UL << 20);
  set_positions(size_ - 8);
  const std::string text(size_ - 8, 'x');
  put(text);
  EXPECT_TRUE(drain() == std::vector<std::string>{text});
}

TEST_F(RingTest, EndsAlsoWhereThereIsNoEnd) {
  make(page_bytes());
  const std::string text(1016, 'x');
  put(text);
  on_record_ = [&] { put(text); };
  EXPECT_EQ(drain().size(), page_bytes() / 1024);
  EXPECT_TRUE(drained_.more);
}

TEST_F(RingTest, SaysWhyItCannotBeMapped) {
  const Result<Ring> ring = Ring::open(-1, page_bytes());
  ASSERT_FALSE(ring);
  EXPECT_EQ(ring.error().code, EBADF);
}

}  // namespace
}  // namespace snoop
