// SPDX-License-Identifier: Apache-2.0
#include "output/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "base/text.h"
#include "report_bytes.h"
#include "seen.h"

namespace snoop {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

rapidjson::Document parsed(const ReportHeader& header, const std::vector<Container>& containers) {
  rapidjson::Document document;
  const std::string bytes = bytes_of(header, containers);
  document.Parse<rapidjson::kParseValidateEncodingFlag>(bytes.data(), bytes.size());
  EXPECT_FALSE(document.HasParseError()) << bytes;
  EXPECT_TRUE(is_utf8(bytes));
  return document;
}

ReportHeader header_of_test() {
  ReportHeader header;
  header.snoop_version = "1.2.3";
  header.hostname = "host";
  header.kernel = "6.18";
  header.arch = "x86_64";
  header.tier = "tracepoint";
  header.hierarchy = "cgroup2";
  header.started_at = 0;
  header.updated_at = 1'500'000'000;
  return header;
}

Container& add_container(Recorder& recorder, const std::string& path, uint32_t id = 1) {
  snoop_target target = {};
  target.id = id;
  Container& container = recorder.add_container(path.substr(path.rfind('/') + 1), 100 + id, path, target);
  container.observed = {{500'000'000, kOngoing}};
  container.discovery = Discovery(500'000'000);
  return container;
}

std::vector<std::string> strings(const rapidjson::Value& list) {
  std::vector<std::string> out;
  for (const rapidjson::Value& one : list.GetArray()) {
    out.emplace_back(one.GetString(), one.GetStringLength());
  }
  return out;
}

/// The file entry of a report on one path that was seen so.
rapidjson::Document entry_for(uint64_t mask, const std::string& path = "/a", const std::string& resolved = {}) {
  Recorder recorder({.exclude = {}, .max_files = 10});
  EXPECT_EQ(add_container(recorder, "/c").files.add({.path = path, .resolved = resolved, .seen = mask}).outcome,
            AccessStore::Outcome::kNew);
  rapidjson::Document document = parsed(header_of_test(), recorder.containers());
  rapidjson::Document entry;
  entry.CopyFrom(document["containers"][0]["files"][0], entry.GetAllocator());
  return entry;
}

TEST(Report, SaysWhatItWasMadeFrom) {
  Recorder recorder({.exclude = {}, .max_files = 10});
  Container& container = add_container(recorder, "/pod/web");
  container.image = "nginx:1.27";
  container.image_digest = "sha256:abc";
  container.total_events = 12;
  ASSERT_EQ(container.files.add({.path = "/etc/nginx.conf", .resolved = "", .seen = seen(SNOOP_KIND_READ)}).outcome,
            AccessStore::Outcome::kNew);
  ReportHeader header = header_of_test();
  header.not_seen = {"io_uring"};
  header.pod_name = "pod";
  header.namespace_name = "default";
  header.labels = {{"b", "2"}, {"a", "1"}};
  header.final = true;

  const rapidjson::Document document = parsed(header, recorder.containers());
  EXPECT_EQ(document["schema_version"].GetInt(), kReportSchemaVersion);
  EXPECT_STREQ(document["snoop_version"].GetString(), "1.2.3");
  EXPECT_STREQ(document["host"]["hostname"].GetString(), "host");
  EXPECT_STREQ(document["host"]["kernel"].GetString(), "6.18");
  EXPECT_STREQ(document["host"]["arch"].GetString(), "x86_64");
  EXPECT_STREQ(document["capture"]["tier"].GetString(), "tracepoint");
  EXPECT_STREQ(document["capture"]["hierarchy"].GetString(), "cgroup2");
  EXPECT_THAT(strings(document["capture"]["not_seen"]), ElementsAre("io_uring"));
  EXPECT_STREQ(document["pod_name"].GetString(), "pod");
  EXPECT_STREQ(document["namespace"].GetString(), "default");
  EXPECT_STREQ(document["labels"]["a"].GetString(), "1");
  EXPECT_STREQ(document["labels"]["b"].GetString(), "2");
  EXPECT_STREQ(document["started_at"].GetString(), "1970-01-01T00:00:00.000Z");
  EXPECT_STREQ(document["last_updated_at"].GetString(), "1970-01-01T00:00:01.500Z");
  EXPECT_TRUE(document["final"].GetBool());
  EXPECT_TRUE(document["complete"].GetBool());
  EXPECT_EQ(document["total_events"].GetUint64(), 12U);
  EXPECT_EQ(document["dropped_events"].GetUint64(), 0U);
  ASSERT_EQ(document["containers"].Size(), 1U);

  const rapidjson::Value& web = document["containers"][0];
  EXPECT_STREQ(web["name"].GetString(), "web");
  EXPECT_STREQ(web["image"].GetString(), "nginx:1.27");
  EXPECT_STREQ(web["image_digest"].GetString(), "sha256:abc");
  EXPECT_EQ(web["cgroup_id"].GetUint64(), 101U);
  EXPECT_STREQ(web["cgroup_path"].GetString(), "/pod/web");
  EXPECT_STREQ(web["observed"][0]["from"].GetString(), "1970-01-01T00:00:00.500Z");
  EXPECT_STREQ(web["observed"][0]["to"].GetString(), "1970-01-01T00:00:01.500Z");
  EXPECT_EQ(web["total_events"].GetUint64(), 12U);
  EXPECT_EQ(web["unique_files"].GetUint64(), 1U);
  EXPECT_EQ(web["files"].Size(), 1U);
}

TEST(Report, LeavesOutWhatIsNotSet) {
  Recorder recorder({.exclude = {}, .max_files = 10});
  add_container(recorder, "/c");
  const rapidjson::Document document = parsed(header_of_test(), recorder.containers());
  for (const char* member : {"pod_name", "namespace", "labels"}) {
    EXPECT_FALSE(document.HasMember(member)) << member;
  }
  EXPECT_FALSE(document["final"].GetBool());
  for (const char* member : {"metadata_sources", "undecided_containers"}) {
    EXPECT_FALSE(document["capture"].HasMember(member)) << member;
  }
  for (const char* member : {"image", "image_digest", "image_id", "id", "runtime", "pod_name", "namespace", "pod_uid",
                             "labels", "restart_count", "command", "sandbox", "not_observable", "metadata_source"}) {
    EXPECT_FALSE(document["containers"][0].HasMember(member)) << member;
  }
  EXPECT_EQ(document["containers"][0]["files"].Size(), 0U);
}

TEST(Report, SaysWhoAContainerIs) {
  Recorder recorder({.exclude = {}, .max_files = 10});
  Container& container = add_container(recorder, "/docker/0123");
  container.identity = {.runtime = "docker",
                        .id = "0123",
                        .image_id = "sha256:0a",
                        .pod_name = "web-0",
                        .pod_uid = "uid",
                        .namespace_name = "shop",
                        .labels = {{"tier", "front"}, {"app", "web"}},
                        .restart_count = 2,
                        .command = {"nginx", "-g", "daemon \xff off;"},
                        .is_sandbox = true,
                        .not_observable = "gVisor",
                        .source = "cri",
                        .settled = {}};
  Container& undecided = add_container(recorder, "/docker/4567", 2);
  undecided.undecided = true;
  undecided.total_events = 5;
  Container& doubtful = add_container(recorder, "/docker/5678", 3);
  doubtful.undecided = true;
  doubtful.doubtful = true;
  ReportHeader header = header_of_test();
  header.metadata_sources = {{"cri", "/run/containerd/containerd.sock", "answered", ""},
                             {"docker", "/run/docker.sock", "refused", "Permission denied"}};
  header.undecided_containers = 1;

  const rapidjson::Document document = parsed(header, recorder.containers());
  const rapidjson::Value& capture = document["capture"];
  EXPECT_EQ(capture["undecided_containers"].GetUint64(), 1U);
  ASSERT_EQ(capture["metadata_sources"].Size(), 2U);
  EXPECT_STREQ(capture["metadata_sources"][0]["endpoint"].GetString(), "/run/containerd/containerd.sock");
  EXPECT_FALSE(capture["metadata_sources"][0].HasMember("error"));
  EXPECT_STREQ(capture["metadata_sources"][1]["state"].GetString(), "refused");
  EXPECT_STREQ(capture["metadata_sources"][1]["error"].GetString(), "Permission denied");
  EXPECT_EQ(document["total_events"].GetUint64(), 0U) << "what is undecided is left out";
  ASSERT_EQ(document["containers"].Size(), 2U);
  EXPECT_TRUE(document["containers"][1]["undecided"].GetBool());
  const rapidjson::Value& one = document["containers"][0];
  EXPECT_FALSE(one.HasMember("undecided"));
  EXPECT_STREQ(one["id"].GetString(), "0123");
  EXPECT_STREQ(one["runtime"].GetString(), "docker");
  EXPECT_STREQ(one["pod_name"].GetString(), "web-0");
  EXPECT_STREQ(one["pod_uid"].GetString(), "uid");
  EXPECT_STREQ(one["namespace"].GetString(), "shop");
  EXPECT_STREQ(one["labels"]["app"].GetString(), "web");
  EXPECT_EQ(one["restart_count"].GetUint64(), 2U);
  EXPECT_THAT(strings(one["command"]), ElementsAre("nginx", "-g", "daemon \xef\xbf\xbd off;"));
  EXPECT_TRUE(one["sandbox"].GetBool());
  EXPECT_STREQ(one["not_observable"].GetString(), "gVisor");
  EXPECT_STREQ(one["metadata_source"].GetString(), "cri");
}

TEST(Report, OfNothingIsWhole) {
  const rapidjson::Document document = parsed(header_of_test(), {});
  EXPECT_EQ(document["containers"].Size(), 0U);
  EXPECT_TRUE(document["complete"].GetBool());
  EXPECT_EQ(document["total_events"].GetUint64(), 0U);
}

TEST(Report, LeavesOutWhatNobodyAskedForAndNothingUsed) {
  Recorder recorder({.exclude = {}, .max_files = 10});
  add_container(recorder, "/asked/for", 1);
  add_container(recorder, "/idle", 2).only_if_used = true;
  Container& used = add_container(recorder, "/used", 3);
  used.only_if_used = true;
  used.total_events = 1;
  const rapidjson::Document document = parsed(header_of_test(), recorder.containers());
  ASSERT_EQ(document["containers"].Size(), 2U);
  EXPECT_STREQ(document["containers"][0]["cgroup_path"].GetString(), "/asked/for");
  EXPECT_STREQ(document["containers"][1]["cgroup_path"].GetString(), "/used");
}

TEST(Report, IsSortedByBytes) {
  Recorder recorder({.exclude = {}, .max_files = 10});
  add_container(recorder, "/b", 1);
  add_container(recorder, "/a/z", 2);
  add_container(recorder, "/a", 3);
  for (const char* path : {"/b", "/a/b", "/\xFF", "/a", "/a-b", "/B", "/\xC3\xA9"}) {
    ASSERT_EQ(recorder.find(3)->files.add({.path = path, .resolved = "", .seen = 1}).outcome,
              AccessStore::Outcome::kNew);
  }
  const rapidjson::Document document = parsed(header_of_test(), recorder.containers());
  EXPECT_STREQ(document["containers"][0]["cgroup_path"].GetString(), "/a");
  EXPECT_STREQ(document["containers"][1]["cgroup_path"].GetString(), "/a/z");
  EXPECT_STREQ(document["containers"][2]["cgroup_path"].GetString(), "/b");
  std::vector<std::string> paths;
  for (const rapidjson::Value& file : document["containers"][0]["files"].GetArray()) {
    paths.emplace_back(file["path"].GetString());
  }
  EXPECT_THAT(paths, ElementsAre("/B", "/a", "/a-b", "/a/b", "/b", "/\xC3\xA9", "/\xEF\xBF\xBD"));
}

TEST(Report, IsTheSameBytesForTheSameInput) {
  struct Used {
    uint32_t target;
    std::string path;
    uint64_t seen;
  };
  std::vector<Used> used;
  for (uint32_t i = 0; i < 600; i++) {
    used.push_back({1 + i % 3, "/dir" + std::to_string(i % 7) + "/file" + std::to_string(i % 211),
                    1ULL << (i % SNOOP_KIND_COUNT + 16 * (i % SNOOP_OUTCOME_COUNT))});
  }
  std::mt19937 random(11);
  std::string first;
  for (int round = 0; round < 5; round++) {
    Recorder recorder({.exclude = {}, .max_files = 1000});
    std::vector<uint32_t> ids = {1, 2, 3};
    if (round > 1) {
      std::shuffle(ids.begin(), ids.end(), random);
      std::shuffle(used.begin(), used.end(), random);
    }
    for (const uint32_t id : ids) {
      add_container(recorder, "/c" + std::to_string(id), id);
    }
    for (const Used& one : used) {
      recorder.find(one.target)->files.add({.path = one.path, .seen = one.seen});
    }
    const std::string bytes = bytes_of(header_of_test(), recorder.containers());
    if (first.empty()) {
      first = bytes;
      EXPECT_EQ(bytes, bytes_of(header_of_test(), recorder.containers()));
    }
    ASSERT_EQ(bytes, first) << "round " << round;
  }
  EXPECT_GT(first.size(), 64U * 1024) << "more than the buffer of the stream";
  EXPECT_EQ(first.back(), '\n');
}

TEST(Report, KeepsPathsOfAnyBytes) {
  struct Row {
    std::string path;
    std::string shown;
    std::string base64;
  };
  for (const Row& row : {
           Row{"/caf\xC3\xA9", "/caf\xC3\xA9", ""},
           Row{"/a\nb\"c\\d\x1B[31m\x7F", "/a\nb\"c\\d\x1B[31m\x7F", ""},
           Row{"/\xFF", "/\xEF\xBF\xBD", "L/8="},
           Row{"/a/\xC3(", "/a/\xEF\xBF\xBD(", "L2Evwyg="},
       }) {
    const rapidjson::Document entry = entry_for(seen(SNOOP_KIND_READ), row.path, row.path + "x");
    EXPECT_EQ(std::string(entry["path"].GetString()), row.shown);
    EXPECT_EQ(std::string(entry["resolved"].GetString()), row.shown + "x");
    EXPECT_EQ(entry.HasMember("path_base64"), !row.base64.empty()) << row.shown;
    EXPECT_EQ(entry.HasMember("resolved_base64"), !row.base64.empty()) << row.shown;
    if (!row.base64.empty()) {
      EXPECT_EQ(std::string(entry["path_base64"].GetString()), row.base64);
      EXPECT_EQ(std::string(entry["resolved_base64"].GetString()), to_base64(row.path + "x"));
    }
  }
}

TEST(Report, IsUtf8WhateverItIsGiven) {
  Recorder recorder({.exclude = {}, .max_files = 10});
  Container& container = add_container(recorder, "/\xFF/\xFE");
  container.image = "\xFF";
  container.image_digest = "\xFF";
  ReportHeader header = header_of_test();
  header.hostname = "\xFF";
  header.kernel = "\xFF";
  header.pod_name = "\xFF";
  header.namespace_name = "\xFF";
  header.labels = {{"\xFF", "\xFF"}};
  const rapidjson::Document document = parsed(header, recorder.containers());
  EXPECT_EQ(std::string(document["pod_name_base64"].GetString()), "/w==");
  EXPECT_EQ(std::string(document["containers"][0]["cgroup_path_base64"].GetString()), to_base64("/\xFF/\xFE"));
}

TEST(Report, TellsWhatWasTriedFromWhatWorked) {
  struct Row {
    const char* what;
    uint64_t seen;
    std::vector<std::string> access;
    std::vector<std::string> modes;
    std::vector<std::string> refused;
    bool found;
    bool succeeded;
  };
  for (const Row& row : {
           Row{"read", seen(SNOOP_KIND_READ), {"open"}, {"read"}, {}, true, true},
           Row{"made", seen(SNOOP_KIND_WRITE) | seen(SNOOP_KIND_CREATE), {"open"}, {"write", "create"}, {}, true, true},
           Row{"missing", seen(SNOOP_KIND_READ, SNOOP_OUTCOME_MISSING), {"open"}, {"read"}, {}, false, false},
           Row{"missing, then there",
               seen(SNOOP_KIND_STAT, SNOOP_OUTCOME_MISSING) | seen(SNOOP_KIND_READ),
               {"open"},
               {"read"},
               {},
               true,
               true},
           Row{"refused", seen(SNOOP_KIND_WRITE, SNOOP_OUTCOME_REFUSED), {"open"}, {"write"}, {"open"}, true, false},
           Row{"refused to write, read then",
               seen(SNOOP_KIND_WRITE, SNOOP_OUTCOME_REFUSED) | seen(SNOOP_KIND_READ),
               {"open"},
               {"read"},
               {"open"},
               true,
               true},
           Row{"seen but not allowed",
               seen(SNOOP_KIND_STAT) | seen(SNOOP_KIND_EXEC, SNOOP_OUTCOME_REFUSED),
               {"stat"},
               {},
               {"exec"},
               true,
               true},
           Row{"another error", seen(SNOOP_KIND_READ, SNOOP_OUTCOME_OTHER), {"open"}, {"read"}, {}, true, false},
           Row{"another error, then missing",
               seen(SNOOP_KIND_READ, SNOOP_OUTCOME_OTHER) | seen(SNOOP_KIND_STAT, SNOOP_OUTCOME_MISSING),
               {"open", "stat"},
               {"read"},
               {},
               true,
               false},
           Row{"not executable, read by the shell",
               seen(SNOOP_KIND_EXEC, SNOOP_OUTCOME_OTHER) | seen(SNOOP_KIND_READ),
               {"open"},
               {"read"},
               {},
               true,
               true},
           Row{"everything",
               0xFFFF,
               {"open", "exec", "interpreter", "stat", "access", "readlink", "change", "connect", "baseline",
                "symlink"},
               {"read", "write", "create", "directory", "path"},
               {},
               true,
               true},
       }) {
    const rapidjson::Document entry = entry_for(row.seen);
    const auto list = [&](const char* member) {
      return entry.HasMember(member) ? strings(entry[member]) : std::vector<std::string>();
    };
    EXPECT_EQ(list("access"), row.access) << row.what;
    EXPECT_EQ(list("open_modes"), row.modes) << row.what;
    EXPECT_EQ(list("refused"), row.refused) << row.what;
    EXPECT_EQ(entry["found"].GetBool(), row.found) << row.what;
    // Only said where it was found and nothing worked.
    EXPECT_EQ(entry.HasMember("succeeded"), row.found && !row.succeeded) << row.what;
    if (entry.HasMember("succeeded")) {
      EXPECT_FALSE(entry["succeeded"].GetBool()) << row.what;
    }
  }
}

TEST(Report, SaysWhereAPathLedOnlyWhenElsewhere) {
  EXPECT_FALSE(entry_for(1, "/a", "").HasMember("resolved"));
  EXPECT_FALSE(entry_for(1, "/a", "/a").HasMember("resolved"));
  EXPECT_EQ(std::string(entry_for(1, "/a", "/b")["resolved"].GetString()), "/b");
}

TEST(Report, CountsEachLossByItsCause) {
  struct Row {
    const char* name;
    uint64_t Losses::*cause;
  };
  for (const Row& row : {
           Row{"ring_full", &Losses::ring_full},
           Row{"path_unreadable", &Losses::path_unreadable},
           Row{"path_truncated", &Losses::path_truncated},
           Row{"base_unknown", &Losses::base_unknown},
           Row{"files_over_limit", &Losses::files_over_limit},
       }) {
    Recorder recorder({.exclude = {}, .max_files = 10});
    add_container(recorder, "/a", 1);
    add_container(recorder, "/b", 2);
    recorder.find(1)->losses.*row.cause = 3;
    recorder.find(2)->losses.*row.cause = 4;
    const rapidjson::Document document = parsed(header_of_test(), recorder.containers());
    EXPECT_FALSE(document["complete"].GetBool()) << row.name;
    EXPECT_EQ(document["losses"][row.name].GetUint64(), 7U) << row.name;
    EXPECT_EQ(document["dropped_events"].GetUint64(), 7U) << row.name;
    EXPECT_EQ(document["containers"][0]["losses"][row.name].GetUint64(), 3U) << row.name;
    EXPECT_EQ(document["containers"][1]["losses"][row.name].GetUint64(), 4U) << row.name;
  }
}

TEST(Report, CountsLossesOfNoContainer) {
  struct Row {
    const char* name;
    uint64_t ReportHeader::*cause;
    uint64_t dropped;
  };
  for (const Row& row : {
           Row{"undecodable", &ReportHeader::undecodable, 5},
           Row{"skipped_runs", &ReportHeader::skipped_runs, 5},
           // A whole container that was not seen is no single access.
           Row{"targets_over_limit", &ReportHeader::targets_over_limit, 0},
       }) {
    ReportHeader header = header_of_test();
    header.*row.cause = 5;
    const rapidjson::Document document = parsed(header, {});
    EXPECT_FALSE(document["complete"].GetBool()) << row.name;
    EXPECT_EQ(document["losses"][row.name].GetUint64(), 5U) << row.name;
    EXPECT_EQ(document["dropped_events"].GetUint64(), row.dropped) << row.name;
  }
}

TEST(Report, LeavesErrorsOnTheStream) {
  std::FILE* full = std::fopen("/dev/full", "w");
  ASSERT_NE(full, nullptr);
  Recorder recorder({.exclude = {}, .max_files = 10'000});
  Container& container = add_container(recorder, "/a");
  for (int i = 0; i < 2'000; i++) {
    ASSERT_EQ(container.files.add({.path = "/some/file/" + std::to_string(i), .resolved = "", .seen = 1}).outcome,
              AccessStore::Outcome::kNew);
  }
  write_report(full, header_of_test(), recorder.containers());
  EXPECT_TRUE(std::fflush(full) != 0 || std::ferror(full) != 0);
  std::fclose(full);
}

}  // namespace
}  // namespace snoop
