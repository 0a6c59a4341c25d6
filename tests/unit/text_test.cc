// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace snoop {
namespace {

using namespace std::string_literals;

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    out += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    out += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
    out += ' ';
  }
  return out;
}

std::string encode(uint32_t code) {
  const auto byte = [](uint32_t value) { return static_cast<char>(value); };
  const auto tail = [&](int shift) { return byte(0x80 | ((code >> shift) & 0x3F)); };
  if (code < 0x80) {
    return {byte(code)};
  }
  if (code < 0x800) {
    return {byte(0xC0 | (code >> 6)), tail(0)};
  }
  if (code < 0x10000) {
    return {byte(0xE0 | (code >> 12)), tail(6), tail(0)};
  }
  return {byte(0xF0 | (code >> 18)), tail(12), tail(6), tail(0)};
}

TEST(Text, TakesUtf8) {
  for (const std::string& text :
       {""s, "plain"s, "\0"s, "\x7F"s, "\xC2\x80"s, "\xDF\xBF"s, "\xE0\xA0\x80"s, "\xED\x9F\xBF"s, "\xEE\x80\x80"s,
        "\xEF\xBF\xBF"s, "\xF0\x90\x80\x80"s, "\xF4\x8F\xBF\xBF"s, "caf\xC3\xA9/\xE2\x8B\xAF/\xF0\x9F\x90\xB3"s}) {
    EXPECT_TRUE(is_utf8(text)) << hex(text);
    EXPECT_EQ(to_utf8(text), text) << hex(text);
  }
}

TEST(Text, RefusesWhatIsNotUtf8) {
  struct Row {
    const char* why;
    std::string bytes;
  };
  for (const Row& row : {
           Row{"a continuation alone", "\x80"},
           Row{"a continuation alone", "\xBF"},
           Row{"overlong, 2 bytes", "\xC0\x80"},
           Row{"overlong, 2 bytes", "\xC1\xBF"},
           Row{"overlong, 3 bytes", "\xE0\x80\x80"},
           Row{"overlong, 3 bytes", "\xE0\x9F\xBF"},
           Row{"overlong, 4 bytes", "\xF0\x80\x80\x80"},
           Row{"overlong, 4 bytes", "\xF0\x8F\xBF\xBF"},
           Row{"first surrogate", "\xED\xA0\x80"},
           Row{"last surrogate", "\xED\xBF\xBF"},
           Row{"beyond U+10FFFF", "\xF4\x90\x80\x80"},
           Row{"beyond U+10FFFF", "\xF5\x80\x80\x80"},
           Row{"5 bytes", "\xF8\x88\x80\x80\x80"},
           Row{"no UTF-8 byte", "\xFE"},
           Row{"no UTF-8 byte", "\xFF"},
           Row{"cut after 1 of 2", "\xC3"},
           Row{"cut after 1 of 3", "\xE2"},
           Row{"cut after 2 of 3", "\xE2\x82"},
           Row{"cut after 3 of 4", "\xF0\x9F\x90"},
           Row{"2 bytes, second plain", "\xC3("},
           Row{"3 bytes, third plain", "\xE2\x82("},
           Row{"4 bytes, fourth plain", "\xF0\x9F\x90("},
           Row{"at the end", "name\xFF"},
       }) {
    EXPECT_FALSE(is_utf8(row.bytes)) << row.why << ": " << hex(row.bytes);
    EXPECT_TRUE(is_utf8(to_utf8(row.bytes))) << row.why << ": " << hex(row.bytes);
  }
}

TEST(Text, KnowsEveryCodePoint) {
  for (uint32_t code = 0; code <= 0x11FFFF; code++) {
    const bool valid = code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
    ASSERT_EQ(is_utf8(encode(code)), valid) << std::hex << code;
  }
}

TEST(Text, ReplacesEachBadByte) {
  EXPECT_EQ(to_utf8("a\xFF\xFE"
                    "b"),
            "a\xEF\xBF\xBD\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(to_utf8("\xE2\x82"
                    "x"),
            "\xEF\xBF\xBD\xEF\xBF\xBD"
            "x");
  EXPECT_EQ(to_utf8("\xC3\xC3\xA9"), "\xEF\xBF\xBD\xC3\xA9");
}

TEST(Text, WritesBase64) {
  struct Row {
    std::string bytes;
    std::string expected;
  };
  for (const Row& row : {
           // RFC 4648, section 10.
           Row{"", ""},
           Row{"f", "Zg=="},
           Row{"fo", "Zm8="},
           Row{"foo", "Zm9v"},
           Row{"foob", "Zm9vYg=="},
           Row{"fooba", "Zm9vYmE="},
           Row{"foobar", "Zm9vYmFy"},
           Row{"\xFF\xEF\xBE"s, "/+++"},
           Row{"\0"s, "AA=="},
           Row{"\0\0\0"s, "AAAA"},
           Row{"\xFF\xFF\xFF"s, "////"},
       }) {
    EXPECT_EQ(to_base64(row.bytes), row.expected) << hex(row.bytes);
  }
}

TEST(Text, MakesTextSafeToPrint) {
  struct Row {
    std::string bytes;
    std::string expected;
  };
  for (const Row& row : {
           Row{"", ""},
           Row{"/usr/lib/caf\xC3\xA9 x", "/usr/lib/caf\xC3\xA9 x"},
           Row{"a\nb", "a\\nb"},
           Row{"a\tb", "a\\tb"},
           Row{"a\rb", "a\\x0db"},
           Row{"a\\nb", "a\\\\nb"},
           Row{"\0"s, "\\x00"},
           Row{"\x1B[2J", "\\x1b[2J"},
           Row{"\x7F", "\\x7f"},
           // U+009B is CSI for a terminal that takes 8-bit controls.
           Row{"\xC2\x9B"
               "31m",
               "\\xc2\\x9b31m"},
           Row{"\xC2\x80\xC2\x9F", "\\xc2\\x80\\xc2\\x9f"},
           Row{"\xC2\xA0", "\xC2\xA0"},
           Row{"\x9B", "\\x9b"},
           Row{"\xFF", "\\xff"},
           Row{"\xE2\x82", "\\xe2\\x82"},
           Row{"\xED\xA0\x80", "\\xed\\xa0\\x80"},
           Row{"\"'`$", "\"'`$"},
           Row{"\xE2\x80\xAE\xE2\x81\xA6\xE2\x80\xA8", "\\xe2\\x80\\xae\\xe2\\x81\\xa6\\xe2\\x80\\xa8"},
           Row{"\xE2\x80\xA6", "\xE2\x80\xA6"},
       }) {
    EXPECT_EQ(printable(row.bytes), row.expected) << hex(row.bytes);
  }
}

TEST(Text, LeavesBackslashesOfWhatIsPrintableInParts) {
  EXPECT_EQ(without_controls("a\\x1b \x1B \n \xFF"), "a\\x1b \\x1b \\n \\xff");
}

TEST(Text, PrintsNothingThatATerminalObeys) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; round++) {
    std::string bytes(random() % 24, '\0');
    for (char& c : bytes) {
      // Often a byte that begins or goes on with a character.
      c = static_cast<char>(random() % 2 == 0 ? random() : 0x80 + random() % 0x70);
    }
    const std::string shown = printable(bytes);
    ASSERT_TRUE(is_utf8(shown)) << hex(bytes);
    for (size_t i = 0; i < shown.size(); i++) {
      const auto byte = static_cast<unsigned char>(shown[i]);
      ASSERT_TRUE(byte >= 0x20 && byte != 0x7F) << hex(bytes);
      ASSERT_FALSE(byte == 0xC2 && static_cast<unsigned char>(shown[i + 1]) < 0xA0) << hex(bytes);
    }
    ASSERT_TRUE(is_utf8(to_utf8(bytes))) << hex(bytes);
    ASSERT_EQ(to_utf8(bytes) == bytes, is_utf8(bytes)) << hex(bytes);
  }
}

TEST(Base64, IsReadAsItIsWritten) {
  std::string bytes;
  for (int i = 0; i < 300; i++) {
    EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
    bytes += static_cast<char>(i * 37);
  }
  for (const char* text : {"a", "ab", "abc", "ab=c", "====", "a===", "ab==cdef", "ab c", "abc\n", "ab-_", "ab==ab=="}) {
    EXPECT_EQ(from_base64(text), std::nullopt) << text;
  }
  EXPECT_EQ(from_base64("ab=="), std::nullopt) << "bits left over";
  EXPECT_EQ(from_base64("aQ=="), "i");
}

}  // namespace
}  // namespace snoop
