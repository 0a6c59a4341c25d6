// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "pipeline/access.h"
#include "pipeline/recorder.h"

namespace snoop {

/// "PID CONTAINER KINDS RESULT PATH" and a newline; safe for a terminal.
[[nodiscard]] std::string trace_text_line(const Access& access, const Container& container);

/// One JSON object and a newline.
[[nodiscard]] std::string trace_json_line(const Access& access, const Container& container);

}  // namespace snoop
