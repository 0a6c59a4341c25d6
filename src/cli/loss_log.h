// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <set>
#include <string_view>

#include "pipeline/recorder.h"

namespace snoop {

/// Warns of accesses that were lost: why, and what would help.
class LossLog {
 public:
  /// All that were lost until now. In the end each cause is told with its sum, before that only where it is new.
  void tell(const Losses& losses, uint64_t undecodable, uint64_t skipped_runs, bool final);

 private:
  std::set<std::string_view> told_;
};

}  // namespace snoop
