// SPDX-License-Identifier: Apache-2.0
// Answers of calls that are written over, or beside, the path that was asked for.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>

#include "harness.h"

namespace snoop::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class AnswerTest : public KernelTest {};

TEST_F(AnswerTest, ReadlinkOverItsOwnPathIsCounted) {
  std::filesystem::create_symlink("somewhere/else", "link");
  Capture& capture = start();
  const auto accesses = capture.run([] {
    char buffer[64] = "link";
    return ::syscall(SYS_readlinkat, AT_FDCWD, buffer, buffer, sizeof(buffer)) > 0 ? 0 : errno;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_THAT(accesses, IsEmpty()) << "a path that nobody asked for";
  EXPECT_EQ(capture.stats().path_unreadable, 1U);
}

TEST_F(AnswerTest, AnswerOverItsOwnPathIsCounted) {
  write_file("name");
  Capture& capture = start();
  const auto accesses = capture.run([] {
    union {
      struct stat info;
      char path[sizeof(struct stat)];
    } both = {};
    std::strcpy(both.path, "name");
    return ::syscall(SYS_newfstatat, AT_FDCWD, both.path, &both.info, 0) == 0 ? 0 : errno;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_THAT(accesses, IsEmpty()) << "a path that nobody asked for";
  EXPECT_EQ(capture.stats().path_unreadable, 1U);
}

TEST_F(AnswerTest, AnswerOverItsOwnPathByAnotherMappingIsCounted) {
  write_file("name");
  Capture& capture = start();
  const auto accesses = capture.run([] {
    const int fd = ::memfd_create("both", 0);
    if (::ftruncate(fd, 4096) != 0) {
      return errno;
    }
    const auto map = [&] { return ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); };
    auto* info = static_cast<struct stat*>(map());
    // A device, of a file that is none: 0.
    char* name = static_cast<char*>(map()) + offsetof(struct stat, st_rdev);
    std::strcpy(name, "name");
    return ::syscall(SYS_newfstatat, AT_FDCWD, name, info, 0) == 0 && *name == '\0' ? 0 : 1;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_THAT(accesses, IsEmpty());
  EXPECT_EQ(capture.stats().path_unreadable, 1U);
}

TEST_F(AnswerTest, QuestionForTheSizeOfAnAnswerWritesNone) {
  write_file("name");
  if (::setxattr("name", "user.one", "x", 1, 0) != 0) {
    GTEST_SKIP() << "no extended attributes here: " << std::strerror(errno);
  }
  Capture& capture = start();
  const auto accesses = capture.run([] {
    char name[16] = "name";
    return ::syscall(SYS_listxattr, name, name, 0) > 0 && ::syscall(SYS_getxattr, name, "user.one", name, 0) > 0 ? 0
                                                                                                                 : 1;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_THAT(paths_of(accesses), ElementsAre(path("name")));
  EXPECT_EQ(capture.stats().path_unreadable, 0U);
}

TEST_F(AnswerTest, AnswersOfOtherCallsOverTheirOwnPathAreCounted) {
  write_file("name");
  Capture& capture = start();
  const auto accesses = capture.run([] {
    unsigned int handle[2 + MAX_HANDLE_SZ / sizeof(unsigned int)] = {MAX_HANDLE_SZ};
    alignas(8) char path[16] = "name";
    return ::syscall(SYS_name_to_handle_at, AT_FDCWD, path, handle, path, 0) == 0 ? 0 : errno;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_THAT(accesses, IsEmpty()) << "a path that nobody asked for";
  EXPECT_EQ(capture.stats().path_unreadable, 1U);
}

TEST_F(AnswerTest, AnswerThatHasNoPlace) {
  write_file("name");
  Capture& capture = start();
  const auto accesses = capture.run(
      [] { return ::syscall(SYS_newfstatat, AT_FDCWD, "name", 8, 0) == -1 && errno == EFAULT ? 0 : errno; });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_THAT(paths_of(accesses), ElementsAre(path("name"))) << "the file was found, or there would be another error";
}

TEST_F(AnswerTest, AnswerBesideThePathIsNone) {
  write_file("name");
  Capture& capture = start();
  const auto accesses = capture.run([] {
    struct {
      char before[8];
      struct stat info;
      char behind[8];
    } all = {"name", {}, "name"};
    const bool good = ::syscall(SYS_newfstatat, AT_FDCWD, all.before, &all.info, 0) == 0 &&
                      ::access(all.behind, F_OK) == 0 &&
                      ::syscall(SYS_newfstatat, AT_FDCWD, all.behind, &all.info, 0) == 0;
    return good ? 0 : errno;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_THAT(paths_of(accesses), ElementsAre(path("name"), path("name")));
  EXPECT_EQ(capture.stats().path_unreadable, 0U);
}

}  // namespace
}  // namespace snoop::testing
