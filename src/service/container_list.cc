// SPDX-License-Identifier: Apache-2.0
#include "service/container_list.h"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "output/identity_json.h"
#include "output/json_bytes.h"

namespace snoop {

std::string container_list(const std::vector<Container>& containers) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> json(buffer);
  json.StartObject();
  put_key(json, "containers");
  json.StartArray();
  for (const Container& container : containers) {
    if (!container.is_reported()) {
      continue;
    }
    json.StartObject();
    put_identity(json, container.name, container.image, container.image_digest, container.identity);
    if (container.undecided) {
      put_key(json, "undecided");
      json.Bool(true);
    }
    put_bytes(json, "cgroup_path", container.cgroup_path);
    put_key(json, "cgroup_id");
    json.Uint64(container.cgroup_id);
    put_key(json, "running");
    json.Bool(container.is_there());
    put_key(json, "unique_files");
    json.Uint64(container.files.size());
    put_key(json, "total_events");
    json.Uint64(container.all_events());
    put_key(json, "dropped_events");
    json.Uint64(container.all_losses().sum());
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
  return {buffer.GetString(), buffer.GetSize()};
}

}  // namespace snoop
