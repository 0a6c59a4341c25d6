// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

namespace snoop {

namespace {

bool is_continuation(std::string_view bytes, size_t at) {
  return at < bytes.size() && (static_cast<unsigned char>(bytes[at]) & 0xC0) == 0x80;
}

/// Length of the character at the front; 0: not UTF-8.
size_t utf8_length(std::string_view bytes) {
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(bytes[at]); };
  const unsigned char first = byte(0);
  if (first < 0x80) {
    return 1;
  }
  if (first >= 0xC2 && first <= 0xDF) {
    return is_continuation(bytes, 1) ? 2 : 0;
  }
  if (first >= 0xE0 && first <= 0xEF) {
    if (!is_continuation(bytes, 1) || !is_continuation(bytes, 2)) {
      return 0;
    }
    const bool overlong = first == 0xE0 && byte(1) < 0xA0;
    const bool surrogate = first == 0xED && byte(1) >= 0xA0;
    return overlong || surrogate ? 0 : 3;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (!is_continuation(bytes, 1) || !is_continuation(bytes, 2) || !is_continuation(bytes, 3)) {
      return 0;
    }
    const bool overlong = first == 0xF0 && byte(1) < 0x90;
    const bool beyond = first == 0xF4 && byte(1) >= 0x90;
    return overlong || beyond ? 0 : 4;
  }
  return 0;
}

void append_hex(std::string& out, unsigned char byte) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += "\\x";
  out += kDigits[byte >> 4];
  out += kDigits[byte & 0xF];
}

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

bool is_utf8(std::string_view bytes) {
  // Nearly all that is asked about has no byte above 127.
  for (uint64_t word = 0; bytes.size() >= sizeof(word); bytes.remove_prefix(sizeof(word))) {
    std::memcpy(&word, bytes.data(), sizeof(word));
    if ((word & 0x8080808080808080U) != 0) {
      break;
    }
  }
  while (!bytes.empty()) {
    const size_t length = utf8_length(bytes);
    if (length == 0) {
      return false;
    }
    bytes.remove_prefix(length);
  }
  return true;
}

std::string to_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const size_t length = utf8_length(bytes);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      bytes.remove_prefix(1);
    } else {
      out += bytes.substr(0, length);
      bytes.remove_prefix(length);
    }
  }
  return out;
}

std::string to_base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t left = bytes.size() - i;
    const auto at = [&](size_t k) { return k < left ? static_cast<unsigned char>(bytes[i + k]) : 0U; };
    const uint32_t word = (at(0) << 16) | (at(1) << 8) | at(2);
    out += kAlphabet[word >> 18];
    out += kAlphabet[(word >> 12) & 63];
    out += left > 1 ? kAlphabet[(word >> 6) & 63] : '=';
    out += left > 2 ? kAlphabet[word & 63] : '=';
  }
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) {
    return std::nullopt;
  }
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (size_t i = 0; i < text.size(); i += 4) {
    uint32_t word = 0;
    size_t digits = 0;
    for (; digits < 4 && text[i + digits] != '='; digits++) {
      const size_t value = kAlphabet.find(text[i + digits]);
      if (value == std::string_view::npos) {
        return std::nullopt;
      }
      word |= static_cast<uint32_t>(value) << (18 - 6 * digits);
    }
    for (size_t byte = 0; byte + 1 < digits; byte++) {
      out += static_cast<char>((word >> (16 - 8 * byte)) & 0xFF);
    }
  }
  // One text only for the same bytes: padding at the end, no bits left over.
  return to_base64(out) == text ? std::optional(std::move(out)) : std::nullopt;
}

namespace {

/// Of more than one byte: U+0080 to U+009F, and what ends a line or turns the direction of
/// the text around (U+200E, U+200F, U+2028 to U+202E, U+2066 to U+2069).
bool is_control(std::string_view character) {
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(character[at]); };
  if (character.size() == 2) {
    return byte(0) == 0xC2 && byte(1) < 0xA0;
  }
  if (character.size() != 3 || byte(0) != 0xE2) {
    return false;
  }
  const unsigned char last = byte(2);
  return (byte(1) == 0x80 && (last == 0x8E || last == 0x8F || (last >= 0xA8 && last <= 0xAE))) ||
         (byte(1) == 0x81 && last >= 0xA6 && last <= 0xA9);
}

std::string escaped(std::string_view bytes, bool backslashes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const auto first = static_cast<unsigned char>(bytes[0]);
    const size_t length = utf8_length(bytes);
    const bool control = first < 0x20 || first == 0x7F || is_control(bytes.substr(0, length));
    if (first == '\n') {
      out += "\\n";
    } else if (first == '\t') {
      out += "\\t";
    } else if (first == '\\' && backslashes) {
      out += "\\\\";
    } else if (length == 0 || control) {
      for (size_t i = 0; i < (length == 0 ? 1 : length); i++) {
        append_hex(out, static_cast<unsigned char>(bytes[i]));
      }
    } else {
      out += bytes.substr(0, length);
    }
    bytes.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

}  // namespace

std::string printable(std::string_view bytes) { return escaped(bytes, true); }

std::string without_controls(std::string_view bytes) { return escaped(bytes, false); }

}  // namespace snoop
