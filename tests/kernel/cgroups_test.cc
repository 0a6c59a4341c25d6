// SPDX-License-Identifier: Apache-2.0
// Whose accesses are recorded.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "harness.h"

namespace snoop::testing {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;

class CgroupTest : public KernelTest {
 protected:
  OwnedCgroup below(const OwnedCgroup& parent, const std::string& name) {
    Result<OwnedCgroup> made = OwnedCgroup::create(capture_->tree(), parent.cgroup(), name);
    if (!made) {
      throw std::runtime_error(made.error().message());
    }
    return std::move(*made);
  }
  static int look(const char* name) {
    static_cast<void>(::access(name, F_OK));
    return 0;
  }
};

TEST_F(CgroupTest, NothingOfOthers) {
  Capture& capture = start();
  const Result<OwnedCgroup> other =
      OwnedCgroup::create(capture.tree(), *capture.tree().own(), "snoop-kernel-other-" + std::to_string(::getpid()));
  ASSERT_TRUE(other.has_value());
  EXPECT_THAT(capture.run_in(*other, [] { return look("other"); }), IsEmpty());
  look("own");
  EXPECT_THAT(capture.drain(), IsEmpty());
}

TEST_F(CgroupTest, SelfIsLeftOutEvenInsideATarget) {
  Capture& capture = start();
  // This process is no child of the capture: it is the one that loaded it.
  const int procs = *capture.cgroup().open_procs();
  const int home = ::open((capture.tree().directory(*capture.tree().own()) + "/cgroup.procs").c_str(), O_WRONLY);
  ASSERT_EQ(::write(procs, "0", 1), 1);
  look("own");
  ASSERT_EQ(::write(home, "0", 1), 1);
  ::close(procs);
  ::close(home);
  EXPECT_THAT(capture.drain(), IsEmpty());
}

TEST_F(CgroupTest, ChildrenBelongToTheirParentFromTheStart) {
  Capture& capture = start();
  const OwnedCgroup child = below(capture.cgroup(), "child");
  const OwnedCgroup grandchild = below(child, "grandchild");
  const auto accesses = capture.run_in(grandchild, [] { return look("deep"); });
  ASSERT_EQ(paths_of(accesses), std::vector<std::string>{path("deep")});
  EXPECT_EQ(accesses[0].target, Capture::kTarget.id);
  EXPECT_EQ(accesses[0].cgroup_id, grandchild.cgroup().id);
}

TEST_F(CgroupTest, TwoTargetsEachTheirOwn) {
  Capture& capture = start();
  const OwnedCgroup other = below(capture.cgroup(), "other");
  ASSERT_TRUE(capture.probe().add_cgroup(other.cgroup().id, {.id = 2, .slot = 1, .flags = 0, .reserved = 0}, true));
  const auto first = capture.run([] { return look("same"); });
  const auto second = capture.run_in(other, [] { return look("same"); });
  ASSERT_EQ(first.size(), 1U);
  ASSERT_EQ(second.size(), 1U) << "seen in one target is not seen in another";
  EXPECT_EQ(first[0].target, 1U);
  EXPECT_EQ(second[0].target, 2U);
  EXPECT_EQ(capture.probe().target_stats(1).events, 1U);
}

TEST_F(CgroupTest, AdoptsWhatIsMadeBelow) {
  Capture& capture = start();
  ASSERT_TRUE(capture.probe().add_cgroup(capture.cgroup().cgroup().id,
                                         {.id = 0, .slot = 0, .flags = SNOOP_TARGET_ADOPT, .reserved = 0}, true));
  ASSERT_TRUE(capture.probe().add_free_target({.id = 7, .slot = 6, .flags = 0, .reserved = 0}));
  EXPECT_THAT(capture.run([] { return look("parent"); }), IsEmpty()) << "it is no target itself";

  const OwnedCgroup adopted = below(capture.cgroup(), "adopted");
  const OwnedCgroup inside = below(adopted, "inside");
  const auto accesses = capture.run_in(inside, [] { return look("first"); });
  ASSERT_EQ(accesses.size(), 1U);
  EXPECT_EQ(accesses[0].target, 7U);
  ASSERT_EQ(capture.adopted().size(), 1U);
  EXPECT_EQ(capture.adopted()[0].first, adopted.cgroup().path);
  EXPECT_EQ(capture.adopted()[0].second, 7U);

  const OwnedCgroup one_too_many = below(capture.cgroup(), "too-many");
  EXPECT_EQ(capture.probe().global_stats().targets_over_limit, 1U);
}

TEST_F(CgroupTest, RemovedCgroupsLeaveNothing) {
  Capture& capture = start();
  for (int i = 0; i < 2000; i++) {
    const OwnedCgroup child = below(capture.cgroup(), "short-lived");
  }
  const OwnedCgroup last = below(capture.cgroup(), "last");
  const auto accesses = capture.run_in(last, [] { return look("name"); });
  EXPECT_THAT(paths_of(accesses), Contains(path("name")));
  EXPECT_EQ(capture.probe().traced_cgroups(), 2U);
}

TEST_F(CgroupTest, FirstSightOnly) {
  Capture& capture = start();
  const auto look_often = [] {
    for (int i = 0; i < 1000; i++) {
      look("again");
    }
    return 0;
  };
  EXPECT_EQ(capture.run(look_often).size(), 1U);
  EXPECT_THAT(capture.run(look_often), IsEmpty());
  EXPECT_EQ(capture.stats().events, 2000U) << "repeats are counted all the same";
}

TEST_F(CgroupTest, EverySightWhereAskedFor) {
  Capture& capture = start({.ring_size_bytes = 1 << 20, .first_sight_only = false});
  EXPECT_EQ(capture
                .run([] {
                  for (int i = 0; i < 100; i++) {
                    look("again");
                  }
                  return 0;
                })
                .size(),
            100U);
}

}  // namespace
}  // namespace snoop::testing
