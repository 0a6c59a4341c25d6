// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "output/report_reader.h"
#include "output/report_side.h"

namespace snoop {

struct DiffOptions {
  /// The name of one, "NAME" or "NAMESPACE/NAME"; empty: all that are in both reports.
  std::string container;
  /// All containers of one report against all of the other.
  bool all = false;
  /// Also what was asked for and not there.
  bool missing = false;
  /// Only files that one of the reports says to be of these; empty: any.
  std::vector<FileOrigin> origins;
};

/// An entry that one of the sides does not have (nullptr), or that they have in different ways.
struct FileDiff {
  const AccessStore::Entry* before = nullptr;
  const AccessStore::Entry* after = nullptr;
  /// What is different, where both have it, in words.
  std::vector<std::string> changes;
};

struct ContainerDiff {
  ReportSide before;
  ReportSide after;
  /// Sorted by path.
  std::vector<FileDiff> files;
  size_t added = 0;
  size_t removed = 0;
  size_t changed = 0;
  size_t same = 0;
};

/// Valid as long as both reports are.
struct ReportDiff {
  const ReportHeader* before = nullptr;
  const ReportHeader* after = nullptr;
  std::vector<ContainerDiff> containers;
  /// Those that have no counterpart.
  std::vector<const Container*> only_before;
  std::vector<const Container*> only_after;
  /// One of the reports has only what may be of the image: so has this.
  bool only_image = false;

  [[nodiscard]] bool is_empty() const;
};

/// An error: there is nothing to compare, or too much to choose from.
[[nodiscard]] Result<ReportDiff> compare(const ReportContents& before, const ReportContents& after,
                                         const DiffOptions& options);

/// A line for each file, safe for a terminal, below one for each container.
void print_diff(std::FILE* stream, const ReportDiff& diff);
/// One JSON object: docs/report-format.md.
void print_diff_json(std::FILE* stream, const ReportDiff& diff);

}  // namespace snoop
