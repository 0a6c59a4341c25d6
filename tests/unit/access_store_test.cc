// SPDX-License-Identifier: Apache-2.0
#include "pipeline/access_store.h"

#include <gtest/gtest.h>

#include <string>

namespace snoop {
namespace {

using Outcome = AccessStore::Outcome;

Outcome add(AccessStore& store, std::string_view path, std::string_view resolved, uint64_t seen) {
  return store.add({.path = path, .resolved = resolved, .seen = seen}).outcome;
}

TEST(AccessStore, KeepsWhatIsNew) {
  AccessStore store(10);
  EXPECT_EQ(store.size(), 0U);
  EXPECT_EQ(add(store, "/a", "/b", 5), Outcome::kNew);
  ASSERT_EQ(store.size(), 1U);
  EXPECT_EQ(store.entries()[0].path(), "/a");
  EXPECT_EQ(store.entries()[0].resolved(), "/b");
  EXPECT_EQ(store.entries()[0].seen(), 5U);
}

TEST(AccessStore, MergesKinds) {
  AccessStore store(10);
  EXPECT_EQ(add(store, "/a", "", 1), Outcome::kNew);
  EXPECT_EQ(add(store, "/a", "", 1ULL << 48), Outcome::kMerged);
  EXPECT_EQ(add(store, "/a", "", 1), Outcome::kMerged);
  ASSERT_EQ(store.size(), 1U);
  EXPECT_EQ(store.entries()[0].seen(), (1ULL << 48) | 1);
}

TEST(AccessStore, LearnsWhereAPathLeads) {
  AccessStore store(10);
  EXPECT_EQ(add(store, "/a", "", 1), Outcome::kNew);
  EXPECT_EQ(store.entries()[0].resolved(), "");
  EXPECT_EQ(add(store, "/a", "/b", 1), Outcome::kMerged);
  EXPECT_EQ(store.entries()[0].resolved(), "/b");
  EXPECT_EQ(add(store, "/a", "", 1), Outcome::kMerged);
  EXPECT_EQ(store.entries()[0].resolved(), "/b") << "not forgotten";
}

TEST(AccessStore, TellsOfAnotherFile) {
  AccessStore store(10);
  EXPECT_EQ(add(store, "/a", "/b", 1), Outcome::kNew);
  EXPECT_EQ(add(store, "/a", "/c", 2), Outcome::kOtherFile);
  EXPECT_EQ(store.size(), 1U);
  EXPECT_EQ(store.entries()[0].resolved(), "/b") << "the first stays";
  EXPECT_EQ(store.entries()[0].seen(), 3U);
}

TEST(AccessStore, StoresAPathThatLeadsToItselfOnce) {
  AccessStore store(10);
  EXPECT_EQ(add(store, "/a", "/a", 1), Outcome::kNew);
  EXPECT_EQ(store.entries()[0].resolved().data(), store.entries()[0].path().data());
  EXPECT_EQ(add(store, "/a", "/a", 1), Outcome::kMerged);
  EXPECT_EQ(add(store, "/b", "", 1), Outcome::kNew);
  EXPECT_EQ(add(store, "/b", "/b", 1), Outcome::kMerged);
  EXPECT_EQ(store.entries()[1].resolved().data(), store.entries()[1].path().data());
}

TEST(AccessStore, RefusesWhatIsOverItsLimitAndKeepsTheRest) {
  AccessStore store(2);
  EXPECT_EQ(add(store, "/a", "", 1), Outcome::kNew);
  EXPECT_EQ(add(store, "/b", "", 1), Outcome::kNew);
  EXPECT_EQ(add(store, "/c", "", 1), Outcome::kOverLimit);
  EXPECT_EQ(add(store, "/c", "", 1), Outcome::kOverLimit);
  EXPECT_EQ(add(store, "/a", "", 2), Outcome::kMerged) << "what is there still merges";
  ASSERT_EQ(store.size(), 2U);
  EXPECT_EQ(store.entries()[0].path(), "/a");
  EXPECT_EQ(store.entries()[0].seen(), 3U);
  EXPECT_EQ(store.entries()[1].path(), "/b");
  AccessStore none(0);
  EXPECT_EQ(add(none, "/a", "", 1), Outcome::kOverLimit);
}

TEST(AccessStore, TellsPathsApartThatAreAlike) {
  AccessStore store(100);
  using namespace std::string_literals;
  for (const std::string& path : {"/"s, "/a"s, "/a/"s, "/a\0"s, "/a\0b"s, "/A"s, "/a\n"s, "/\xFF"s, "/\xFE"s, ""s}) {
    EXPECT_EQ(add(store, path, "", 1), Outcome::kNew) << path;
  }
  EXPECT_EQ(store.size(), 10U);
}

TEST(AccessStore, KeepsLongPaths) {
  AccessStore store(100);
  // A block's size, around it, and beyond.
  for (const size_t size : {4095UL, 65535UL, 65536UL, 65537UL, 200'000UL, 10UL}) {
    const std::string path = "/" + std::string(size - 1, static_cast<char>('a' + size % 26));
    EXPECT_EQ(add(store, path, "/r" + path, 1), Outcome::kNew);
    EXPECT_EQ(add(store, path, "/r" + path, 1), Outcome::kMerged);
    EXPECT_EQ(store.entries().back().path(), path);
    EXPECT_EQ(store.entries().back().resolved(), "/r" + path);
  }
  EXPECT_EQ(store.entries().front().path().size(), 4095U);
}

TEST(AccessStore, DoesNotNeedItsInputsAfterwards) {
  AccessStore store(10);
  {
    std::string path = "/etc/passwd";
    std::string resolved = "/usr/etc/passwd";
    ASSERT_EQ(add(store, path, resolved, 1), Outcome::kNew);
    path.assign(path.size(), 'x');
    resolved.assign(resolved.size(), 'x');
  }
  EXPECT_EQ(store.entries()[0].path(), "/etc/passwd");
  EXPECT_EQ(store.entries()[0].resolved(), "/usr/etc/passwd");
}

TEST(AccessStore, GrowsAndForgetsNothing) {
  constexpr size_t kCount = 100'000;
  AccessStore store(kCount);
  const auto path = [](size_t i) { return "/usr/share/some/where/file-" + std::to_string(i); };
  for (size_t i = 0; i < kCount; i++) {
    ASSERT_EQ(add(store, path(i), i % 2 == 0 ? path(i) : "", 1), Outcome::kNew) << i;
  }
  EXPECT_EQ(add(store, "/one/more", "", 1), Outcome::kOverLimit);
  ASSERT_EQ(store.size(), kCount);
  for (size_t i = 0; i < kCount; i++) {
    ASSERT_EQ(add(store, path(i), "", 2), Outcome::kMerged) << i;
    ASSERT_EQ(store.entries()[i].path(), path(i)) << "in the order of their first use";
    ASSERT_EQ(store.entries()[i].seen(), 3U);
  }
  EXPECT_EQ(store.size(), kCount);
}

TEST(AccessStore, UnitesTimesAndCounts) {
  AccessStore store(10);
  const auto use = [&](WallTime first_s, WallTime last_s, uint32_t count) {
    return store.add({.path = "/a",
                      .seen = 1,
                      .first_seen = first_s * kSecond + 999'999'999,
                      .last_seen = last_s * kSecond + 1,
                      .count = count});
  };
  EXPECT_EQ(use(50, 60, 2).index, 0U);
  EXPECT_EQ(use(40, 45, 3).index, 0U);
  EXPECT_EQ(use(55, 70, 0).index, 0U);
  const AccessStore::Entry& entry = store.entries()[0];
  EXPECT_EQ(entry.first_seen(), 40 * kSecond);
  EXPECT_EQ(entry.last_seen(), 70 * kSecond);
  EXPECT_EQ(entry.count(), 5U);
  store.add_uses(0, 7, 65 * kSecond);
  EXPECT_EQ(entry.count(), 12U);
  EXPECT_EQ(entry.last_seen(), 70 * kSecond);
  store.add_uses(0, 0, 80 * kSecond);
  EXPECT_EQ(entry.last_seen(), 80 * kSecond);
  store.add_uses(0, UINT64_MAX, 0);
  EXPECT_EQ(entry.count(), UINT32_MAX) << "stays at its maximum";
  use(40, 40, 5);
  EXPECT_EQ(entry.count(), UINT32_MAX);
  store.add_uses(1, 1, 0);  // there is none
  store.add_uses(AccessStore::kNoIndex, 1, 0);
}

TEST(AccessStore, TakesTimesOfAnyClock) {
  AccessStore store(10);
  store.add({.path = "/a", .seen = 1, .first_seen = -kSecond, .last_seen = std::numeric_limits<WallTime>::max()});
  EXPECT_EQ(store.entries()[0].first_seen(), 0);
  EXPECT_EQ(store.entries()[0].last_seen(), UINT32_MAX * kSecond);
}

TEST(AccessStore, RemembersThatAFileIsOfTheImage) {
  using enum FileOrigin;
  struct Row {
    std::vector<std::pair<FileOrigin, const char*>> uses;
    FileOrigin origin;
    const char* mount;
  };
  for (const Row& row : {
           Row{{{kUnknown, ""}}, kUnknown, ""},
           Row{{{kUnknown, "/x"}}, kUnknown, ""},
           Row{{{kUnknown, ""}, {kVolume, "/data"}}, kVolume, "/data"},
           Row{{{kVolume, "/data"}, {kUnknown, ""}}, kVolume, "/data"},
           Row{{{kVolume, ""}, {kVolume, "/data"}, {kVolume, "/other"}}, kVolume, "/data"},
           Row{{{kImage, ""}, {kWritten, ""}}, kImage, ""},
           Row{{{kWritten, ""}, {kImage, ""}}, kImage, ""},
           Row{{{kVolume, "/data"}, {kImage, ""}, {kVolume, "/data"}}, kImage, ""},
           Row{{{kPseudo, "/run"}, {kVolume, "/data"}}, kPseudo, "/run"},
       }) {
    AccessStore store(10);
    for (const auto& [origin, mount] : row.uses) {
      store.add({.path = "/a", .seen = 1, .origin = origin, .mount = mount});
    }
    const AccessStore::Use use = store.use_of(store.entries()[0]);
    EXPECT_EQ(origin_name(use.origin), origin_name(row.origin));
    EXPECT_EQ(use.mount, row.mount);
  }
}

TEST(AccessStore, KeepsManyMounts) {
  AccessStore store(100'000);
  for (int i = 0; i < 70'000; i++) {
    const std::string name = "/mnt/" + std::to_string(i);
    ASSERT_EQ(store.add({.path = name, .seen = 1, .origin = FileOrigin::kVolume, .mount = name}).outcome,
              Outcome::kNew);
  }
  EXPECT_EQ(store.use_of(store.entries()[65'000]).mount, "/mnt/65000");
  EXPECT_EQ(store.use_of(store.entries()[69'999]).mount, "") << "more than there are numbers";
  EXPECT_EQ(store.use_of(store.entries()[0]).mount, "/mnt/0");
}

TEST(AccessStore, TellsWhenAFileIsFoundFirst) {
  AccessStore store(10);
  const auto missing = 1ULL << SNOOP_SEEN_SHIFT(SNOOP_OUTCOME_MISSING);
  EXPECT_FALSE(store.add({.path = "/a", .seen = missing}).first_found);
  EXPECT_FALSE(store.entries()[0].is_found());
  EXPECT_TRUE(store.add({.path = "/a", .seen = 1ULL << SNOOP_SEEN_SHIFT(SNOOP_OUTCOME_REFUSED)}).first_found);
  EXPECT_FALSE(store.add({.path = "/a", .seen = 1}).first_found);
  EXPECT_TRUE(store.add({.path = "/b", .seen = 1}).first_found);
  EXPECT_EQ(AccessStore(0).add({.path = "/b", .seen = 1}).index, AccessStore::kNoIndex);
}

TEST(AccessStore, IsSmall) { EXPECT_LE(sizeof(AccessStore::Entry), 48U); }

TEST(AccessStore, MayMove) {
  AccessStore store(1000);
  for (int i = 0; i < 300; i++) {
    ASSERT_EQ(add(store, "/file" + std::to_string(i), "", 1), Outcome::kNew);
  }
  AccessStore moved = std::move(store);
  EXPECT_EQ(moved.entries()[299].path(), "/file299");
  EXPECT_EQ(add(moved, "/file299", "", 1), Outcome::kMerged);
  EXPECT_EQ(add(moved, "/file300", "", 1), Outcome::kNew);
}

}  // namespace
}  // namespace snoop
