// SPDX-License-Identifier: Apache-2.0
#include "container/roots.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace snoop {
namespace {

constexpr uint64_t kRoot = 7;
constexpr uint64_t kCgroup = 100;
constexpr uint64_t kOther = 200;
/// Of no process.
constexpr pid_t kNobody = 0;

class RootsTest : public ::testing::Test {
 protected:
  bool can_find(pid_t pid, uint64_t cgroup_id = kCgroup) { return roots_.find(kRoot, cgroup_id, pid) != nullptr; }

  /// What every directory is taken for.
  uint64_t identity_ = 0;
  size_t asked_ = 0;
  Roots roots_{[this](int) {
                 asked_++;
                 return Roots::Described{identity_, 0};
               },
               true};
};

TEST_F(RootsTest, SameProcessIsTriedAgainInAnotherRound) {
  EXPECT_FALSE(can_find(::getpid()));
  roots_.begin_batch();
  EXPECT_FALSE(can_find(::getpid()));
  const size_t before = asked_;
  for (int i = 0; i < 100; i++) {
    EXPECT_FALSE(can_find(::getpid()));
  }
  EXPECT_EQ(asked_, before) << "once in a round";
  identity_ = kRoot;
  EXPECT_FALSE(can_find(::getpid()));
  roots_.begin_batch();
  EXPECT_TRUE(can_find(::getpid()));
}

TEST_F(RootsTest, AllProcessesAreLookedThroughAgainMoreAndMoreSeldom) {
  int searches = 0;
  for (int round = 0; round < 1000; round++) {
    const size_t before = asked_;
    EXPECT_FALSE(can_find(kNobody));
    searches += asked_ > before ? 1 : 0;
    roots_.begin_batch();
  }
  EXPECT_EQ(searches, 10);
  identity_ = kRoot;
  bool found = false;
  for (int round = 0; round < 1024 && !found; round++) {
    found = can_find(kNobody);
    roots_.begin_batch();
  }
  EXPECT_TRUE(found);
}

TEST_F(RootsTest, IsHeldUntilItsLastCgroupIsGone) {
  identity_ = kRoot;
  EXPECT_TRUE(can_find(::getpid()));
  EXPECT_TRUE(can_find(kNobody, kOther));
  EXPECT_EQ(roots_.cgroups(), (std::set<uint64_t>{kCgroup, kOther}));
  identity_ = 0;
  roots_.forget(kCgroup);
  EXPECT_TRUE(can_find(kNobody, kOther));
  roots_.forget(kOther);
  EXPECT_FALSE(can_find(kNobody, kOther));
  EXPECT_TRUE(roots_.cgroups().empty());
}

TEST_F(RootsTest, OwnOneStays) {
  identity_ = kRoot;
  roots_.hold_own();
  identity_ = 0;
  EXPECT_TRUE(can_find(kNobody));
  EXPECT_TRUE(roots_.cgroups().empty());
  roots_.forget(kCgroup);
  EXPECT_TRUE(can_find(kNobody));
}

}  // namespace
}  // namespace snoop
