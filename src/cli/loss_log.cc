// SPDX-License-Identifier: Apache-2.0
#include "cli/loss_log.h"

#include <spdlog/spdlog.h>

#include <array>

namespace snoop {

void LossLog::tell(const Losses& losses, uint64_t undecodable, uint64_t skipped_runs, bool final) {
  struct Cause {
    std::string_view name;
    uint64_t lost;
    std::string_view text;
  };
  const std::array causes = {
      Cause{"ring_full", losses.ring_full, "the ring buffer was full: give a larger --ring-size, and no limit of CPU"},
      Cause{"files_over_limit", losses.files_over_limit,
            "more files than --max-files: give a larger one, or --exclude what need not be listed"},
      Cause{"path_unreadable", losses.path_unreadable, "paths could not be read"},
      Cause{"path_truncated", losses.path_truncated, "directories were too deep to name"},
      Cause{"base_unknown", losses.base_unknown, "directories of relative paths could not be found out"},
      Cause{"undecodable", undecodable, "records made no sense"},
      Cause{"skipped_runs", skipped_runs, "the kernel left out runs of snoop's programs"}};
  for (const Cause& cause : causes) {
    if (cause.lost != 0 && (told_.insert(cause.name).second || final)) {
      spdlog::warn("{} access{} lost{} ({}): {}", cause.lost, cause.lost == 1 ? "" : "es", final ? "" : " so far",
                   cause.name, cause.text);
    }
  }
}

}  // namespace snoop
