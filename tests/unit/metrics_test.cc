// SPDX-License-Identifier: Apache-2.0
#include "service/metrics.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "service/container_list.h"
#include "temp_dir.h"

namespace snoop {
namespace {

using testing::HasSubstr;
using testing::Not;

class MetricsTest : public testing::Test {
 protected:
  Container& add(const std::string& name) {
    snoop_target target = {};
    target.id = ++last_;
    return recorder_.add_container(name, last_, "/" + name, target);
  }
  void open(uint32_t target, const std::string& path) {
    Access access;
    access.path = path;
    access.seen = 1ULL << SNOOP_KIND_READ;
    access.target = target;
    recorder_.add(access);
  }
  [[nodiscard]] std::string page() { return metrics_page(figures_, recorder_.containers()); }

  uint32_t last_ = 0;
  Recorder recorder_{{.exclude = {}, .max_files = 100}};
  ServiceFigures figures_;
};

std::set<std::string> names_in(const std::string& text, const std::string& before, char after) {
  std::set<std::string> names;
  for (size_t at = text.find(before); at != std::string::npos; at = text.find(before, at + 1)) {
    const size_t begin = at + before.size();
    names.insert(text.substr(begin, text.find(after, begin) - begin));
  }
  return names;
}

TEST_F(MetricsTest, SumsUp) {
  add("a").total_events = 3;
  add("b").total_events = 4;
  open(1, "/x");
  open(1, "/y");
  open(2, "/x");
  recorder_.containers()[1].losses.base_unknown = 2;
  recorder_.containers()[1].image = "registry/b:1";
  figures_.undecodable = 5;
  figures_.namespace_name = "shop";
  figures_.pod_name = "web-0";
  figures_.records.add((1ULL << SNOOP_KIND_READ) | (1ULL << SNOOP_KIND_WRITE));
  figures_.records.add((1ULL << SNOOP_KIND_STAT) << SNOOP_SEEN_SHIFT(SNOOP_OUTCOME_MISSING));
  figures_.report = {.done = 2, .failed = 1, .took = std::chrono::milliseconds(500)};
  const std::string text = page();
  EXPECT_THAT(text, HasSubstr("\nsnoop_accesses_total 7\n"));
  EXPECT_THAT(text, HasSubstr("\nsnoop_new_files_total 3\n"));
  EXPECT_THAT(text, HasSubstr("\nsnoop_losses_total{cause=\"base_unknown\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("\nsnoop_losses_total{cause=\"undecodable\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("\nsnoop_report_complete 0\n"));
  EXPECT_THAT(text, HasSubstr("{namespace=\"shop\",pod=\"web-0\",container=\"a\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("\nsnoop_container_losses_total{namespace=\"shop\",pod=\"web-0\",container=\"b\","
                              "cause=\"base_unknown\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("container=\"b\",image=\"registry/b:1\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("\nsnoop_first_accesses_total{kind=\"open\",outcome=\"ok\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("\nsnoop_first_accesses_total{kind=\"stat\",outcome=\"missing\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("\nsnoop_report_write_duration_seconds_count 2\n"));
  EXPECT_THAT(text, HasSubstr("\nsnoop_report_write_duration_seconds_sum 0.5\n"));
  EXPECT_THAT(text, HasSubstr("\nsnoop_report_write_errors_total 1\n"));
}

TEST_F(MetricsTest, WhatAContainerKnowsOfItsPodStandsAboveWhatWasGiven) {
  figures_.namespace_name = "given";
  add("a").identity.namespace_name = "own";
  recorder_.containers()[0].identity.pod_name = "pod";
  add("b");
  EXPECT_THAT(page(), HasSubstr("{namespace=\"own\",pod=\"pod\",container=\"a\"}"));
  EXPECT_THAT(page(), HasSubstr("{namespace=\"given\",pod=\"\",container=\"b\"}"));
}

TEST_F(MetricsTest, NamesAreNoText) {
  add("a\"b\\c\nd\xff");
  EXPECT_THAT(page(), HasSubstr("container=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\""));
}

TEST_F(MetricsTest, ContainersOfOneNameAreOne) {
  // The counters do not fall when one of them ends.
  add("web").total_events = 3;
  add("web").total_events = 4;
  open(1, "/x");
  open(2, "/x");
  EXPECT_THAT(page(), HasSubstr("container=\"web\"} 7\n"));
  EXPECT_THAT(page(), HasSubstr("container=\"web\"} 2\n"));
  recorder_.containers()[0].ended_at = 1;
  EXPECT_THAT(page(), HasSubstr("container=\"web\"} 7\n"));
  EXPECT_THAT(page(), HasSubstr("container=\"web\"} 1\n"));
  recorder_.containers()[1].ended_at = 1;
  EXPECT_THAT(page(), Not(HasSubstr("container=\"web\"")));
  EXPECT_THAT(page(), HasSubstr("\nsnoop_accesses_total 7\n"));
  EXPECT_THAT(page(), HasSubstr("\nsnoop_containers{state=\"ended\"} 2\n"));
}

TEST_F(MetricsTest, TooManyContainersShareTheirSeries) {
  for (size_t i = 0; i < kMaxContainerSeries + 20; i++) {
    add(fmt::format("c{}", i)).total_events = 1;
  }
  EXPECT_THAT(page(), HasSubstr("container=\"_other\"} 20\n"));
  EXPECT_THAT(page(), HasSubstr("\nsnoop_containers_without_series 20\n"));
  EXPECT_EQ(names_in(page(), "container=\"", '"').size(), kMaxContainerSeries + 1);
}

TEST_F(MetricsTest, TheListNamesWhoIsReported) {
  add("a\xff");
  add("unused").only_if_used = true;
  const std::string list = container_list(recorder_.containers());
  EXPECT_THAT(list, HasSubstr("\"name\":\"a\xef\xbf\xbd\",\"name_base64\":\"Yf8=\""));
  EXPECT_THAT(list, Not(HasSubstr("unused")));
}

/// UPDATE_METRICS_DOC=1 writes it.
TEST_F(MetricsTest, TheDocumentIsThatOfTheCode) {
  if (std::getenv("UPDATE_METRICS_DOC") != nullptr) {
    std::ofstream(METRICS_DOCUMENT) << metrics_document();
  }
  EXPECT_EQ(read_file(METRICS_DOCUMENT), metrics_document());
}

TEST_F(MetricsTest, TheDocumentHasEachMetric) {
  Container& container = add("a");
  container.image = "i";
  container.losses.ring_full = 1;
  EXPECT_EQ(names_in(page(), "# TYPE ", ' '), names_in(metrics_document(), "| `", '`'));
}

}  // namespace
}  // namespace snoop
