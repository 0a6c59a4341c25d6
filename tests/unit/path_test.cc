// SPDX-License-Identifier: Apache-2.0
#include "pipeline/path.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "record_builder.h"

namespace snoop {
namespace {

using namespace std::string_literals;

TEST(Path, Normalises) {
  struct Row {
    std::string path;
    std::string expected;
  };
  for (const Row& row : {
           Row{"", "/"},
           Row{"/", "/"},
           Row{"//", "/"},
           Row{"///", "/"},
           Row{".", "/"},
           Row{"..", "/"},
           Row{"/.", "/"},
           Row{"/..", "/"},
           Row{"/../..", "/"},
           Row{"/./././", "/"},
           Row{"a", "/a"},
           Row{"a/b", "/a/b"},
           Row{"./a", "/a"},
           Row{"../a", "/a"},
           Row{"/a", "/a"},
           Row{"/a/", "/a"},
           Row{"/a//", "/a"},
           Row{"//a//b//", "/a/b"},
           Row{"/a/.", "/a"},
           Row{"/a/./b", "/a/b"},
           Row{"/a/..", "/"},
           Row{"/a/../", "/"},
           Row{"/a/../b", "/b"},
           Row{"/a/../../b", "/b"},
           Row{"/a/b/..", "/a"},
           Row{"/a/b/../..", "/"},
           Row{"/a/b/../../../../c", "/c"},
           Row{"/a/b//..//c/./..", "/a"},
           Row{"/..a", "/..a"},
           Row{"/a..", "/a.."},
           Row{"/.a", "/.a"},
           Row{"/...", "/..."},
           Row{"/a/.../b", "/a/.../b"},
           Row{"/.../..", "/"},
           Row{"/ ", "/ "},
           Row{"/a\n/b", "/a\n/b"},
           Row{"/\xFF/\xE2\x82", "/\xFF/\xE2\x82"},
           Row{"/a\\b", "/a\\b"},
           Row{"/*/\xE2\x8B\xAF", "/*/\xE2\x8B\xAF"},
           Row{"/" + std::string(255, 'x'), "/" + std::string(255, 'x')},
       }) {
    EXPECT_EQ(normalise(row.path), row.expected) << row.path;
    EXPECT_EQ(normalise(row.expected), row.expected) << row.path;
  }
}

TEST(Path, NormalisesTheLongestPaths) {
  std::string deep;
  for (int i = 0; i < 2047; i++) {
    deep += "/d";
  }
  EXPECT_EQ(deep.size(), 4094U);
  EXPECT_EQ(normalise(deep), deep);
  std::string up;
  for (int i = 0; i < 1365; i++) {
    up += "/..";
  }
  EXPECT_EQ(normalise(up), "/");
  EXPECT_EQ(absolute(deep, up), "/" + deep.substr(0, 2 * (2047 - 1365)).substr(1));
  EXPECT_EQ(normalise(std::string(4095, '/')), "/");
}

TEST(Path, MakesPathsAbsolute) {
  struct Row {
    std::string directory;
    std::string path;
    std::string expected;
  };
  for (const Row& row : {
           Row{"/", "a", "/a"},
           Row{"/", "", "/"},
           Row{"/", "..", "/"},
           Row{"/w", "", "/w"},
           Row{"/w", ".", "/w"},
           Row{"/w", "./", "/w"},
           Row{"/w", "..", "/"},
           Row{"/w/x", "..", "/w"},
           Row{"/w/x", "../y", "/w/y"},
           Row{"/w/x", "../../../y", "/y"},
           Row{"/w/x", "a/../b/", "/w/x/b"},
           Row{"/w/", "a", "/w/a"},
           Row{"", "a", "/a"},
       }) {
    EXPECT_EQ(absolute(row.directory, row.path), row.expected) << row.directory << " " << row.path;
  }
}

TEST(Path, NormalisingIsTheSameFromOutside) {
  std::mt19937 random(3);
  const std::vector<std::string> parts = {"/", "//", ".", "..", "a", "b", "...", "/../", "/./"};
  for (int round = 0; round < 5000; round++) {
    std::string path;
    for (size_t i = random() % 12; i > 0; i--) {
      path += parts[random() % parts.size()];
    }
    const std::string normal = normalise(path);
    ASSERT_TRUE(normal.starts_with('/')) << path;
    ASSERT_EQ(normalise(normal), normal) << path;
    ASSERT_EQ(absolute("/x/y", path), normalise("/x/y/" + path)) << path;
    ASSERT_EQ((normal + "/").find("/../"), std::string::npos) << path;
    ASSERT_EQ((normal + "/").find("/./"), std::string::npos) << path;
    ASSERT_EQ(normal.find("//"), std::string::npos) << path;
    ASSERT_TRUE(normal == "/" || !normal.ends_with('/')) << path;
  }
}

TEST(Path, ReadsDirectoriesFromTheLeaf) {
  struct Row {
    std::string names;
    std::string expected;
  };
  for (const Row& row : {
           Row{""s, "/"},
           Row{"a\0"s, "/a"},
           Row{"c\0b\0a\0"s, "/a/b/c"},
           Row{"x y\0new\nline\0\xFF\0"s, "/\xFF/new\nline/x y"},
           Row{std::string(255, 'n') + "\0"s, "/" + std::string(255, 'n')},
       }) {
    EXPECT_EQ(directory_of(row.names), row.expected);
    EXPECT_EQ(names_of(row.expected), row.names);
  }
}

TEST(Path, ReadsTheDeepestDirectory) {
  std::string names;
  std::string expected;
  for (int i = 0; i < 4096; i++) {
    names += "d\0"s;
    expected += "/d";
  }
  EXPECT_EQ(directory_of(names), expected);
}

TEST(Path, FindsWhatWasAskedForInTheResult) {
  struct Row {
    std::string result;
    std::string path;
    std::string expected;
  };
  for (const Row& row : {
           Row{"/", "..", "/"},
           Row{"/", ".", "/"},
           Row{"/a", "..", "/a"},
           Row{"/a", "../..", "/a"},
           Row{"/a", "./..//.", "/a"},
           Row{"/a/b", ".", "/a/b"},
           Row{"/a/b", "b", "/a/b"},
           Row{"/a/b", "b/", "/a/b"},
           Row{"/a/b", "./b", "/a/b"},
           Row{"/a/b", "b/.", "/a/b"},
           Row{"/a/b", "a//b", "/a/b"},
           Row{"/a/b/c", "a/b/c", "/a/b/c"},
           // Whole names only.
           Row{"/a/xb", "b", ""},
           Row{"/b", "a/b", ""},
           // A symbolic link: it led elsewhere.
           Row{"/real", "link", ""},
           Row{"/a/b", "../b", ""},
           Row{"/a/b", "b/../b", ""},
           Row{"/", "link", ""},
       }) {
    EXPECT_EQ(absolute_from_result(row.result, row.path), row.expected) << row.result << " " << row.path;
  }
}

TEST(Path, ExcludesWhatIsBelowAPrefix) {
  struct Row {
    std::string prefix;
    std::string path;
    bool expected;
  };
  for (const Row& row : {
           Row{"/proc/", "/proc/1", true},
           Row{"/proc/", "/proc/self/maps", true},
           Row{"/proc/", "/proc", false},
           Row{"/proc/", "/procfoo", false},
           Row{"/proc/", "/procfoo/1", false},
           Row{"/proc/", "/a/proc/1", false},
           Row{"/proc", "/proc/1", true},
           Row{"/proc", "/proc", false},
           Row{"/proc", "/procfoo", false},
           Row{"/proc//", "/proc/1", true},
           Row{"/dev/", "/dev", false},
           Row{"/dev/", "/dev/null", true},
           Row{"/dev/shm/", "/dev/shm/x", true},
           Row{"/dev/shm/", "/dev/null", false},
           Row{"/usr/lib/lib", "/usr/lib/libc.so", false},
           Row{"/", "/a", true},
           Row{"/", "/a/b", true},
           Row{"/", "/", false},
           // Nothing named, nothing left out.
           Row{"", "/a", false},
           Row{"", "/", false},
       }) {
    const std::vector<std::string> prefixes = {row.prefix};
    EXPECT_EQ(is_excluded(row.path, prefixes), row.expected) << "'" << row.prefix << "' " << row.path;
  }
}

TEST(Path, AnyPrefixExcludes) {
  const std::vector<std::string> prefixes = {"/proc/", "/sys/", "/dev/"};
  EXPECT_TRUE(is_excluded("/sys/kernel", prefixes));
  EXPECT_TRUE(is_excluded("/dev/null", prefixes));
  EXPECT_FALSE(is_excluded("/etc/passwd", prefixes));
  EXPECT_FALSE(is_excluded("/proc/1", {}));
}

}  // namespace
}  // namespace snoop
