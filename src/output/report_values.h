// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "output/report_reader.h"
#include "pipeline/access_store.h"
#include "pipeline/recorder.h"

namespace snoop {

// What the values of a report mean, for its reader.

/// A JSON value without those parts of it that were handled already.
struct Value {
  enum class Type { kNull, kBool, kNumber, kOther, kText, kArray, kObject };
  Type type = Type::kNull;
  bool flag = false;
  uint64_t number = 0;
  std::string text;
  std::vector<Value> items;
  std::map<std::string, Value, std::less<>> members;
};

/// Why a value is none of a report.
struct Damage {
  std::string what;
};

/// Throws it: caught in read_report.
[[noreturn]] void damaged(std::string what);

/// nullptr: there is no such member.
[[nodiscard]] const Value* find(const Value& object, std::string_view key);

// Each is damaged where the value is none of a report.

void read_file_entry(const Value& file, AccessStore& files);
[[nodiscard]] Container get_container(const Value& value, AccessStore files);
/// All but the containers, with which it must agree.
void read_top(const Value& top, ReportContents& contents);

}  // namespace snoop
