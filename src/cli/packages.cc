// SPDX-License-Identifier: Apache-2.0
#include <spdlog/spdlog.h>

#include <cstdio>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/report_io.h"
#include "cli/session.h"
#include "packages/attribution.h"

namespace snoop {

namespace {

Result<void> attribute_files(const Options& options) {
  const Result<NamedReport> report = read_report_of(options.reports.at(0));
  if (!report) {
    return tl::unexpected(report.error());
  }
  const Result<ReportSide> side = choose_container(report->contents, options.packages_container);
  if (!side) {
    return tl::unexpected(side.error());
  }
  Result<ImageRoot> root = ImageRoot::open(options.packages_root);
  if (!root) {
    return tl::unexpected(root.error());
  }
  const Result<Databases> databases = read_databases(*root);
  if (!databases) {
    return fail(databases.error(), options.packages_root);
  }
  for (const std::string& warning : databases->warnings) {
    spdlog::warn("{}", printable(warning));
  }
  Ownership ownership(*root, *databases);
  const Attribution attribution = attribute(report->contents.header, *side, *databases, ownership);
  const AttributedReport attributed{*side, *databases, attribution, options.packages_files};
  return write_to_stdout(
      [&](std::FILE* stream) { (options.packages_json ? print_packages_json : print_packages)(stream, attributed); });
}

}  // namespace

int packages_command(const Options& options) {
  if (const Result<void> done = attribute_files(options); !done) {
    log_error(done.error());
    return kExitFailure;
  }
  return kExitOk;
}

}  // namespace snoop
