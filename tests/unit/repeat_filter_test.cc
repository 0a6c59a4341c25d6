// SPDX-License-Identifier: Apache-2.0
#include "cli/repeat_filter.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <spdlog/sinks/ostream_sink.h>

#include <chrono>
#include <sstream>

namespace snoop {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

class RepeatFilterTest : public testing::Test {
 protected:
  RepeatFilterTest() {
    filter_ = std::make_unique<RepeatFilter>(std::make_shared<spdlog::sinks::ostream_sink_st>(text_));
    filter_->set_pattern("%l %v");
  }

  void log(seconds at, spdlog::level::level_enum level, const std::string& text) {
    filter_->log({spdlog::log_clock::time_point(at), {}, "snoop", level, text});
  }
  /// What was passed on since the last time.
  std::string passed() {
    std::string text = text_.str();
    text_.str("");
    return text;
  }

  std::ostringstream text_;
  std::unique_ptr<RepeatFilter> filter_;
};

TEST_F(RepeatFilterTest, OnceAMinuteAndThenTheCount) {
  for (int second = 0; second < 60; second++) {
    log(seconds(second), spdlog::level::warn, "disk full");
    log(seconds(second), spdlog::level::err, "hint");
  }
  EXPECT_EQ(passed(), "warning disk full\nerror hint\n");
  log(seconds(61), spdlog::level::warn, "disk full");
  EXPECT_EQ(passed(), "warning repeated 59 times: disk full\nerror repeated 59 times: hint\nwarning disk full\n");
}

TEST_F(RepeatFilterTest, AnythingLoggedAfterTheMinuteBringsTheCount) {
  log(seconds(0), spdlog::level::warn, "again");
  log(seconds(1), spdlog::level::warn, "again");
  log(seconds(2), spdlog::level::info, "another");
  EXPECT_EQ(passed(), "warning again\ninfo another\n");
  log(seconds(60), spdlog::level::info, "another");
  EXPECT_EQ(passed(), "warning repeated 1 time: again\ninfo another\n");
}

TEST_F(RepeatFilterTest, FlushTellsAndForgets) {
  log(seconds(0), spdlog::level::err, "cannot write");
  log(seconds(1), spdlog::level::err, "cannot write");
  filter_->flush();
  EXPECT_EQ(passed(), "error cannot write\nerror repeated 1 time: cannot write\n");
  log(seconds(2), spdlog::level::err, "cannot write");
  filter_->flush();
  EXPECT_EQ(passed(), "error cannot write\n");
}

TEST_F(RepeatFilterTest, WhatIsNoWarningIsPassedOn) {
  log(seconds(0), spdlog::level::info, "report");
  log(seconds(0), spdlog::level::info, "report");
  EXPECT_EQ(passed(), "info report\ninfo report\n");
}

TEST_F(RepeatFilterTest, TheEndBringsTheCounts) {
  log(seconds(0), spdlog::level::warn, "a");
  log(seconds(0), spdlog::level::warn, "a");
  passed();
  filter_.reset();
  EXPECT_EQ(passed(), "warning repeated 1 time: a\n");
}

TEST_F(RepeatFilterTest, RemembersABoundedNumber) {
  for (size_t i = 0; i < 3 * RepeatFilter::kMaxRemembered; i++) {
    log(seconds(i / 10), spdlog::level::warn, fmt::format("{}", i));
  }
  passed();
  log(seconds(20), spdlog::level::warn, "0");
  EXPECT_THAT(passed(), HasSubstr("warning 0"));
  log(seconds(20), spdlog::level::warn, "190");
  EXPECT_THAT(passed(), Not(HasSubstr("190")));
}

}  // namespace
}  // namespace snoop
