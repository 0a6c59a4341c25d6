// SPDX-License-Identifier: Apache-2.0
#include "probe/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <string>

#include "header_numbers.h"

namespace snoop {
namespace {

using Number = int SyscallRow::*;

/// Newer than the headers of some machines that snoop is built on.
const std::set<std::string_view> kNewCalls = {
    "fchmodat2",                                                       // Linux 6.6
    "setxattrat",     "getxattrat",   "listxattrat", "removexattrat",  // 6.13
    "open_tree_attr",                                                  // 6.15
    "file_getattr",   "file_setattr",                                  // 6.17
};

/// Calls whose arguments stand elsewhere in 32-bit programs, so that these have a
/// row of their own, under another name than in the headers.
const std::map<std::string_view, std::string_view> kRows32 = {
    {"fanotify_mark", "fanotify_mark32"},  // its mask of 64 bits takes two
};

const SyscallRow* row_named(std::string_view name) {
  const auto rows = syscall_rows();
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const SyscallRow& row) { return row.name == name; });
  return found == rows.end() ? nullptr : &*found;
}

bool is_row32(std::string_view name) {
  return std::any_of(kRows32.begin(), kRows32.end(), [&](const auto& both) { return both.second == name; });
}

void compare_with_headers(const std::map<std::string, std::string>& headers, Number number) {
  ASSERT_EQ(headers.size(), syscall_rows().size());
  for (const SyscallRow& row : syscall_rows()) {
    const std::string& text = headers.at(std::string(row.name));
    const bool in_headers = std::isdigit(static_cast<unsigned char>(text.front())) != 0;
    const auto other = kRows32.find(row.name);
    if (in_headers && other != kRows32.end() && number == &SyscallRow::i386) {
      ASSERT_NE(row_named(other->second), nullptr) << other->second;
      EXPECT_EQ(std::to_string(row_named(other->second)->*number), text) << other->second;
      EXPECT_EQ(row.*number, SNOOP_NO_SYSCALL) << row.name;
    } else if (in_headers) {
      EXPECT_EQ(std::to_string(row.*number), text) << row.name;
    } else if (!kNewCalls.contains(row.name) && !is_row32(row.name)) {
      EXPECT_EQ(row.*number, SNOOP_NO_SYSCALL) << row.name << " is not in the headers";
    }
    if (is_row32(row.name)) {
      EXPECT_EQ(row.x86_64, SNOOP_NO_SYSCALL) << row.name;
      EXPECT_EQ(row.arm64, SNOOP_NO_SYSCALL) << row.name;
    }
  }
}

TEST(Rules, NumbersAreThoseOfTheX86Headers) {
  const auto headers = header_numbers_x86_64();
  if (headers.empty()) {
    GTEST_SKIP() << "this machine has no x86 headers";
  }
  compare_with_headers(headers, &SyscallRow::x86_64);
}

TEST(Rules, NumbersAreThoseOfTheI386Headers) {
  const auto headers = header_numbers_i386();
  if (headers.empty()) {
    GTEST_SKIP() << "this machine has no x86 headers";
  }
  compare_with_headers(headers, &SyscallRow::i386);
}

TEST(Rules, NumbersAreThoseOfTheArm64Headers) { compare_with_headers(header_numbers_arm64(), &SyscallRow::arm64); }

TEST(Rules, NumbersFitAndNoneIsTwice) {
  for (const Number number : {&SyscallRow::x86_64, &SyscallRow::i386, &SyscallRow::arm64}) {
    std::set<int> seen;
    for (const SyscallRow& row : syscall_rows()) {
      if (row.*number == SNOOP_NO_SYSCALL) {
        continue;
      }
      EXPECT_GE(row.*number, 0) << row.name;
      EXPECT_LT(row.*number, SNOOP_MAX_SYSCALL) << row.name;
      EXPECT_TRUE(seen.insert(row.*number).second) << row.name << " has a number that another row has";
    }
    EXPECT_GT(seen.size(), 30U);
  }
}

TEST(Rules, NamesAreUnique) {
  std::set<std::string_view> names;
  for (const SyscallRow& row : syscall_rows()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_FALSE(row.x86_64 == SNOOP_NO_SYSCALL && row.i386 == SNOOP_NO_SYSCALL && row.arm64 == SNOOP_NO_SYSCALL)
        << row.name << " is nowhere";
  }
}

TEST(Rules, ArgumentsAreThereAndDistinct) {
  for (const SyscallRow& row : syscall_rows()) {
    std::set<int> used;
    for (const uint8_t argument : {row.path, row.dirfd, row.extra, row.path2, row.dirfd2}) {
      if (argument == SNOOP_NO_ARG) {
        continue;
      }
      EXPECT_LE(argument, 5) << row.name;
      EXPECT_TRUE(used.insert(argument).second) << row.name << " uses one argument for two things";
    }
  }
}

TEST(Rules, OperationsHaveTheArgumentsTheyNeed) {
  const std::set<int> kWithoutPath = {SNOOP_OP_REBASE, SNOOP_OP_HANDLE};
  const std::set<int> kWithExtra = {SNOOP_OP_OPEN,    SNOOP_OP_OPENAT2,    SNOOP_OP_HANDLE, SNOOP_OP_BIND,
                                    SNOOP_OP_CONNECT, SNOOP_OP_SOCKETCALL, SNOOP_OP_MOUNT};
  for (const SyscallRow& row : syscall_rows()) {
    EXPECT_GT(row.op, SNOOP_OP_NONE) << row.name;
    EXPECT_EQ(row.path == SNOOP_NO_ARG, kWithoutPath.contains(row.op)) << row.name;
    EXPECT_EQ(row.extra != SNOOP_NO_ARG, kWithExtra.contains(row.op)) << row.name;
    EXPECT_FALSE(row.path2 == SNOOP_NO_ARG && row.dirfd2 != SNOOP_NO_ARG) << row.name;
    // Of two paths both have a directory or none has.
    if (row.path2 != SNOOP_NO_ARG) {
      EXPECT_EQ(row.dirfd == SNOOP_NO_ARG, row.dirfd2 == SNOOP_NO_ARG) << row.name;
    }
    // In every call the descriptor comes right before its path.
    if (row.dirfd != SNOOP_NO_ARG) {
      EXPECT_EQ(row.dirfd + 1, row.path) << row.name;
    }
    if (row.dirfd2 != SNOOP_NO_ARG) {
      EXPECT_EQ(row.dirfd2 + 1, row.path2) << row.name;
    }
  }
}

TEST(Rules, HaveEveryCallThatIsPromised) {
  for (const std::string_view name : {
           "open",       "creat",     "openat",     "openat2",
           "execve",     "execveat",  "stat",       "lstat",
           "newfstatat", "statx",     "access",     "faccessat",
           "faccessat2", "readlink",  "readlinkat", "chdir",
           "truncate",   "statfs",    "chroot",     "getxattr",
           "lgetxattr",  "listxattr", "llistxattr", "inotify_add_watch",
           "rename",     "renameat",  "renameat2",  "name_to_handle_at",
           "link",       "linkat",    "symlink",    "symlinkat",
           "unlink",     "unlinkat",  "mkdir",      "mkdirat",
           "rmdir",      "mknod",     "mknodat",    "chmod",
           "fchmodat",   "fchmodat2", "chown",      "lchown",
           "fchownat",   "utime",     "utimes",     "utimensat",
       }) {
    const SyscallRow* row = row_named(name);
    ASSERT_NE(row, nullptr) << name;
    EXPECT_NE(row->x86_64, SNOOP_NO_SYSCALL) << name;
  }
}

TEST(Rules, TwoPathCallsHaveBoth) {
  for (const std::string_view name : {"rename", "renameat", "renameat2", "link", "linkat"}) {
    ASSERT_NE(row_named(name), nullptr) << name;
    EXPECT_NE(row_named(name)->path2, SNOOP_NO_ARG) << name;
  }
}

TEST(Rules, NativeIsTheArchitectureOfTheBuild) {
  const SyscallRow* openat = row_named("openat");
  ASSERT_NE(openat, nullptr);
#if defined(__x86_64__)
  EXPECT_EQ(native_number(*openat), openat->x86_64);
  EXPECT_EQ(compat_number(*openat), openat->i386);
#else
  EXPECT_EQ(native_number(*openat), openat->arm64);
  EXPECT_EQ(compat_number(*openat), SNOOP_NO_SYSCALL);
#endif
}

}  // namespace
}  // namespace snoop
