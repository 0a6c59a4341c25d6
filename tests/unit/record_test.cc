// SPDX-License-Identifier: Apache-2.0
#include "probe/record.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "record_builder.h"

namespace snoop {
namespace {

using namespace std::string_literals;

/// Exactly these bytes on the heap, so that the sanitizer sees a read beyond.
std::optional<Record> decode_exact(const std::vector<std::byte>& bytes) {
  static std::vector<std::byte> held;
  held = std::vector<std::byte>(bytes.begin(), bytes.end());
  return decode(held);
}

void set(std::vector<std::byte>& bytes, size_t offset, uint16_t value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(value));
}

TEST(Record, DecodesAnAccess) {
  RecordBuilder builder;
  builder.event.flags = SNOOP_FLAG_RELATIVE | SNOOP_FLAG_IN_ROOT;
  builder.event.time_ns = 5;
  builder.event.cgroup_id = 0x1234567890;
  builder.event.seen = 1ULL << 48;
  builder.event.inode = 77;
  builder.event.target = 3;
  builder.event.pid = 42;
  builder.event.tid = 43;
  builder.event.result = -13;
  builder.path = "etc/passwd";
  builder.base = names_of("/srv/app");
  builder.resolved = names_of("/srv/app/etc/passwd");
  const auto bytes = builder.bytes();
  const std::optional<Record> record = decode(bytes);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->event.type, SNOOP_EVENT_ACCESS);
  EXPECT_EQ(record->event.time_ns, 5U);
  EXPECT_EQ(record->event.cgroup_id, 0x1234567890U);
  EXPECT_EQ(record->event.seen, 1ULL << 48);
  EXPECT_EQ(record->event.inode, 77U);
  EXPECT_EQ(record->event.target, 3U);
  EXPECT_EQ(record->event.pid, 42U);
  EXPECT_EQ(record->event.tid, 43U);
  EXPECT_EQ(record->event.result, -13);
  EXPECT_EQ(record->path, "etc/passwd");
  EXPECT_EQ(record->base, "app\0srv\0"s);
  EXPECT_EQ(record->resolved, "passwd\0etc\0app\0srv\0"s);
  EXPECT_TRUE(record->has(SNOOP_FLAG_RELATIVE));
  EXPECT_TRUE(record->has(SNOOP_FLAG_IN_ROOT));
  EXPECT_FALSE(record->has(SNOOP_FLAG_NAMELESS));
}

TEST(Record, DecodesEachType) {
  for (const uint16_t type : {SNOOP_EVENT_ACCESS, SNOOP_EVENT_ELF_INTERPRETER, SNOOP_EVENT_CGROUP,
                              SNOOP_EVENT_CGROUP_GONE, SNOOP_EVENT_MOVED, SNOOP_EVENT_ROOT, SNOOP_EVENT_FILE}) {
    RecordBuilder builder;
    builder.event.type = type;
    builder.path = "/a";
    const std::optional<Record> record = decode_exact(builder.bytes());
    ASSERT_TRUE(record) << type;
    EXPECT_EQ(record->event.type, type);
  }
}

TEST(Record, RefusesUnknownTypes) {
  for (const int type : {0, 8, 9, 255, 256, 0xFFFF}) {
    RecordBuilder builder;
    builder.path = "/a";
    auto bytes = builder.bytes();
    set(bytes, offsetof(snoop_event, type), static_cast<uint16_t>(type));
    EXPECT_FALSE(decode_exact(bytes)) << type;
  }
}

TEST(Record, TakesEmptySections) {
  const std::optional<Record> record = decode_exact(RecordBuilder().bytes());
  ASSERT_TRUE(record);
  EXPECT_TRUE(record->path.empty());
  EXPECT_TRUE(record->base.empty());
  EXPECT_TRUE(record->resolved.empty());
}

TEST(Record, TakesTheLongestSections) {
  RecordBuilder builder;
  builder.path = std::string(SNOOP_PATH_MAX - 1, 'p');
  while (builder.base.size() < SNOOP_WALK_MAX) {
    builder.base += "b\0"s;
  }
  builder.resolved = std::string(255, 'r') + '\0';
  const std::optional<Record> record = decode_exact(builder.bytes());
  ASSERT_TRUE(record);
  EXPECT_EQ(record->path.size(), SNOOP_PATH_MAX - 1U);
  EXPECT_EQ(record->base.size(), size_t{SNOOP_WALK_MAX});
  EXPECT_EQ(record->resolved.size(), 256U);
}

TEST(Record, RefusesEveryOtherLength) {
  RecordBuilder builder;
  builder.path = "etc/passwd";
  builder.base = names_of("/srv");
  builder.resolved = names_of("/srv/x");
  const auto good = builder.bytes();
  for (size_t size = 0; size < good.size() + 16; size++) {
    auto bytes = good;
    bytes.resize(size);
    EXPECT_EQ(decode_exact(bytes).has_value(), size == good.size()) << size;
  }
}

TEST(Record, RefusesSizesThatDoNotAddUp) {
  RecordBuilder builder;
  builder.path = "abc";
  builder.base = names_of("/d");
  builder.resolved = names_of("/e");
  const auto good = builder.bytes();
  for (const size_t field : {offsetof(snoop_event, size), offsetof(snoop_event, path_len),
                             offsetof(snoop_event, base_len), offsetof(snoop_event, resolved_len)}) {
    uint16_t value = 0;
    std::memcpy(&value, good.data() + field, sizeof(value));
    for (const int other : {0, value - 1, value + 1, 0x7FFF, 0xFFFF}) {
      auto bytes = good;
      set(bytes, field, static_cast<uint16_t>(other));
      EXPECT_FALSE(decode_exact(bytes)) << "field at " << field << " is " << other;
    }
  }
}

TEST(Record, RefusesLengthsThatMoveASection) {
  RecordBuilder builder;
  builder.path = "abc";
  builder.base = names_of("/d");
  auto bytes = builder.bytes();
  set(bytes, offsetof(snoop_event, path_len), 4);
  set(bytes, offsetof(snoop_event, base_len), 1);
  EXPECT_FALSE(decode_exact(bytes));
}

TEST(Record, RefusesNulInThePath) {
  for (const std::string& path : {"\0"s, "/a\0"s, "\0/a"s, "/a\0/b"s}) {
    RecordBuilder builder;
    builder.path = path;
    EXPECT_FALSE(decode_exact(builder.bytes())) << path.size();
  }
}

TEST(Record, RefusesBadNameLists) {
  struct Row {
    const char* why;
    std::string names;
  };
  for (const Row& row : {
           Row{"no NUL at the end", "a"},
           Row{"no NUL at the end", "a\0b"s},
           Row{"one NUL", "\0"s},
           Row{"empty name first", "\0a\0"s},
           Row{"empty name within", "a\0\0b\0"s},
           Row{"empty name last", "a\0\0"s},
       }) {
    RecordBuilder base;
    base.path = "x";
    base.base = row.names;
    EXPECT_FALSE(decode_exact(base.bytes())) << "base, " << row.why;
    RecordBuilder resolved;
    resolved.path = "x";
    resolved.resolved = row.names;
    EXPECT_FALSE(decode_exact(resolved.bytes())) << "resolved, " << row.why;
  }
}

TEST(Record, TakesAnyOtherByte) {
  RecordBuilder builder;
  for (int c = 1; c < 256; c++) {
    builder.path += static_cast<char>(c);
  }
  builder.base = builder.path + '\0';
  const std::optional<Record> record = decode_exact(builder.bytes());
  ASSERT_TRUE(record);
  EXPECT_EQ(record->path, builder.path);
  EXPECT_EQ(record->base, builder.base);
}

TEST(Record, NeverReadsBeyondMutatedBytes) {
  RecordBuilder builder;
  builder.path = "some/path";
  builder.base = names_of("/a/b/c");
  builder.resolved = names_of("/a/b/c/some/path");
  const auto good = builder.bytes();
  std::mt19937 random(20240229);
  size_t decoded = 0;
  for (int round = 0; round < 50'000; round++) {
    auto bytes = good;
    for (size_t i = random() % 4; i > 0; i--) {
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    }
    // Lengths that add up to what is there are the ones that could lead astray.
    if (random() % 2 == 0) {
      const size_t sections = good.size() - sizeof(snoop_event);
      const size_t path = random() % (sections + 1);
      const size_t base = random() % (sections - path + 1);
      set(bytes, offsetof(snoop_event, path_len), static_cast<uint16_t>(path));
      set(bytes, offsetof(snoop_event, base_len), static_cast<uint16_t>(base));
      set(bytes, offsetof(snoop_event, resolved_len), static_cast<uint16_t>(sections - path - base));
    }
    if (random() % 4 == 0) {
      bytes.resize(random() % (bytes.size() + 9));
    }
    const std::optional<Record> record = decode_exact(bytes);
    if (!record) {
      continue;
    }
    decoded++;
    const auto sum = [](std::string_view text) { return std::accumulate(text.begin(), text.end(), 0); };
    const volatile int touched = sum(record->path) + sum(record->base) + sum(record->resolved);
    static_cast<void>(touched);
    ASSERT_EQ(record->path.size() + record->base.size() + record->resolved.size() + sizeof(snoop_event), bytes.size());
    ASSERT_EQ(record->path.find('\0'), std::string_view::npos);
  }
  EXPECT_GT(decoded, 1000U) << "the mutations leave too few whole";
}

}  // namespace
}  // namespace snoop
