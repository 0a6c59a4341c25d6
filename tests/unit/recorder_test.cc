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
    paths.emplace_back(entry.path);
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
    EXPECT_GT(container->observed_from, 0);
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
  EXPECT_EQ(container.files.entries()[0].resolved, "/v1/app");
  EXPECT_EQ(container.files.entries()[1].resolved, "/v2/app");
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

}  // namespace
}  // namespace snoop
