// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "cli/options.h"
#include "container/cgroup.h"
#include "output/report_reader.h"

namespace snoop {

/// Which machine this is, and its boot.
void name_host(const Options& options, ReportHeader& header);

/// Moves a file to PATH.kept-TIME in the same directory, never onto another
/// one; the new path.
[[nodiscard]] Result<std::string> keep_aside(const std::string& path);

/// The report of an earlier run that this one goes on from. What is there and
/// cannot be gone on from (damaged, foreign, newer, of another host) is kept
/// aside. An error: it could not be, and must not be overwritten.
[[nodiscard]] Result<std::optional<ReportContents>> take_up_report(const Options& options);

/// Containers whose cgroup is not there any more ended when they were last seen.
void mark_ended(ReportContents& former, const CgroupTree& tree, const std::string& boot_id);

/// Gives a container what an earlier run saw of it. With `can_wait`, false where that depends on its image, which its
/// runtime may still tell.
bool go_on_from(ReportContents& former, Container& container, const std::string& boot_id, bool can_wait);

/// Adds what the earlier runs say to the header of this one, which began at
/// `header.started_at`.
void add_former(const ReportHeader& former, ReportHeader& header);

}  // namespace snoop
