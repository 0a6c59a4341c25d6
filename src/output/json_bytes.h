// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rapidjson/rapidjson.h>

#include <string>
#include <string_view>

#include "base/text.h"

namespace snoop {

template <typename Writer>
void put_key(Writer& json, std::string_view key) {
  json.Key(key.data(), static_cast<rapidjson::SizeType>(key.size()));
}

/// Must be UTF-8.
template <typename Writer>
void put_text(Writer& json, std::string_view text) {
  json.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
}

/// A member of any bytes: what is not UTF-8 stands whole in KEY_base64, and as
/// well as it can be shown in KEY.
template <typename Writer>
void put_bytes(Writer& json, const std::string& key, std::string_view bytes) {
  put_key(json, key);
  if (is_utf8(bytes)) {
    put_text(json, bytes);
    return;
  }
  put_text(json, to_utf8(bytes));
  put_key(json, key + "_base64");
  put_text(json, to_base64(bytes));
}

}  // namespace snoop
