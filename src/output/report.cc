// SPDX-License-Identifier: Apache-2.0
#include "output/report.h"

#include <rapidjson/filewritestream.h>
#include <rapidjson/prettywriter.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <tuple>

#include "base/text.h"
#include "event.h"
#include "output/json_bytes.h"
#include "pipeline/access.h"

namespace snoop {

namespace {

using Writer = rapidjson::PrettyWriter<rapidjson::FileWriteStream>;

void put_bytes_unless_empty(Writer& json, const std::string& key, std::string_view bytes) {
  if (!bytes.empty()) {
    put_bytes(json, key, bytes);
  }
}

void put_number(Writer& json, std::string_view key, uint64_t number) {
  put_key(json, key);
  json.Uint64(number);
}

void put_time(Writer& json, std::string_view key, WallTime time) {
  put_key(json, key);
  put_text(json, rfc3339(time));
}

void put_list(Writer& json, std::string_view key, const std::vector<std::string_view>& names) {
  put_key(json, key);
  json.SetFormatOptions(rapidjson::kFormatSingleLineArray);
  json.StartArray();
  for (const std::string_view name : names) {
    put_text(json, name);
  }
  json.EndArray();
  json.SetFormatOptions(rapidjson::kFormatDefault);
}

void put_list_unless_empty(Writer& json, std::string_view key, const std::vector<std::string_view>& names) {
  if (!names.empty()) {
    put_list(json, key, names);
  }
}

void put_losses(Writer& json, const Losses& losses) {
  put_number(json, "ring_full", losses.ring_full);
  put_number(json, "path_unreadable", losses.path_unreadable);
  put_number(json, "path_truncated", losses.path_truncated);
  put_number(json, "base_unknown", losses.base_unknown);
  put_number(json, "files_over_limit", losses.files_over_limit);
}

void put_file(Writer& json, const AccessStore::Entry& file) {
  const uint16_t succeeded = kinds_with(file.seen, SNOOP_OUTCOME_OK);
  const uint16_t missing = kinds_with(file.seen, SNOOP_OUTCOME_MISSING);
  const uint16_t refused = kinds_with(file.seen, SNOOP_OUTCOME_REFUSED);
  const uint16_t failed = kinds_with(file.seen, SNOOP_OUTCOME_OTHER);
  const bool found = (succeeded | refused | failed) != 0;
  // What the program did; where it got nowhere, what it tried.
  const auto kinds = static_cast<uint16_t>(succeeded != 0 ? succeeded : missing | refused | failed);
  json.StartObject();
  put_bytes(json, "path", file.path);
  put_list(json, "access", kind_names(kinds));
  put_list_unless_empty(json, "open_modes", open_mode_names(kinds));
  put_key(json, "found");
  json.Bool(found);
  if (succeeded == 0 && found) {
    put_key(json, "succeeded");
    json.Bool(false);
  }
  put_list_unless_empty(json, "refused", kind_names(refused));
  if (file.resolved != file.path) {
    put_bytes_unless_empty(json, "resolved", file.resolved);
  }
  json.EndObject();
}

void put_container(Writer& json, const ReportHeader& header, const Container& container) {
  json.StartObject();
  put_bytes(json, "name", container.name);
  put_bytes_unless_empty(json, "image", container.image);
  put_bytes_unless_empty(json, "image_digest", container.image_digest);
  put_number(json, "cgroup_id", container.cgroup_id);
  put_bytes(json, "cgroup_path", container.cgroup_path);
  put_key(json, "observed");
  json.StartArray();
  json.StartObject();
  put_time(json, "from", container.observed_from);
  put_time(json, "to", header.updated_at);
  json.EndObject();
  json.EndArray();
  put_number(json, "total_events", container.total_events);
  put_number(json, "unique_files", container.files.size());
  put_key(json, "losses");
  json.StartObject();
  put_losses(json, container.losses);
  json.EndObject();

  const auto& entries = container.files.entries();
  std::vector<uint32_t> order(entries.size());
  for (uint32_t i = 0; i < order.size(); i++) {
    order[i] = i;
  }
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return entries[a].path < entries[b].path; });
  put_key(json, "files");
  json.StartArray();
  for (const uint32_t index : order) {
    put_file(json, entries[index]);
  }
  json.EndArray();
  json.EndObject();
}

}  // namespace

void write_report(std::FILE* stream, const ReportHeader& header, const std::vector<Container>& containers) {
  std::array<char, 64UL * 1024> buffer = {};
  rapidjson::FileWriteStream out(stream, buffer.data(), buffer.size());
  Writer json(out);
  json.SetIndent(' ', 1);

  std::vector<const Container*> sorted;
  Losses losses;
  uint64_t total_events = 0;
  for (const Container& container : containers) {
    if (container.only_if_used && container.total_events == 0 && container.files.size() == 0) {
      continue;
    }
    sorted.push_back(&container);
    losses += container.losses;
    total_events += container.total_events;
  }
  std::sort(sorted.begin(), sorted.end(), [](const Container* a, const Container* b) {
    return std::tie(a->cgroup_path, a->cgroup_id) < std::tie(b->cgroup_path, b->cgroup_id);
  });
  const uint64_t dropped = losses.sum() + header.undecodable + header.skipped_runs;

  json.StartObject();
  put_number(json, "schema_version", kReportSchemaVersion);
  put_bytes(json, "snoop_version", header.snoop_version);
  put_key(json, "host");
  json.StartObject();
  put_bytes(json, "hostname", header.hostname);
  put_bytes(json, "kernel", header.kernel);
  put_bytes(json, "arch", header.arch);
  json.EndObject();
  put_key(json, "capture");
  json.StartObject();
  put_bytes(json, "tier", header.tier);
  put_bytes_unless_empty(json, "hierarchy", header.hierarchy);
  put_list(json, "not_seen", {header.not_seen.begin(), header.not_seen.end()});
  json.EndObject();
  put_bytes_unless_empty(json, "pod_name", header.pod_name);
  put_bytes_unless_empty(json, "namespace", header.namespace_name);
  if (!header.labels.empty()) {
    put_key(json, "labels");
    json.StartObject();
    for (const auto& [key, value] : header.labels) {
      put_key(json, to_utf8(key));
      put_text(json, to_utf8(value));
    }
    json.EndObject();
  }
  put_time(json, "started_at", header.started_at);
  put_time(json, "last_updated_at", header.updated_at);
  put_key(json, "final");
  json.Bool(header.final);
  put_key(json, "complete");
  json.Bool(dropped == 0 && header.targets_over_limit == 0);
  put_key(json, "losses");
  json.StartObject();
  put_losses(json, losses);
  put_number(json, "undecodable", header.undecodable);
  put_number(json, "skipped_runs", header.skipped_runs);
  put_number(json, "targets_over_limit", header.targets_over_limit);
  json.EndObject();
  put_number(json, "total_events", total_events);
  put_number(json, "dropped_events", dropped);
  put_key(json, "containers");
  json.StartArray();
  for (const Container* container : sorted) {
    put_container(json, header, *container);
  }
  json.EndArray();
  json.EndObject();
  out.Put('\n');
  out.Flush();
}

}  // namespace snoop
