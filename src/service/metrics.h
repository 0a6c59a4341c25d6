// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "event.h"
#include "pipeline/recorder.h"

namespace snoop {

/// Accesses that came as records, by kind and outcome; each way to open counts as SNOOP_KIND_READ.
class RecordCounts {
 public:
  void add(uint64_t seen);
  [[nodiscard]] uint64_t of(snoop_kind kind, snoop_outcome outcome) const;

 private:
  std::array<std::array<uint64_t, SNOOP_KIND_COUNT>, SNOOP_OUTCOME_COUNT> counts_ = {};
};

/// How the writing of the report went so far.
struct ReportWrites {
  uint64_t done = 0;
  uint64_t failed = 0;
  /// Of those that are done.
  std::chrono::nanoseconds took{0};
  WallTime last_success = 0;
  uint64_t size_bytes = 0;
};

/// What the metrics show beside the containers.
struct ServiceFigures {
  std::string version;
  std::string tier;
  WallTime started_at = 0;
  /// Of the pod, for containers that do not know it themselves.
  std::string pod_name;
  std::string namespace_name;

  RecordCounts records;
  ReportWrites report;
  /// From one report to the next; 0: only at the end.
  std::chrono::milliseconds interval{0};

  /// Losses that belong to no container.
  uint64_t undecodable = 0;
  uint64_t skipped_runs = 0;
  uint64_t targets_over_limit = 0;

  uint64_t ring_size_bytes = 0;
  /// Most that was taken at a time.
  uint64_t ring_most_bytes = 0;
  /// Of which nobody has said whether they are asked for.
  uint64_t undecided_containers = 0;
  size_t cgroups = 0;
  size_t cgroups_limit = 0;
  size_t targets_limit = 0;
  size_t files_limit = 0;

  std::chrono::nanoseconds cpu_time{0};
  uint64_t resident_bytes = 0;
};

/// Most containers with series of their own; the rest are one, named kOtherContainers.
inline constexpr size_t kMaxContainerSeries = 500;
inline constexpr const char* kOtherContainers = "_other";

/// The text format of Prometheus. `former`: containers of earlier runs that were not found again.
[[nodiscard]] std::string metrics_page(const ServiceFigures& figures, const std::vector<Container>& containers,
                                       const std::vector<Container>& former = {});

/// docs/metrics.md: each metric, and what it means.
[[nodiscard]] std::string metrics_document();

}  // namespace snoop
