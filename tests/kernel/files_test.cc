// SPDX-License-Identifier: Apache-2.0
// Which file a path led to, where that is another one later.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "harness.h"

namespace snoop::testing {
namespace {

using ::testing::ElementsAre;

class FileTest : public KernelTest {};

/// Where the opens of a path led to, in order.
std::vector<std::string> led_to(const std::vector<Access>& accesses, const std::string& path) {
  std::vector<std::string> resolved;
  for (const Access& access : at(accesses, path)) {
    if (!access.resolved.empty()) {
      resolved.push_back(access.resolved);
    }
  }
  return resolved;
}

bool point_to(const char* link, const std::string& target) {
  return (::unlink(link) == 0 || errno == ENOENT) && ::symlink(target.c_str(), link) == 0;
}

TEST_F(FileTest, LinkThatLeadsElsewhereLater) {
  write_file("one");
  write_file("two");
  Capture& capture = start();
  const auto accesses = capture.run([] {
    for (const char* target : {"one", "two"}) {
      if (!point_to("current", target) || ::open("current", O_RDONLY) < 0) {
        return errno;
      }
    }
    return 0;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_THAT(led_to(accesses, path("current")), ElementsAre(path("one"), path("two")));
}

TEST_F(FileTest, FilesThatAreMadeThroughALink) {
  for (const char* target : {"one", "two"}) {
    std::filesystem::create_directory(target);
  }
  Capture& capture = start();
  const auto accesses = capture.run([] {
    for (const char* target : {"one", "two", "two"}) {
      if (!point_to("current", target) || ::open("current/name", O_WRONLY | O_CREAT, 0600) < 0 ||
          ::unlink("current/name") != 0) {
        return errno;
      }
    }
    return 0;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_THAT(led_to(accesses, path("current/name")), ElementsAre(path("one/name"), path("two/name")));
}

// As with ostree, nix, rsync --link-dest.
TEST_F(FileTest, LinkThatLeadsToAnotherNameOfTheSameFileLater) {
  for (const char* version : {"1", "2"}) {
    std::filesystem::create_directory(version);
  }
  write_file("1/name");
  std::filesystem::create_hard_link("1/name", "2/name");
  Capture& capture = start();
  const auto accesses = capture.run([] {
    for (const char* version : {"1", "2"}) {
      for (int i = 0; i < 3; i++) {
        if ((i == 0 && !point_to("current", version)) || ::open("current/name", O_RDONLY) < 0) {
          return errno;
        }
      }
    }
    return 0;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_THAT(led_to(accesses, path("current/name")), ElementsAre(path("1/name"), path("2/name")));
  EXPECT_EQ(at(accesses, path("current/name")).size(), 2U);
}

TEST_F(FileTest, FileWhoseDirectoryFarUpIsRenamed) {
  std::filesystem::create_directories("1/a/x");
  write_file("1/a/x/name");
  Capture& capture = start();
  const auto accesses = capture.run([] {
    const char* versions[] = {"1", "2"};
    for (int version = 0; version < 2; version++) {
      if ((version == 1 && ::rename(versions[0], versions[1]) != 0) || !point_to("current", versions[version])) {
        return errno;
      }
      for (int i = 0; i < 3; i++) {
        if (::open("current/a/x/name", O_RDONLY) < 0) {
          return errno;
        }
      }
    }
    return 0;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_THAT(led_to(accesses, path("current/a/x/name")), ElementsAre(path("1/a/x/name"), path("2/a/x/name")));
}

TEST_F(FileTest, FileThatIsMountedTwice) {
  for (const char* name : {"real", "1", "2"}) {
    std::filesystem::create_directory(name);
  }
  write_file("real/name");
  Capture& capture = start();
  const auto accesses = capture.run([] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      return errno;
    }
    for (const char* place : {"1", "2"}) {
      if (::mount("real", place, nullptr, MS_BIND, nullptr) != 0 || !point_to("current", place)) {
        return errno;
      }
      for (int i = 0; i < 3; i++) {
        if (::open("current/name", O_RDONLY) < 0) {
          return errno;
        }
      }
    }
    return 0;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_THAT(led_to(accesses, path("current/name")), ElementsAre(path("1/name"), path("2/name")));
}

// As with the files of a ConfigMap. The file system may give each file the inode number of the one before.
TEST_F(FileTest, FilesThatTakeTheirPlacesOneAfterTheOther) {
  constexpr int kVersions = 20;
  Capture& capture = start();
  const auto accesses = capture.run([] {
    for (int version = 0; version < kVersions; version++) {
      const std::string name = "version-" + std::to_string(version);
      std::filesystem::create_directory(name);
      write_file(name + "/name");
      for (int i = 0; i < 3; i++) {
        if ((i == 0 && !point_to("current", name)) || ::close(::open("current/name", O_RDONLY)) != 0) {
          return errno;
        }
      }
      std::filesystem::remove_all(name);
    }
    return 0;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_EQ(led_to(accesses, path("current/name")).size(), size_t{kVersions});
}

}  // namespace
}  // namespace snoop::testing
