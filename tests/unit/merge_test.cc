// SPDX-License-Identifier: Apache-2.0
#include "output/merge.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>

#include "report_draft.h"

namespace snoop {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

std::string bytes_of(const ReportContents& contents) { return bytes_of(contents.header, contents.containers); }

/// Reports cannot be copied.
std::vector<NamedReport> copies(const std::vector<NamedReport>& reports) {
  std::vector<NamedReport> all;
  for (const NamedReport& report : reports) {
    all.push_back({report.name, *read_bytes(bytes_of(report.contents))});
  }
  return all;
}

MergedReport merged(std::vector<NamedReport> reports, MergeBy by = MergeBy::kImage) {
  Result<MergedReport> result = merge(std::move(reports), by);
  EXPECT_TRUE(result) << result.error().message();
  const std::string bytes = bytes_of(result->contents);
  const Result<ReportContents> again = read_bytes(bytes);
  EXPECT_TRUE(again) << again.error().message() << "\n" << bytes;
  EXPECT_TRUE(again && bytes_of(*again) == bytes) << "what is read is not written again in the same way";
  return std::move(*result);
}

template <typename... Drafts>
MergedReport merged_drafts(Drafts&... drafts) {
  std::vector<NamedReport> reports;
  (reports.push_back(drafts.report()), ...);
  return merged(std::move(reports));
}

const AccessStore::Entry& entry(const Container& container, const std::string& path) {
  const AccessStore::Entry* found = container.files.find(path);
  EXPECT_NE(found, nullptr) << path;
  return *found;
}

/// A report in which what can be said of images is said in every way; each file of an image with a digest is below it.
NamedReport random_report(std::mt19937& random, int number, bool conflicts) {
  const auto below = [&](uint32_t most) { return static_cast<uint32_t>(random() % most); };
  const WallTime from = below(1000);
  Draft draft("h" + std::to_string(below(3)), from, from + 1 + below(1000));
  // No two of them are the same recording.
  draft.header.started_at += number * 1'000'000;
  draft.header.arch = below(4) == 0 ? "aarch64" : "x86_64";
  draft.header.tier = below(2) == 0 ? "fexit" : "tracepoint";
  draft.header.machine_id = below(3) == 0 ? "" : draft.header.machine_id;
  draft.header.not_seen = {"b", below(2) == 0 ? "a" : "c"};
  draft.header.final = below(3) != 0;
  draft.header.runs = 1 + below(3);
  draft.header.only_image = conflicts && below(5) == 0;
  draft.header.skipped_runs = below(3);
  draft.header.labels = {{"a", std::to_string(below(2))}, {"b", "1"}};
  if (below(2) == 0) {
    draft.header.gaps = {{kStart + below(50) * kSecond, kStart + (50 + below(50)) * kSecond}};
  }
  draft.header.metadata_sources = {{"docker", "/x", below(2) == 0 ? "answered" : "failed", ""}};
  for (uint32_t i = 1 + below(4); i > 0; i--) {
    const std::string digest = below(3) == 0 ? "" : "sha256:" + std::to_string(below(3));
    const std::string id = below(3) == 0 ? std::to_string(below(3)) : "";
    Container& container =
        draft.add("c" + std::to_string(below(3)), digest, id, below(2) == 0 ? "" : "i" + std::to_string(below(2)));
    container.cgroup_path += std::to_string(i);
    container.identity.namespace_name = below(2) == 0 ? "" : "n";
    container.identity.labels = {{"k", std::to_string(below(2))}, {"l", "1"}};
    container.identity.not_observable = below(6) == 0 ? "no" : "";
    container.undecided = container.doubtful = below(6) == 0;
    container.unresolved = below(3) == 0 ? std::to_string(below(9)) : "";
    container.total_events = random();
    container.losses.ring_full = below(2);
    container.ended_at = below(2) == 0 ? 0 : draft.header.started_at + kSecond;
    container.add_loss_window(kStart + below(99) * kSecond, kStart + below(99) * kSecond, below(9), "ring_full");
    for (uint32_t files = below(30); files > 0; files--) {
      const std::string path = fmt::format("/{}/{}", digest, below(25));
      const WallTime time = draft.header.started_at + below(900) * kSecond;
      const std::string resolved = fmt::format("/{}/{}", digest, 100 + below(3));
      const auto kind = static_cast<snoop_kind>(below(SNOOP_KIND_COUNT));
      draft.use(container, {.path = path,
                            .resolved = conflicts && below(2) == 0 ? resolved : "",
                            .seen = seen(kind, static_cast<snoop_outcome>(below(4))),
                            .first_seen = time,
                            .last_seen = time + below(9) * kSecond,
                            .count = below(5),
                            .origin = static_cast<FileOrigin>(below(5)),
                            .mount = below(2) == 0 ? "" : "/m" + std::to_string(below(2))});
    }
  }
  return draft.report("r" + std::to_string(number));
}

std::vector<NamedReport> random_reports(std::mt19937& random, bool conflicts) {
  std::vector<NamedReport> reports;
  for (int i = 0, count = 2 + static_cast<int>(random() % 4); i < count; i++) {
    reports.push_back(random_report(random, i, conflicts));
  }
  return reports;
}

TEST(Merge, OrderMakesNoDifference) {
  std::mt19937 random(1);
  for (int round = 0; round < 20; round++) {
    std::vector<NamedReport> reports = random_reports(random, true);
    for (const MergeBy by : {MergeBy::kImage, MergeBy::kContainer}) {
      const std::string first = bytes_of(merged(copies(reports), by).contents);
      for (int i = 0; i < 3; i++) {
        std::shuffle(reports.begin(), reports.end(), random);
        ASSERT_EQ(bytes_of(merged(copies(reports), by).contents), first) << round;
      }
    }
  }
}

TEST(Merge, OnceMoreChangesNothing) {
  std::mt19937 random(2);
  for (int round = 0; round < 20; round++) {
    for (const MergeBy by : {MergeBy::kImage, MergeBy::kContainer}) {
      std::vector<NamedReport> once;
      once.push_back({"once", merged(random_reports(random, true), by).contents});
      const std::string bytes = bytes_of(once.front().contents);
      ASSERT_EQ(bytes_of(merged(std::move(once), by).contents), bytes) << round;
    }
  }
}

TEST(Merge, OneAloneOnlySaysSo) {
  Draft draft("h", 5, 900);
  Container& web = draft.add("web", "sha256:a");
  draft.use(web, {.path = "/late", .seen = seen(SNOOP_KIND_STAT, SNOOP_OUTCOME_MISSING), .first_seen = kStart});
  // Found later than it was first asked for: that stands in the curve alone.
  web.files.add({.path = "/late",
                 .seen = seen(SNOOP_KIND_STAT),
                 .first_seen = kStart + 300 * kSecond,
                 .last_seen = kStart + 300 * kSecond});
  web.discovery.add(kStart + 300 * kSecond);
  Container& other = draft.add("other", "");
  other.undecided = other.doubtful = true;
  draft.header.not_seen = {"z", "a"};
  draft.header.runs = 3;
  draft.header.gaps = {{kStart, kStart + kSecond}};
  MergedReport one = merged_drafts(draft);
  EXPECT_THAT(one.warnings, IsEmpty());
  ASSERT_EQ(one.contents.header.merged_from.size(), 1U);
  const ReportSource& source = one.contents.header.merged_from.front();
  EXPECT_EQ(source.hostname, "h");
  EXPECT_EQ(source.runs, 3U);
  one.contents.header.merged_from.clear();
  EXPECT_EQ(bytes_of(one.contents), bytes_of(draft.report().contents));
}

TEST(Merge, CountsAreThoseOfAllAndDigestsStayApart) {
  std::mt19937 random(3);
  for (int round = 0; round < 20; round++) {
    std::vector<NamedReport> reports = random_reports(random, false);
    // Of files with a digest, and in all.
    std::map<std::pair<std::string, std::string>, uint64_t> counts;
    std::map<std::pair<std::string, std::string>, uint64_t> masks;
    uint64_t events = 0;
    uint64_t losses = 0;
    uint64_t runs = 0;
    for (const NamedReport& report : reports) {
      runs += report.contents.header.runs;
      for (const Container& container : report.contents.containers) {
        events += container.all_events();
        losses += container.all_losses().sum();
        for (const AccessStore::Entry& file : container.files.entries()) {
          counts[{container.image_digest, std::string(file.path())}] += file.count();
          masks[{container.image_digest, std::string(file.path())}] |= file.seen();
        }
      }
    }
    const MergedReport all = merged(std::move(reports), round % 2 == 0 ? MergeBy::kImage : MergeBy::kContainer);
    EXPECT_EQ(all.contents.header.runs, runs);
    for (const Container& container : all.contents.containers) {
      events -= container.all_events();
      losses -= container.all_losses().sum();
      for (const AccessStore::Entry& file : container.files.entries()) {
        const std::string path(file.path());
        // Where a digest is known of a container without one, by its id.
        const std::string digest = path.substr(1, path.rfind('/') - 1);
        EXPECT_TRUE(digest.empty() || digest == container.image_digest) << path << " in " << container.image_digest;
        counts[{digest, path}] -= file.count();
        masks[{digest, path}] &= ~file.seen();
      }
    }
    EXPECT_EQ(events, 0U);
    EXPECT_EQ(losses, 0U);
    EXPECT_THAT(counts, testing::Each(Pair(testing::_, 0U)));
    EXPECT_THAT(masks, testing::Each(Pair(testing::_, 0U)));
  }
}

/// How many containers there are of two that say this of their images.
size_t united(const std::vector<std::string>& a, const std::vector<std::string>& b,
              const std::string& arch = "x86_64") {
  Draft one("one");
  Draft two("two");
  two.header.arch = arch;
  one.add("a", a.at(0), a.at(1), a.at(2));
  two.add("b", b.at(0), b.at(1), b.at(2));
  return merged_drafts(one, two).contents.containers.size();
}

TEST(Merge, KnowsImages) {
  EXPECT_EQ(united({"d", "", "x"}, {"d", "", "y"}), 1U) << "one digest under two names";
  EXPECT_EQ(united({"d", "", "x"}, {"e", "", "x"}), 2U) << "a tag that has moved";
  EXPECT_EQ(united({"d", "", "x"}, {"", "", "x"}), 2U) << "it may have moved";
  EXPECT_EQ(united({"", "i", "x"}, {"", "i", "y"}), 1U);
  EXPECT_EQ(united({"", "i", "x"}, {"", "j", "x"}), 2U);
  EXPECT_EQ(united({"d", "i", ""}, {"", "i", ""}), 1U) << "an id is of one image";
  EXPECT_EQ(united({"d", "i", ""}, {"d", "j", ""}), 2U) << "the digest of a list";
  EXPECT_EQ(united({"d", "i", ""}, {"e", "i", ""}), 2U) << "two digests are never mixed";
  EXPECT_EQ(united({"d", "i", ""}, {"d", "", ""}), 1U);
  EXPECT_EQ(united({"d", "i", ""}, {"d", "", ""}, "aarch64"), 2U);
  EXPECT_EQ(united({"d", "", ""}, {"d", "", ""}, "aarch64"), 2U);
  EXPECT_EQ(united({"d", "i", ""}, {"d", "i", ""}, "aarch64"), 1U) << "emulated";
  EXPECT_EQ(united({"", "", "x"}, {"", "", "x"}), 1U);
  EXPECT_EQ(united({"", "", "x"}, {"", "", "x"}, "aarch64"), 2U);
  EXPECT_EQ(united({"", "i", "x"}, {"", "", "x"}), 2U);
  EXPECT_EQ(united({"", "", ""}, {"", "", ""}), 2U);
}

TEST(Merge, AnIdBetweenTwoDigestsGoesToNone) {
  Draft one("one");
  one.add("a", "d", "i");
  one.add("b", "e", "i");
  one.add("c", "", "i");
  EXPECT_EQ(merged_drafts(one).contents.containers.size(), 3U);
}

TEST(Merge, OfSeveralKindsOfMachineNothingIsUnitedAgain) {
  Draft one("one");
  Draft two("two");
  two.header.arch = "aarch64";
  one.add("a", "d");
  two.add("a", "d");
  std::vector<NamedReport> both;
  both.push_back({"both", merged_drafts(one, two).contents});
  EXPECT_EQ(both.front().contents.header.arch, "several");
  Draft three("three");
  both.push_back(three.report());
  EXPECT_EQ(merged(std::move(both)).contents.containers.size(), 2U);
}

TEST(Merge, WithoutAnImageItMustBeTheSamePlace) {
  Draft monday("h", 0, 100);
  Draft tuesday("h", 200, 300);
  Draft elsewhere("g", 0, 100);
  monday.add("cron", "");
  tuesday.add("cron", "");
  elsewhere.add("cron", "").cgroup_path = "/h/cron";
  EXPECT_EQ(merged_drafts(monday, tuesday, elsewhere).contents.containers.size(), 2U);
  // What a merged report has may be of any of its hosts.
  std::vector<NamedReport> more;
  more.push_back({"both", merged_drafts(monday, elsewhere).contents});
  more.push_back(tuesday.report());
  EXPECT_EQ(merged(std::move(more)).contents.containers.size(), 3U);
}

TEST(Merge, WhatIsDoubtfulStaysApart) {
  Draft one("one");
  one.add("sound", "d");
  Container& undecided = one.add("undecided", "d");
  undecided.undecided = undecided.doubtful = true;
  one.add("hidden", "d").identity.not_observable = "gVisor";
  one.add("pause", "d").identity.is_sandbox = true;
  Draft two("two");
  Container& also = two.add("undecided", "d");
  also.undecided = also.doubtful = true;
  two.add("sound", "d");
  const MergedReport all = merged_drafts(one, two);
  std::vector<std::string> names;
  for (const Container& container : all.contents.containers) {
    names.push_back(container.name + (container.undecided ? "?" : ""));
  }
  EXPECT_THAT(names, UnorderedElementsAre("sound", "undecided?", "hidden", "pause"));
}

TEST(Merge, ByContainerKeepsRolesApart) {
  Draft one("one");
  Draft two("two");
  for (Draft* draft : {&one, &two}) {
    draft->add("api", "d");
    draft->add("worker", "d");
    draft->add("worker2", "d").name = "worker";
    draft->recorder.containers().back().identity.namespace_name = "other";
  }
  std::vector<NamedReport> reports;
  reports.push_back(one.report());
  reports.push_back(two.report());
  EXPECT_EQ(merged(copies(reports), MergeBy::kContainer).contents.containers.size(), 3U);
  EXPECT_EQ(merged(std::move(reports), MergeBy::kImage).contents.containers.size(), 1U);
}

TEST(Merge, SaysWhatAllSay) {
  Draft one("one", 0, 100);
  Draft two("two", 50, 200);
  two.header.kernel = "6.1";
  two.header.tier = "fexit";
  two.header.final = false;
  one.header.labels = {{"a", "1"}, {"b", "1"}};
  two.header.labels = {{"a", "1"}, {"b", "2"}};
  one.header.not_seen = {"z", "x"};
  two.header.not_seen = {"x", "a"};
  one.header.pod_name = two.header.pod_name = "p";
  one.header.undecided_containers = two.header.undecided_containers = 2;
  Container& a = one.add("web-1", "d", "", "nginx:1");
  Container& b = two.add("web-2", "d", "", "nginx:1");
  a.identity.command = b.identity.command = {"nginx"};
  a.identity.pod_name = "p1";
  a.identity.labels = {{"app", "web"}, {"pod", "1"}};
  b.identity.labels = {{"app", "web"}, {"pod", "2"}};
  a.unresolved = "it was gone";
  b.counts_are_lower_bounds = true;
  a.ended_at = kStart + 90 * kSecond;
  const MergedReport all = merged_drafts(one, two);
  const ReportHeader& header = all.contents.header;
  EXPECT_EQ(header.hostname, "");
  EXPECT_EQ(header.machine_id, one.header.machine_id);
  EXPECT_EQ(header.kernel, "several");
  EXPECT_EQ(header.arch, "x86_64");
  EXPECT_EQ(header.tier, "several");
  EXPECT_EQ(header.hierarchy, "cgroup2");
  EXPECT_EQ(header.pod_name, "p");
  EXPECT_EQ(header.undecided_containers, 4U);
  EXPECT_EQ(header.runs, 2U);
  EXPECT_FALSE(header.final);
  EXPECT_EQ(header.started_at, one.header.started_at);
  EXPECT_EQ(header.updated_at, two.header.updated_at);
  EXPECT_THAT(header.labels, ElementsAre(Pair("a", "1")));
  EXPECT_THAT(header.not_seen, ElementsAre("a", "x", "z"));
  ASSERT_EQ(header.merged_from.size(), 2U);
  EXPECT_EQ(header.merged_from[0].hostname, "one");
  EXPECT_TRUE(header.merged_from[0].complete && header.merged_from[0].final);
  EXPECT_FALSE(header.merged_from[1].final);
  ASSERT_EQ(all.contents.containers.size(), 1U);
  const Container& web = all.contents.containers.front();
  EXPECT_EQ(web.name, "nginx:1");
  EXPECT_EQ(web.image, "nginx:1");
  EXPECT_EQ(web.image_digest, "d");
  EXPECT_EQ(web.cgroup_path, "");
  EXPECT_EQ(web.cgroup_id, 101U);
  EXPECT_EQ(web.identity.pod_name, "");
  EXPECT_THAT(web.identity.command, ElementsAre("nginx"));
  EXPECT_THAT(web.identity.labels, ElementsAre(Pair("app", "web")));
  EXPECT_EQ(web.unresolved, "it was gone");
  EXPECT_TRUE(web.counts_are_lower_bounds);
  EXPECT_EQ(web.ended_at, 0) << "one of them is there";
  ASSERT_EQ(web.observed.size(), 1U);
  EXPECT_EQ(web.observed[0].from, kStart);
  EXPECT_EQ(web.observed[0].to, kStart + 200 * kSecond);
}

TEST(Merge, UnitesFiles) {
  Draft one("one", 0, 100);
  Draft two("two", 0, 100);
  Container& a = one.add("a", "d");
  Container& b = two.add("b", "d");
  one.use(a, {.path = "/f",
              .seen = seen(SNOOP_KIND_READ),
              .first_seen = kStart + 9 * kSecond,
              .last_seen = kStart + 20 * kSecond,
              .count = 4'000'000'000,
              .origin = FileOrigin::kVolume,
              .mount = "/f"});
  two.use(b, {.path = "/f",
              .seen = seen(SNOOP_KIND_EXEC, SNOOP_OUTCOME_REFUSED),
              .first_seen = kStart + 70 * kSecond,
              .last_seen = kStart + 80 * kSecond,
              .count = 500'000'000,
              .origin = FileOrigin::kImage});
  one.use(a, {.path = "/sh",
              .resolved = "/bash",
              .seen = seen(SNOOP_KIND_EXEC),
              .first_seen = kStart + 50 * kSecond,
              .last_seen = kStart + 50 * kSecond,
              .count = 1});
  two.use(b, {.path = "/sh",
              .resolved = "/dash",
              .seen = seen(SNOOP_KIND_EXEC) | seen(SNOOP_KIND_SYMLINK),
              .first_seen = kStart + 40 * kSecond,
              .last_seen = kStart + 40 * kSecond,
              .count = 2});
  const MergedReport all = merged_drafts(one, two);
  ASSERT_EQ(all.contents.containers.size(), 1U);
  const Container& both = all.contents.containers.front();
  const AccessStore::Entry& file = entry(both, "/f");
  EXPECT_EQ(file.seen(), seen(SNOOP_KIND_READ) | seen(SNOOP_KIND_EXEC, SNOOP_OUTCOME_REFUSED));
  EXPECT_EQ(file.first_seen(), kStart + 9 * kSecond);
  EXPECT_EQ(file.last_seen(), kStart + 80 * kSecond);
  EXPECT_EQ(file.count(), UINT32_MAX);
  EXPECT_EQ(file.origin(), FileOrigin::kImage) << "a volume on one of them hides no file of the image";
  EXPECT_EQ(entry(both, "/sh").resolved(), "/dash") << "which came first";
  EXPECT_EQ(entry(both, "/bash").seen(), seen(SNOOP_KIND_EXEC)) << "the other stands under its own name";
  EXPECT_EQ(both.files.size(), 3U);
  uint64_t found = 0;
  for (const uint64_t count : both.discovery.new_files()) {
    found += count;
  }
  EXPECT_EQ(found, 3U);
  EXPECT_EQ(both.discovery.from(), kStart);
}

TEST(Merge, CurveEndsWhenNobodyLookedAnyMore) {
  Draft monday("h", 0, 10);
  Draft tuesday("h", 1000, 1010);
  monday.use(monday.add("a", "d"),
             {.path = "/f", .seen = 1, .first_seen = kStart + kSecond, .last_seen = kStart + kSecond});
  tuesday.add("b", "e");
  const MergedReport all = merged_drafts(monday, tuesday);
  const ReportContents again = *read_bytes(bytes_of(all.contents));
  EXPECT_LE(again.containers.at(0).discovery.new_files().size(), 11U);
}

TEST(Merge, GapsAreWhenOneDidNotLookOrNobody) {
  Draft monday("h", 0, 100);
  Draft tuesday("h", 200, 300);
  Draft other("g", 0, 150);
  const auto at = [](WallTime second) { return kStart + second * kSecond; };
  monday.header.runs = 2;
  monday.header.gaps = {{at(10), at(20)}};
  other.header.runs = 2;
  other.header.gaps = {{at(15), at(30)}};
  const std::vector<Interval> gaps = merged_drafts(monday, tuesday, other).contents.header.gaps;
  ASSERT_EQ(gaps.size(), 2U);
  EXPECT_EQ(gaps[0].from, at(10));
  EXPECT_EQ(gaps[0].to, at(30));
  EXPECT_EQ(gaps[1].from, at(150));
  EXPECT_EQ(gaps[1].to, at(200));
}

TEST(Merge, CountsNothingTwice) {
  Draft early("h", 0, 100);
  Draft late("h", 0, 200);
  Draft other("g", 0, 100);
  for (Draft* draft : {&early, &late}) {
    draft->use(draft->add("a", "d"), {.path = "/f", .seen = 1, .first_seen = kStart, .last_seen = kStart, .count = 5});
  }
  const auto count = [](const MergedReport& report) { return entry(report.contents.containers.at(0), "/f").count(); };
  std::vector<NamedReport> reports;
  reports.push_back(late.report("late"));
  reports.push_back(late.report("again"));
  reports.push_back(early.report("early"));
  const MergedReport one = merged(std::move(reports));
  EXPECT_EQ(count(one), 5U);
  EXPECT_EQ(one.contents.header.merged_from.size(), 1U);
  EXPECT_EQ(one.warnings.size(), 2U);
  EXPECT_THAT(one.warnings, testing::Contains(testing::StartsWith("early is left out: ")));

  // Also what is a part of a merged one.
  reports.clear();
  reports.push_back({"merged", merged_drafts(late, other).contents});
  reports.push_back(early.report("early"));
  const MergedReport with_part = merged(std::move(reports));
  EXPECT_EQ(count(with_part), 5U);
  EXPECT_THAT(with_part.warnings, ElementsAre("early is left out: merged contains it"));

  // What is not the whole of it stays, and is told of.
  reports.clear();
  reports.push_back({"merged", merged_drafts(early, other).contents});
  reports.push_back(late.report("late"));
  const MergedReport overlapping = merged(std::move(reports));
  EXPECT_EQ(count(overlapping), 10U);
  ASSERT_EQ(overlapping.warnings.size(), 1U);
  EXPECT_THAT(overlapping.warnings[0], HasSubstr("counted twice"));
}

TEST(Merge, TwoThatBeganTogetherAreTwo) {
  Draft one("h", 0, 100);
  Draft two("h", 0, 200);
  one.add("snoop-run-1", "d");
  two.add("snoop-run-2", "d");
  const MergedReport all = merged_drafts(one, two);
  EXPECT_THAT(all.contents.header.merged_from, testing::SizeIs(2));
  EXPECT_EQ(all.contents.containers.size(), 1U);
}

TEST(Merge, SumsEndWhereAReportDoes) {
  Draft one("one");
  Draft two("two");
  for (Draft* draft : {&one, &two}) {
    draft->header.runs = kMaxReportedCount;
    draft->header.skipped_runs = kMaxReportedCount;
    draft->header.gaps = {{kStart, kStart}};
    for (const char* name : {"a", "b"}) {
      Container& container = draft->add(name, name);
      container.earlier_events = kMaxReportedCount;
      container.earlier_losses.ring_full = kMaxReportedCount / 2;
      container.add_loss_window(kStart, kStart + kSecond, kMaxReportedCount, "ring_full");
    }
  }
  const MergedReport all = merged_drafts(one, two);
  EXPECT_EQ(all.contents.header.runs, kMaxReportedCount);
  EXPECT_EQ(all.contents.containers.at(0).all_events(), kMaxReportedCount);
  EXPECT_EQ(all.contents.containers.at(0).all_losses().ring_full, kMaxReportedCount);
}

TEST(Merge, ListsOfTimesAreBounded) {
  std::vector<NamedReport> reports;
  for (int i = 0; i < 3; i++) {
    Draft draft("h" + std::to_string(i), 0, 10'000);
    Container& container = draft.add("a", "d");
    container.observed.clear();
    for (int at = 0; at < 900; at++) {
      const WallTime from = kStart + (at * 10 + i * 3) * kSecond;
      container.observed.push_back({from, from + kSecond});
      container.add_loss_window(from, from + kSecond, 1, "ring_full");
      draft.header.gaps.push_back({from, from + kSecond});
    }
    reports.push_back(draft.report());
  }
  const MergedReport all = merged(std::move(reports));
  EXPECT_EQ(all.contents.header.gaps.size(), kMaxIntervals);
  EXPECT_EQ(all.contents.containers.at(0).observed.size(), kMaxIntervals);
  const std::vector<LossWindow>& windows = all.contents.containers.at(0).loss_windows;
  EXPECT_EQ(windows.size(), kMaxIntervals);
  uint64_t lost = 0;
  for (const LossWindow& window : windows) {
    lost += window.lost;
  }
  EXPECT_EQ(lost, 2'700U);
}

}  // namespace
}  // namespace snoop
