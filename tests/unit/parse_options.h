// SPDX-License-Identifier: Apache-2.0
// The command line as main() gets it, and what it comes to.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "cli/options.h"
#include "temp_dir.h"

extern char** environ;

namespace snoop {

struct Parsed {
  ParsedArguments result;
  std::string out;
  std::string err;

  [[nodiscard]] const Options& options() const {
    EXPECT_FALSE(result.exit_now) << err;
    return result.options;
  }
};

class OptionsTest : public testing::Test {
 protected:
  OptionsTest() { forget_environment(); }
  ~OptionsTest() override { forget_environment(); }

  static void forget_environment() {
    std::vector<std::string> names;
    for (char** variable = environ; *variable != nullptr; variable++) {
      const std::string text = *variable;
      if (text.starts_with("SNOOP_")) {
        names.push_back(text.substr(0, text.find('=')));
      }
    }
    for (const std::string& name : names) {
      ::unsetenv(name.c_str());
    }
  }
  static void set(const char* name, const char* value) { ASSERT_EQ(::setenv(name, value, 1), 0); }
  std::string config(const std::string& text) {
    write_file(dir / "snoop.toml", text);
    return "--config=" + (dir / "snoop.toml");
  }

  static Parsed parse(const std::vector<std::string>& arguments) {
    std::vector<const char*> argv = {"snoop"};
    for (const std::string& argument : arguments) {
      argv.push_back(argument.c_str());
    }
    argv.push_back(nullptr);
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    Parsed parsed;
    parsed.result = parse_arguments(static_cast<int>(argv.size()) - 1, argv.data());
    parsed.out = testing::internal::GetCapturedStdout();
    parsed.err = testing::internal::GetCapturedStderr();
    return parsed;
  }
  static void expect_usage_error(const std::vector<std::string>& arguments, const std::string& text = {}) {
    const Parsed parsed = parse(arguments);
    const std::string shown = testing::PrintToString(arguments);
    EXPECT_TRUE(parsed.result.exit_now) << shown;
    EXPECT_EQ(parsed.result.exit_code, kExitUsage) << shown;
    EXPECT_EQ(parsed.out, "") << shown;
    EXPECT_NE(parsed.err, "") << shown;
    EXPECT_THAT(parsed.err, testing::HasSubstr(text)) << shown;
  }

  TempDir dir;
};

}  // namespace snoop
