// SPDX-License-Identifier: Apache-2.0
#include "metadata/oci_config.h"

#include "metadata/json.h"

namespace snoop::metadata {

void OciConfig::fill(Container& container) const {
  if (container.command.empty()) {
    container.command = command;
  }
  fill_from_labels(container, annotations);
}

OciConfig oci_config_of(const rapidjson::Value& config) {
  return {.command = list_of(member(config, "process", "args")),
          .annotations = texts_of(member(config, "annotations")),
          .cgroups_path = text_of(member(config, "linux", "cgroupsPath"))};
}

std::optional<OciConfig> parse_oci_config(std::string_view text) {
  if (text.size() > kMaxOciConfig) {
    return std::nullopt;
  }
  const std::optional<Json> json = Json::parse(text);
  if (!json || !json->root().IsObject()) {
    return std::nullopt;
  }
  return oci_config_of(json->root());
}

}  // namespace snoop::metadata
