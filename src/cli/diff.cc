// SPDX-License-Identifier: Apache-2.0
#include "output/diff.h"

#include <cstdio>

#include "cli/commands.h"
#include "cli/report_io.h"
#include "cli/session.h"

namespace snoop {

namespace {

/// As diff(1) has them.
enum DiffExitCode : int { kSame = 0, kDifferent = 1, kTrouble = 2 };

Result<int> diff_files(const Options& options) {
  const Result<NamedReport> before = read_report_of(options.reports.at(0));
  if (!before) {
    return tl::unexpected(before.error());
  }
  const Result<NamedReport> after = read_report_of(options.reports.at(1));
  if (!after) {
    return tl::unexpected(after.error());
  }
  const Result<ReportDiff> diff = compare(before->contents, after->contents, options.diff);
  if (!diff) {
    return tl::unexpected(diff.error());
  }
  const Result<void> written =
      write_to_stdout([&](std::FILE* stream) { (options.diff_json ? print_diff_json : print_diff)(stream, *diff); });
  if (!written) {
    return tl::unexpected(written.error());
  }
  return diff->is_empty() ? kSame : kDifferent;
}

}  // namespace

int diff_command(const Options& options) {
  const Result<int> code = diff_files(options);
  if (!code) {
    log_error(code.error());
    return kTrouble;
  }
  return *code;
}

}  // namespace snoop
