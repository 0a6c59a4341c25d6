// SPDX-License-Identifier: Apache-2.0
// Where the text of a path may stand in a process's memory, with both ways to read it (bpf/user_text.bpf.h).
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <set>
#include <string>
#include <thread>

#include "harness.h"

namespace snoop::testing {
namespace {

using ::testing::Contains;
using ::testing::IsSubsetOf;
using ::testing::UnorderedElementsAre;
using ::testing::UnorderedElementsAreArray;

constexpr size_t kPage = 4096;

class TextTest : public KernelTest, public ::testing::WithParamInterface<bool> {
 protected:
  Capture* start_reading() {
    Capture& capture = start({.direct_text = GetParam()});
    return capture.probe().reads_directly() == GetParam() ? &capture : nullptr;
  }
};

#define START_OR_SKIP(capture)                                                          \
  Capture* const capture = start_reading();                                             \
  if (capture == nullptr) {                                                             \
    GTEST_SKIP() << "a process's memory cannot be read without a call on this machine"; \
  }

char* map_pages(size_t count, int fd = -1, void* address = nullptr, off_t offset = 0) {
  const int flags = (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED) | (address != nullptr ? MAP_FIXED : 0);
  void* memory = ::mmap(address, count * kPage, PROT_READ | PROT_WRITE, flags, fd, offset);
  return memory == MAP_FAILED ? nullptr : static_cast<char*>(memory);
}

/// Two pages, with a path at the start of each.
int file_with_two_names() {
  const int fd = ::memfd_create("pages", 0);
  if (::ftruncate(fd, 2 * kPage) == 0) {
    char* both = map_pages(2, fd);
    std::strcpy(both, "/nowhere/first");
    std::strcpy(both + kPage, "/nowhere/other");
  }
  return fd;
}

/// Asks for a file that is not there.
bool ask(const char* path) { return ::access(path, F_OK) != 0 && errno == ENOENT; }

std::string name_of_length(size_t length) {
  return "n" + std::string(length - 1, static_cast<char>('a' + length % 26));
}

TEST_P(TextTest, EveryLengthInEveryPlace) {
  START_OR_SKIP(capture);
  constexpr size_t kShortest = 1;
  constexpr size_t kLongest = 200;
  constexpr uint64_t kAsked = 2 * 6;
  const auto accesses = capture->run([] {
    char* memory = map_pages(2);
    for (size_t length = kShortest; length <= kLongest; length++) {
      const std::string name = name_of_length(length);
      const size_t size = length + 1;
      // At the start of a page, beside it, up to its end, just over it, half over it, all but the NUL before it.
      for (const size_t at : {size_t{0}, size_t{3}, kPage - size, kPage - size + 1, kPage - size / 2, kPage - length}) {
        std::memset(memory, 'x', 2 * kPage);
        std::memcpy(memory + at, name.c_str(), size);
        if (!ask(memory + at) || !ask(memory + at)) {
          return 1;
        }
      }
    }
    return 0;
  });
  EXPECT_EQ(capture->last_status(), 0);
  EXPECT_EQ(accesses.size(), kLongest);
  for (size_t length = kShortest; length <= kLongest; length++) {
    EXPECT_EQ(at(accesses, path(name_of_length(length))).size(), 1U) << length;
  }
  EXPECT_EQ(capture->stats().events, kLongest * kAsked);
}

TEST_P(TextTest, OneBufferForManyPaths) {
  START_OR_SKIP(capture);
  constexpr int kPaths = 2000;
  const auto accesses = capture->run([] {
    char name[64];
    for (int round = 0; round < 3; round++) {
      for (int i = 0; i < kPaths; i++) {
        std::snprintf(name, sizeof(name), "/nowhere/of-many-%d", i);
        if (!ask(name)) {
          return 1;
        }
      }
    }
    return 0;
  });
  EXPECT_EQ(accesses.size(), static_cast<size_t>(kPaths));
  EXPECT_THAT(paths_of(accesses), Contains("/nowhere/of-many-1999"));
  EXPECT_EQ(capture->stats().events, 3U * kPaths);
}

/// A name of eight words, and all that differ from it in one bit, or in that and the highest bits of its word and the
/// one before: those are what a multiplication leaves alone.
std::set<std::string> names_that_are_much_alike() {
  const std::string name = "/nowhere/much-alike-" + std::string(43, 'k');
  constexpr size_t kFirst = 24;
  constexpr size_t kWord = sizeof(uint64_t);
  std::set<std::string> names = {name};
  for (size_t bit = kFirst * 8; bit < name.size() * 8; bit++) {
    const size_t highest = bit / 64 * kWord + kWord - 1;
    std::string other = name;
    const auto flip = [&](size_t at, int mask) { other[at] = static_cast<char>(other[at] ^ mask); };
    flip(bit / 8, 1 << bit % 8);
    if (other[bit / 8] == '/' || other[bit / 8] == '\0') {
      continue;
    }
    names.insert(other);
    if (highest >= kFirst + kWord) {
      flip(highest - kWord, 0x80);
      names.insert(other);
    }
    if (highest < name.size()) {
      flip(highest, 0x80);
      names.insert(other);
    }
  }
  return names;
}

TEST_P(TextTest, NamesThatAreMuchAlike) {
  START_OR_SKIP(capture);
  const std::set<std::string> names = names_that_are_much_alike();
  ASSERT_GT(names.size(), 500U);
  const auto accesses = capture->run([&] {
    for (const std::string& name : names) {
      if (!ask(name.c_str()) || !ask(name.c_str())) {
        return 1;
      }
    }
    return 0;
  });
  EXPECT_EQ(capture->last_status(), 0);
  EXPECT_THAT(paths_of(accesses), UnorderedElementsAreArray(names));
  EXPECT_EQ(capture->stats().events, 2 * names.size());
}

TEST_P(TextTest, NoTextAtAll) {
  START_OR_SKIP(capture);
  const auto accesses = capture->run([] {
    const int fd = ::open("/", O_PATH);
    char* memory = map_pages(2);
    ::munmap(memory + kPage, kPage);
    struct stat info = {};
    for (const size_t at : {size_t{0}, size_t{100}, kPage - 8, kPage - 1}) {
      for (int i = 0; i < 3; i++) {
        if (::syscall(SYS_newfstatat, fd, memory + at, &info, AT_EMPTY_PATH) != 0) {
          return 1;
        }
      }
    }
    return 0;
  });
  EXPECT_EQ(capture->last_status(), 0);
  EXPECT_THAT(paths_of(accesses), UnorderedElementsAre("/"));
  EXPECT_EQ(capture->stats().events, 1U) << "the open";
  EXPECT_EQ(capture->stats().path_unreadable, 0U);
}

TEST_P(TextTest, AnswerThatLooksLikeNoText) {
  START_OR_SKIP(capture);
  const auto accesses = capture->run([] {
    union {
      struct stat info;
      char bytes[sizeof(struct stat)];
    } memory = {};
    // The device that a regular file is: none.
    char* name = memory.bytes + offsetof(struct stat, st_rdev);
    std::strcpy(name, "/etc/passwd");
    const bool asked = ::syscall(SYS_newfstatat, AT_FDCWD, name, &memory.info, 0) == 0;
    return asked && *name == '\0' ? 0 : 1;
  });
  EXPECT_EQ(capture->last_status(), 0);
  EXPECT_TRUE(accesses.empty());
  EXPECT_EQ(capture->stats().path_unreadable, 1U) << "which file it was is lost, and counted as such";
}

// The kernel takes it out of its own map of memory, where it would be read.
TEST_P(TextTest, SecretMemory) {
  const int probe = static_cast<int>(::syscall(SYS_memfd_secret, 0));
  if (probe < 0) {
    GTEST_SKIP() << "no memfd_secret in this kernel: " << std::strerror(errno);
  }
  ::close(probe);
  START_OR_SKIP(capture);
  const auto accesses = capture->run([] {
    const int fd = static_cast<int>(::syscall(SYS_memfd_secret, 0));
    char* memory = ::ftruncate(fd, kPage) == 0 ? map_pages(1, fd) : nullptr;
    if (memory == nullptr) {
      return 2;
    }
    std::strcpy(memory, "/nowhere/secret");
    return ask(memory) && ask(memory) ? 0 : 1;
  });
  EXPECT_EQ(capture->last_status(), 0);
  EXPECT_THAT(paths_of(accesses), UnorderedElementsAre("/nowhere/secret"));
  EXPECT_EQ(capture->stats().events, 2U);
}

TEST_P(TextTest, LargePage) {
  START_OR_SKIP(capture);
  const auto accesses = capture->run([] {
    constexpr size_t kLarge = 2UL << 20;
    char* memory = map_pages(2 * kLarge / kPage);
    char* large = memory + (kLarge - reinterpret_cast<uintptr_t>(memory) % kLarge) % kLarge;
    ::madvise(large, kLarge, MADV_HUGEPAGE);
    std::memset(large, 'x', kLarge);
    for (int i = 0; i < 3; i++) {
      // Over the end of what a small page would be as well.
      std::strcpy(large + 17 * kPage + 5, "/nowhere/large");
      std::strcpy(large + 300 * kPage - 8, "/nowhere/large-over-the-border");
      if (!ask(large + 17 * kPage + 5) || !ask(large + 300 * kPage - 8)) {
        return 1;
      }
    }
    return 0;
  });
  EXPECT_THAT(paths_of(accesses), UnorderedElementsAre("/nowhere/large", "/nowhere/large-over-the-border"));
  EXPECT_EQ(capture->stats().events, 6U);
}

TEST_P(TextTest, AnotherPageAtTheSameAddress) {
  START_OR_SKIP(capture);
  constexpr int kRounds = 300;
  const auto accesses = capture->run([] {
    const int fd = file_with_two_names();
    char* address = map_pages(1);
    for (int i = 0; i < kRounds; i++) {
      if (map_pages(1, fd, address, i % 2 == 0 ? 0 : kPage) == nullptr || !ask(address)) {
        return 2;
      }
    }
    return 0;
  });
  EXPECT_EQ(capture->last_status(), 0);
  EXPECT_THAT(paths_of(accesses), UnorderedElementsAre("/nowhere/first", "/nowhere/other"));
  EXPECT_EQ(capture->stats().events, static_cast<uint64_t>(kRounds));
}

TEST_P(TextTest, ParentAndChildWithACopyEach) {
  START_OR_SKIP(capture);
  constexpr int kRounds = 30;
  const auto accesses = capture->run([] {
    char* memory = map_pages(1);
    for (int i = 0; i < kRounds; i++) {
      std::strcpy(memory, "/nowhere/of-the-parent");
      const pid_t child = ::fork();
      if (child == 0) {
        std::strcpy(memory, "/nowhere/of-the-child!");
        ::_exit(ask(memory) ? 0 : 1);
      }
      int status = 0;
      if (!ask(memory) || ::waitpid(child, &status, 0) != child || status != 0) {
        return 1;
      }
    }
    return 0;
  });
  EXPECT_EQ(capture->last_status(), 0);
  EXPECT_THAT(paths_of(accesses), UnorderedElementsAre("/nowhere/of-the-parent", "/nowhere/of-the-child!"));
  EXPECT_EQ(capture->stats().events, 2U * kRounds);
}

TEST_P(TextTest, PagesThatComeAndGoMeanwhile) {
  START_OR_SKIP(capture);
  const auto accesses = capture->run([] {
    const int fd = file_with_two_names();
    char* address = map_pages(1);
    std::atomic<bool> done = false;
    std::thread other([&] {
      for (int i = 0; !done; i++) {
        map_pages(1, fd, address, i % 2 == 0 ? 0 : kPage);
        ::madvise(address, kPage, MADV_DONTNEED);
        map_pages(1, -1, address);
      }
    });
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
    while (std::chrono::steady_clock::now() < end) {
      ::access(address, F_OK);
    }
    done = true;
    other.join();
    return 0;
  });
  EXPECT_EQ(capture->last_status(), 0);
  EXPECT_THAT(paths_of(accesses), IsSubsetOf({"/nowhere/first", "/nowhere/other"}));
}

INSTANTIATE_TEST_SUITE_P(, TextTest, ::testing::Values(true, false),
                         [](const auto& which) { return which.param ? "directly" : "by_helper"; });

}  // namespace
}  // namespace snoop::testing
