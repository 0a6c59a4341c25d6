// SPDX-License-Identifier: Apache-2.0
// What a target used before anybody looked.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "harness.h"

namespace snoop::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

/// A process that runs in a cgroup of its own, and waits, before anything looks.
class BaselineTest : public KernelTest {
 protected:
  void TearDown() override {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
    early_.reset();
    KernelTest::TearDown();
  }

  /// `after`: what it does when it is told to go on.
  void run_early(
      const std::function<int()>& before, const std::function<int()>& after = [] { return 0; }) {
    Result<CgroupTree> tree = CgroupTree::find();
    Result<OwnedCgroup> made =
        OwnedCgroup::create(*tree, *tree->own(), "snoop-kernel-early-" + std::to_string(::getpid()));
    ASSERT_TRUE(made.has_value());
    early_.emplace(std::move(*made));
    const int procs = *early_->open_procs();
    int ready[2];
    int go[2];
    ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
    child_ = ::fork();
    if (child_ == 0) {
      char byte = 0;
      if (::write(procs, "0", 1) != 1 || before() != 0 || ::write(ready[1], "r", 1) != 1 ||
          ::read(go[0], &byte, 1) != 1) {
        ::_exit(99);
      }
      ::_exit(after());
    }
    ::close(procs);
    ::close(ready[1]);
    char byte = 0;
    ASSERT_EQ(::read(ready[0], &byte, 1), 1) << "the early process failed";
    ::close(ready[0]);
    ::close(go[0]);
    go_ = go[1];
  }

  std::vector<Access> scan() {
    Capture& capture = start();
    EXPECT_TRUE(capture.probe().add_cgroup(early_->cgroup().id, Capture::kTarget, true));
    const Result<void> scanned = capture.probe().scan_baseline();
    EXPECT_TRUE(scanned.has_value()) << scanned.error().message();
    return capture.drain();
  }

  /// Lets the early process go on, and returns what it used then.
  std::vector<Access> go_on() {
    EXPECT_EQ(::write(go_, "g", 1), 1);
    int status = 0;
    ::waitpid(std::exchange(child_, 0), &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), 0);
    return capture_->drain();
  }

  pid_t child_ = 0;
  int go_ = -1;
  std::optional<OwnedCgroup> early_;
};

TEST_F(BaselineTest, OpenMappedAndRunning) {
  write_file("open");
  write_file("mapped");
  write_file("closed");
  std::filesystem::create_symlink("open", "link");
  std::filesystem::create_directory("directory");
  run_early([] {
    ::close(::open("closed", O_RDONLY));
    const int mapped = ::open("mapped", O_RDONLY);
    ::mmap(nullptr, 1, PROT_READ, MAP_PRIVATE, mapped, 0);
    ::close(mapped);
    const bool good =
        ::open("link", O_RDONLY) >= 0 && ::open("directory", O_RDONLY) >= 0 && ::memfd_create("nameless", 0) >= 0;
    return good ? 0 : errno;
  });
  const auto accesses = scan();
  const auto paths = paths_of(accesses);
  EXPECT_THAT(paths, Contains(path("open"))) << "by the name of the file, not of the link";
  EXPECT_THAT(paths, Contains(path("mapped")));
  EXPECT_THAT(paths, Contains(path("directory")));
  EXPECT_THAT(paths, Contains(std::filesystem::canonical("/proc/self/exe").string()));
  EXPECT_THAT(paths, Not(Contains(path("closed"))));
  EXPECT_THAT(paths, Not(Contains(::testing::HasSubstr("nameless"))));
  for (const Access& access : accesses) {
    EXPECT_THAT(kinds_of(access), ElementsAre("baseline"));
    EXPECT_EQ(access.pid, child_);
  }
  EXPECT_EQ(capture_->stats().events, 0U) << "nothing of it is an access";
  EXPECT_EQ(capture_->stats().base_unknown, 0U);
}

TEST_F(BaselineTest, WorkingDirectoryOfAnEarlyProcess) {
  std::filesystem::create_directories("real/deep");
  std::filesystem::create_directory_symlink("real/deep", "link");
  run_early([] { return 0; }, [] { return ::chdir("link") == 0 ? 0 : errno; });
  scan();
  EXPECT_THAT(paths_of(go_on()), ElementsAre(path("link"))) << "where it came from is known";
  EXPECT_EQ(capture_->stats().base_unknown, 0U);
}

TEST_F(BaselineTest, NothingOfOthers) {
  run_early([] { return 0; });
  Capture& capture = start();
  ASSERT_TRUE(capture.probe().scan_baseline().has_value());
  EXPECT_TRUE(capture.drain().empty());
}

}  // namespace
}  // namespace snoop::testing
