// SPDX-License-Identifier: Apache-2.0
#include "pipeline/access_store.h"

#include <gtest/gtest.h>

#include <string>

namespace snoop {
namespace {

using Added = AccessStore::Added;

TEST(AccessStore, KeepsWhatIsNew) {
  AccessStore store(10);
  EXPECT_EQ(store.size(), 0U);
  EXPECT_EQ(store.add("/a", "/b", 5), Added::kNew);
  ASSERT_EQ(store.size(), 1U);
  EXPECT_EQ(store.entries()[0].path, "/a");
  EXPECT_EQ(store.entries()[0].resolved, "/b");
  EXPECT_EQ(store.entries()[0].seen, 5U);
}

TEST(AccessStore, MergesKinds) {
  AccessStore store(10);
  EXPECT_EQ(store.add("/a", "", 1), Added::kNew);
  EXPECT_EQ(store.add("/a", "", 1ULL << 48), Added::kMerged);
  EXPECT_EQ(store.add("/a", "", 1), Added::kMerged);
  ASSERT_EQ(store.size(), 1U);
  EXPECT_EQ(store.entries()[0].seen, (1ULL << 48) | 1);
}

TEST(AccessStore, LearnsWhereAPathLeads) {
  AccessStore store(10);
  EXPECT_EQ(store.add("/a", "", 1), Added::kNew);
  EXPECT_EQ(store.entries()[0].resolved, "");
  EXPECT_EQ(store.add("/a", "/b", 1), Added::kMerged);
  EXPECT_EQ(store.entries()[0].resolved, "/b");
  EXPECT_EQ(store.add("/a", "", 1), Added::kMerged);
  EXPECT_EQ(store.entries()[0].resolved, "/b") << "not forgotten";
}

TEST(AccessStore, TellsOfAnotherFile) {
  AccessStore store(10);
  EXPECT_EQ(store.add("/a", "/b", 1), Added::kNew);
  EXPECT_EQ(store.add("/a", "/c", 2), Added::kOtherFile);
  EXPECT_EQ(store.size(), 1U);
  EXPECT_EQ(store.entries()[0].resolved, "/b") << "the first stays";
  EXPECT_EQ(store.entries()[0].seen, 3U);
}

TEST(AccessStore, StoresAPathThatLeadsToItselfOnce) {
  AccessStore store(10);
  EXPECT_EQ(store.add("/a", "/a", 1), Added::kNew);
  EXPECT_EQ(store.entries()[0].resolved.data(), store.entries()[0].path.data());
  EXPECT_EQ(store.add("/a", "/a", 1), Added::kMerged);
  EXPECT_EQ(store.add("/b", "", 1), Added::kNew);
  EXPECT_EQ(store.add("/b", "/b", 1), Added::kMerged);
  EXPECT_EQ(store.entries()[1].resolved.data(), store.entries()[1].path.data());
}

TEST(AccessStore, RefusesWhatIsOverItsLimitAndKeepsTheRest) {
  AccessStore store(2);
  EXPECT_EQ(store.add("/a", "", 1), Added::kNew);
  EXPECT_EQ(store.add("/b", "", 1), Added::kNew);
  EXPECT_EQ(store.add("/c", "", 1), Added::kOverLimit);
  EXPECT_EQ(store.add("/c", "", 1), Added::kOverLimit);
  EXPECT_EQ(store.add("/a", "", 2), Added::kMerged) << "what is there still merges";
  ASSERT_EQ(store.size(), 2U);
  EXPECT_EQ(store.entries()[0].path, "/a");
  EXPECT_EQ(store.entries()[0].seen, 3U);
  EXPECT_EQ(store.entries()[1].path, "/b");
  AccessStore none(0);
  EXPECT_EQ(none.add("/a", "", 1), Added::kOverLimit);
}

TEST(AccessStore, TellsPathsApartThatAreAlike) {
  AccessStore store(100);
  using namespace std::string_literals;
  for (const std::string& path : {"/"s, "/a"s, "/a/"s, "/a\0"s, "/a\0b"s, "/A"s, "/a\n"s, "/\xFF"s, "/\xFE"s, ""s}) {
    EXPECT_EQ(store.add(path, "", 1), Added::kNew) << path;
  }
  EXPECT_EQ(store.size(), 10U);
}

TEST(AccessStore, KeepsLongPaths) {
  AccessStore store(100);
  // A block's size, around it, and beyond.
  for (const size_t size : {4095UL, 65535UL, 65536UL, 65537UL, 200'000UL, 10UL}) {
    const std::string path = "/" + std::string(size - 1, static_cast<char>('a' + size % 26));
    EXPECT_EQ(store.add(path, "/r" + path, 1), Added::kNew);
    EXPECT_EQ(store.add(path, "/r" + path, 1), Added::kMerged);
    EXPECT_EQ(store.entries().back().path, path);
    EXPECT_EQ(store.entries().back().resolved, "/r" + path);
  }
  EXPECT_EQ(store.entries().front().path.size(), 4095U);
}

TEST(AccessStore, DoesNotNeedItsInputsAfterwards) {
  AccessStore store(10);
  {
    std::string path = "/etc/passwd";
    std::string resolved = "/usr/etc/passwd";
    ASSERT_EQ(store.add(path, resolved, 1), Added::kNew);
    path.assign(path.size(), 'x');
    resolved.assign(resolved.size(), 'x');
  }
  EXPECT_EQ(store.entries()[0].path, "/etc/passwd");
  EXPECT_EQ(store.entries()[0].resolved, "/usr/etc/passwd");
}

TEST(AccessStore, GrowsAndForgetsNothing) {
  constexpr size_t kCount = 100'000;
  AccessStore store(kCount);
  const auto path = [](size_t i) { return "/usr/share/some/where/file-" + std::to_string(i); };
  for (size_t i = 0; i < kCount; i++) {
    ASSERT_EQ(store.add(path(i), i % 2 == 0 ? path(i) : "", 1), Added::kNew) << i;
  }
  EXPECT_EQ(store.add("/one/more", "", 1), Added::kOverLimit);
  ASSERT_EQ(store.size(), kCount);
  for (size_t i = 0; i < kCount; i++) {
    ASSERT_EQ(store.add(path(i), "", 2), Added::kMerged) << i;
    ASSERT_EQ(store.entries()[i].path, path(i)) << "in the order of their first use";
    ASSERT_EQ(store.entries()[i].seen, 3U);
  }
  EXPECT_EQ(store.size(), kCount);
}

TEST(AccessStore, MayMove) {
  AccessStore store(1000);
  for (int i = 0; i < 300; i++) {
    ASSERT_EQ(store.add("/file" + std::to_string(i), "", 1), Added::kNew);
  }
  AccessStore moved = std::move(store);
  EXPECT_EQ(moved.entries()[299].path, "/file299");
  EXPECT_EQ(moved.add("/file299", "", 1), Added::kMerged);
  EXPECT_EQ(moved.add("/file300", "", 1), Added::kNew);
}

}  // namespace
}  // namespace snoop
