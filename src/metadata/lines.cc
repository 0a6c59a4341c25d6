// SPDX-License-Identifier: Apache-2.0
#include "metadata/lines.h"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <limits>
#include <string>
#include <string_view>

#include "base/text.h"
#include "metadata/json.h"
#include "output/json_bytes.h"

namespace snoop::metadata {

namespace {

using Writer = rapidjson::Writer<rapidjson::StringBuffer>;

/// An object in an object: {"KIND": {...}} and a newline.
template <typename Write>
std::string line(std::string_view kind, Write write) {
  rapidjson::StringBuffer buffer;
  Writer json(buffer);
  json.StartObject();
  put_key(json, kind);
  json.StartObject();
  write(json);
  json.EndObject();
  json.EndObject();
  return std::string(buffer.GetString(), buffer.GetSize()) + "\n";
}

void put_known(Writer& json, const char* key, const std::string& text) {
  if (!text.empty()) {
    put_bytes(json, key, text);
  }
}

std::string_view state_name(SourceState::Kind kind) {
  switch (kind) {
    case SourceState::Kind::kUntried:
      return "untried";
    case SourceState::Kind::kAnswered:
      return "answered";
    case SourceState::Kind::kMissing:
      return "missing";
    case SourceState::Kind::kRefused:
      return "refused";
    case SourceState::Kind::kTimedOut:
      return "timed_out";
    case SourceState::Kind::kFailed:
      return "failed";
  }
  return {};
}

}  // namespace

std::optional<Ask> parse_ask(std::string_view line) {
  const std::optional<Json> json = Json::parse(line);
  if (!json || !member(json->root(), "ask").IsObject()) {
    return std::nullopt;
  }
  const rapidjson::Value& ask = member(json->root(), "ask");
  Ask result{.cgroup = bytes_of(ask, "cgroup"), .id = bytes_of(ask, "id"), .pid = 0};
  const uint64_t pid = number_of(member(ask, "pid")).value_or(0);
  if (pid <= static_cast<uint64_t>(std::numeric_limits<pid_t>::max())) {
    result.pid = static_cast<pid_t>(pid);
  }
  if (result.cgroup.empty() && result.id.empty()) {
    return std::nullopt;
  }
  return result;
}

std::string container_line(const Container& container, std::string_view source) {
  return line("container", [&](Writer& json) {
    put_known(json, "id", container.id);
    put_known(json, "runtime", container.runtime);
    put_known(json, "name", container.name);
    put_known(json, "image", container.image);
    put_known(json, "image_digest", container.image_digest);
    put_known(json, "image_id", container.image_id);
    put_known(json, "pod", container.pod);
    put_known(json, "pod_uid", container.pod_uid);
    put_known(json, "namespace", container.ns);
    if (!container.labels.empty()) {
      put_key(json, "labels");
      json.StartObject();
      for (const auto& [key, value] : container.labels) {
        put_key(json, to_utf8(key));
        put_text(json, to_utf8(value));
      }
      json.EndObject();
    }
    if (container.restart_count) {
      put_key(json, "restart_count");
      json.Uint64(*container.restart_count);
    }
    if (!container.command.empty()) {
      put_key(json, "command");
      json.StartArray();
      for (const std::string& argument : container.command) {
        put_text(json, to_utf8(argument));
      }
      json.EndArray();
    }
    put_known(json, "cgroup", container.cgroup);
    if (container.pid > 0) {
      put_key(json, "pid");
      json.Int(container.pid);
    }
    put_known(json, "state", container.state);
    put_key(json, "sandbox");
    json.Bool(container.sandbox);
    put_key(json, "observable");
    json.Bool(container.why_not_observable.empty());
    put_known(json, "why_not_observable", container.why_not_observable);
    put_key(json, "source");
    put_text(json, source);
    put_key(json, "settled");
    json.StartArray();
    for (const auto& [is_settled, what] :
         {std::pair(container.settled.name, "name"), std::pair(container.settled.pod, "pod"),
          std::pair(container.settled.labels, "labels")}) {
      if (is_settled) {
        put_text(json, what);
      }
    }
    json.EndArray();
  });
}

std::string source_line(std::string_view name, std::string_view endpoint, const SourceState& state) {
  return line("source", [&](Writer& json) {
    put_key(json, "name");
    put_text(json, name);
    put_bytes(json, "endpoint", endpoint);
    put_key(json, "state");
    put_text(json, state_name(state.kind));
    put_known(json, "error", state.error);
  });
}

std::string unknown_line(const Ask& ask) {
  return line("unknown", [&](Writer& json) {
    put_known(json, "id", ask.id);
    put_known(json, "cgroup", ask.cgroup);
  });
}

std::string listed_line() { return "{\"listed\":true}\n"; }

}  // namespace snoop::metadata
