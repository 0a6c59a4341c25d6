// SPDX-License-Identifier: Apache-2.0
// From what a program writes to the absolute path, on the real kernel.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <random>
#include <set>

#include "harness.h"

namespace snoop::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class PathTest : public KernelTest {
 protected:
  /// Opens a path, from wherever `before` has gone to, and returns what it was
  /// recorded as.
  std::vector<std::string> recorded(
      const std::string& name, const std::function<void()>& before = [] {}) {
    before_ = before;
    const auto accesses = capture_->run([&] {
      before();
      return ::open(name.c_str(), O_RDONLY) >= 0 ? 0 : errno;
    });
    status_ = WEXITSTATUS(capture_->last_status());
    std::vector<std::string> opened;
    for (const Access& access : accesses) {
      if (kinds_of(access)[0] == "open") {
        opened.push_back(access.path);
      }
    }
    return opened;
  }
  std::function<void()> before_;
  int status_ = 0;
};

TEST_F(PathTest, SpellingsOfOneFile) {
  std::filesystem::create_directories("a/b");
  write_file("a/b/c");
  start();
  for (const std::string& name : {std::string("a/b/c"), std::string("./a/./b//c"), std::string("a/../a/b/c"),
                                  path("a/b/c"), "/" + path("a/b/../b/c"), std::string("a/b/c/")}) {
    EXPECT_THAT(recorded(name), ElementsAre(path("a/b/c"))) << name;
  }
  EXPECT_THAT(recorded("a/b/"), ElementsAre(path("a/b")));
  EXPECT_THAT(recorded("."), ElementsAre(directory()));
  EXPECT_THAT(recorded("/"), ElementsAre("/"));
  EXPECT_THAT(recorded("/.."), ElementsAre("/"));
}

TEST_F(PathTest, DescriptorsZeroToTwo) {
  std::filesystem::create_directory("sub");
  write_file("sub/name");
  Capture& capture = start();
  for (const int number : {0, 1, 2}) {
    const auto accesses = capture.run([&] {
      const int fd = ::open("sub", O_RDONLY | O_DIRECTORY);
      ::dup2(fd, number);
      return ::openat(number, "name", O_WRONLY | (number << 20)) >= 0 ? 0 : errno;
    });
    static_cast<void>(accesses);
    EXPECT_EQ(capture.last_status(), 0);
  }
  const auto accesses = capture.run([] {
    ::close(2);
    ::open("sub", O_RDONLY | O_DIRECTORY);
    return ::faccessat(2, "name", W_OK, 0) == 0 ? 0 : errno;
  });
  EXPECT_THAT(paths_of(accesses), Contains(path("sub/name")));
}

TEST_F(PathTest, LongPathsAndComponents) {
  start();
  const std::string component(255, 'x');
  ASSERT_EQ(::mkdir(component.c_str(), 0755), 0);
  write_file(component + "/" + component);
  EXPECT_THAT(recorded(component + "/" + component), ElementsAre(path(component + "/" + component)));

  std::string longest = directory();
  while (longest.size() + 2 <= 4095) {
    longest += "/.";
  }
  longest.resize(4095, '/');
  EXPECT_THAT(recorded(longest), ElementsAre(directory()));
  EXPECT_EQ(status_, 0);
  EXPECT_THAT(recorded(longest + "/"), IsEmpty()) << "too long for the kernel: no access";
  EXPECT_EQ(status_, ENAMETOOLONG);
}

TEST_F(PathTest, DeepWorkingDirectory) {
  start();
  for (const int depth : {21, 81, 257, 2049}) {
    std::string expected = directory();
    for (int i = 0; i < depth; i++) {
      expected += "/d";
    }
    const auto go_deep = [depth] {
      for (int i = 0; i < depth; i++) {
        ::mkdir("d", 0755);
        if (::chdir("d") != 0) {
          ::_exit(98);
        }
      }
    };
    const auto paths = recorded("name", go_deep);
    EXPECT_THAT(paths, ElementsAre(expected + "/name")) << depth;
    EXPECT_EQ(status_, ENOENT);
  }
  EXPECT_EQ(capture_->stats().path_truncated, 0U);
  EXPECT_EQ(capture_->stats().base_unknown, 0U);
}

TEST_F(PathTest, TooDeepIsCountedNotCut) {
  Capture& capture = start();
  const std::string component(200, 'y');
  const auto accesses = capture.run([&] {
    for (int i = 0; i < 60; i++) {
      if (::mkdir(component.c_str(), 0755) != 0 || ::chdir(component.c_str()) != 0) {
        return 98;
      }
    }
    return ::open("name", O_RDONLY) >= 0 ? 0 : errno;
  });
  EXPECT_EQ(WEXITSTATUS(capture.last_status()), ENOENT);
  EXPECT_GT(capture.stats().path_truncated, 0U);
  for (const std::string& used : paths_of(accesses)) {
    EXPECT_TRUE(used.starts_with(directory())) << "a cut path that looks whole: " << used;
  }
  EXPECT_EQ(capture.stats().base_unknown, 0U);
  EXPECT_EQ(capture.stats().ring_full, 0U);
  EXPECT_EQ(capture.stats().events, accesses.size() + capture.stats().path_truncated);
}

TEST_F(PathTest, ChangeOfDirectory) {
  std::filesystem::create_directories("real/deep");
  std::filesystem::create_directory_symlink("real/deep", "link");
  Capture& capture = start();
  const auto accesses = capture.run([] {
    // The first one is known because the fork was seen or because the name
    // fits; the others because the one before was seen.
    const bool good = ::chdir("real") == 0 && ::chdir("..") == 0 && ::chdir("link") == 0 && ::chdir("../..") == 0;
    return good ? 0 : errno;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_EQ(accesses[0].path, path("real"));
  EXPECT_EQ(accesses[1].path, directory());
  EXPECT_EQ(accesses[2].path, path("link")) << "the name of the link, not where it leads";
  EXPECT_EQ(capture.stats().base_unknown, 0U);
}

TEST_F(PathTest, SameNameOneLevelDown) {
  std::filesystem::create_directories("same/same");
  Capture& capture = start();
  const auto accesses = capture.run([] { return ::chdir("same") == 0 && ::chdir("same") == 0 ? 0 : errno; });
  EXPECT_THAT(paths_of(accesses), ElementsAre(path("same"), path("same/same")));
}

TEST_F(PathTest, SameDirectorySeenFromTwoRoots) {
  std::filesystem::create_directories("jail/sub");
  write_file("jail/sub/name");
  Capture& capture = start();
  const auto outside = capture.run([] { return ::chdir("jail/sub") == 0 && ::access("name", F_OK) == 0 ? 0 : errno; });
  EXPECT_THAT(paths_of(outside), Contains(path("jail/sub/name")));
  const auto inside = capture.run(
      [] { return ::chroot("jail") == 0 && ::chdir("/sub") == 0 && ::access("name", F_OK) == 0 ? 0 : errno; });
  EXPECT_THAT(paths_of(inside), Contains("/sub/name"));
}

TEST_F(PathTest, ChangeOfDirectoryInAChild) {
  std::filesystem::create_directories("real/deep");
  std::filesystem::create_directory_symlink("real/deep", "link");
  Capture& capture = start();
  const auto accesses = capture.run([] {
    const pid_t child = ::fork();
    if (child == 0) {
      ::_exit(::chdir("link") == 0 ? 0 : errno);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
  });
  EXPECT_EQ(capture.last_status(), 0);
  ASSERT_FALSE(accesses.empty());
  EXPECT_EQ(accesses[0].path, path("link"));
}

TEST_F(PathTest, ChangeOfDirectoryWhileOutsideOfTheTarget) {
  std::filesystem::create_directories("a");
  std::filesystem::create_directories("b/only-b");
  Capture& capture = start();
  const std::string own = capture.tree().directory(*capture.tree().own()) + "/cgroup.procs";
  const std::string target = capture.tree().directory(capture.cgroup().cgroup()) + "/cgroup.procs";
  const auto accesses = capture.run([&] {
    const int outside = ::open(own.c_str(), O_WRONLY);
    const int inside = ::open(target.c_str(), O_WRONLY);
    const bool good = ::chdir("a") == 0 && ::write(outside, "0", 1) == 1 && ::chdir("../b") == 0 &&
                      ::write(inside, "0", 1) == 1 && ::chdir("only-b") == 0;
    return good ? 0 : errno;
  });
  ASSERT_EQ(capture.last_status(), 0);
  EXPECT_THAT(paths_of(accesses), Contains(path("b/only-b")));
  EXPECT_THAT(paths_of(accesses), ::testing::Not(Contains(path("a/only-b"))));
}

TEST_F(PathTest, ChangeRoot) {
  std::filesystem::create_directories("jail/inside");
  write_file("jail/inside/name");
  start();
  EXPECT_THAT(recorded("/inside/name",
                       [] {
                         if (::chroot("jail") != 0 || ::chdir("/") != 0) {
                           ::_exit(98);
                         }
                       }),
              ElementsAre("/inside/name"))
      << "as the program sees it";
  EXPECT_THAT(recorded("name",
                       [] {
                         if (::chroot("jail") != 0 || ::chdir("/inside") != 0) {
                           ::_exit(98);
                         }
                       }),
              ElementsAre("/inside/name"));
  // The path of the chroot itself belongs to the former root.
  Capture& capture = *capture_;
  const auto accesses = capture.run([] { return ::chdir("jail") == 0 && ::chroot("inside") == 0 ? 0 : errno; });
  EXPECT_THAT(paths_of(accesses), Contains(path("jail/inside")));
}

TEST_F(PathTest, MountNamespaceAndBindMount) {
  std::filesystem::create_directories("a/b");
  std::filesystem::create_directory("mnt");
  write_file("a/b/name");
  start();
  const auto mount_and_enter = [] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("a", "mnt", nullptr, MS_BIND, nullptr) != 0 || ::chdir("mnt/b") != 0) {
      ::_exit(98);
    }
  };
  EXPECT_THAT(recorded("name", mount_and_enter), ElementsAre(path("mnt/b/name")));
  EXPECT_EQ(status_, 0);
}

TEST_F(PathTest, DeletedWorkingDirectory) {
  start();
  const auto vanish = [] {
    if (::mkdir("gone", 0755) != 0 || ::chdir("gone") != 0 || ::rmdir("../gone") != 0) {
      ::_exit(98);
    }
  };
  EXPECT_THAT(recorded("name", vanish), ElementsAre(path("gone/name")));
  EXPECT_EQ(status_, ENOENT);
}

TEST_F(PathTest, RenamedDirectoryIsNotRemembered) {
  std::filesystem::create_directories("before/sub");
  write_file("before/sub/name");
  Capture& capture = start();
  const auto accesses = capture.run([] {
    const int fd = ::open("before/sub", O_PATH | O_DIRECTORY);
    const bool good =
        ::openat(fd, "name", O_RDONLY) >= 0 && ::rename("before", "after") == 0 && ::openat(fd, "name", O_RDONLY) >= 0;
    return good ? 0 : errno;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_THAT(paths_of(accesses), Contains(path("before/sub/name")));
  EXPECT_THAT(paths_of(accesses), Contains(path("after/sub/name")));
}

TEST_F(PathTest, ResolveInRoot) {
  std::filesystem::create_directories("root/sub");
  write_file("root/sub/name");
  Capture& capture = start();
  const auto accesses = capture.run([] {
    const int root = ::open("root", O_PATH | O_DIRECTORY);
    open_how how = {};
    how.resolve = RESOLVE_IN_ROOT;
    return ::syscall(SYS_openat2, root, "/../sub/name", &how, sizeof(how)) >= 0 ? 0 : errno;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_THAT(paths_of(accesses), Contains(path("root/sub/name")));
}

TEST_F(PathTest, AnyBytes) {
  start();
  for (const std::string& name : {std::string("new\nline"), std::string("quo\"te"), std::string("\xFF\xFE"),
                                  std::string("\x1b[31m"), std::string("⋯*")}) {
    write_file(name);
    EXPECT_THAT(recorded(name), ElementsAre(path(name)));
  }
}

TEST_F(PathTest, DirectoryThatIsRenamedMeanwhile) {
  constexpr int kNames = 4000;
  ::mkdir("AAAA", 0755);
  Capture& capture = start();
  // Not of the target: renames there and back, all the time.
  const pid_t other = ::fork();
  if (other == 0) {
    while (true) {
      ::rename("AAAA", "BBBB");
      ::rename("BBBB", "AAAA");
    }
  }
  const auto ask_all = [](int fd) {
    char name[16];
    struct stat info;
    for (int i = 0; i < kNames; i++) {
      std::snprintf(name, sizeof(name), "g%d", i);
      ::fstatat(fd, name, &info, 0);
    }
  };
  std::vector<Access> accesses = capture.run([&] {
    int fd = -1;
    while ((fd = ::open("AAAA", O_RDONLY | O_DIRECTORY)) < 0 && (fd = ::open("BBBB", O_RDONLY | O_DIRECTORY)) < 0) {
    }
    ask_all(fd);
    return 0;
  });
  ::kill(other, SIGKILL);
  ::waitpid(other, nullptr, 0);
  std::set<std::string> names;
  const auto add = [&names](const std::vector<Access>& more) {
    for (const Access& access : more) {
      names.insert(access.path);
    }
  };
  add(accesses);
  for (const char* name : {"AAAA", "BBBB"}) {
    ::rename("AAAA", name);
    ::rename("BBBB", name);
    add(capture.run([&] {
      ask_all(::open(name, O_RDONLY | O_DIRECTORY));
      return 0;
    }));
  }
  for (const char* directory : {"AAAA/g", "BBBB/g"}) {
    for (int i = 0; i < kNames; i++) {
      EXPECT_TRUE(names.contains(path(directory + std::to_string(i)))) << directory << i;
    }
  }
  for (const std::string& name : names) {
    EXPECT_TRUE(name.find("AAAA") != std::string::npos || name.find("BBBB") != std::string::npos ||
                name.find("/g") == std::string::npos)
        << name;
  }
}

TEST_F(PathTest, StringInAFreshPageOfAFile) {
  // The page of the string was never touched by the program itself.
  std::string content(8192, '\0');
  std::strcpy(content.data() + 4096, "name-in-a-fresh-page");
  write_file("strings", content);
  Capture& capture = start();
  const auto accesses = capture.run([] {
    const int fd = ::open("strings", O_RDONLY);
    const auto* memory = static_cast<const char*>(::mmap(nullptr, 8192, PROT_READ, MAP_PRIVATE, fd, 0));
    ::madvise(const_cast<char*>(memory), 8192, MADV_RANDOM);
    return ::access(memory + 4096, F_OK) == 0 ? 0 : errno;
  });
  EXPECT_THAT(paths_of(accesses), Contains(path("name-in-a-fresh-page")));
  EXPECT_EQ(capture.stats().path_unreadable, 0U);
}

TEST_F(PathTest, StringAtTheEndOfMapping) {
  Capture& capture = start();
  const auto accesses = capture.run([] {
    auto* memory =
        static_cast<char*>(::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ::munmap(memory + 4096, 4096);
    char* end = memory + 4096 - sizeof("border");
    std::memcpy(end, "border", sizeof("border"));
    return ::access(end, F_OK) == 0 ? 0 : errno;
  });
  EXPECT_THAT(paths_of(accesses), Contains(path("border")));
}

TEST_F(PathTest, OpenThatASignalEnds) {
  ASSERT_EQ(::mkfifo("fifo", 0600), 0);
  Capture& capture = start();
  const auto accesses = capture.run([] {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &action, nullptr);
    const itimerval soon = {.it_interval = {}, .it_value = {.tv_sec = 0, .tv_usec = 50'000}};
    ::setitimer(ITIMER_REAL, &soon, nullptr);
    return ::open("fifo", O_RDONLY) < 0 && errno == EINTR ? 0 : 1;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_THAT(paths_of(accesses), Contains(path("fifo")));
}

/// The kernel's hash of a name has 32 bits. Of each pair of names here it is the same with a chance of 1 in 32 to 1 in
/// 128, whatever it is salted with.
TEST_F(PathTest, SiblingsWithTheSameHash) {
  constexpr int kPairs = 500;
  std::vector<std::string> names;
  std::mt19937_64 random(7);
  const auto next = [&](std::string name) {
    constexpr uint64_t kDifference[] = {1ULL << 51, 1ULL << 63 | 1ULL << 51 | 1ULL << 32 | 1ULL << 35,
                                        1ULL << 44 | 1ULL << 47};
    for (size_t i = 0; i < name.size(); i++) {
      name[i] = static_cast<char>(name[i] ^ static_cast<char>(kDifference[i / 8] >> (i % 8 * 8)));
    }
    return name;
  };
  while (names.size() < 2 * kPairs) {
    std::string name(24, 'a');
    for (char& c : name) {
      c = static_cast<char>('a' + random() % 26);
    }
    const std::string twin = next(name);
    if (twin.find('/') == std::string::npos && twin.find('\0') == std::string::npos) {
      names.insert(names.end(), {name, twin});
    }
  }
  for (const std::string& name : names) {
    ASSERT_EQ(::mkdir(name.c_str(), 0755), 0) << std::strerror(errno);
  }
  Capture& capture = start();
  std::set<std::string> seen;
  for (const Access& access : capture.run([&] {
         for (const std::string& name : names) {
           const int fd = ::open(name.c_str(), O_PATH);
           static_cast<void>(!::faccessat(fd, "x", F_OK, 0));
           ::close(fd);
         }
         return 0;
       })) {
    if (access.path.ends_with("/x")) {
      seen.insert(access.path);
    }
  }
  EXPECT_EQ(seen.size(), names.size());
}

TEST_F(PathTest, BadDescriptorIsNoAccess) {
  Capture& capture = start();
  const auto accesses = capture.run([] { return ::openat(999, "name", O_RDONLY) < 0 ? errno : 0; });
  EXPECT_EQ(WEXITSTATUS(capture.last_status()), EBADF);
  EXPECT_THAT(accesses, IsEmpty());
  EXPECT_EQ(capture.stats().base_unknown, 0U);
}

}  // namespace
}  // namespace snoop::testing
