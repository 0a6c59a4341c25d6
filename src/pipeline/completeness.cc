// SPDX-License-Identifier: Apache-2.0
#include "pipeline/completeness.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "pipeline/recorder.h"

namespace snoop {

namespace {

constexpr uint64_t kFewestAccesses = 100;
constexpr WallTime kMinute = 60'000'000'000;
constexpr WallTime kShortest = 10 * kMinute;

/// Quantile of the normal distribution for 95 %, two-sided.
constexpr double kZ = 1.96;

double coverage_of(double n, double f1, double f2) {
  if (n <= 0) {
    return 0;
  }
  const double rest = f2 > 0 ? 2 * f2 : 2;
  const double again = (n - 1) * (f2 > 0 ? f1 : f1 - 1);
  // No singletons: nothing is missing.
  return f1 <= 0 ? 1 : std::clamp(1 - f1 / n * (std::max(again, 0.0) / (std::max(again, 0.0) + rest)), 0.0, 1.0);
}

WallTime observed_time(const Container& container, WallTime now) {
  WallTime time = 0;
  for (const Interval& interval : container.observed_until(now)) {
    time += std::min(interval.to - interval.from, kShortest);
  }
  return time;
}

}  // namespace

void Frequencies::add(uint32_t count) {
  files += count > 0 ? 1 : 0;
  accesses += count;
  singletons += count == 1 ? 1 : 0;
  doubletons += count == 2 ? 1 : 0;
}

Estimate estimate(const Frequencies& frequencies) {
  const auto files = static_cast<double>(frequencies.files);
  const auto n = static_cast<double>(frequencies.accesses);
  const auto f1 = static_cast<double>(frequencies.singletons);
  const auto f2 = static_cast<double>(frequencies.doubletons);
  Estimate out;
  out.coverage = coverage_of(n, f1, f2);
  const double unseen = frequencies.singletons == 0 ? 0 : f1 * (f1 - 1) / (2 * (f2 + 1));
  out.files = files + unseen;
  if (frequencies.files == 0) {
    return out;
  }
  if (unseen > 0) {
    const double two = f2 + 1;
    const double variance = f1 * (f1 - 1) / (2 * two) + f1 * (2 * f1 - 1) * (2 * f1 - 1) / (4 * two * two) +
                            f1 * f1 * f2 * (f1 - 1) * (f1 - 1) / (4 * two * two * two * two);
    const double k = std::exp(kZ * std::sqrt(std::log(1 + variance / (unseen * unseen))));
    out.low = files + unseen / k;
    out.high = files + unseen * k;
  } else {
    const double p = std::exp(-n / files);
    const double deviation = std::sqrt(files * p * (1 - p));
    out.low = std::max(files, (files - kZ * deviation) / (1 - p));
    out.high = (files + kZ * deviation) / (1 - p);
  }
  return out;
}

Completeness completeness_of(const Container& container, WallTime now) {
  Completeness out;
  for (const AccessStore::Entry& entry : container.files.entries()) {
    if (entry.is_found()) {
      out.frequencies.add(entry.count());
    }
  }
  const Frequencies& frequencies = out.frequencies;
  if (container.counts_are_lower_bounds) {
    out.why_not = "not every access was counted for its file";
  } else if (container.all_losses().sum() != 0) {
    out.why_not = "accesses were lost";
  } else if (frequencies.accesses < kFewestAccesses) {
    out.why_not = "fewer than 100 accesses";
  } else if (observed_time(container, now) < kShortest) {
    out.why_not = "observed for less than 10 minutes";
  } else if (frequencies.singletons > 0 && frequencies.doubletons == 0) {
    out.why_not = "files were seen once, and none twice";
  } else {
    out.estimate = estimate(frequencies);
  }
  return out;
}

std::string completeness_text(const std::vector<Container>& containers, WallTime now) {
  size_t known = 0;
  Estimate sum;
  uint64_t seen = 0;
  double least_coverage = 1;
  std::string why_not;
  size_t count = 0;
  for (const Container& container : containers) {
    if (container.undecided) {
      continue;
    }
    count++;
    const Completeness one = completeness_of(container, now);
    if (!one.applies()) {
      why_not = one.why_not;
      continue;
    }
    known++;
    seen += one.frequencies.files;
    sum.files += one.estimate.files;
    sum.high += one.estimate.high;
    least_coverage = std::min(least_coverage, one.estimate.coverage);
  }
  if (known == 0) {
    return count == 1 ? fmt::format("no estimate of what is unseen: {}", why_not)
                      : std::string("no estimate of what is unseen");
  }
  const std::string where = count == 1 ? std::string() : fmt::format(" in {} of {} containers", known, count);
  return fmt::format("probably {:.0f} more files unseen{} (up to {:.0f}), coverage {:.4f}",
                     sum.files - static_cast<double>(seen), where, std::ceil(sum.high) - static_cast<double>(seen),
                     std::floor(least_coverage * 1e4) / 1e4);
}

}  // namespace snoop
