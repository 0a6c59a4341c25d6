// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace snoop {

/// A configuration file: TOML, a section for each command.
class ConfigFile {
 public:
  struct Value {
    /// As they would stand behind a flag.
    std::vector<std::string> values;
    bool is_list = false;
    /// "FILE, line N"
    std::string where;
  };
  struct Name {
    std::string section;
    /// Empty: of the section itself.
    std::string key;
    std::string where;
  };

  /// An error names the line.
  [[nodiscard]] static Result<ConfigFile> read(const std::string& path);

  /// nullptr: the file does not set it.
  [[nodiscard]] const Value* find(const std::string& section, const std::string& key) const;
  [[nodiscard]] const std::vector<Name>& names() const { return names_; }

 private:
  std::map<std::string, std::map<std::string, Value>> sections_;
  std::vector<Name> names_;
};

/// UTF-8 as a TOML string, with its quotes.
[[nodiscard]] std::string toml_text(std::string_view text);

}  // namespace snoop
