// SPDX-License-Identifier: Apache-2.0
#include "pipeline/completeness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "pipeline/recorder.h"

namespace snoop {
namespace {

using testing::HasSubstr;

constexpr WallTime kMinute = 60'000'000'000;

Frequencies of(const std::vector<uint32_t>& counts) {
  Frequencies frequencies;
  for (const uint32_t count : counts) {
    frequencies.add(count);
  }
  return frequencies;
}

TEST(Estimate, AgreesWithOthers) {
  // The example of scikit-bio's chao1 and chao1_ci.
  const Estimate one = estimate(of({0, 1, 1, 4, 2, 5, 2, 4, 1, 2}));
  EXPECT_NEAR(one.files, 9.75, 1e-9);
  EXPECT_NEAR(one.low, 9.07, 0.01);
  EXPECT_NEAR(one.high, 17.45, 0.01);
  // Chao and Jost: 1 - 3/22 * (21 * 3) / (21 * 3 + 2 * 3).
  EXPECT_NEAR(one.coverage, 1 - 3.0 / 22 * 63 / 69, 1e-9);
}

TEST(Estimate, OfWhatWasSeenOften) {
  const Estimate often = estimate(of(std::vector<uint32_t>(50, 100)));
  EXPECT_EQ(often.files, 50);
  EXPECT_NEAR(often.low, 50, 1e-6);
  EXPECT_NEAR(often.high, 50, 1e-6);
  EXPECT_EQ(often.coverage, 1);
  const Estimate nothing = estimate({});
  EXPECT_EQ(nothing.files, 0);
  EXPECT_EQ(nothing.coverage, 0);
}

TEST(Estimate, IsNeverBelowWhatWasSeenAndInItsInterval) {
  std::mt19937 random(3);
  for (int round = 0; round < 2'000; round++) {
    std::vector<uint32_t> counts(1 + random() % 50);
    for (uint32_t& count : counts) {
      count = 1 + static_cast<uint32_t>(random() % (1 + random() % 6));
    }
    const Frequencies frequencies = of(counts);
    const Estimate one = estimate(frequencies);
    EXPECT_GE(one.files, static_cast<double>(frequencies.files));
    EXPECT_GE(one.low, static_cast<double>(frequencies.files));
    EXPECT_GE(one.high, one.low);
    EXPECT_GE(one.coverage, 0);
    EXPECT_LE(one.coverage, 1);
    if (frequencies.singletons > 1) {
      EXPECT_LE(one.low, one.files);
      EXPECT_GE(one.high, one.files);
    }
  }
}

/// Where accesses are independent draws, the interval holds the truth mostly.
TEST(Estimate, FindsHowManyThereAre) {
  std::mt19937 random(17);
  constexpr int kRounds = 200;
  constexpr size_t kFiles = 400;
  int held = 0;
  for (int round = 0; round < kRounds; round++) {
    std::vector<uint32_t> counts(kFiles);
    for (int i = 0; i < 800; i++) {
      counts[random() % kFiles]++;
    }
    const Estimate one = estimate(of(counts));
    held += one.low <= kFiles && one.high >= kFiles ? 1 : 0;
  }
  EXPECT_GT(held, kRounds * 85 / 100);
}

class CompletenessOf : public testing::Test {
 protected:
  CompletenessOf() {
    snoop_target target = {};
    target.id = 1;
    container_ = &recorder_.add_container("c", 1, "/c", target);
    container_->observed = {{0, kOngoing}};
    for (int i = 0; i < 200; i++) {
      add("/f" + std::to_string(i), 1, static_cast<uint32_t>(1 + i % 4));
    }
  }
  void add(const std::string& path, uint64_t seen, uint32_t count) {
    container_->files.add({.path = path, .seen = seen, .count = count});
  }

  Recorder recorder_{{.exclude = {}, .max_files = 1000}};
  Container* container_ = nullptr;
};

TEST_F(CompletenessOf, CountsFilesThatWereFoundAndAccessed) {
  add("/missing", 1ULL << SNOOP_SEEN_SHIFT(SNOOP_OUTCOME_MISSING), 1);
  add("/baseline", 1ULL << SNOOP_KIND_BASELINE, 0);
  const Completeness one = completeness_of(*container_, 10 * kMinute);
  EXPECT_TRUE(one.applies()) << one.why_not;
  EXPECT_EQ(one.frequencies.files, 200U);
  EXPECT_EQ(one.frequencies.singletons, 50U);
  EXPECT_EQ(one.frequencies.doubletons, 50U);
  EXPECT_EQ(one.frequencies.accesses, 500U);
  EXPECT_NEAR(one.estimate.files, 200 + 50.0 * 49 / 102, 1e-9);
  EXPECT_THAT(completeness_text(recorder_.containers(), 10 * kMinute), HasSubstr("24 more files"));
}

TEST_F(CompletenessOf, SaysWhenItDoesNotApply) {
  EXPECT_THAT(completeness_of(*container_, 10 * kMinute - 1).why_not, HasSubstr("10 minutes"));
  // Two runs of five minutes each, and a gap.
  container_->observed = {{0, 5 * kMinute}, {60 * kMinute, kOngoing}};
  EXPECT_FALSE(completeness_of(*container_, 64 * kMinute).applies());
  EXPECT_TRUE(completeness_of(*container_, 65 * kMinute).applies());

  const WallTime now = 100 * kMinute;
  container_->counts_are_lower_bounds = true;
  EXPECT_THAT(completeness_of(*container_, now).why_not, HasSubstr("not every access"));
  container_->counts_are_lower_bounds = false;
  container_->earlier_losses.ring_full = 1;
  EXPECT_THAT(completeness_of(*container_, now).why_not, HasSubstr("lost"));
  EXPECT_THAT(completeness_text(recorder_.containers(), now), HasSubstr("lost"));
  container_->earlier_losses.ring_full = 0;
  container_->files = AccessStore(1000);
  EXPECT_THAT(completeness_of(*container_, now).why_not, HasSubstr("fewer than 100"));
  add("/once", 1, 1);
  add("/often", 1, 1000);
  EXPECT_THAT(completeness_of(*container_, now).why_not, HasSubstr("none twice"));
}

}  // namespace
}  // namespace snoop
