// SPDX-License-Identifier: Apache-2.0
#include "pipeline/recorder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace snoop {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

snoop_target target(uint32_t id) {
  snoop_target made = {};
  made.id = id;
  made.slot = id - 1;
  return made;
}

Access access(uint32_t target_id, std::string path, std::string resolved = {}) {
  Access made;
  made.target = target_id;
  made.path = std::move(path);
  made.resolved = std::move(resolved);
  made.seen = 1;
  return made;
}

std::vector<std::string> paths_of(const Container& container) {
  std::vector<std::string> paths;
  for (const AccessStore::Entry& entry : container.files.entries()) {
    paths.emplace_back(entry.path());
  }
  return paths;
}

TEST(Recorder, FindsContainersByTarget) {
  Recorder recorder({.exclude = {}, .max_files = 10});
  EXPECT_EQ(recorder.find(1), nullptr);
  for (uint32_t id = 1; id <= 100; id++) {
    const Container& container =
        recorder.add_container("c" + std::to_string(id), id * 10, "/c/" + std::to_string(id), target(id));
    EXPECT_EQ(container.slot, id - 1);
  }
  for (uint32_t id = 1; id <= 100; id++) {
    const Container* container = recorder.find(id);
    ASSERT_NE(container, nullptr) << id;
    EXPECT_EQ(container->name, "c" + std::to_string(id));
    EXPECT_EQ(container->cgroup_id, id * 10);
    EXPECT_EQ(container->target, id);
    ASSERT_EQ(container->observed.size(), 1U);
    EXPECT_GT(container->observed[0].from, 0);
    EXPECT_EQ(container->observed[0].to, kOngoing);
  }
  EXPECT_EQ(recorder.find(0), nullptr);
  EXPECT_EQ(recorder.find(101), nullptr);
}

TEST(Recorder, ForgetsOneContainer) {
  Recorder recorder({.exclude = {}, .max_files = 10});
  for (uint32_t id = 1; id <= 4; id++) {
    recorder.add_container("c" + std::to_string(id), id * 10, "/c", target(id));
    recorder.add(access(id, "/file" + std::to_string(id)));
  }
  for (const uint32_t gone : {2U, 4U, 9U}) {
    recorder.remove(gone);
    EXPECT_EQ(recorder.find(gone), nullptr);
  }
  ASSERT_EQ(recorder.containers().size(), 2U);
  for (const uint32_t id : {1U, 3U}) {
    const Container* container = recorder.find(id);
    ASSERT_NE(container, nullptr);
    EXPECT_EQ(container->target, id);
    EXPECT_THAT(paths_of(*container), ElementsAre("/file" + std::to_string(id)));
  }
  recorder.add(access(2, "/late"));
  EXPECT_EQ(recorder.containers().size(), 2U);
}

TEST(Recorder, ARevivedContainerGoesOnWithItsList) {
  constexpr WallTime kOneMinute = 60 * kSecond;
  Recorder recorder({.exclude = {}, .max_files = 10});
  recorder.add_container("other", 5, "/other", target(5));
  Container& container = recorder.add_container("c", 10, "/c", target(1));
  container.observed = {{kOneMinute, kOngoing}};
  container.ended_at = 2 * kOneMinute;
  container.total_events = 7;
  container.losses.ring_full = 2;
  recorder.add(access(1, "/before"));
  recorder.revive(container, 11, target(2));
  recorder.add(access(2, "/after"));
  recorder.add(access(1, "/late"));
  EXPECT_EQ(recorder.containers().size(), 2U);
  EXPECT_EQ(recorder.find(1), nullptr);
  EXPECT_EQ(recorder.find(2), &container);
  EXPECT_EQ(container.target, 2U);
  EXPECT_EQ(container.cgroup_id, 11U);
  EXPECT_EQ(container.ended_at, 0);
  ASSERT_EQ(container.observed.size(), 2U);
  EXPECT_EQ(container.observed[0].to, 2 * kOneMinute);
  EXPECT_EQ(container.observed[1].to, kOngoing);
  EXPECT_THAT(paths_of(container), ElementsAre("/before", "/after"));
  container.total_events = 3;
  EXPECT_EQ(container.all_events(), 10U);
  EXPECT_EQ(container.all_losses().ring_full, 2U);
}

TEST(Recorder, GivesEachContainerItsOwnList) {
  Recorder recorder({.exclude = {}, .max_files = 10});
  recorder.add_container("a", 1, "/a", target(1));
  recorder.add_container("b", 2, "/b", target(2));
  recorder.add(access(1, "/x"));
  recorder.add(access(2, "/y"));
  recorder.add(access(2, "/x"));
  recorder.add(access(3, "/of/nobody"));
  EXPECT_THAT(paths_of(*recorder.find(1)), ElementsAre("/x"));
  EXPECT_THAT(paths_of(*recorder.find(2)), ElementsAre("/y", "/x"));
}

TEST(Recorder, LeavesOutWhatIsExcluded) {
  Recorder recorder({.exclude = {"/proc/", "/dev/"}, .max_files = 10});
  recorder.add_container("a", 1, "/a", target(1));
  recorder.add(access(1, "/proc/self/maps"));
  recorder.add(access(1, "/procfoo"));
  recorder.add(access(1, "/dev/null"));
  recorder.add(access(1, "/dev"));
  // By its own name it is wanted, wherever it leads.
  recorder.add(access(1, "/etc/mtab", "/proc/7/mounts"));
  EXPECT_THAT(paths_of(*recorder.find(1)), ElementsAre("/procfoo", "/dev", "/etc/mtab"));
}

TEST(Recorder, CountsFilesOverTheLimit) {
  Recorder recorder({.exclude = {"/proc/"}, .max_files = 2});
  recorder.add_container("a", 1, "/a", target(1));
  recorder.add_container("b", 2, "/b", target(2));
  for (const char* path : {"/1", "/2", "/3", "/4", "/1", "/proc/x"}) {
    recorder.add(access(1, path));
  }
  recorder.add(access(2, "/1"));
  EXPECT_THAT(paths_of(*recorder.find(1)), ElementsAre("/1", "/2"));
  EXPECT_EQ(recorder.find(1)->losses.files_over_limit, 2U);
  EXPECT_EQ(recorder.find(2)->losses.files_over_limit, 0U) << "the limit is each container's own";
}

TEST(Recorder, KeepsTheSecondFileOfAPathUnderItsOwnName) {
  Recorder recorder({.exclude = {}, .max_files = 10});
  recorder.add_container("a", 1, "/a", target(1));
  recorder.add(access(1, "/current/app", "/v1/app"));
  recorder.add(access(1, "/current/app", "/v2/app"));
  recorder.add(access(1, "/current/app", "/v2/app"));
  recorder.add(access(1, "/current/app", "/v1/app"));
  const Container& container = *recorder.find(1);
  EXPECT_THAT(paths_of(container), ElementsAre("/current/app", "/v2/app"));
  EXPECT_EQ(container.files.entries()[0].resolved(), "/v1/app");
  EXPECT_EQ(container.files.entries()[1].resolved(), "/v2/app");
  EXPECT_EQ(container.losses.sum(), 0U);
}

TEST(Recorder, KeepsWhatAnExcludedNameLeadsTo) {
  Recorder recorder({.exclude = {"/proc/"}, .max_files = 10});
  recorder.add_container("a", 1, "/a", target(1));
  recorder.add(access(1, "/proc/self/root/etc/passwd", "/etc/passwd"));
  recorder.add(access(1, "/proc/self/status", "/proc/7/status"));
  EXPECT_THAT(paths_of(*recorder.find(1)), ElementsAre("/etc/passwd"));
}

TEST(Recorder, DoesNotBringInExcludedFilesByAnotherName) {
  // /etc/mtab leads to another file in each process.
  Recorder recorder({.exclude = {"/proc/"}, .max_files = 2});
  recorder.add_container("a", 1, "/a", target(1));
  for (int pid = 1; pid < 10; pid++) {
    recorder.add(access(1, "/etc/mtab", "/proc/" + std::to_string(pid) + "/mounts"));
  }
  EXPECT_THAT(paths_of(*recorder.find(1)), ElementsAre("/etc/mtab"));
  EXPECT_EQ(recorder.find(1)->losses.sum(), 0U);
}

TEST(Recorder, CountsASecondFileOverTheLimit) {
  Recorder recorder({.exclude = {}, .max_files = 1});
  recorder.add_container("a", 1, "/a", target(1));
  recorder.add(access(1, "/current/app", "/v1/app"));
  recorder.add(access(1, "/current/app", "/v2/app"));
  EXPECT_EQ(recorder.find(1)->losses.files_over_limit, 1U);
}

TEST(Recorder, CountsPathsWithoutABase) {
  Recorder recorder({.exclude = {}, .max_files = 10});
  recorder.add_container("a", 1, "/a", target(1));
  Access unknown = access(1, "/real");
  unknown.base_unknown = true;
  recorder.add(unknown);
  EXPECT_EQ(recorder.find(1)->base_unknown_here, 1U);
  EXPECT_THAT(paths_of(*recorder.find(1)), ElementsAre("/real")) << "where it led is known";
}

TEST(Recorder, TellsTheIndexAndCountsWhatTheProgramDid) {
  Recorder recorder({.exclude = {"/proc/"}, .max_files = 2});
  recorder.add_container("a", 1, "/a", target(1));
  const auto add = [&](std::string path, uint64_t seen) {
    Access one = access(1, std::move(path));
    one.seen = seen;
    one.time = 5 * kSecond;
    return recorder.add(one);
  };
  EXPECT_EQ(add("/x", 1), 0U);
  EXPECT_EQ(add("/y", 1ULL << SNOOP_KIND_BASELINE), 1U);
  EXPECT_EQ(add("/x", 1), 0U);
  EXPECT_EQ(add("/y", 1ULL << SNOOP_KIND_SYMLINK), 1U);
  EXPECT_EQ(add("/proc/x", 1), std::nullopt);
  EXPECT_EQ(add("/z", 1), std::nullopt);
  EXPECT_EQ(recorder.add(access(7, "/x")), std::nullopt);
  const Container& container = *recorder.find(1);
  EXPECT_EQ(container.files.entries()[0].count(), 2U);
  EXPECT_EQ(container.files.entries()[1].count(), 0U);
  EXPECT_EQ(container.files.entries()[0].first_seen(), 5 * kSecond);
  EXPECT_THAT(container.discovery.new_files(), ElementsAre(2U));
}

std::vector<std::string> texts(const std::vector<LossWindow>& windows) {
  std::vector<std::string> out;
  for (const LossWindow& window : windows) {
    out.push_back(std::to_string(window.from / kSecond) + "-" + std::to_string(window.to / kSecond) + " " +
                  std::to_string(window.lost) + " " + window.cause);
  }
  return out;
}

TEST(Container, UnitesLossWindowsThatTouch) {
  Recorder recorder({.exclude = {}, .max_files = 2});
  Container& container = recorder.add_container("a", 1, "/a", target(1));
  const auto add = [&](WallTime from, WallTime to, uint64_t lost, const char* cause) {
    container.add_loss_window(from * kSecond, to * kSecond, lost, cause);
  };
  add(10, 20, 1, "ring_full");
  add(20, 30, 2, "ring_full");
  add(20, 30, 4, "path_unreadable");
  add(40, 50, 8, "ring_full");
  EXPECT_THAT(texts(container.loss_windows),
              ElementsAre("10-30 3 ring_full", "20-30 4 path_unreadable", "40-50 8 ring_full"));
  add(25, 45, 16, "ring_full");
  EXPECT_THAT(texts(container.loss_windows), ElementsAre("10-50 27 ring_full", "20-30 4 path_unreadable"));
  add(60, 55, 1, "ring_full");  // the clock was set back
  EXPECT_EQ(texts(container.loss_windows).back(), "60-60 1 ring_full");
}

TEST(Container, KeepsABoundedNumberOfLossWindows) {
  Recorder recorder({.exclude = {}, .max_files = 2});
  Container& container = recorder.add_container("a", 1, "/a", target(1));
  uint64_t lost = 0;
  for (WallTime i = 0; i < 3'000; i++) {
    const WallTime from = i * 10 + i % 7;
    container.add_loss_window(from * kSecond, (from + 1) * kSecond, 1, i % 2 == 0 ? "ring_full" : "path_unreadable");
    lost++;
  }
  EXPECT_EQ(container.loss_windows.size(), kMaxIntervals);
  uint64_t kept = 0;
  for (size_t i = 0; i < container.loss_windows.size(); i++) {
    kept += container.loss_windows[i].lost;
    EXPECT_NE(container.loss_windows[i].cause, "several");
    EXPECT_TRUE(i == 0 || container.loss_windows[i - 1].from <= container.loss_windows[i].from) << i;
  }
  EXPECT_EQ(kept, lost);
}

TEST(Gaps, AreBounded) {
  std::vector<Interval> gaps;
  for (WallTime i = 0; i < 1'500; i++) {
    add_gap(gaps, {i * 100, i * 100 + 10});
  }
  EXPECT_EQ(gaps.size(), kMaxIntervals);
  EXPECT_EQ(gaps.front().from, 0);
  EXPECT_EQ(gaps.back().to, 149'910);
  for (size_t i = 1; i < gaps.size(); i++) {
    EXPECT_LE(gaps[i - 1].to, gaps[i].from);
  }
}

TEST(Container, IsObservedUntilItEnds) {
  Recorder recorder({.exclude = {}, .max_files = 2});
  Container& container = recorder.add_container("a", 1, "/a", target(1));
  container.observed = {{1 * kSecond, 2 * kSecond}, {5 * kSecond, kOngoing}};
  EXPECT_EQ(container.observed_until(9 * kSecond)[1].to, 9 * kSecond);
  EXPECT_EQ(container.observed_until(9 * kSecond)[0].to, 2 * kSecond);
  EXPECT_EQ(container.observed_until(3 * kSecond)[1].to, 5 * kSecond) << "the clock was set back";
  container.ended_at = 7 * kSecond;
  EXPECT_EQ(container.observed_until(9 * kSecond)[1].to, 7 * kSecond);
}

TEST(Container, GoesOnFromAnEarlierRun) {
  Recorder earlier({.exclude = {}, .max_files = 10});
  Container& former = earlier.add_container("a", 1, "/a", target(1));
  former.observed = {{1 * kSecond, 2 * kSecond}};
  former.discovery = Discovery(1 * kSecond);
  former.total_events = 5;
  former.losses.ring_full = 1;
  former.unresolved = "no /proc";
  former.add_loss_window(kSecond, 2 * kSecond, 1, "ring_full");
  for (const char* path : {"/x", "/y"}) {
    Access one = access(1, path);
    one.time = kSecond;
    earlier.add(one);
  }
  Recorder recorder({.exclude = {}, .max_files = 3});
  Container& container = recorder.add_container("a", 2, "/a", target(7));
  container.observed = {{9 * kSecond, kOngoing}};
  container.only_if_used = true;
  container.total_events = 2;
  for (const char* path : {"/y", "/z"}) {
    Access one = access(7, path);
    one.seen = 2;
    one.time = 9 * kSecond;
    recorder.add(one);
  }
  container.go_on_from(std::move(former));
  EXPECT_THAT(paths_of(container), ElementsAre("/y", "/z", "/x"));
  EXPECT_EQ(container.files.entries()[0].seen(), 3U);
  EXPECT_EQ(container.files.entries()[0].count(), 2U);
  EXPECT_EQ(container.files.entries()[0].first_seen(), kSecond);
  EXPECT_EQ(container.files.entries()[0].last_seen(), 9 * kSecond);
  EXPECT_THAT(container.discovery.new_files(), ElementsAre(2U, 0U, 0U, 0U, 0U, 0U, 0U, 0U, 1U));
  ASSERT_EQ(container.observed.size(), 2U);
  EXPECT_EQ(container.observed[0].to, 2 * kSecond);
  EXPECT_EQ(container.observed[1].to, kOngoing);
  EXPECT_EQ(container.all_events(), 7U);
  EXPECT_EQ(container.all_losses().ring_full, 1U);
  EXPECT_EQ(container.loss_windows.size(), 1U);
  EXPECT_EQ(container.unresolved, "no /proc");
  EXPECT_FALSE(container.only_if_used);
  EXPECT_EQ(container.target, 7U);
  EXPECT_EQ(recorder.add(access(7, "/more")), std::nullopt) << "the limit is this run's";
}

TEST(Losses, AddUp) {
  Losses losses{.ring_full = 1, .path_unreadable = 2, .path_truncated = 4, .base_unknown = 8, .files_over_limit = 16};
  EXPECT_EQ(losses.sum(), 31U);
  losses += losses;
  EXPECT_EQ(losses.ring_full, 2U);
  EXPECT_EQ(losses.path_unreadable, 4U);
  EXPECT_EQ(losses.path_truncated, 8U);
  EXPECT_EQ(losses.base_unknown, 16U);
  EXPECT_EQ(losses.files_over_limit, 32U);
  EXPECT_EQ(Losses().sum(), 0U);
}

TEST(Container, GoesOnLateWithoutMovingItsFiles) {
  Recorder recorder({.exclude = {}, .max_files = 3});
  Container& former = recorder.add_container("a", 1, "/a", target(1));
  former.discovery = Discovery(kSecond);
  for (const char* path : {"/1", "/2", "/3"}) {
    recorder.add(access(1, path));
  }
  former.earlier_events = 5;
  Container& container = recorder.add_container("a", 1, "/a", target(2));
  recorder.add(access(2, "/new"));
  recorder.add(access(2, "/2"));
  recorder.find(2)->go_on_from(std::move(*recorder.find(1)));
  EXPECT_THAT(paths_of(container), ElementsAre("/new", "/2", "/1", "/3"));
  EXPECT_EQ(container.files.entries()[1].count(), 2U);
  EXPECT_EQ(container.files.find("/3"), &container.files.entries()[3]);
  EXPECT_EQ(container.files.find("/4"), nullptr);
  EXPECT_EQ(container.files.max_files(), 3U);
  EXPECT_EQ(container.losses.files_over_limit, 0U);
  EXPECT_EQ(container.earlier_events, 5U);
  uint64_t found = 0;
  for (const uint64_t count : container.discovery.new_files()) {
    found += count;
  }
  EXPECT_EQ(found, 4U);
}

}  // namespace
}  // namespace snoop
