// SPDX-License-Identifier: Apache-2.0
#include "cli/config_file.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>

#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace snoop {

namespace {

/// A value as it would stand behind a flag; nothing where it cannot.
std::optional<std::string> flag_value(const toml::node& node) {
  if (const auto* text = node.as_string()) {
    return text->get().find('\0') == std::string::npos ? std::optional(text->get()) : std::nullopt;
  }
  if (const auto* number = node.as_integer()) {
    return std::to_string(number->get());
  }
  if (const auto* number = node.as_floating_point()) {
    return fmt::format("{}", number->get());
  }
  if (const auto* is_on = node.as_boolean()) {
    return is_on->get() ? "true" : "false";
  }
  return std::nullopt;
}

Result<std::string> whole_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> stream(std::fopen(path.c_str(), "re"), &std::fclose);
  std::string text;
  std::array<char, 4096> part = {};
  for (size_t got = part.size(); stream && got == part.size();) {
    got = std::fread(part.data(), 1, part.size(), stream.get());
    text.append(part.data(), got);
  }
  if (!stream || std::ferror(stream.get()) != 0) {
    return fail(errno, "cannot be read");
  }
  return text;
}

}  // namespace

Result<ConfigFile> ConfigFile::read(const std::string& path) {
  const Result<std::string> text = whole_file(path);
  if (!text) {
    return fail(text.error(), fmt::format("configuration file {}", path));
  }
  const auto where = [&](const toml::source_region& region) {
    return fmt::format("{}, line {}", path, region.begin.line);
  };
  const toml::parse_result parsed = toml::parse(*text);
  if (!parsed) {
    std::string why(parsed.error().description());
    std::erase(why, '\n');
    if (const size_t at = why.find(R"('\n')"); at != std::string::npos) {
      why.replace(at, 4, "the end of the line");
    }
    return fail(0, fmt::format("{}: this is no TOML: {}", where(parsed.error().source()), why));
  }
  ConfigFile file;
  for (const auto& [section, of_section] : parsed.table()) {
    const toml::table* table = of_section.as_table();
    if (table == nullptr) {
      return fail(0,
                  fmt::format("{}: '{}' stands outside of a section: [run], [record], [trace], [containers] or [check]",
                              where(of_section.source()), section.str()));
    }
    const std::string section_name(section.str());
    file.names_.push_back({section_name, "", where(table->source())});
    for (const auto& [key, node] : *table) {
      Value value = {.values = {}, .is_list = node.is_array(), .where = where(node.source())};
      const std::string key_name(key.str());
      const auto add = [&](const toml::node& one) {
        const std::optional<std::string> as_flag = flag_value(one);
        if (as_flag) {
          value.values.push_back(*as_flag);
        }
        return as_flag.has_value();
      };
      bool is_good = true;
      if (const toml::array* list = node.as_array()) {
        for (const toml::node& one : *list) {
          is_good = is_good && add(one);
        }
      } else {
        is_good = add(node);
      }
      if (!is_good) {
        return fail(0, fmt::format("{}: '{}' must be a string, a number, true or false, or a list of these",
                                   value.where, key_name));
      }
      file.names_.push_back({section_name, key_name, value.where});
      file.sections_[section_name][key_name] = std::move(value);
    }
  }
  return file;
}

const ConfigFile::Value* ConfigFile::find(const std::string& section, const std::string& key) const {
  const auto of_section = sections_.find(section);
  if (of_section == sections_.end()) {
    return nullptr;
  }
  const auto value = of_section->second.find(key);
  return value == of_section->second.end() ? nullptr : &value->second;
}

std::string toml_text(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      quoted += fmt::format("\\u{:04X}", byte);
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

}  // namespace snoop
