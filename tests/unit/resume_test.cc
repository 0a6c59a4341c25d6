// SPDX-License-Identifier: Apache-2.0
#include "cli/resume.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "output/atomic_file.h"
#include "temp_dir.h"

namespace snoop {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST(KeepAside, NeverReplacesAnything) {
  const TempDir dir;
  const std::string path = dir / "report.json";
  std::vector<std::string> kept;
  for (int i = 0; i < 4; i++) {
    write_file(path, std::to_string(i));
    const Result<std::string> moved = keep_aside(path);
    ASSERT_TRUE(moved) << moved.error().message();
    EXPECT_THAT(*moved, HasSubstr("report.json.kept-20"));
    kept.push_back(*moved);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  for (size_t i = 0; i < kept.size(); i++) {
    EXPECT_EQ(read_file(kept[i]), std::to_string(i));
  }
  EXPECT_EQ(keep_aside(path).error().code, ENOENT);
}

TEST(TakeUpReport, TakesOnlyFiles) {
  const TempDir dir;
  Options options;
  for (const std::string& path : {std::string("-"), dir / "none", dir.path(), std::string("/dev/null")}) {
    options.report = path;
    const Result<std::optional<ReportContents>> former = take_up_report(options);
    ASSERT_TRUE(former) << path;
    EXPECT_FALSE(*former) << path;
  }
  ASSERT_EQ(::mkfifo((dir / "fifo").c_str(), 0600), 0);
  options.report = dir / "fifo";
  EXPECT_FALSE(*take_up_report(options));
  EXPECT_THAT(names_in(dir.path()), ElementsAre("fifo"));
}

TEST(TakeUpReport, FollowsNoLinkAndReadsNothingEndless) {
  const TempDir dir;
  Options options;
  options.report = dir / "report.json";
  write_file(dir / "elsewhere", "{}");
  ASSERT_EQ(::symlink((dir / "elsewhere").c_str(), options.report.c_str()), 0);
  EXPECT_FALSE(*take_up_report(options));
  EXPECT_THAT(names_in(dir.path()), ElementsAre("elsewhere", StartsWith("report.json.kept-")));

  write_file(options.report, "{");
  ASSERT_EQ(::truncate(options.report.c_str(), (1LL << 30) + 1), 0);
  EXPECT_FALSE(*take_up_report(options));
  EXPECT_THAT(names_in(dir.path()),
              ElementsAre("elsewhere", StartsWith("report.json.kept-"), StartsWith("report.json.kept-")));
}

class Takes : public testing::Test {
 protected:
  Takes() {
    options_.report = dir_ / "report.json";
    name_host(options_, header_);
    header_.snoop_version = "1";
    header_.tier = "tracepoint";
    header_.updated_at = 5 * kSecond;
  }
  void write() {
    ASSERT_TRUE(write_atomically(options_.report,
                                 [&](std::FILE* stream) { write_report(stream, header_, recorder_.containers()); }));
  }
  Container& container(const std::string& path, uint64_t id, WallTime to, const std::string& image = {}) {
    snoop_target target = {};
    target.id = static_cast<uint32_t>(recorder_.containers().size() + 1);
    Container& made = recorder_.add_container(path, id, path, target);
    made.image = image;
    made.observed = {{0, to * kSecond}};
    made.files.add({.path = "/of/" + std::to_string(id), .seen = 1});
    return made;
  }

  TempDir dir_;
  Options options_;
  ReportHeader header_;
  Recorder recorder_{{.exclude = {}, .max_files = 100}};
};

TEST_F(Takes, WhatThisHostWrote) {
  write();
  const Result<std::optional<ReportContents>> former = take_up_report(options_);
  ASSERT_TRUE(former && *former);
  EXPECT_EQ((*former)->header.updated_at, 5 * kSecond);
  EXPECT_THAT(names_in(dir_.path()), ElementsAre("report.json"));
}

TEST_F(Takes, NothingOfAnotherHost) {
  header_.hostname += "x";
  write();
  EXPECT_FALSE(*take_up_report(options_));
  EXPECT_THAT(names_in(dir_.path()), ElementsAre(HasSubstr("report.json.kept-")));
}

TEST_F(Takes, NothingThatWasMerged) {
  header_.merged_from = {{.hostname = header_.hostname, .machine_id = {}, .started_at = 0, .updated_at = 0, .runs = 1}};
  write();
  EXPECT_FALSE(*take_up_report(options_));
  EXPECT_THAT(names_in(dir_.path()), ElementsAre(HasSubstr("report.json.kept-")));
}

TEST_F(Takes, WhatAHostOfTheGivenNameWrote) {
  options_.host_name = header_.hostname = "node-1";
  write();
  EXPECT_TRUE(*take_up_report(options_));
}

TEST_F(Takes, TheContainerThatIsTheSame) {
  container("/a", 1, 3);
  container("/a", 2, 4);
  container("/b", 3, 5, "image");
  container("/c", 4, 5);
  header_.boot_id = "01234567-89ab-cdef-0123-456789abcdef";
  write();
  ReportContents former = std::move(**take_up_report(options_));
  Recorder recorder({.exclude = {}, .max_files = 100});
  uint32_t id = 0;
  const auto files_of = [&](const std::string& path, uint64_t cgroup_id, const std::string& image,
                            const std::string& boot_id) {
    snoop_target target = {};
    target.id = ++id;
    Container& made = recorder.add_container(path, cgroup_id, path, target);
    made.image = image;
    EXPECT_TRUE(go_on_from(former, made, boot_id, true));
    return made.files.size() == 0 ? std::string() : std::string(made.files.entries()[0].path());
  };
  EXPECT_EQ(files_of("/b", 3, "", header_.boot_id), "") << "another image";
  EXPECT_EQ(files_of("/d", 4, "", header_.boot_id), "") << "another cgroup";
  EXPECT_EQ(files_of("/a", 1, "", header_.boot_id), "/of/1") << "the very cgroup";
  EXPECT_EQ(files_of("/a", 1, "", "another"), "/of/2");
  EXPECT_EQ(files_of("/a", 1, "", "another"), "") << "taken already";
  EXPECT_EQ(files_of("/b", 9, "image", "another"), "/of/3") << "made anew";
  ASSERT_EQ(former.containers.size(), 1U);
  EXPECT_EQ(former.containers[0].cgroup_path, "/c");

  mark_ended(former, CgroupTree("/nowhere"), header_.boot_id);
  EXPECT_EQ(former.containers[0].ended_at, 5 * kSecond);
}

/// What a runtime has told in one run, and has not yet or will never tell in the other.
class GoesOn : public Takes {
 protected:
  static constexpr const char* kBoot = "01234567-89ab-cdef-0123-456789abcdef";
  const std::string unique_ = std::string(64, 'a');

  Container& told(const std::string& path, uint64_t cgroup_id, const std::string& id, const std::string& image) {
    Container& made = container(path, cgroup_id, 3, image);
    made.identity.id = id;
    made.identity.source = image.empty() ? "" : "docker";
    made.name = image.empty() ? "short" : "by the runtime";
    return made;
  }
  /// What became of it in the next run: "yes", "no", or "not yet".
  std::string next(const std::string& path, uint64_t cgroup_id, const std::string& id, const std::string& image,
                   bool can_wait = true, bool same_boot = true) {
    header_.boot_id = kBoot;
    write();
    ReportContents former = std::move(**take_up_report(options_));
    Recorder recorder({.exclude = {}, .max_files = 100});
    snoop_target target = {};
    target.id = 1;
    last_.emplace(std::move(recorder.add_container("now", cgroup_id, path, target)));
    last_->image = image;
    last_->identity.id = id;
    last_->identity.source = image.empty() ? "" : "docker";
    const bool is_decided = go_on_from(former, *last_, same_boot ? kBoot : "another", can_wait);
    return !is_decided ? "not yet" : last_->files.size() != 0 ? "yes" : "no";
  }
  std::optional<Container> last_;
};

TEST_F(GoesOn, WithAnIdThatNoOtherHas) {
  told("/docker/a", 1, unique_, "nginx");
  EXPECT_EQ(next("/docker/a", 7, unique_, ""), "yes") << "restarted, and its image not told yet";
  EXPECT_EQ(last_->image, "nginx");
  EXPECT_EQ(last_->name, "by the runtime");
  EXPECT_EQ(last_->identity.source, "docker");
  EXPECT_EQ(next("/docker/a", 7, unique_, "", true, false), "yes") << "also after a boot";
  EXPECT_EQ(next("/docker/a", 7, unique_, "nginx"), "yes");
  EXPECT_EQ(next("/docker/a", 7, std::string(64, 'b'), ""), "no") << "another id";
  EXPECT_EQ(next("/docker/b", 1, unique_, ""), "no") << "another cgroup";
  EXPECT_EQ(next("/docker/a", 7, unique_, "httpd"), "no") << "--image says otherwise";
}

TEST_F(GoesOn, WithANameThatMayBeTakenAgain) {
  told("/default/web", 1, "web", "nginx");
  EXPECT_EQ(next("/default/web", 1, "web", ""), "yes") << "the very cgroup";
  EXPECT_EQ(next("/default/web", 1, "web", "", true, false), "not yet") << "its number means nothing now";
  EXPECT_EQ(next("/default/web", 7, "web", ""), "not yet");
  EXPECT_EQ(next("/default/web", 7, "web", "nginx"), "yes");
  EXPECT_EQ(next("/default/web", 7, "web", "redis"), "no");
  EXPECT_EQ(next("/default/web", 7, "web", "", false), "yes") << "nobody will tell";
}

TEST_F(GoesOn, WithWhatNobodyHadTold) {
  told("/default/web", 1, "web", "");
  EXPECT_EQ(next("/default/web", 7, "web", ""), "yes");
  EXPECT_EQ(next("/default/web", 7, "web", "nginx"), "yes");
  EXPECT_EQ(last_->image, "nginx");
  EXPECT_EQ(last_->name, "now");
}

TEST_F(Takes, TheLostPathOnlyInTheSameBoot) {
  container("", 7, 3);
  header_.boot_id = "01234567-89ab-cdef-0123-456789abcdef";
  write();
  for (const bool same : {false, true}) {
    ReportContents former = std::move(**take_up_report(options_));
    Recorder recorder({.exclude = {}, .max_files = 100});
    snoop_target target = {};
    target.id = 1;
    Container& made = recorder.add_container("x", 7, "", target);
    EXPECT_TRUE(go_on_from(former, made, same ? header_.boot_id : "another", true));
    EXPECT_EQ(made.files.size(), same ? 1U : 0U);
  }
}

TEST(AddFormer, UnitesHeaders) {
  ReportHeader former;
  former.runs = 3;
  former.started_at = 1 * kSecond;
  former.updated_at = 5 * kSecond;
  former.gaps = {{2 * kSecond, 3 * kSecond}};
  former.not_seen = {"a", "b"};
  former.undecodable = 1;
  former.targets_over_limit = 2;
  ReportHeader header;
  header.started_at = 9 * kSecond;
  header.not_seen = {"b", "c"};
  header.undecodable = 4;
  add_former(former, header);
  EXPECT_EQ(header.runs, 4U);
  EXPECT_EQ(header.started_at, kSecond);
  ASSERT_EQ(header.gaps.size(), 2U);
  EXPECT_EQ(header.gaps[1].from, 5 * kSecond);
  EXPECT_EQ(header.gaps[1].to, 9 * kSecond);
  EXPECT_THAT(header.not_seen, ElementsAre("b", "c", "a"));
  EXPECT_EQ(header.undecodable, 5U);
  EXPECT_EQ(header.targets_over_limit, 2U);
  ReportHeader set_back;
  set_back.started_at = 0;
  add_former(former, set_back);
  EXPECT_EQ(set_back.gaps[1].to, 5 * kSecond) << "a gap, whose length is not known";
}

}  // namespace
}  // namespace snoop
