// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <gtest/gtest.h>

namespace snoop {
namespace {

Result<int> failing() { return fail(ENOENT, "open /x", "make it"); }

TEST(Result, SaysWhatFailedAndWhy) {
  EXPECT_EQ((Error{ENOENT, "open /x"}).message(), "open /x: No such file or directory");
  EXPECT_EQ((Error{0, "no target"}).message(), "no target");
  EXPECT_EQ((Error{4095, "x"}).message(), "x: unknown error");
  EXPECT_EQ((Error{-1, "x"}).message(), "x: unknown error");
}

TEST(Result, KeepsTheHintOutOfTheMessage) {
  EXPECT_EQ((Error{EROFS, "write", "make it writable"}).message(), "write: Read-only file system");
}

TEST(Result, GainsContextOnTheWayUp) {
  const Result<int> inner = failing();
  ASSERT_FALSE(inner);
  const Result<std::string> outer = fail(inner.error(), "report");
  ASSERT_FALSE(outer);
  EXPECT_EQ(outer.error().message(), "report: open /x: No such file or directory");
  EXPECT_EQ(outer.error().code, ENOENT);
  EXPECT_EQ(outer.error().hint, "make it");
}

}  // namespace
}  // namespace snoop
