// SPDX-License-Identifier: Apache-2.0
#include <malloc.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <cstdio>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/session.h"
#include "cli/signals.h"

namespace {

/// Of a command that prints: what nobody gets is a failure.
int with_output(int code) {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) {
    return code;
  }
  errno = errno != 0 ? errno : EIO;
  std::perror("snoop: error: cannot write to stdout");
  return code == snoop::kExitOk ? snoop::kExitFailure : code;
}

}  // namespace

int main(int argc, char** argv) {
  const snoop::ParsedArguments parsed = snoop::parse_arguments(argc, argv);
  if (parsed.exit_now) {
    return with_output(parsed.exit_code);
  }
  // glibc raises it with each large block that is freed: then a list that outgrows its memory leaves a hole in the
  // heap.
  ::mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  snoop::set_up_logging(parsed.options);
  for (const std::string& variable : parsed.options.unknown_variables) {
    spdlog::warn("{}", snoop::printable(variable));
  }
  if (parsed.shows_settings) {
    return with_output(snoop::config_command(parsed.options));
  }
  snoop::take_over_signals();
  switch (parsed.options.command) {
    case snoop::Command::kRun:
      return snoop::run_command(parsed.options);
    case snoop::Command::kRecord:
      return snoop::record_command(parsed.options);
    case snoop::Command::kTrace:
      return snoop::trace_command(parsed.options);
    case snoop::Command::kContainers:
      return with_output(snoop::containers_command(parsed.options));
    case snoop::Command::kMerge:
      return snoop::merge_command(parsed.options);
    case snoop::Command::kDiff:
      return snoop::diff_command(parsed.options);
    case snoop::Command::kPackages:
      return snoop::packages_command(parsed.options);
    case snoop::Command::kCheck:
      return with_output(snoop::check_command(parsed.options));
    case snoop::Command::kVersion:
      return with_output(snoop::version_command());
  }
}
