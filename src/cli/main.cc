// SPDX-License-Identifier: Apache-2.0
#include <malloc.h>

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/session.h"
#include "cli/signals.h"

int main(int argc, char** argv) {
  const snoop::ParsedArguments parsed = snoop::parse_arguments(argc, argv);
  if (parsed.exit_now) {
    return parsed.exit_code;
  }
  if (parsed.shows_settings) {
    return snoop::config_command(parsed.options);
  }
  // glibc raises it with each large block that is freed: then a list that outgrows its memory leaves a hole in the
  // heap.
  ::mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  snoop::set_up_logging(parsed.options);
  snoop::take_over_signals();
  switch (parsed.options.command) {
    case snoop::Command::kRun:
      return snoop::run_command(parsed.options);
    case snoop::Command::kRecord:
      return snoop::record_command(parsed.options);
    case snoop::Command::kTrace:
      return snoop::trace_command(parsed.options);
    case snoop::Command::kContainers:
      return snoop::containers_command(parsed.options);
    case snoop::Command::kCheck:
      return snoop::check_command(parsed.options);
    case snoop::Command::kVersion:
      return snoop::version_command();
  }
}
