// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"
#include "packages/database.h"
#include "packages/image_root.h"

namespace snoop {

/// Adds what dpkg has installed: /var/lib/dpkg/status with info/*.list and diversions, and for images without dpkg
/// (distroless) status.d with its md5sums. Nothing where there is none. An error: it cannot be read.
[[nodiscard]] Result<void> read_dpkg(ImageRoot& root, Databases& databases);

}  // namespace snoop
