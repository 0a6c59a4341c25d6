// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "container/identity.h"
#include "output/json_bytes.h"

namespace snoop {

// Members by which reports and lists say who a container is.

template <typename Writer>
void put_bytes_unless_empty(Writer& json, const std::string& key, std::string_view bytes) {
  if (!bytes.empty()) {
    put_bytes(json, key, bytes);
  }
}

template <typename Writer>
void put_number(Writer& json, std::string_view key, uint64_t number) {
  put_key(json, key);
  json.Uint64(number);
}

template <typename Writer>
void put_labels_unless_none(Writer& json, const std::map<std::string, std::string>& labels) {
  if (labels.empty()) {
    return;
  }
  put_key(json, "labels");
  json.StartObject();
  for (const auto& [key, value] : labels) {
    put_key(json, to_utf8(key));
    put_text(json, to_utf8(value));
  }
  json.EndObject();
}

template <typename Writer>
void put_identity(Writer& json, std::string_view name, std::string_view image, std::string_view image_digest,
                  const Identity& identity) {
  put_bytes(json, "name", name);
  put_bytes_unless_empty(json, "id", identity.id);
  put_bytes_unless_empty(json, "runtime", identity.runtime);
  put_bytes_unless_empty(json, "image", image);
  put_bytes_unless_empty(json, "image_digest", image_digest);
  put_bytes_unless_empty(json, "image_id", identity.image_id);
  put_bytes_unless_empty(json, "pod_name", identity.pod_name);
  put_bytes_unless_empty(json, "namespace", identity.namespace_name);
  put_bytes_unless_empty(json, "pod_uid", identity.pod_uid);
  put_labels_unless_none(json, identity.labels);
  if (identity.restart_count) {
    put_number(json, "restart_count", *identity.restart_count);
  }
  if (!identity.command.empty()) {
    put_key(json, "command");
    json.StartArray();
    for (const std::string& word : identity.command) {
      put_text(json, to_utf8(word));
    }
    json.EndArray();
  }
  if (identity.is_sandbox) {
    put_key(json, "sandbox");
    json.Bool(true);
  }
  put_bytes_unless_empty(json, "not_observable", identity.not_observable);
  put_bytes_unless_empty(json, "metadata_source", identity.source);
}

template <typename Writer>
void put_metadata_sources(Writer& json, std::string_view key, const std::vector<MetadataSource>& sources) {
  put_key(json, key);
  json.StartArray();
  for (const MetadataSource& source : sources) {
    json.StartObject();
    put_bytes(json, "name", source.name);
    put_bytes_unless_empty(json, "endpoint", source.endpoint);
    put_bytes(json, "state", source.state);
    put_bytes_unless_empty(json, "error", source.error);
    json.EndObject();
  }
  json.EndArray();
}

}  // namespace snoop
