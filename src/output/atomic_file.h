// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>

#include <cstdio>
#include <functional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace snoop {

/// Replaces the file at `path` by what `write` puts into the stream: whoever
/// reads it sees the old file or the new one, whole, also
/// after a crash. On an error the old one stays, and no temporary file.
///
/// The temporary file stands beside it, as ".NAME.tmp": one process writes to a
/// path at a time. It is a new one whatever was there: a link there is not followed. A symbolic link at `path` is
/// replaced, not followed; what is no file (a device, a FIFO) is left alone, and so is a link to it.
///
/// `before_replacing` is called with what the new file is, once that is whole; its error is the end of it.
using BeforeReplacing = std::function<Result<void>(const struct stat& info)>;
[[nodiscard]] Result<void> write_atomically(const std::string& path, const std::function<void(std::FILE*)>& write,
                                            const BeforeReplacing& before_replacing = {});

/// Whether a file could be put at `path` now, as far as that can be told without
/// writing it.
[[nodiscard]] Result<void> can_write(const std::string& path);

/// Keeps other snoops from writing to `path` for as long as the descriptor is open. An error: one does already, or
/// there is no such directory. Without a claim (empty) where it cannot be had.
///
/// It is the name of an abstract socket, made of the directory's inode: it leaves no file behind, not even after a
/// kill, needs no right to write, keeps nothing mounted, and goes with the process. Network namespaces have names of
/// their own: who writes to a report must also look whether what it replaces is its own.
[[nodiscard]] Result<UniqueFd> claim(const std::string& path);

}  // namespace snoop
