// SPDX-License-Identifier: Apache-2.0
#include "output/report_reader.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "report_bytes.h"

namespace snoop {
namespace {

using testing::HasSubstr;

constexpr WallTime kStart = 1'700'000'000 * kSecond;

std::string error_of(const std::string& bytes) {
  const Result<ReportContents> contents = read_bytes(bytes);
  return contents ? "none" : contents.error().message();
}

/// A report with something of everything.
struct Sample {
  ReportHeader header;
  Recorder recorder{{.exclude = {}, .max_files = 1'000'000}};
};

void fill(Sample& sample, uint32_t seed, uint32_t most_files = 200) {
  std::mt19937 random(seed);
  const auto number = [&](uint32_t below) { return static_cast<uint32_t>(random() % below); };
  const auto bytes = [&](size_t most) {
    std::string text;
    for (size_t i = number(static_cast<uint32_t>(most)) + 1; i > 0; i--) {
      text += static_cast<char>(number(2) == 0 ? 'a' + number(26) : 1 + number(255));
    }
    return text;
  };
  ReportHeader& header = sample.header;
  header.snoop_version = "1.2.3";
  header.hostname = bytes(5);
  header.kernel = "6.18";
  header.arch = "x86_64";
  header.machine_id = number(2) == 0 ? "" : "0123456789abcdef0123456789abcdef";
  header.boot_id = number(2) == 0 ? "" : "01234567-89ab-cdef-0123-456789abcdef";
  header.tier = "tracepoint";
  header.not_seen = {"a", "b"};
  header.pod_name = number(2) == 0 ? "" : bytes(4);
  header.labels = {{"a", "1"}, {"b", "\n\"\\"}};
  header.started_at = kStart + number(1'000'000'000);
  header.updated_at = kStart + number(1'000'000) * kSecond + number(1'000'000'000);
  header.final = number(2) == 0;
  header.runs = 1 + number(4);
  header.gaps = {{kStart, kStart + kSecond}};
  if (number(2) == 0) {
    header.merged_from = {{bytes(4), header.machine_id, kStart, kStart + kSecond, 1 + number(4), number(2) == 0, true},
                          {bytes(4), "", kStart, kStart + number(9) * kSecond, 1, true, number(2) == 0}};
  }
  header.undecodable = number(2);
  header.undecided_containers = number(2);
  if (number(2) == 0) {
    header.metadata_sources = {{"docker", bytes(9), "answered", ""}, {"cri", "", "refused", bytes(9)}};
  }
  for (uint32_t id = 1; id <= number(4); id++) {
    snoop_target target = {};
    target.id = id;
    Container& container =
        sample.recorder.add_container(bytes(4), number(3) == 0 ? UINT64_MAX : id, "/" + bytes(10), target);
    container.image = number(2) == 0 ? "" : bytes(10);
    container.image_digest = number(2) == 0 ? "" : bytes(10);
    if (number(2) == 0) {
      container.identity = {.runtime = bytes(4),
                            .id = bytes(64),
                            .image_id = bytes(4),
                            .pod_name = bytes(4),
                            .pod_uid = bytes(4),
                            .namespace_name = bytes(4),
                            .labels = {{"a", "1"}, {"b", "\n"}},
                            .restart_count = number(3),
                            .command = {"sh", "", "-c"},
                            .is_sandbox = number(2) == 0,
                            .not_observable = number(2) == 0 ? "" : bytes(9),
                            .source = bytes(4),
                            .settled = {}};
    }
    container.observed = {{kStart, kStart + kSecond}, {kStart + number(1'000'000'000), kOngoing}};
    container.discovery = Discovery(kStart + number(1'000'000'000));
    container.ended_at = number(2) == 0 ? 0 : kStart + number(1'000'000) * kSecond;
    container.undecided = number(2) == 0;
    container.doubtful = container.undecided;
    container.total_events = random();
    container.losses.path_truncated = number(2);
    container.earlier_events = number(3);
    container.earlier_losses.ring_full = number(3);
    container.unresolved = number(2) == 0 ? "" : bytes(9);
    container.counts_are_lower_bounds = number(2) == 0;
    container.add_loss_window(kStart + number(9) * kSecond, kStart + number(99) * kSecond, number(9), "ring_full");
    container.add_loss_window(kStart + number(9) * kSecond, kStart + number(99) * kSecond, number(9), "skipped_runs");
    for (uint32_t i = number(most_files); i > 0; i--) {
      const std::string path = "/" + bytes(12);
      const uint64_t seen = (1ULL << number(SNOOP_KIND_COUNT)) << SNOOP_SEEN_SHIFT(number(4));
      const WallTime time = kStart + number(1'000'000) * kSecond + number(1'000'000'000);
      const auto origin = static_cast<FileOrigin>(number(5));
      const AccessStore::Added added =
          container.files.add({.path = path,
                               .resolved = number(2) == 0   ? ""
                                           : number(2) == 0 ? path
                                                            : "/" + bytes(12),
                               .seen = seen | ((1ULL << number(SNOOP_KIND_COUNT)) << SNOOP_SEEN_SHIFT(number(4))),
                               .first_seen = time,
                               .last_seen = time + number(9) * kSecond,
                               .count = number(5),
                               .origin = origin,
                               .mount = number(2) == 0 ? "" : "/" + bytes(2)});
      if (added.first_found) {
        container.discovery.add(time);
      }
    }
  }
}

TEST(ReportReader, ReadsWhatWasWritten) {
  size_t total = 0;
  for (uint32_t seed = 0; seed < 30; seed++) {
    Sample sample;
    fill(sample, seed);
    const std::string first = bytes_of(sample.header, sample.recorder.containers());
    const Result<ReportContents> contents = read_bytes(first);
    ASSERT_TRUE(contents) << contents.error().message() << "\n" << first;
    ASSERT_EQ(bytes_of(contents->header, contents->containers), first) << "seed " << seed;
    ASSERT_EQ(contents->containers.size(), sample.recorder.containers().size());
    for (const Container& container : sample.recorder.containers()) {
      total += container.files.size();
    }
  }
  EXPECT_GT(total, 1'500U);
}

TEST(ReportReader, KeepsEveryKindAndOutcome) {
  constexpr int kBits = int{SNOOP_KIND_COUNT} * int{SNOOP_OUTCOME_COUNT};
  const auto bit = [](int number) {
    return (1ULL << (number % SNOOP_KIND_COUNT)) << SNOOP_SEEN_SHIFT(number / SNOOP_KIND_COUNT);
  };
  Sample sample;
  snoop_target target = {};
  target.id = 1;
  Container& container = sample.recorder.add_container("c", 1, "/c", target);
  for (int one = 0; one < kBits; one++) {
    for (int other = 0; other < kBits; other++) {
      container.files.add({.path = fmt::format("/{:03}/{:03}", one, other), .seen = bit(one) | bit(other)});
    }
  }
  sample.header.updated_at = kStart;
  const Result<ReportContents> contents = read_bytes(bytes_of(sample.header, sample.recorder.containers()));
  ASSERT_TRUE(contents) << contents.error().message();
  const auto& files = contents->containers.at(0).files.entries();
  ASSERT_EQ(files.size(), static_cast<size_t>(kBits) * kBits);
  for (size_t i = 0; i < files.size(); i++) {
    ASSERT_EQ(files[i].seen(), bit(static_cast<int>(i) / kBits) | bit(static_cast<int>(i) % kBits)) << files[i].path();
  }
}

std::string sample_bytes() {
  Sample sample;
  fill(sample, 1, 4);
  snoop_target target = {};
  target.id = 9;
  Container& container = sample.recorder.add_container("c", 9, "/zz", target);
  container.observed = {{kStart, kOngoing}};
  container.discovery = Discovery(kStart);
  container.files.add({.path = "/etc/passwd",
                       .resolved = "/usr/etc/passwd",
                       .seen = 1 | 1ULL << SNOOP_SEEN_SHIFT(SNOOP_OUTCOME_REFUSED),
                       .first_seen = kStart,
                       .last_seen = kStart,
                       .count = 3,
                       .origin = FileOrigin::kVolume,
                       .mount = "/etc"});
  return bytes_of(sample.header, sample.recorder.containers());
}

std::string with(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.rfind(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(ReportReader, SaysWhatIsWrong) {
  const std::string good = sample_bytes();
  ASSERT_EQ(error_of(good), "none");
  EXPECT_THAT(error_of(""), HasSubstr("no JSON, or cut off"));
  EXPECT_THAT(error_of("snoop"), HasSubstr("no JSON, or cut off"));
  for (const char* foreign : {"{}", "[]", "[{}]", "7", "null", "\"x\"", "{\"schema_version\": 1}",
                              "{\"a\": {\"b\": [1]}}", "{\"schema_version\": \"1\", \"snoop_version\": \"1\"}",
                              "{\"schema_version\": 0}", "{\"schema_version\": -1}", "{\"schema_version\": 1.5}"}) {
    EXPECT_THAT(error_of(foreign), HasSubstr("no report of snoop")) << foreign;
  }
  EXPECT_THAT(error_of(with(good, "\"schema_version\": 1", "\"schema_version\": 2")), HasSubstr("newer"));
  EXPECT_THAT(error_of("{\"schema_version\": 99, \"whatever\": "), HasSubstr("newer"));
  EXPECT_THAT(error_of(good + "x"), HasSubstr("no JSON"));
  EXPECT_THAT(error_of(good + std::string("\0x", 2)), HasSubstr("behind"));
  EXPECT_THAT(error_of(with(good, "\"c\"", "\"\xFF\"")), HasSubstr("no JSON"));
  struct Row {
    const char* from;
    const char* to;
  };
  for (const Row& row : {
           Row{"\"path\": \"/etc/passwd\"", "\"path\": \"etc/passwd\""},
           Row{"\"path\": \"/etc/passwd\"", "\"path\": \"/etc\\u0000/passwd\""},
           Row{"\"path\": \"/etc/passwd\"", "\"path\": 7"},
           Row{"\"path\": \"/etc/passwd\"", "\"path\": \"/etc/passwd\", \"path_base64\": \"L3g=\""},
           Row{"\"path\": \"/etc/passwd\"", "\"path\": \"/etc/passwd\", \"path\": \"/etc/passwd\""},
           Row{"\"path\": \"/etc/passwd\"", "\"bath\": \"/etc/passwd\""},
           Row{"\"count\": 3", "\"count\": 4294967296"},
           Row{"\"count\": 3", "\"count\": -1"},
           Row{"\"count\": 3", "\"count\": 1e2"},
           Row{"\"origin\": \"volume\"", "\"origin\": \"moon\""},
           Row{"\"origin\": \"volume\"", "\"origin\": \"unknown\""},
           Row{"\"first_seen\": \"2023", "\"first_seen\": \"2024"},
           Row{"\"first_seen\": \"2023", "\"first_seen\": \"soon"},
           Row{"\"unique_files\": 1", "\"unique_files\": 2"},
           Row{"\"bucket_seconds\": ", "\"bucket_seconds\": 3"},
           Row{"\"access\": [\"open\"]", "\"access\": [\"peek\"]"},
           Row{"\"access\": [\"open\"]", "\"access\": []"},
           Row{"\"access\": [\"open\"]", "\"access\": [\"stat\"]"},
           Row{"\"access\": [\"open\"]", "\"access\": [\"open\", \"open\"]"},
           Row{"\"found\": true", "\"found\": false"},
           Row{"\"total_events\": ", "\"total_events\": 1"},
           Row{"\"cgroup_path\": \"/zz\"", "\"cgroup_path\": \"zz\""},
           Row{"\"files\": [", "\"files\": [7,"},
       }) {
    const std::string error = error_of(with(good, row.from, row.to));
    EXPECT_NE(error, "none") << row.from << " as " << row.to;
    EXPECT_EQ(error.find("no JSON"), std::string::npos) << row.to << ": " << error;
  }
}

TEST(ReportReader, PassesOverWhatItDoesNotKnow) {
  const std::string good = sample_bytes();
  std::string more =
      with(good, "\"count\": 3", "\"count\": 3, \"more\": {\"files\": [{\"path\": 1}, [[]], 1.5e3, null]}");
  more = with(more, "\"schema_version\": 1",
              "\"more\": [[{\"files\": [1]}], {\"containers\": [1]}], \"schema_version\": 1");
  const Result<ReportContents> contents = read_bytes(more);
  ASSERT_TRUE(contents) << contents.error().message();
  EXPECT_EQ(bytes_of(contents->header, contents->containers), good);
}

TEST(ReportReader, RefusesEachPartOfAReport) {
  const std::string good = sample_bytes();
  for (size_t size = 0; size + 2 < good.size(); size += size < 4'000 ? 5 : 97) {
    ASSERT_NE(error_of(good.substr(0, size)), "none") << size;
  }
}

TEST(ReportReader, TakesAnyBytes) {
  const std::string good = sample_bytes();
  std::mt19937 random(23);
  int read = 0;
  for (int round = 0; round < 500; round++) {
    std::string bytes = good;
    for (size_t i = 1 + random() % 3; i > 0; i--) {
      const size_t at = random() % bytes.size();
      switch (random() % 3) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes.erase(at, 1 + random() % 30);
          break;
        default:
          bytes.insert(at, bytes.substr(random() % bytes.size(), random() % 60));
      }
    }
    const Result<ReportContents> contents = read_bytes(bytes);
    if (contents) {
      read++;
      // What is taken can be written, and read again.
      const std::string again = bytes_of(contents->header, contents->containers);
      const Result<ReportContents> second = read_bytes(again);
      ASSERT_TRUE(second) << second.error().message() << "\n" << bytes;
      ASSERT_EQ(bytes_of(second->header, second->containers), again);
    }
  }
  EXPECT_LT(read, 1'500);
}

TEST(ReportReader, IsBounded) {
  EXPECT_NE(error_of(std::string(1'000'000, '[')), "none");
  std::string deep;
  for (int i = 0; i < 100'000; i++) {
    deep += "{\"a\":";
  }
  EXPECT_THAT(error_of(deep), HasSubstr("too deep"));
  EXPECT_THAT(error_of("{\"a\": \"" + std::string(5UL << 20, 'x') + "\"}"), HasSubstr("too long"));
  EXPECT_THAT(error_of(std::string(5UL << 20, ' ')), HasSubstr("too long"));
  EXPECT_THAT(error_of("{\"a\": 0." + std::string(5UL << 20, '1') + "}"), HasSubstr("too long"));
  std::string many = "{\"a\": [0";
  for (int i = 0; i < 2'000'000; i++) {
    many += ",0";
  }
  EXPECT_THAT(error_of(many), HasSubstr("too large"));
}

}  // namespace
}  // namespace snoop
