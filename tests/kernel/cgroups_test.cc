// SPDX-License-Identifier: Apache-2.0
// Whose accesses are recorded.
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <thread>

#include "harness.h"

namespace snoop::testing {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;

class CgroupTest : public KernelTest {
 protected:
  OwnedCgroup below(const OwnedCgroup& parent, const std::string& name) {
    Result<OwnedCgroup> made = OwnedCgroup::create(capture_->tree(), parent.cgroup(), name);
    if (!made) {
      throw std::runtime_error(made.error().message());
    }
    return std::move(*made);
  }
  static int look(const char* name) {
    static_cast<void>(::access(name, F_OK));
    return 0;
  }
  /// Notices of one type, as (target, pid or inode).
  std::vector<snoop_event> notices(snoop_event_type type) {
    std::vector<snoop_event> found;
    for (const snoop_event& event : capture_->notices()) {
      if (event.type == type) {
        found.push_back(event);
      }
    }
    return found;
  }
};

bool move_into(const std::string& procs, pid_t pid) {
  const UniqueFd fd(::open(procs.c_str(), O_WRONLY | O_CLOEXEC));
  const std::string text = std::to_string(pid);
  return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

/// A child that does something, says so, and waits until it is killed.
class Waiting {
 public:
  explicit Waiting(const std::function<void()>& before) {
    int ready[2];
    if (::pipe2(ready, O_CLOEXEC) != 0) {
      throw std::runtime_error("pipe2");
    }
    pid_ = ::fork();
    if (pid_ == 0) {
      ::alarm(60);
      before();
      static_cast<void>(!::write(ready[1], "r", 1));
      while (true) {
        ::pause();
      }
    }
    char byte = 0;
    static_cast<void>(!::read(ready[0], &byte, 1));
    ::close(ready[0]);
    ::close(ready[1]);
  }
  ~Waiting() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

/// The hierarchy of a version 1 controller, if there is one.
std::optional<CgroupTree> version1_tree() {
  for (const char* directory : {"/sys/fs/cgroup/pids", "/sys/fs/cgroup/freezer", "/sys/fs/cgroup/devices"}) {
    Result<CgroupTree> tree = CgroupTree::find_for({directory});
    if (tree && !tree->controller().empty() && ::access(directory, W_OK) == 0) {
      return std::move(*tree);
    }
  }
  return std::nullopt;
}

TEST_F(CgroupTest, NothingOfOthers) {
  Capture& capture = start();
  const Result<OwnedCgroup> other =
      OwnedCgroup::create(capture.tree(), *capture.tree().own(), "snoop-kernel-other-" + std::to_string(::getpid()));
  ASSERT_TRUE(other.has_value());
  EXPECT_THAT(capture.run_in(*other, [] { return look("other"); }), IsEmpty());
  look("own");
  EXPECT_THAT(capture.drain(), IsEmpty());
}

TEST_F(CgroupTest, SelfIsLeftOutEvenInsideATarget) {
  Capture& capture = start();
  // This process is no child of the capture: it is the one that loaded it.
  const int procs = *capture.cgroup().open_procs();
  const int home = ::open((capture.tree().directory(*capture.tree().own()) + "/cgroup.procs").c_str(), O_WRONLY);
  ASSERT_EQ(::write(procs, "0", 1), 1);
  look("own");
  ASSERT_EQ(::write(home, "0", 1), 1);
  ::close(procs);
  ::close(home);
  EXPECT_THAT(capture.drain(), IsEmpty());
}

TEST_F(CgroupTest, ChildrenBelongToTheirParentFromTheStart) {
  Capture& capture = start();
  const OwnedCgroup child = below(capture.cgroup(), "child");
  const OwnedCgroup grandchild = below(child, "grandchild");
  const auto accesses = capture.run_in(grandchild, [] { return look("deep"); });
  ASSERT_EQ(paths_of(accesses), std::vector<std::string>{path("deep")});
  EXPECT_EQ(accesses[0].target, Capture::kTarget.id);
  EXPECT_EQ(accesses[0].cgroup_id, grandchild.cgroup().id);
}

TEST_F(CgroupTest, TwoTargetsEachTheirOwn) {
  Capture& capture = start();
  const OwnedCgroup other = below(capture.cgroup(), "other");
  ASSERT_TRUE(capture.probe().add_cgroup(other.cgroup().id, {.id = 2, .slot = 1, .flags = 0, .reserved = 0}, true));
  const auto first = capture.run([] { return look("same"); });
  const auto second = capture.run_in(other, [] { return look("same"); });
  ASSERT_EQ(first.size(), 1U);
  ASSERT_EQ(second.size(), 1U) << "seen in one target is not seen in another";
  EXPECT_EQ(first[0].target, 1U);
  EXPECT_EQ(second[0].target, 2U);
  EXPECT_EQ(capture.probe().target_stats(1).events, 1U);
}

TEST_F(CgroupTest, AdoptsWhatIsMadeBelow) {
  Capture& capture = start();
  ASSERT_TRUE(capture.probe().add_cgroup(capture.cgroup().cgroup().id,
                                         {.id = 0, .slot = 0, .flags = SNOOP_TARGET_ADOPT, .reserved = 0}, true));
  ASSERT_TRUE(capture.probe().add_free_target({.id = 7, .slot = 6, .flags = 0, .reserved = 0}));
  EXPECT_THAT(capture.run([] { return look("parent"); }), IsEmpty()) << "it is no target itself";

  const OwnedCgroup adopted = below(capture.cgroup(), "adopted");
  const OwnedCgroup inside = below(adopted, "inside");
  const auto accesses = capture.run_in(inside, [] { return look("first"); });
  ASSERT_EQ(accesses.size(), 1U);
  EXPECT_EQ(accesses[0].target, 7U);
  ASSERT_EQ(capture.adopted().size(), 1U);
  EXPECT_EQ(capture.adopted()[0].first, adopted.cgroup().path);
  EXPECT_EQ(capture.adopted()[0].second, 7U);

  const OwnedCgroup one_too_many = below(capture.cgroup(), "too-many");
  EXPECT_EQ(capture.probe().global_stats().targets_over_limit, 1U);
}

TEST_F(CgroupTest, WithoutAFreeTargetItIsPartOfTheOneAbove) {
  Capture& capture = start();
  snoop_target adopting = Capture::kTarget;
  adopting.flags = SNOOP_TARGET_TOP | SNOOP_TARGET_ADOPT | SNOOP_TARGET_ADOPT_DEEP;
  ASSERT_TRUE(capture.probe().add_cgroup(capture.cgroup().cgroup().id, adopting, true));
  const OwnedCgroup inside = below(capture.cgroup(), "inside");
  const OwnedCgroup deeper = below(inside, "deeper");
  const auto accesses = capture.run_in(deeper, [] { return look("name"); });
  ASSERT_EQ(accesses.size(), 1U);
  EXPECT_EQ(accesses[0].target, Capture::kTarget.id);
  EXPECT_EQ(capture.probe().global_stats().targets_over_limit, 2U);
  const std::optional<snoop_target> target = capture.probe().target_of(inside.cgroup().id);
  ASSERT_TRUE(target);
  EXPECT_EQ(target->flags, static_cast<uint32_t>(SNOOP_TARGET_ADOPT | SNOOP_TARGET_ADOPT_DEEP));
}

TEST_F(CgroupTest, TheChildThatIsItsOwnIsLeftOut) {
  Capture& capture = start();
  const auto look_from_child = [&](bool own) {
    capture.probe().expect_own_child(own);
    int ready[2];
    ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      char byte = 0;
      static_cast<void>(!::read(ready[0], &byte, 1));
      // Its own children are others.
      ::_exit(look(own ? "own" : "other"));
    }
    capture.probe().expect_own_child(false);
    ASSERT_TRUE(move_into(capture.tree().directory(capture.cgroup().cgroup()) + "/cgroup.procs", child));
    ASSERT_EQ(::write(ready[1], "r", 1), 1);
    ::waitpid(child, nullptr, 0);
    ::close(ready[0]);
    ::close(ready[1]);
  };
  look_from_child(true);
  EXPECT_THAT(paths_of(capture.drain()), Not(Contains(path("own"))));
  look_from_child(false);
  EXPECT_THAT(paths_of(capture.drain()), Contains(path("other")));
}

TEST_F(CgroupTest, RemovedCgroupsLeaveNothing) {
  Capture& capture = start();
  for (int i = 0; i < 2000; i++) {
    const OwnedCgroup child = below(capture.cgroup(), "short-lived");
  }
  const OwnedCgroup last = below(capture.cgroup(), "last");
  const auto accesses = capture.run_in(last, [] { return look("name"); });
  EXPECT_THAT(paths_of(accesses), Contains(path("name")));
  EXPECT_EQ(capture.probe().traced_cgroups(), 2U);
}

TEST_F(CgroupTest, FirstSightOnly) {
  Capture& capture = start();
  const auto look_often = [] {
    for (int i = 0; i < 1000; i++) {
      look("again");
    }
    return 0;
  };
  EXPECT_EQ(capture.run(look_often).size(), 1U);
  EXPECT_THAT(capture.run(look_often), IsEmpty());
  EXPECT_EQ(capture.stats().events, 2000U) << "repeats are counted all the same";
}

TEST_F(CgroupTest, EverySightWhereAskedFor) {
  Capture& capture = start({.ring_size_bytes = 1 << 20, .first_sight_only = false});
  EXPECT_EQ(capture
                .run([] {
                  for (int i = 0; i < 100; i++) {
                    look("again");
                  }
                  return 0;
                })
                .size(),
            100U);
}

TEST_F(CgroupTest, TellsOfTheEndOfATarget) {
  Capture& capture = start();
  const snoop_target top = {.id = 5, .slot = 4, .flags = SNOOP_TARGET_TOP, .reserved = 0};
  uint64_t top_id = 0;
  uint64_t child_id = 0;
  {
    const OwnedCgroup other = below(capture.cgroup(), "other");
    top_id = other.cgroup().id;
    ASSERT_TRUE(capture.probe().add_cgroup(top_id, top, true));
    const OwnedCgroup child = below(other, "child");
    child_id = child.cgroup().id;
  }
  capture.drain();
  const auto gone = notices(SNOOP_EVENT_CGROUP_GONE);
  ASSERT_EQ(gone.size(), 2U);
  EXPECT_EQ(gone[0].cgroup_id, child_id);
  EXPECT_EQ(gone[0].inode, 0U) << "the target goes on";
  EXPECT_EQ(gone[1].cgroup_id, top_id);
  EXPECT_EQ(gone[1].inode, 1U);
  EXPECT_EQ(gone[1].target, 5U);
  EXPECT_FALSE(capture.probe().has_cgroup(top_id));
}

TEST_F(CgroupTest, AdoptedOnesAreTargetsThatEnd) {
  Capture& capture = start();
  ASSERT_TRUE(capture.probe().add_cgroup(capture.cgroup().cgroup().id,
                                         {.id = 0, .slot = 0, .flags = SNOOP_TARGET_ADOPT, .reserved = 0}, true));
  ASSERT_TRUE(capture.probe().add_free_target({.id = 7, .slot = 6, .flags = 0, .reserved = 0}));
  { const OwnedCgroup adopted = below(capture.cgroup(), "adopted"); }
  capture.drain();
  const auto gone = notices(SNOOP_EVENT_CGROUP_GONE);
  ASSERT_EQ(gone.size(), 1U);
  EXPECT_EQ(gone[0].target, 7U);
  EXPECT_EQ(gone[0].inode, 1U);
}

TEST_F(CgroupTest, AsManyAreSetAsideAsThereCanBe) {
  Capture& capture = start();
  for (uint32_t i = 0; i < Probe::max_free_targets(); i++) {
    const Result<bool> added = capture.probe().add_free_target({.id = i + 2, .slot = i, .flags = 0, .reserved = 0});
    ASSERT_TRUE(added.has_value());
    ASSERT_TRUE(*added) << i;
  }
  const Result<bool> added = capture.probe().add_free_target({.id = 9999, .slot = 0, .flags = 0, .reserved = 0});
  ASSERT_TRUE(added.has_value());
  EXPECT_FALSE(*added);
}

TEST_F(CgroupTest, SlotsBeginAnew) {
  Capture& capture = start();
  capture.run([] { return look("name"); });
  EXPECT_EQ(capture.stats().events, 1U);
  capture.probe().clear_target_stats(0);
  EXPECT_EQ(capture.stats().events, 0U);
}

TEST_F(CgroupTest, HundredTargetsAtOnce) {
  Capture& capture = start();
  std::vector<OwnedCgroup> others;
  for (uint32_t i = 0; i < 100; i++) {
    others.push_back(below(capture.cgroup(), "other" + std::to_string(i)));
    ASSERT_TRUE(capture.probe().add_cgroup(
        others.back().cgroup().id, {.id = i + 2, .slot = i + 1, .flags = SNOOP_TARGET_TOP, .reserved = 0}, true));
  }
  for (uint32_t i = 0; i < 100; i++) {
    const auto accesses = capture.run_in(others[i], [] { return look("same"); });
    ASSERT_EQ(accesses.size(), 1U);
    EXPECT_EQ(accesses[0].target, i + 2);
  }
}

TEST_F(CgroupTest, MovedProcessIsToldOnce) {
  Capture& capture = start();
  const OwnedCgroup child = below(capture.cgroup(), "child");
  // Several threads: the tracepoint comes once, for all of them.
  const Waiting process([] {
    for (int i = 0; i < 3; i++) {
      std::thread([] { ::pause(); }).detach();
    }
  });
  const std::string procs = capture.tree().directory(capture.cgroup().cgroup()) + "/cgroup.procs";
  ASSERT_TRUE(move_into(procs, process.pid()));
  capture.drain();
  auto moved = notices(SNOOP_EVENT_MOVED);
  ASSERT_EQ(moved.size(), 1U);
  EXPECT_EQ(moved[0].pid, static_cast<uint32_t>(process.pid()));
  EXPECT_EQ(moved[0].target, Capture::kTarget.id);

  ASSERT_TRUE(move_into(capture.tree().directory(child.cgroup()) + "/cgroup.procs", process.pid()));
  capture.drain();
  EXPECT_EQ(notices(SNOOP_EVENT_MOVED).size(), 1U) << "within its target";

  const std::string home = capture.tree().directory(*capture.tree().own()) + "/cgroup.procs";
  ASSERT_TRUE(move_into(home, process.pid()));
  capture.drain();
  EXPECT_EQ(notices(SNOOP_EVENT_MOVED).size(), 1U) << "out of it";
  ASSERT_TRUE(move_into(procs, process.pid()));
  capture.drain();
  EXPECT_EQ(notices(SNOOP_EVENT_MOVED).size(), 2U) << "back again, with what it opened meanwhile";
  ASSERT_TRUE(move_into(home, process.pid()));
}

TEST_F(CgroupTest, ChildrenOfATargetAreNotMoved) {
  Capture& capture = start();
  const OwnedCgroup child = below(capture.cgroup(), "child");
  const std::string procs = capture.tree().directory(child.cgroup()) + "/cgroup.procs";
  capture.run([&] {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::_exit(move_into(procs, ::getpid()) ? 0 : 1);
    }
    int status = 1;
    ::waitpid(pid, &status, 0);
    return status;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_EQ(notices(SNOOP_EVENT_MOVED).size(), 1U) << "the first one, which came from the test";
}

TEST_F(CgroupTest, BornIntoATargetFromElsewhereIsMoved) {
  Capture& capture = start();
  const UniqueFd directory(
      ::open(capture.tree().directory(capture.cgroup().cgroup()).c_str(), O_DIRECTORY | O_PATH | O_CLOEXEC));
  clone_args args = {};
  args.flags = CLONE_INTO_CGROUP;
  args.exit_signal = SIGCHLD;
  args.cgroup = static_cast<__u64>(directory.get());
  // No snoop of its own: the child of a process in no target, as a runtime is.
  const pid_t pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof(args)));
  if (pid == 0) {
    ::_exit(0);
  }
  if (pid < 0 && (errno == ENOSYS || errno == EINVAL || errno == E2BIG || errno == EPERM || errno == EBADF)) {
    GTEST_SKIP() << "no CLONE_INTO_CGROUP here";
  }
  ASSERT_GT(pid, 0);
  ::waitpid(pid, nullptr, 0);
  capture.drain();
  const auto moved = notices(SNOOP_EVENT_MOVED);
  ASSERT_EQ(moved.size(), 1U);
  EXPECT_EQ(moved[0].pid, static_cast<uint32_t>(pid));
}

TEST_F(CgroupTest, OneProcessBringsItsBaseline) {
  write_file(path("open"));
  write_file(path("other"));
  Capture& capture = start();
  const auto holding = [&](const char* name) { return [name] { static_cast<void>(::open(name, O_RDONLY)); }; };
  const Waiting process(holding("open"));
  const Waiting other(holding("other"));
  const std::string procs = capture.tree().directory(capture.cgroup().cgroup()) + "/cgroup.procs";
  ASSERT_TRUE(move_into(procs, process.pid()));
  ASSERT_TRUE(move_into(procs, other.pid()));
  capture.drain();
  const std::vector<pid_t> pids = {process.pid()};
  ASSERT_TRUE(capture.probe().scan_baseline(pids));
  const auto accesses = capture.drain();
  ASSERT_EQ(at(accesses, path("open")).size(), 1U);
  EXPECT_THAT(kinds_of(at(accesses, path("open"))[0]), Contains("baseline"));
  EXPECT_THAT(paths_of(accesses), Contains(std::filesystem::read_symlink("/proc/self/exe").string()));
  EXPECT_THAT(paths_of(accesses), Not(Contains(path("other")))) << "this kernel scanned more than it was asked for";
  const std::vector<pid_t> gone = {1 << 22};
  EXPECT_TRUE(capture.probe().scan_baseline(gone)) << "a process that has ended meanwhile";
}

TEST_F(CgroupTest, LoadsWithoutIterators) {
  ProbeOptions options;
  options.iterators = false;
  Capture& capture = start(options);
  EXPECT_FALSE(capture.probe().has_iterators());
  EXPECT_EQ(paths_of(capture.run([] { return look("name"); })), std::vector<std::string>{path("name")});
}

TEST_F(CgroupTest, NestedInACgroupNamespaceFromTheStart) {
  Capture& capture = start();
  if (!capture.tree().controller().empty()) {
    GTEST_SKIP() << "no cgroup2 is mounted here";
  }
  const std::string top = capture.tree().directory(capture.cgroup().cgroup());
  write_file(path("deep"));
  // As an init system in a container: an own view of the cgroups, and a tree of them.
  const auto accesses = capture.run([&] {
    if (::unshare(CLONE_NEWCGROUP | CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 || ::mkdir("view", 0755) != 0 ||
        ::mount("none", "view", "cgroup2", 0, nullptr) != 0) {
      return 2;
    }
    std::string directory = "view";
    for (const char* name : {"/system.slice", "/docker.service", "/docker", "/inner", "/init.scope"}) {
      directory += name;
      if (::mkdir(directory.c_str(), 0755) != 0) {
        return 3;
      }
    }
    if (!move_into(directory + "/cgroup.procs", ::getpid())) {
      return 4;
    }
    look("deep");
    return 0;
  });
  EXPECT_EQ(WEXITSTATUS(capture.last_status()), 0);
  const auto deep = at(accesses, path("deep"));
  ASSERT_EQ(deep.size(), 1U);
  EXPECT_EQ(deep[0].target, Capture::kTarget.id);
  const Result<Cgroup> scope =
      capture.tree().at(capture.cgroup().cgroup().path + "/system.slice/docker.service/docker/inner/init.scope");
  ASSERT_TRUE(scope.has_value());
  EXPECT_EQ(deep[0].cgroup_id, scope->id);
}

TEST_F(CgroupTest, Version1HierarchyTellsTargetsApart) {
  std::optional<CgroupTree> tree = version1_tree();
  if (!tree) {
    GTEST_SKIP() << "no version 1 hierarchy that can be written to";
  }
  Capture& capture = start({}, tree);
  const OwnedCgroup child = below(capture.cgroup(), "child");
  EXPECT_EQ(paths_of(capture.run([] { return look("first"); })), std::vector<std::string>{path("first")});
  const auto accesses = capture.run_in(child, [] { return look("second"); });
  ASSERT_EQ(paths_of(accesses), std::vector<std::string>{path("second")});
  EXPECT_EQ(accesses[0].cgroup_id, child.cgroup().id);

  const Result<CgroupTree> version2 = CgroupTree::find();
  if (version2 && version2->controller().empty()) {
    // Ids of two hierarchies are numbers of their own: one of cgroup2 changes nothing here.
    const size_t traced = capture.probe().traced_cgroups();
    { const auto other = OwnedCgroup::create(*version2, *version2->own(), "snoop-kernel-v2"); }
    EXPECT_EQ(capture.probe().traced_cgroups(), traced);
  }
  const OwnedCgroup stranger = *OwnedCgroup::create(*tree, *tree->own(), "snoop-kernel-stranger");
  EXPECT_THAT(capture.run_in(stranger, [] { return look("strange"); }), IsEmpty());
}

TEST_F(CgroupTest, Version1MovesAndEnds) {
  std::optional<CgroupTree> tree = version1_tree();
  if (!tree) {
    GTEST_SKIP() << "no version 1 hierarchy that can be written to";
  }
  write_file(path("open"));
  Capture& capture = start({}, tree);
  uint64_t child_id = 0;
  {
    const OwnedCgroup child = below(capture.cgroup(), "child");
    child_id = child.cgroup().id;
    EXPECT_TRUE(capture.probe().has_cgroup(child_id));
    const Waiting process([] { static_cast<void>(::open("open", O_RDONLY)); });
    ASSERT_TRUE(move_into(tree->directory(child.cgroup()) + "/cgroup.procs", process.pid()));
    capture.drain();
    ASSERT_EQ(notices(SNOOP_EVENT_MOVED).size(), 1U);
    const std::vector<pid_t> pids = {process.pid()};
    ASSERT_TRUE(capture.probe().scan_baseline(pids));
    EXPECT_THAT(paths_of(capture.drain()), Contains(path("open")));
    ASSERT_TRUE(move_into(tree->directory(*tree->own()) + "/cgroup.procs", process.pid()));
  }
  capture.drain();
  EXPECT_FALSE(capture.probe().has_cgroup(child_id));
  ASSERT_EQ(notices(SNOOP_EVENT_CGROUP_GONE).size(), 1U);
  EXPECT_EQ(notices(SNOOP_EVENT_CGROUP_GONE)[0].cgroup_id, child_id);
}

}  // namespace
}  // namespace snoop::testing
