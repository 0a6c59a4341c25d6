// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"

namespace snoop {

struct Container;

/// How often files were accessed: all that the estimate is made from.
struct Frequencies {
  /// Files that were accessed.
  uint64_t files = 0;
  /// Accesses to them.
  uint64_t accesses = 0;
  /// Files that were accessed once, and twice.
  uint64_t singletons = 0;
  uint64_t doubletons = 0;

  void add(uint32_t count);
};

struct Estimate {
  /// Files in all, seen and unseen: a lower bound of their expected number.
  double files = 0;
  /// Its 95 % confidence interval.
  double low = 0;
  double high = 0;
  /// Share of further accesses that go to files that were seen already.
  double coverage = 0;
};

/// Estimates the number of files from how often those seen were seen:
///
///   files     Chao1 in its bias-corrected form, S + f1 (f1 - 1) / (2 (f2 + 1)).
///             Chao, A. (1984): Nonparametric estimation of the number of classes
///             in a population. Scandinavian Journal of Statistics 11, 265-270.
///             Chao, A. (2005): Species estimation and applications. Encyclopedia
///             of Statistical Sciences, 2nd ed., 12, 7907-7916 (bias-corrected).
///   low, high The log-normal interval of Chao, A. (1987): Estimating the
///             population size for capture-recapture data with unequal
///             catchability. Biometrics 43, 783-791; with the variance of the
///             bias-corrected form, and the interval where nothing is estimated to
///             be unseen, of Colwell, R. K.: EstimateS User's Guide, Appendix B.
///   coverage  Good, I. J. (1953): The population frequencies of species and the
///             estimation of population parameters. Biometrika 40, 237-264, who
///             gives it to Turing; as improved by Chao, A. and Jost, L. (2012):
///             Coverage-based rarefaction and extrapolation. Ecology 93, 2533-2547.
///
/// All of them take accesses for independent draws from one distribution.
[[nodiscard]] Estimate estimate(const Frequencies& frequencies);

struct Completeness {
  Frequencies frequencies;
  Estimate estimate;
  /// Why the estimate says nothing here; empty: it applies.
  std::string why_not;

  [[nodiscard]] bool applies() const { return why_not.empty(); }
};

/// What is known about a container's list at this time. Files count that were
/// found and accessed: neither what was open before capture nor links on the way.
[[nodiscard]] Completeness completeness_of(const Container& container, WallTime now);

/// For the log: how many files are probably still unseen, or why nobody knows.
[[nodiscard]] std::string completeness_text(const std::vector<Container>& containers, WallTime now);

}  // namespace snoop
