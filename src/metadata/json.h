// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rapidjson/document.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace snoop::metadata {

/// A JSON text of others, read with limits: its depth, and how many values there are, beside the size of the text that
/// the caller limits. Asking for what is not there, or is of another type, gives what is empty.
class Json {
 public:
  [[nodiscard]] static std::optional<Json> parse(std::string_view text);

  [[nodiscard]] const rapidjson::Value& root() const { return document_; }

 private:
  rapidjson::Document document_;
};

/// The value below these members; a null one where there is none.
[[nodiscard]] const rapidjson::Value& member(const rapidjson::Value& object, std::string_view key);
template <typename... Keys>
[[nodiscard]] const rapidjson::Value& member(const rapidjson::Value& object, std::string_view key, Keys... keys) {
  return member(member(object, key), keys...);
}

[[nodiscard]] std::string text_of(const rapidjson::Value& value);
[[nodiscard]] std::optional<uint64_t> number_of(const rapidjson::Value& value);
/// Of an object: its members that are text.
[[nodiscard]] std::map<std::string, std::string> texts_of(const rapidjson::Value& value);
/// Of a list: its items that are text.
[[nodiscard]] std::vector<std::string> list_of(const rapidjson::Value& value);
/// A member of any bytes, as put_bytes writes it.
[[nodiscard]] std::string bytes_of(const rapidjson::Value& object, const std::string& key);

}  // namespace snoop::metadata
