// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/report_io.h"
#include "cli/session.h"
#include "output/atomic_file.h"
#include "output/merge.h"
#include "version.h"

namespace snoop {

namespace {

/// What the whole report says only of all parts together.
void warn_of(const NamedReport& report) {
  const ReportHeader& header = report.contents.header;
  const auto warn = [&](const std::string& what) { spdlog::warn("{}: {}", printable(report.name), what); };
  if (!header.final) {
    warn("not final: snoop was still running when it was written, or was killed");
  }
  for (const ReportSource& source : sources_of(report.contents)) {
    if (!source.complete) {
      warn("not complete: something was lost, see its losses");
      break;
    }
  }
  if (header.snoop_version != kVersion) {
    warn(fmt::format("written by snoop {}: what snoop {} does not know of it is left out",
                     printable(header.snoop_version), kVersion));
  }
}

Result<MergedReport> merge_files(const Options& options) {
  std::vector<NamedReport> reports;
  for (const std::string& path : options.reports) {
    Result<NamedReport> report = read_report_of(path);
    if (!report) {
      return tl::unexpected(report.error());
    }
    warn_of(*report);
    reports.push_back(std::move(*report));
  }
  return merge(std::move(reports), options.merge_by);
}

Result<void> write(const std::string& path, const std::function<void(std::FILE*)>& put) {
  if (path == "-") {
    return write_to_stdout(put);
  }
  // Not over what another snoop is writing.
  const Result<UniqueFd> claimed = claim(path);
  return claimed ? write_atomically(path, put) : tl::unexpected(claimed.error());
}

}  // namespace

int merge_command(const Options& options) {
  Result<MergedReport> merged = merge_files(options);
  if (!merged) {
    log_error(merged.error());
    return kExitFailure;
  }
  for (const std::string& warning : merged->warnings) {
    spdlog::warn("{}", printable(warning));
  }
  ReportContents& contents = merged->contents;
  contents.header.snoop_version = kVersion;
  const auto put = [&](std::FILE* stream) { write_report(stream, contents.header, contents.containers); };
  if (Result<void> written = write(options.output, put); !written) {
    log_error(written.error());
    return kExitFailure;
  }
  return kExitOk;
}

}  // namespace snoop
