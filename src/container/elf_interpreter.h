// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace snoop {

/// The loader that an executable asks for by name (PT_INTERP). `fd` is open for
/// reading. An error where the file is no ELF file or names none.
[[nodiscard]] Result<std::string> elf_interpreter(int fd);

/// Opens a path as a program with this root directory would, never leaving it.
/// `flags` as for open(2).
[[nodiscard]] Result<int> open_in_root(int root_fd, const std::string& path, int flags);

}  // namespace snoop
