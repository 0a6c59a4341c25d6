// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace snoop {

/// The loader that an executable asks for by name (PT_INTERP). `fd` is open for
/// reading. An error where the file is no ELF file or names none.
[[nodiscard]] Result<std::string> elf_interpreter(int fd);

}  // namespace snoop
