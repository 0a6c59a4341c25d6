// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <functional>
#include <string>

#include "base/result.h"

namespace snoop {

/// Replaces the file at `path` by what `write` puts into the stream: whoever
/// reads it sees the old file or the new one, whole, also
/// after a crash. On an error the old one stays, and no temporary file.
///
/// The temporary file stands beside it, as ".NAME.tmp": one process writes to a
/// path at a time. It is a new one whatever was there: a link there is not followed. A symbolic link at `path` is
/// replaced, not followed; what is no file (a device, a FIFO) is left alone, and so is a link to it.
[[nodiscard]] Result<void> write_atomically(const std::string& path, const std::function<void(std::FILE*)>& write);

/// Whether a file could be put at `path` now, as far as that can be told without
/// writing it.
[[nodiscard]] Result<void> can_write(const std::string& path);

}  // namespace snoop
