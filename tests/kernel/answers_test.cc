// SPDX-License-Identifier: Apache-2.0
// Answers of calls that are written over, or beside, the path that was asked for.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <thread>

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

/// A FIFO, whose open waits for another thread: that one empties the path meanwhile.
TEST_F(AnswerTest, EmptiedPathOfAnOpenHasTheNameOfItsFile) {
  ASSERT_EQ(::mkfifo("pipe", 0600), 0);
  Capture& capture = start();
  const auto accesses = capture.run([] {
    static char name[64] = "pipe";
    std::thread other([] {
      ::usleep(100'000);
      name[0] = '\0';
      ::open("pipe", O_WRONLY);
    });
    const int fd = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, name, O_RDONLY));
    other.join();
    return fd >= 0 ? 0 : errno;
  });
  EXPECT_EQ(capture.last_status(), 0);
  uint64_t seen = 0;
  for (const Access& access : at(accesses, path("pipe"))) {
    seen |= access.seen;
  }
  EXPECT_NE(kinds_with(seen, SNOOP_OUTCOME_OK) & 1U << SNOOP_KIND_READ, 0);
  EXPECT_EQ(capture.stats().path_unreadable, 1U) << "links that it was asked for by";
}

/// In all of them; what is asked by path alone has no file to be named by.
TEST_F(AnswerTest, EmptiedPathsAreCounted) {
  write_file("name");
  Capture& capture = start();
  capture.run([] {
    static std::atomic<char> name[64];
    static std::atomic<bool> ends = false;
    const auto* text = reinterpret_cast<const char*>(name);
    std::memcpy(reinterpret_cast<char*>(name), "name", 5);
    std::thread other([] {
      while (!ends) {
        name[0] = '\0';
        name[0] = 'n';
      }
    });
    int done = 0;
    for (int i = 0; i < 200'000 && done < 2'000; i++) {
      done += ::syscall(SYS_faccessat, AT_FDCWD, text, R_OK) == 0 ? 1 : 0;
      done += ::truncate(text, 0) == 0 ? 1 : 0;
    }
    ends = true;
    other.join();
    return done >= 2'000 ? 0 : 1;
  });
  EXPECT_EQ(capture.last_status(), 0);
  // Which of them are hit is a matter of luck, but all that succeeded are told of in one way or the other.
  EXPECT_GE(capture.stats().events, 2'000U);
}

/// The same of a call that may have an empty path, if a flag says so, and of one that may on a descriptor.
TEST_F(AnswerTest, EmptiedPathsOfCallsThatNeedAFlagAreCounted) {
  write_file("name");
  std::filesystem::create_symlink("name", "nxme");
  Capture& capture = start();
  capture.run([] {
    static std::atomic<char> name[64];
    static std::atomic<bool> ends = false;
    const auto* text = reinterpret_cast<const char*>(name);
    std::memcpy(reinterpret_cast<char*>(name), "nxme", 5);
    std::thread other([] {
      while (!ends) {
        name[0] = '\0';
        name[0] = 'n';
      }
    });
    std::array<char, 64> buffer = {};
    int done = 0;
    for (int i = 0; i < 200'000 && done < 3'000; i++) {
      done += ::fchownat(AT_FDCWD, text, -1, -1, 0) == 0 ? 1 : 0;
      done += ::utimensat(AT_FDCWD, text, nullptr, 0) == 0 ? 1 : 0;
      done += ::readlinkat(AT_FDCWD, text, buffer.data(), buffer.size()) > 0 ? 1 : 0;
    }
    ends = true;
    other.join();
    return done >= 3'000 ? 0 : 1;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_GE(capture.stats().events, 3'000U);
}

/// What is meant to be on the descriptor itself is no access by a path, and nothing lost.
TEST_F(AnswerTest, EmptyPathsThatAreMeant) {
  write_file("name");
  std::filesystem::create_symlink("name", "link");
  const int file = ::open("name", O_RDONLY);
  const int link = ::open("link", O_PATH | O_NOFOLLOW);
  Capture& capture = start();
  const auto accesses = capture.run([&] {
    std::array<char, 64> buffer = {};
    struct stat info = {};
    const bool good = ::fstatat(file, "", &info, AT_EMPTY_PATH) == 0 &&
                      ::fchownat(file, "", -1, -1, AT_EMPTY_PATH) == 0 &&
                      ::readlinkat(link, "", buffer.data(), buffer.size()) == 4 &&
                      ::linkat(file, "", AT_FDCWD, "other", AT_EMPTY_PATH) == 0;
    return good ? 0 : errno;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_THAT(paths_of(accesses), ElementsAre(path("other")));
  EXPECT_EQ(capture.stats().path_unreadable, 0U);
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
