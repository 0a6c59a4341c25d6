// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "packages/database.h"

namespace snoop {

/// "pkg:deb/debian/bash@5.2.15-2%2Bb7?arch=amd64": Package URL (ECMA-427), types deb and apk. The vendor is `os_id`;
/// where that is not known, the distribution that the format comes from. `distro` is left out: a package URL
/// without it is the same package for whoever compares.
[[nodiscard]] std::string package_url(const Package& package, std::string_view os_id);

/// "deb", "apk".
[[nodiscard]] std::string_view type_name(Package::Type type);

}  // namespace snoop
