// SPDX-License-Identifier: Apache-2.0
#include "output/trace_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cstring>

#include "base/text.h"
#include "output/json_bytes.h"

namespace snoop {

namespace {

uint16_t kinds_of(const Access& access) {
  uint16_t kinds = 0;
  for (int outcome = 0; outcome < SNOOP_OUTCOME_COUNT; outcome++) {
    kinds |= kinds_with(access.seen, static_cast<snoop_outcome>(outcome));
  }
  return kinds;
}

std::string result_name(int result) {
  if (result >= 0) {
    return "ok";
  }
  const char* name = strerrorname_np(-result);
  return name != nullptr ? name : fmt::format("error {}", -result);
}

}  // namespace

std::string trace_text_line(const Access& access, const Container& container) {
  const uint16_t kinds = kinds_of(access);
  std::string what = fmt::format("{}", fmt::join(kind_names(kinds), ","));
  const std::vector<std::string_view> modes = open_mode_names(kinds);
  if (!modes.empty()) {
    what += fmt::format(":{}", fmt::join(modes, "+"));
  }
  return fmt::format("{:<8} {:<16} {:<20} {:<8} {}\n", access.pid, printable(container.name), what,
                     result_name(access.result), printable(access.path));
}

std::string trace_json_line(const Access& access, const Container& container) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> json(buffer);
  const auto put_names = [&](const char* key, const std::vector<std::string_view>& names) {
    if (!names.empty()) {
      put_key(json, key);
      json.StartArray();
      for (const std::string_view name : names) {
        put_text(json, name);
      }
      json.EndArray();
    }
  };
  const uint16_t kinds = kinds_of(access);
  json.StartObject();
  put_bytes(json, "time", rfc3339(access.time));
  put_key(json, "pid");
  json.Int(access.pid);
  put_key(json, "tid");
  json.Int(access.tid);
  put_bytes(json, "container", container.name);
  put_key(json, "cgroup_id");
  json.Uint64(access.cgroup_id);
  put_names("access", kind_names(kinds));
  put_names("open_modes", open_mode_names(kinds));
  put_bytes(json, "result", result_name(access.result));
  put_bytes(json, "path", access.path);
  if (!access.resolved.empty() && access.resolved != access.path) {
    put_bytes(json, "resolved", access.resolved);
  }
  json.EndObject();
  return std::string(buffer.GetString(), buffer.GetSize()) + "\n";
}

}  // namespace snoop
