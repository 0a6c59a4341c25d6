// SPDX-License-Identifier: Apache-2.0
#include "metadata/json.h"

#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "base/text.h"

namespace snoop::metadata {

namespace {

using rapidjson::SizeType;
using rapidjson::Value;

constexpr size_t kMaxDepth = 64;
/// 16 bytes each while they are held.
constexpr size_t kMaxValues = 2'000'000;

/// Hands on what is read until there is too much of it.
template <typename Handler>
class Limited {
 public:
  explicit Limited(Handler& next) : next_(next) {}

  bool Null() { return count() && next_.Null(); }
  bool Bool(bool value) { return count() && next_.Bool(value); }
  bool Int(int value) { return count() && next_.Int(value); }
  bool Uint(unsigned value) { return count() && next_.Uint(value); }
  bool Int64(int64_t value) { return count() && next_.Int64(value); }
  bool Uint64(uint64_t value) { return count() && next_.Uint64(value); }
  bool Double(double value) { return count() && next_.Double(value); }
  bool RawNumber(const char* text, SizeType size, bool copy) { return count() && next_.RawNumber(text, size, copy); }
  bool String(const char* text, SizeType size, bool copy) { return count() && next_.String(text, size, copy); }
  bool Key(const char* text, SizeType size, bool copy) { return count() && next_.Key(text, size, copy); }
  bool StartObject() { return enter() && next_.StartObject(); }
  bool StartArray() { return enter() && next_.StartArray(); }
  bool EndObject(SizeType size) {
    depth_--;
    return next_.EndObject(size);
  }
  bool EndArray(SizeType size) {
    depth_--;
    return next_.EndArray(size);
  }

 private:
  bool count() { return ++values_ <= kMaxValues; }
  bool enter() { return count() && ++depth_ <= kMaxDepth; }

  Handler& next_;
  size_t values_ = 0;
  size_t depth_ = 0;
};

/// What Document::Populate calls for its content.
struct Generator {
  std::string_view text;
  bool read = false;

  template <typename Handler>
  bool operator()(Handler& handler) {
    Limited<Handler> limited(handler);
    rapidjson::MemoryStream stream(text.data(), text.size());
    rapidjson::Reader reader;
    read = !reader.Parse<rapidjson::kParseIterativeFlag>(stream, limited).IsError();
    return read;
  }
};

}  // namespace

std::optional<Json> Json::parse(std::string_view text) {
  Json json;
  Generator generator{text};
  json.document_.Populate(generator);
  if (!generator.read) {
    return std::nullopt;
  }
  return json;
}

const Value& member(const Value& object, std::string_view key) {
  static const Value kNull;
  if (!object.IsObject()) {
    return kNull;
  }
  const auto found = object.FindMember(Value(rapidjson::StringRef(key.data(), key.size())));
  return found == object.MemberEnd() ? kNull : found->value;
}

std::string text_of(const Value& value) {
  return value.IsString() ? std::string(value.GetString(), value.GetStringLength()) : std::string();
}

std::optional<uint64_t> number_of(const Value& value) {
  return value.IsUint64() ? std::optional<uint64_t>(value.GetUint64()) : std::nullopt;
}

std::map<std::string, std::string> texts_of(const Value& value) {
  std::map<std::string, std::string> texts;
  if (value.IsObject()) {
    for (const auto& entry : value.GetObject()) {
      if (entry.value.IsString()) {
        texts.emplace(text_of(entry.name), text_of(entry.value));
      }
    }
  }
  return texts;
}

std::vector<std::string> list_of(const Value& value) {
  std::vector<std::string> list;
  if (value.IsArray()) {
    for (const Value& item : value.GetArray()) {
      if (item.IsString()) {
        list.push_back(text_of(item));
      }
    }
  }
  return list;
}

std::string bytes_of(const Value& object, const std::string& key) {
  if (const Value& encoded = member(object, key + "_base64"); encoded.IsString()) {
    return from_base64(text_of(encoded)).value_or(std::string());
  }
  return text_of(member(object, key));
}

}  // namespace snoop::metadata
