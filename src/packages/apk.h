// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"
#include "packages/database.h"
#include "packages/image_root.h"

namespace snoop {

/// Adds what apk has installed: /lib/apk/db/installed, or /usr/lib/apk/db/installed (merged /usr). Nothing where there
/// is none. An error: it cannot be read.
[[nodiscard]] Result<void> read_apk(ImageRoot& root, Databases& databases);

}  // namespace snoop
