// SPDX-License-Identifier: Apache-2.0
// Where files come from: layers of an overlay, mounts, made-up file systems.
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "harness.h"

namespace snoop::testing {
namespace {

using ::testing::Contains;
using ::testing::Not;

/// A root on an overlay, as container runtimes make it: what `body` does there.
class OriginTest : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    if (IsSkipped()) {
      return;
    }
    for (const char* name : {"lower/bin", "lower/proc", "lower/volume", "upper", "work", "merged", "data"}) {
      std::filesystem::create_directories(name);
    }
    write_file("lower/image");
    write_file("lower/changed");
    write_file("lower/appended");
    write_file("lower/mapped");
    write_file("lower/single");
    write_file("data/inside");
    write_file("data/single");
    std::filesystem::copy_file("/usr/bin/true", "lower/bin/true");
  }

  /// In a mount namespace of its own, below the new root.
  static int enter() {
    const bool good = ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                      ::mount("overlay", "merged", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work") == 0 &&
                      ::mount("data", "merged/volume", nullptr, MS_BIND, nullptr) == 0 &&
                      ::mount("data/single", "merged/single", nullptr, MS_BIND, nullptr) == 0 &&
                      ::mount("proc", "merged/proc", "proc", 0, nullptr) == 0 && ::chroot("merged") == 0 &&
                      ::chdir("/") == 0;
    return good ? 0 : errno;
  }

  static Access one(const std::vector<Access>& accesses, const std::string& path) {
    const std::vector<Access> found = at(accesses, path);
    EXPECT_FALSE(found.empty()) << path;
    return found.empty() ? Access{} : found.front();
  }
};

TEST_F(OriginTest, OfOpenedFiles) {
  Capture& capture = start();
  const auto accesses = capture.run([] {
    if (const int error = enter(); error != 0) {
      return error;
    }
    const bool good = ::open("/image", O_RDONLY) >= 0 && ::open("/changed", O_RDWR) >= 0 &&
                      ::open("/appended", O_WRONLY | O_APPEND) >= 0 && ::open("/made", O_WRONLY | O_CREAT, 0644) >= 0 &&
                      ::open("/volume/inside", O_RDONLY) >= 0 &&
                      ::open("/volume/made", O_WRONLY | O_CREAT, 0644) >= 0 && ::open("/single", O_RDONLY) >= 0 &&
                      ::open("/proc/self/status", O_RDONLY) >= 0;
    return good ? 0 : errno;
  });
  ASSERT_EQ(capture.last_status(), 0);
  EXPECT_EQ(one(accesses, "/image").origin, FileOrigin::kImage);
  EXPECT_EQ(one(accesses, "/changed").origin, FileOrigin::kImage) << "copied up, but the image has it";
  EXPECT_EQ(one(accesses, "/appended").origin, FileOrigin::kImage);
  EXPECT_EQ(one(accesses, "/made").origin, FileOrigin::kWritten);
  EXPECT_EQ(one(accesses, "/volume/inside").origin, FileOrigin::kVolume);
  EXPECT_EQ(one(accesses, "/volume/inside").mount, "/volume");
  EXPECT_EQ(one(accesses, "/volume/made").origin, FileOrigin::kVolume);
  EXPECT_EQ(one(accesses, "/single").origin, FileOrigin::kVolume);
  EXPECT_EQ(one(accesses, "/single").mount, "/single");
  EXPECT_EQ(one(accesses, "/proc/self/status").origin, FileOrigin::kPseudo);
  EXPECT_EQ(one(accesses, "/proc/self/status").mount, "/proc");
}

TEST_F(OriginTest, OfPrograms) {
  Capture& capture = start();
  const auto accesses = capture.run([] {
    if (const int error = enter(); error != 0) {
      return error;
    }
    ::execl("/bin/true", "true", nullptr);
    return errno == ENOENT ? 0 : errno;  // the loader is not there
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_EQ(one(accesses, "/bin/true").origin, FileOrigin::kUnknown) << "nothing was opened";
}

TEST_F(OriginTest, PlainDirectoriesAreNotKnown) {
  write_file("name");
  Capture& capture = start();
  const auto accesses = capture.run([] { return ::open("name", O_RDONLY) >= 0 ? 0 : errno; });
  EXPECT_EQ(one(accesses, path("name")).origin, FileOrigin::kUnknown);
}

/// What overlayfs maps is a file of a layer, which has another path.
TEST_F(OriginTest, OfMappingsBeforeCapture) {
  Result<CgroupTree> tree = CgroupTree::find();
  Result<OwnedCgroup> early =
      OwnedCgroup::create(*tree, *tree->own(), "snoop-kernel-early-" + std::to_string(::getpid()));
  ASSERT_TRUE(early.has_value());
  const int procs = *early->open_procs();
  int ready[2];
  int go[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char byte = 0;
    if (::write(procs, "0", 1) != 1 || enter() != 0) {
      ::_exit(98);
    }
    const int mapped = ::open("/mapped", O_RDONLY);
    const int open = ::open("/image", O_RDONLY);
    if (mapped < 0 || open < 0 || ::mmap(nullptr, 1, PROT_READ, MAP_PRIVATE, mapped, 0) == MAP_FAILED) {
      ::_exit(97);
    }
    ::close(mapped);
    ::_exit(::write(ready[1], "r", 1) == 1 && ::read(go[0], &byte, 1) == 1 ? 0 : 96);
  }
  ::close(procs);
  ::close(ready[1]);
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1) << "the early process failed";
  Capture& capture = start();
  EXPECT_TRUE(capture.probe().add_cgroup(early->cgroup().id, Capture::kTarget, true));
  EXPECT_TRUE(capture.probe().scan_baseline());
  const auto accesses = capture.drain();
  ASSERT_EQ(::write(go[1], "g", 1), 1);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(one(accesses, "/image").origin, FileOrigin::kImage);
  EXPECT_EQ(one(accesses, "/mapped").origin, FileOrigin::kImage);
  EXPECT_THAT(paths_of(accesses), Not(Contains(path("lower/mapped"))));
}

}  // namespace
}  // namespace snoop::testing
