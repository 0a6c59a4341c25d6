// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rapidjson/document.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "metadata/container.h"

namespace snoop::metadata {

/// What there is to know in a container's OCI configuration (config.json).
struct OciConfig {
  std::vector<std::string> command;
  std::map<std::string, std::string> annotations;
  /// A path, or SLICE:PREFIX:NAME.
  std::string cgroups_path;

  void fill(Container& container) const;
};

/// More than any runtime writes; the file is the user's.
constexpr size_t kMaxOciConfig = 8UL << 20;

[[nodiscard]] OciConfig oci_config_of(const rapidjson::Value& config);
/// Nothing where it is no JSON object.
[[nodiscard]] std::optional<OciConfig> parse_oci_config(std::string_view text);

}  // namespace snoop::metadata
