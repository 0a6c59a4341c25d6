// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/clock.h"
#include "container/identity.h"
#include "pipeline/recorder.h"

namespace snoop {

/// Of the report format, docs/report.schema.json.
inline constexpr int kReportSchemaVersion = 1;

/// Most that a count of a report can be: more than happens in a thousand years. Sums end there.
inline constexpr uint64_t kMaxReportedCount = 1ULL << 60;

/// What stands where merged reports do not agree and something must stand.
inline constexpr const char* kSeveral = "several";

/// A report that became part of a merged one.
struct ReportSource {
  std::string hostname;
  /// Empty: not known.
  std::string machine_id;
  WallTime started_at = 0;
  WallTime updated_at = 0;
  uint64_t runs = 1;
  bool complete = false;
  bool final = false;

  friend bool operator<(const ReportSource& a, const ReportSource& b) {
    const auto key = [](const ReportSource& one) {
      return std::tie(one.hostname, one.machine_id, one.started_at, one.updated_at, one.runs, one.complete, one.final);
    };
    return key(a) < key(b);
  }
};

/// What is not known may be: what stays where only_image is set.
[[nodiscard]] inline bool may_be_of_image(FileOrigin origin) {
  return origin == FileOrigin::kImage || origin == FileOrigin::kUnknown;
}

/// In the entries of `not_seen` that are of the time before.
inline constexpr std::string_view kBeforeCapture = "before capture started";

/// What a report says about everything but the containers.
struct ReportHeader {
  std::string snoop_version;
  std::string hostname;
  std::string kernel;
  std::string arch;
  /// /etc/machine-id; empty: not known.
  std::string machine_id;
  /// Of this boot; empty: not known.
  std::string boot_id;
  std::string tier;
  /// Of the cgroups: "cgroup2", or a version 1 controller.
  std::string hierarchy;
  std::vector<std::string> not_seen;
  /// Who was asked for names and images in the last run; empty: nobody.
  std::vector<MetadataSource> metadata_sources;
  /// Containers of which nobody has said yet whether they are asked for.
  uint64_t undecided_containers = 0;
  /// Files that are known to be none of the image are left out.
  bool only_image = false;
  std::string pod_name;
  std::string namespace_name;
  std::map<std::string, std::string> labels;
  /// Of the first run.
  WallTime started_at = 0;
  WallTime updated_at = 0;
  bool final = false;
  /// How many runs of snoop made this report.
  uint64_t runs = 1;
  /// Between the runs.
  std::vector<Interval> gaps;
  /// Sorted; empty: not merged.
  std::vector<ReportSource> merged_from;
  /// Losses that belong to no container.
  uint64_t undecodable = 0;
  uint64_t skipped_runs = 0;
  uint64_t targets_over_limit = 0;
};

/// Writes the report as JSON: sorted, so that the same input gives the same
/// bytes, and as a stream, so that its size costs no memory. Errors of the
/// stream are the caller's to look for (ferror). `former`: containers of earlier
/// runs that were not found again.
void write_report(std::FILE* stream, const ReportHeader& header, const std::vector<Container>& containers,
                  const std::vector<Container>& former = {});

}  // namespace snoop
