// SPDX-License-Identifier: Apache-2.0
#include "output/container_table.h"

#include <fmt/format.h>
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>

#include "base/text.h"
#include "output/identity_json.h"

namespace snoop {

namespace {

constexpr size_t kColumns = 9;
using Row = std::array<std::string, kColumns>;

std::string shown(std::string_view text) { return text.empty() ? "-" : printable(text); }

/// The reference, or the end of the digest where there is none.
std::string image_of(const KnownContainer& container) {
  return shown(!container.image.empty() ? container.image : container.image_digest);
}

/// Empty: it can be observed now.
std::string why_not_observable(const KnownContainer& container) {
  const bool runs_not = container.state == "exited" || container.state == "created";
  return container.identity.not_observable.empty() && runs_not ? container.state : container.identity.not_observable;
}

}  // namespace

std::string container_table(const std::vector<KnownContainer>& containers) {
  constexpr size_t kShortId = 12;
  std::vector<Row> rows = {{"RUNTIME", "ID", "NAME", "IMAGE", "POD", "NAMESPACE", "STATE", "OBSERVABLE", "CGROUP"}};
  for (const KnownContainer& container : containers) {
    const Identity& identity = container.identity;
    const std::string id = is_unique_id(identity.id) ? identity.id.substr(0, kShortId) : identity.id;
    const std::string why_not = why_not_observable(container);
    rows.push_back({shown(identity.runtime), shown(id), shown(container.name), image_of(container),
                    shown(identity.pod_name), shown(identity.namespace_name), shown(container.state),
                    why_not.empty() ? "yes" : "no: " + printable(why_not), shown(container.cgroup_path)});
  }
  std::array<size_t, kColumns> widths = {};
  for (const Row& row : rows) {
    for (size_t i = 0; i + 1 < kColumns; i++) {
      widths.at(i) = std::max(widths.at(i), row.at(i).size());
    }
  }
  std::string text;
  for (const Row& row : rows) {
    for (size_t i = 0; i + 1 < kColumns; i++) {
      fmt::format_to(std::back_inserter(text), "{:<{}}  ", row.at(i), widths.at(i));
    }
    text += row.back() + "\n";
  }
  return text;
}

std::string container_json(const std::vector<KnownContainer>& containers, const std::vector<MetadataSource>& sources) {
  rapidjson::StringBuffer buffer;
  rapidjson::PrettyWriter<rapidjson::StringBuffer> json(buffer);
  json.SetIndent(' ', 1);
  json.StartObject();
  put_key(json, "containers");
  json.StartArray();
  for (const KnownContainer& container : containers) {
    json.StartObject();
    put_identity(json, container.name, container.image, container.image_digest, container.identity);
    put_bytes_unless_empty(json, "state", container.state);
    put_bytes_unless_empty(json, "cgroup_path", container.cgroup_path);
    put_key(json, "observable");
    json.Bool(why_not_observable(container).empty());
    json.EndObject();
  }
  json.EndArray();
  put_metadata_sources(json, "sources", sources);
  json.EndObject();
  return std::string(buffer.GetString(), buffer.GetSize()) + "\n";
}

}  // namespace snoop
