// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "output/report.h"
#include "output/report_reader.h"

namespace snoop {

enum class MergeBy {
  kImage,      ///< containers of one image are one
  kContainer,  ///< the same, if they also have one name, in one namespace
};

struct NamedReport {
  /// For messages.
  std::string name;
  ReportContents contents;
};

struct MergedReport {
  ReportContents contents;
  /// What was left out, or is counted twice.
  std::vector<std::string> warnings;
};

/// What a report was made of: itself, or those that it was merged from.
[[nodiscard]] std::vector<ReportSource> sources_of(const ReportContents& report);

struct ReportedContainer {
  /// Of its report.
  const ReportHeader* header;
  const Container* container;
};

/// Sets of containers that are of the same image, as far as that is certain; with kContainer in the same role: indices,
/// each in one of the sets.
[[nodiscard]] std::vector<std::vector<size_t>> same_containers(const std::vector<ReportedContainer>& containers,
                                                               MergeBy by);

/// One report of several; their order makes no difference. Each part of a report that another one goes on from is left
/// out. An error: more than a report can hold.
[[nodiscard]] Result<MergedReport> merge(std::vector<NamedReport> reports, MergeBy by);

}  // namespace snoop
