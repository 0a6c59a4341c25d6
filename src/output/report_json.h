// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "event.h"
#include "output/identity_json.h"
#include "output/json_bytes.h"
#include "pipeline/access.h"
#include "pipeline/access_store.h"

namespace snoop {

// Members of a report that other output has, too.

using ReportWriter = rapidjson::PrettyWriter<rapidjson::StringBuffer>;

/// Text on its way to the stream, so that it never is all in memory.
class JsonOutput {
 public:
  explicit JsonOutput(std::FILE* stream) : stream_(stream) { buffer_.Reserve(2 * kEnough); }
  [[nodiscard]] rapidjson::StringBuffer& buffer() { return buffer_; }
  void flush_if_enough() {
    if (buffer_.GetSize() >= kEnough) {
      flush();
    }
  }
  /// What goes wrong stands in the stream's error flag.
  void flush() {
    std::fwrite(buffer_.GetString(), 1, buffer_.GetSize(), stream_);
    buffer_.Clear();
  }

 private:
  static constexpr size_t kEnough = 64UL * 1024;
  std::FILE* stream_;
  rapidjson::StringBuffer buffer_;
};

inline void put_time(ReportWriter& json, std::string_view key, WallTime time) {
  put_key(json, key);
  put_text(json, rfc3339(time));
}

inline void put_list(ReportWriter& json, std::string_view key, const std::vector<std::string_view>& names) {
  put_key(json, key);
  json.SetFormatOptions(rapidjson::kFormatSingleLineArray);
  json.StartArray();
  for (const std::string_view name : names) {
    put_text(json, name);
  }
  json.EndArray();
  json.SetFormatOptions(rapidjson::kFormatDefault);
}

inline void put_list_unless_empty(ReportWriter& json, std::string_view key,
                                  const std::vector<std::string_view>& names) {
  if (!names.empty()) {
    put_list(json, key, names);
  }
}

/// Files, one after the other. They have few times and kinds of access among them, so
/// the text of those is kept.
class FilePrinter {
 public:
  explicit FilePrinter(ReportWriter& json) : json_(json) {}

  void put(const AccessStore::Use& file) {
    const uint16_t succeeded = kinds_with(file.seen, SNOOP_OUTCOME_OK);
    const uint16_t missing = kinds_with(file.seen, SNOOP_OUTCOME_MISSING);
    const uint16_t refused = kinds_with(file.seen, SNOOP_OUTCOME_REFUSED);
    const uint16_t failed = kinds_with(file.seen, SNOOP_OUTCOME_OTHER);
    const bool found = (succeeded | refused | failed) != 0;
    // What the program did; where it got nowhere, what it tried.
    const auto kinds = static_cast<uint16_t>(succeeded != 0 ? succeeded : missing | refused | failed);
    json_.StartObject();
    put_bytes(json_, "path", file.path);
    put_list(json_, "access", names_of(kinds).kinds);
    put_list_unless_empty(json_, "open_modes", names_of(kinds).open_modes);
    put_key(json_, "found");
    json_.Bool(found);
    if (succeeded == 0 && found) {
      put_key(json_, "succeeded");
      json_.Bool(false);
    }
    // Where it was never found, `access` says it already.
    put_kinds_unless_none("missing", "missing_open_modes", found ? missing : 0);
    put_kinds_unless_none("refused", "refused_open_modes", refused);
    put_kinds_unless_none("failed", "failed_open_modes", failed);
    if (file.resolved != file.path) {
      put_bytes_unless_empty(json_, "resolved", file.resolved);
    }
    put_key(json_, "first_seen");
    put_text(json_, first_seen_.of(file.first_seen));
    put_key(json_, "last_seen");
    put_text(json_, last_seen_.of(file.last_seen));
    put_number(json_, "count", file.count);
    put_key(json_, "origin");
    put_text(json_, origin_name(file.origin));
    put_bytes_unless_empty(json_, "mount", file.mount);
    json_.EndObject();
  }

 private:
  struct Names {
    std::vector<std::string_view> kinds;
    std::vector<std::string_view> open_modes;
  };
  class TimeText {
   public:
    const std::string& of(WallTime time) {
      if (time != time_ || text_.empty()) {
        time_ = time;
        text_ = rfc3339_seconds(time);
      }
      return text_;
    }

   private:
    WallTime time_ = 0;
    std::string text_;
  };

  const Names& names_of(uint16_t kinds) {
    const auto [found, is_new] = names_.try_emplace(kinds);
    if (is_new) {
      found->second = {kind_names(kinds), open_mode_names(kinds)};
    }
    return found->second;
  }
  /// The kinds that ended in one way.
  void put_kinds_unless_none(std::string_view key, std::string_view open_modes_key, uint16_t kinds) {
    if (kinds != 0) {
      put_list_unless_empty(json_, key, names_of(kinds).kinds);
      put_list_unless_empty(json_, open_modes_key, names_of(kinds).open_modes);
    }
  }

  ReportWriter& json_;
  std::map<uint16_t, Names> names_;
  TimeText first_seen_;
  TimeText last_seen_;
};

}  // namespace snoop
