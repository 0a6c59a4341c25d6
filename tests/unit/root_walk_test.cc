// SPDX-License-Identifier: Apache-2.0
#include "container/root_walk.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <random>

#include "private_mounts.h"
#include "temp_dir.h"

namespace snoop {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
namespace fs = std::filesystem;

uint32_t magic_of(int fd) {
  struct statfs info = {};
  return ::fstatfs(fd, &info) == 0 ? static_cast<uint32_t>(info.f_type) : 0;
}

UniqueFd open_root(const std::string& path) { return UniqueFd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)); }

class RootWalkTest : public testing::Test {
 protected:
  RootWalkTest() {
    fs::create_directories(dir / "a/deep");
    fs::create_directories(dir / "x/y");
    write_file(dir / "x/b", "");
    write_file(dir / "a/file", "");
  }
  void link(const std::string& target, const std::string& name) { fs::create_symlink(target, dir.path() + name); }
  Walk walk(const std::string& path, bool follow = true, const std::string& base = "/") {
    walker.begin_batch();
    return walker.walk(base, path, follow);
  }
  static std::vector<std::string> texts(const Walk& walk) {
    std::vector<std::string> all;
    for (const WalkedLink& link : walk.links) {
      all.push_back(link.path + " -> " + link.target);
    }
    return all;
  }

  TempDir dir;
  RootWalker walker{open_root(dir.path()), magic_of};
};

TEST_F(RootWalkTest, PlainPaths) {
  for (const char* path : {"/a/file", "//a//./file", "a/file", "/../../a/file", "/a/deep/../file"}) {
    const Walk found = walk(path);
    EXPECT_EQ(found.end, Walk::End::kFound) << path;
    EXPECT_EQ(found.path, "/a/file") << path;
    EXPECT_EQ(found.resolved, "/a/file") << path;
    EXPECT_THAT(found.links, IsEmpty());
  }
  EXPECT_EQ(walk("file", true, "/a").resolved, "/a/file");
  for (const char* path : {".", "./", ".//.", "./."}) {
    EXPECT_EQ(walk(path, true, "/a/deep").path, "/a/deep") << path;
    EXPECT_EQ(walk(path, true, "/a/deep").resolved, "/a/deep") << path;
  }
  EXPECT_EQ(walk("../x/b", true, "/a").path, "/x/b");
  EXPECT_EQ(walk("/").resolved, "/");
  EXPECT_EQ(walk("..").path, "/");
}

TEST_F(RootWalkTest, MissingOnes) {
  EXPECT_EQ(walk("/a/none").end, Walk::End::kMissing);
  EXPECT_EQ(walk("/a/none").path, "/a/none");
  EXPECT_EQ(walk("/a/none/b/c").path, "/a/none/b/c");
  EXPECT_EQ(walk("/a/none/../file").path, "/a/none") << "nothing behind was looked at";
  EXPECT_EQ(walk("/a/file/b").end, Walk::End::kMissing) << "not a directory";
  EXPECT_EQ(walk("/a/" + std::string(256, 'n')).end, Walk::End::kUnavailable) << "no name at all";
}

TEST_F(RootWalkTest, LinksOfEachForm) {
  link("file", "/a/near");
  link("/x/y", "/a/far");
  link("../x", "/a/up");
  EXPECT_EQ(walk("/a/near").resolved, "/a/file");
  EXPECT_THAT(texts(walk("/a/near")), ElementsAre("/a/near -> /a/file"));
  EXPECT_EQ(walk("/a/up/b").path, "/a/up/b") << "as asked for";
  EXPECT_EQ(walk("/a/up/b").resolved, "/x/b");
  EXPECT_THAT(texts(walk("/a/up/b")), ElementsAre("/a/up -> /x"));
  EXPECT_EQ(walk("/a/far/../b").path, "/x/b") << "not /a/b";
  EXPECT_EQ(walk("/a/far/../b").resolved, "/x/b");
  EXPECT_THAT(texts(walk("/a/far/../b")), ElementsAre("/a/far -> /x/y"));
  link("far/..", "/a/both");
  EXPECT_THAT(texts(walk("/a/both/b")), ElementsAre("/a/both -> /a", "/a/far -> /x/y"));
  EXPECT_EQ(walk("/a/both/b").resolved, "/x/b");
}

TEST_F(RootWalkTest, TheLastOneOnlyIfAsked) {
  link("file", "/a/near");
  const Walk kept = walk("/a/near", false);
  EXPECT_EQ(kept.end, Walk::End::kFound);
  EXPECT_EQ(kept.resolved, "/a/near");
  EXPECT_THAT(kept.links, IsEmpty());
  link("deep", "/a/dirlink");
  EXPECT_THAT(texts(walk("/a/dirlink/", false)), ElementsAre("/a/dirlink -> /a/deep")) << "the slash follows";
  EXPECT_EQ(walk("/a/none", false).end, Walk::End::kMissing);
}

TEST_F(RootWalkTest, DanglingAndLoops) {
  link("none", "/a/dangling");
  EXPECT_EQ(walk("/a/dangling").end, Walk::End::kMissing);
  EXPECT_EQ(walk("/a/dangling").path, "/a/dangling");
  EXPECT_THAT(texts(walk("/a/dangling")), ElementsAre("/a/dangling -> /a/none"));
  link("loop2", "/loop1");
  link("loop1", "/loop2");
  EXPECT_EQ(walk("/loop1/x").end, Walk::End::kLoop);
}

TEST_F(RootWalkTest, AsManyLinksAsTheKernel) {
  link("a/file", "/chain1");
  for (int i = 2; i <= 41; i++) {
    link("chain" + std::to_string(i - 1), "/chain" + std::to_string(i));
  }
  EXPECT_GE(::access((dir / "chain40").c_str(), F_OK), 0);
  EXPECT_EQ(walk("/chain40").resolved, "/a/file");
  EXPECT_EQ(walk("/chain40").links.size(), 40U);
  EXPECT_LT(::access((dir / "chain41").c_str(), F_OK), 0);
  EXPECT_EQ(walk("/chain41").end, Walk::End::kLoop);
}

TEST_F(RootWalkTest, NeverLeavesTheRoot) {
  link("/etc/passwd", "/out");
  link("../../../../../../etc/passwd", "/up");
  EXPECT_EQ(walk("/out").end, Walk::End::kMissing);
  EXPECT_EQ(walk("/up").end, Walk::End::kMissing);
  EXPECT_THAT(texts(walk("/up")), ElementsAre("/up -> /etc/passwd"));
  EXPECT_FALSE(walker.open("/out", true));
}

TEST_F(RootWalkTest, LinksOfProcAreNotFollowed) {
  RootWalker host(open_root("/"), magic_of);
  EXPECT_EQ(host.walk("/", "/proc/self/root/etc", true).end, Walk::End::kUnavailable);
  EXPECT_EQ(host.walk("/", "/proc/self", false).end, Walk::End::kFound);
}

TEST_F(RootWalkTest, WhatMayBlockIsNotAsked) {
  link("file", "/a/near");
  RootWalker careful(open_root(dir.path()), [](int) { return FUSE_SUPER_MAGIC; });
  EXPECT_EQ(careful.walk("/", "/a/near", true).end, Walk::End::kUnavailable) << "a link would have to be read";
  static_cast<void>(::access((dir / "a/file").c_str(), F_OK));
  EXPECT_EQ(careful.walk("/", "/a/file", true).end, Walk::End::kFound) << "in the kernel's memory";
}

TEST_F(RootWalkTest, ChangesShowInTheNextBatch) {
  link("a", "/current");
  EXPECT_EQ(walk("/current/file").resolved, "/a/file");
  fs::remove(dir / "current");
  link("x", "/current");
  EXPECT_EQ(walk("/current/b").resolved, "/x/b");
}

TEST_F(RootWalkTest, FindsWhatIsMadeBesideWhatWasMissing) {
  walker.begin_batch();
  EXPECT_EQ(walker.walk("/", "/a/none/b/file", true).end, Walk::End::kMissing);
  fs::create_directories(dir / "a/none/b");
  write_file(dir / "a/none/b/file", "");
  link("/x", "/a/none/c");
  EXPECT_EQ(walker.walk("/", "/a/none/b/file", true).end, Walk::End::kFound) << "in the same batch";
  EXPECT_EQ(walker.walk("/", "/a/none/c/b", true).resolved, "/x/b");
  EXPECT_EQ(walker.walk("/a/none/b", "file", true).resolved, "/a/none/b/file");
  EXPECT_EQ(walker.walk("/a/none/b", "deep/none", true).path, "/a/none/b/deep/none");
}

TEST_F(RootWalkTest, WhatWasMissingIsTakenAtItsWordWhereNothingWas) {
  walker.begin_batch();
  const auto missing = [&](const char* path) { return walker.walk("/", path, true, true); };
  EXPECT_EQ(missing("/a/none/b").end, Walk::End::kMissing);
  fs::create_directories(dir / "a/none");
  write_file(dir / "a/none/b", "");
  write_file(dir / "a/none2", "");
  for (const char* path : {"/a/none", "/a/none/b", "/a//none/./b/"}) {
    EXPECT_EQ(missing(path).end, Walk::End::kMissing) << path << " came later, in the same batch";
    EXPECT_THAT(missing(path).path, testing::StartsWith("/a/none")) << path;
  }
  EXPECT_EQ(missing("/a/none/b/").path, "/a/none/b");
  EXPECT_EQ(missing("/a/none2").end, Walk::End::kFound) << "another name";
  EXPECT_EQ(missing("/a/none/../file").end, Walk::End::kFound);
  walker.begin_batch();
  EXPECT_EQ(missing("/a/none/b").end, Walk::End::kFound);
}

TEST_F(RootWalkTest, FewDescriptorsForManyDirectories) {
  for (int i = 0; i < 1000; i++) {
    fs::create_directories(dir / ("many/" + std::to_string(i)));
  }
  struct rlimit former = {};
  ::getrlimit(RLIMIT_NOFILE, &former);
  const struct rlimit few = {256, former.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &few);
  for (int i = 0; i < 1000; i++) {
    ASSERT_EQ(walker.walk("/", "/many/" + std::to_string(i) + "/none", true).end, Walk::End::kMissing) << i;
  }
  ::setrlimit(RLIMIT_NOFILE, &former);
}

TEST_F(RootWalkTest, OpensWhatItFound) {
  link("file", "/a/near");
  struct stat expected = {};
  struct stat info = {};
  ::stat((dir / "a/file").c_str(), &expected);
  const UniqueFd file = walker.open("/a/near", true);
  ASSERT_TRUE(file);
  ::fstat(file.get(), &info);
  EXPECT_EQ(info.st_ino, expected.st_ino);
  const UniqueFd itself = walker.open("/a/near", false);
  ::fstat(itself.get(), &info);
  EXPECT_TRUE(S_ISLNK(info.st_mode));
  EXPECT_TRUE(walker.open("/", true));
  EXPECT_FALSE(walker.open("/a/none", true));
}

TEST_F(RootWalkTest, OpensOnlyFilesThatCanBeReadAtOnce) {
  write_file(dir / "a/text", "inside");
  link("/a/text", "/absolute");
  link("../../../../../../../../a/text", "/up");
  link("/etc/passwd", "/outside");
  ::mkfifo((dir / "fifo").c_str(), 0600);
  for (const char* path : {"/a/text", "/absolute", "/up", "/../a/./text"}) {
    std::array<char, 16> text = {};
    const UniqueFd file = walker.open_file(path);
    ASSERT_TRUE(file) << path;
    EXPECT_EQ(::read(file.get(), text.data(), text.size()), 6) << path;
    EXPECT_NE(::fcntl(file.get(), F_GETFD) & FD_CLOEXEC, 0);
  }
  for (const char* path : {"/outside", "/fifo", "/a", "/", "/none"}) {
    EXPECT_FALSE(walker.open_file(path)) << path;
  }
  // The last one is on a file system of its own: it may be a file that is mounted there.
  RootWalker careful(open_root(dir.path()), [&](int fd) {
    struct stat info = {};
    return ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) ? FUSE_SUPER_MAGIC : TMPFS_MAGIC;
  });
  EXPECT_FALSE(careful.open_file("/a/text"));
  EXPECT_TRUE(careful.open("/a/text", true)) << "a handle asks for nothing";
}

/// A container may unmount what it likes; a directory that is held would make that fail.
TEST_F(RootWalkTest, HoldsNothingOnOtherMounts) {
  const std::string wrong = in_private_mounts([&]() -> std::string {
    fs::create_directories(dir / "volume");
    if (::mount("none", (dir / "volume").c_str(), "tmpfs", 0, nullptr) != 0) {
      return std::string("skip: cannot mount: ") + std::strerror(errno);
    }
    fs::create_directories(dir / "volume/deep");
    write_file(dir / "volume/deep/file", "");
    // A root of this mount namespace.
    RootWalker here(open_root(dir.path()), magic_of);
    if (here.walk("/", "/volume/deep/file", true).end != Walk::End::kFound ||
        here.walk("/volume/deep", "../deep/none", true).end != Walk::End::kMissing ||
        !here.open("/volume/deep/file", true)) {
      return "not found";
    }
    return ::umount((dir / "volume").c_str()) == 0 ? "" : std::string("umount: ") + std::strerror(errno);
  });
  if (wrong.starts_with("skip")) {
    GTEST_SKIP() << wrong;
  }
  EXPECT_EQ(wrong, "");
}

/// Random trees and paths: the kernel, kept in the same root, must come to the same place.
TEST_F(RootWalkTest, SameAsTheKernel) {
  std::mt19937 random(1);
  const auto pick = [&](size_t below) { return std::uniform_int_distribution<size_t>(0, below - 1)(random); };
  const std::vector<std::string> names = {"p", "q", "r", "..", ".", "", "none"};
  const auto some_path = [&](size_t most) {
    std::string path = pick(3) == 0 ? "/" : "";
    for (size_t i = 0, count = 1 + pick(most); i < count; i++) {
      path += (i == 0 ? "" : "/") + names[pick(names.size())];
    }
    return path.empty() ? std::string("p") : path;
  };
  const std::string top = dir / "random";
  size_t found = 0;
  for (int tree = 0; tree < 40; tree++) {
    fs::remove_all(top);
    fs::create_directories(top);
    std::vector<std::string> directories = {top};
    for (int i = 0; i < 12; i++) {
      const std::string place = directories[pick(directories.size())] + "/" + names[pick(3)];
      switch (pick(3)) {
        case 0:
          if (::mkdir(place.c_str(), 0755) == 0) {
            directories.push_back(place);
          }
          break;
        case 1:
          static_cast<void>(!::symlink(some_path(3).c_str(), place.c_str()));
          break;
        default:
          ::close(::open(place.c_str(), O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
      }
    }
    const UniqueFd root = open_root(top);
    RootWalker here(open_root(top), magic_of);
    for (int i = 0; i < 100; i++) {
      const std::string path = some_path(5);
      const bool follow = pick(2) == 0;
      open_how how = {};
      how.flags = static_cast<unsigned long long>(O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
      how.resolve = RESOLVE_IN_ROOT;
      const UniqueFd kernel(static_cast<int>(::syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof(how))));
      const Walk walked = here.walk("/", path, follow);
      // Where the text ends in a slash or goes up from a file the walk is more lenient.
      if (kernel) {
        std::string place = fs::read_symlink("/proc/self/fd/" + std::to_string(kernel.get())).string();
        place.erase(0, top.size());
        EXPECT_EQ(walked.end, Walk::End::kFound) << path;
        EXPECT_EQ(walked.resolved, place.empty() ? "/" : place) << path;
        found++;
      }
    }
  }
  EXPECT_GT(found, 500U);
}

}  // namespace
}  // namespace snoop
