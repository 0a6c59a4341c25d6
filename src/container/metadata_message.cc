// SPDX-License-Identifier: Apache-2.0
#include "container/metadata_message.h"

#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cstdint>
#include <limits>
#include <utility>

#include "base/text.h"

namespace snoop {

namespace {

using Value = rapidjson::Value;

/// Of the text of one member.
constexpr size_t kMaxText = 16UL * 1024;
/// Of all labels, or of all words of a command.
constexpr size_t kMaxLabels = 256;
constexpr size_t kMaxWords = 256;
constexpr size_t kMaxListBytes = 16UL * 1024;

std::string_view view_of(const Value& text) { return {text.GetString(), text.GetStringLength()}; }

/// A value of one member of an object, if it is there and no null; sets `damaged` where it is of another type.
class Members {
 public:
  explicit Members(const Value& object) : object_(object) {}

  /// Of any bytes, as put_bytes (output/json_bytes.h) writes them.
  std::string text(const std::string& key) {
    const Value* value = find(key);
    if (value == nullptr) {
      return {};
    }
    const Value* encoded = find(key + "_base64");
    if (!value->IsString() || value->GetStringLength() > kMaxText || (encoded != nullptr && !encoded->IsString())) {
      damaged_ = true;
      return {};
    }
    std::optional<std::string> bytes =
        encoded == nullptr ? std::string(view_of(*value)) : from_base64(view_of(*encoded));
    damaged_ = damaged_ || !bytes;
    return bytes.value_or("");
  }

  std::optional<uint64_t> number(const std::string& key) {
    const Value* value = find(key);
    if (value == nullptr) {
      return std::nullopt;
    }
    if (!value->IsUint64() || value->GetUint64() > std::numeric_limits<uint32_t>::max()) {
      damaged_ = true;
      return std::nullopt;
    }
    return value->GetUint64();
  }

  bool flag(const std::string& key, bool otherwise) {
    const Value* value = find(key);
    if (value != nullptr && !value->IsBool()) {
      damaged_ = true;
    }
    return value != nullptr && value->IsBool() ? value->GetBool() : otherwise;
  }

  std::map<std::string, std::string> labels(const std::string& key) {
    std::map<std::string, std::string> labels;
    const Value* value = find(key);
    if (value == nullptr || !value->IsObject()) {
      damaged_ = damaged_ || value != nullptr;
      return labels;
    }
    size_t bytes = 0;
    for (const auto& member : value->GetObject()) {
      if (!member.value.IsString()) {
        damaged_ = true;
        return labels;
      }
      const size_t size = member.name.GetStringLength() + member.value.GetStringLength();
      if (labels.size() < kMaxLabels && bytes + size <= kMaxListBytes && member.name.GetStringLength() > 0) {
        bytes += size;
        labels.emplace(view_of(member.name), view_of(member.value));
      }
    }
    return labels;
  }

  /// The first words; a last one of "..." where there are more.
  std::vector<std::string> words(const std::string& key) {
    std::vector<std::string> words;
    const Value* value = find(key);
    if (value == nullptr || !value->IsArray()) {
      damaged_ = damaged_ || value != nullptr;
      return words;
    }
    size_t bytes = 0;
    for (const Value& word : value->GetArray()) {
      if (!word.IsString()) {
        damaged_ = true;
        return words;
      }
      bytes += word.GetStringLength();
      if (words.size() == kMaxWords || bytes > kMaxListBytes) {
        words.emplace_back("...");
        break;
      }
      words.emplace_back(view_of(word));
    }
    return words;
  }

  /// Of who does not say it, no more will come.
  Settled settled(const std::string& key) {
    if (find(key) == nullptr) {
      return kAllSettled;
    }
    Settled settled;
    for (const std::string& word : words(key)) {
      settled |= {.name = word == "name", .pod = word == "pod", .labels = word == "labels"};
    }
    return settled;
  }

  [[nodiscard]] bool is_damaged() const { return damaged_; }

 private:
  const Value* find(const std::string& key) {
    const auto found = object_.FindMember(key.c_str());
    return found == object_.MemberEnd() || found->value.IsNull() ? nullptr : &found->value;
  }

  const Value& object_;
  bool damaged_ = false;
};

std::optional<MetadataMessage> container_of(const Value& object) {
  Members members(object);
  KnownContainer known;
  known.identity = {.runtime = members.text("runtime"),
                    .id = members.text("id"),
                    .image_id = members.text("image_id"),
                    .pod_name = members.text("pod"),
                    .pod_uid = members.text("pod_uid"),
                    .namespace_name = members.text("namespace"),
                    .labels = members.labels("labels"),
                    .restart_count = members.number("restart_count"),
                    .command = members.words("command"),
                    .is_sandbox = members.flag("sandbox", false),
                    .not_observable = members.text("why_not_observable"),
                    .source = members.text("source"),
                    .settled = {}};
  known.identity.settled = members.settled("settled");
  known.name = members.text("name");
  known.image = members.text("image");
  known.image_digest = members.text("image_digest");
  known.cgroup_path = members.text("cgroup");
  known.pid = static_cast<pid_t>(members.number("pid").value_or(0) & std::numeric_limits<pid_t>::max());
  known.state = members.text("state");
  if (!members.flag("observable", true) && known.identity.not_observable.empty()) {
    known.identity.not_observable = "its runtime's containers are not seen from here";
  }
  if (members.is_damaged() || known.identity.id.empty()) {
    return std::nullopt;
  }
  return known;
}

std::optional<MetadataMessage> source_of(const Value& object) {
  Members members(object);
  MetadataSource source{.name = members.text("name"),
                        .endpoint = members.text("endpoint"),
                        .state = members.text("state"),
                        .error = members.text("error")};
  const bool is_state =
      !source.state.empty() && source.state.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string::npos;
  if (members.is_damaged() || source.name.empty() || !is_state) {
    return std::nullopt;
  }
  return source;
}

}  // namespace

std::optional<MetadataMessage> parse_metadata_line(std::string_view line) {
  rapidjson::Document document;
  // Iterative: however deep it is nested, no stack runs over.
  document.Parse<rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag>(line.data(), line.size());
  if (document.HasParseError() || !document.IsObject() || document.MemberCount() != 1) {
    return std::nullopt;
  }
  const std::string_view kind = view_of(document.MemberBegin()->name);
  const Value& value = document.MemberBegin()->value;
  if (kind == "listed") {
    return AllListed();
  }
  if (!value.IsObject()) {
    return std::nullopt;
  }
  if (kind == "container") {
    return container_of(value);
  }
  if (kind == "source") {
    return source_of(value);
  }
  if (kind == "unknown") {
    Members members(value);
    UnknownContainer unknown{members.text("id")};
    return members.is_damaged() ? std::nullopt : std::optional<MetadataMessage>(std::move(unknown));
  }
  return std::nullopt;
}

std::string metadata_question(std::string_view cgroup_path, std::string_view id, pid_t pid) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> json(buffer);
  const auto put = [&](const std::string& key, std::string_view text) {
    json.Key(key.c_str());
    const std::string shown = to_utf8(text);
    json.String(shown.data(), static_cast<rapidjson::SizeType>(shown.size()));
    // As bytes stand in reports.
    if (shown != text) {
      json.Key((key + "_base64").c_str());
      json.String(to_base64(text).c_str());
    }
  };
  json.StartObject();
  json.Key("ask");
  json.StartObject();
  put("cgroup", cgroup_path);
  put("id", id);
  json.Key("pid");
  json.Int(pid);
  json.EndObject();
  json.EndObject();
  return std::string(buffer.GetString(), buffer.GetSize()) + "\n";
}

}  // namespace snoop
