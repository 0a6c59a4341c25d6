// SPDX-License-Identifier: Apache-2.0
#include "container/cgroup.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "base/unique_fd.h"
#include "temp_dir.h"

namespace snoop {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(ParentPath, TakesTheLastNameOff) {
  EXPECT_EQ(parent_path("/a/b/c"), "/a/b");
  EXPECT_EQ(parent_path("/a/b"), "/a");
  EXPECT_EQ(parent_path("/a"), "/");
  EXPECT_EQ(parent_path("/"), "/");
  EXPECT_EQ(parent_path("a"), "/");
  EXPECT_EQ(parent_path(""), "/");
}

TEST(CgroupTree, IsNotAnyDirectory) {
  const TempDir dir;
  const CgroupTree tree(dir.path());
  const Result<Cgroup> root = tree.at("/");
  ASSERT_FALSE(root);
  EXPECT_EQ(root.error().code, ENOTDIR);
  EXPECT_THAT(root.error().message(), HasSubstr(dir.path()));
  const Result<Cgroup> missing = tree.at("/missing");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ENOENT);
  EXPECT_THAT(tree.children({1, "/missing"}), IsEmpty());
  EXPECT_THAT(tree.processes({1, "/missing"}), IsEmpty());
}

/// A process that waits to be killed.
class Sleeper {
 public:
  Sleeper() : pid_(::fork()) {
    if (pid_ == 0) {
      ::alarm(60);
      while (true) {
        ::pause();
      }
    }
  }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;
  ~Sleeper() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      wait();
    }
  }

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// What waitpid says of it, once it has ended.
  int wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }

 private:
  pid_t pid_;
};

bool move_into(const std::string& directory, pid_t pid) {
  const UniqueFd procs(::open((directory + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  const std::string text = std::to_string(pid);
  return procs && ::write(procs.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

/// One cgroup of its own, "snoop-unit-PID", below the root of cgroup2.
class OwnCgroup : public testing::Test {
 protected:
  void SetUp() override {
    Result<CgroupTree> found = CgroupTree::find();
    if (!found) {
      GTEST_SKIP() << found.error().message();
    }
    tree.emplace(std::move(*found));
    const Result<Cgroup> root = tree->at("/");
    ASSERT_TRUE(root) << root.error().message();
    Result<OwnedCgroup> made = OwnedCgroup::create(*tree, *root, name);
    if (!made) {
      GTEST_SKIP() << made.error().message();
    }
    cgroup.emplace(std::move(*made));
    directory = tree->directory(cgroup->cgroup());
  }
  void TearDown() override {
    if (cgroup) {
      cgroup.reset();
      EXPECT_FALSE(fs::exists(directory));
    }
  }
  void make_below(const std::string& below) const { ASSERT_EQ(::mkdir((directory + below).c_str(), 0755), 0) << below; }

  const std::string name = "snoop-unit-" + std::to_string(::getpid());
  const std::string path = "/" + name;
  std::optional<CgroupTree> tree;
  std::optional<OwnedCgroup> cgroup;
  std::string directory;
};

TEST_F(OwnCgroup, HasItsInodeNumberAsId) {
  struct stat info = {};
  ASSERT_EQ(::stat(directory.c_str(), &info), 0);
  EXPECT_EQ(cgroup->cgroup().id, info.st_ino);
  EXPECT_EQ(cgroup->cgroup().path, path);
  EXPECT_EQ(directory, tree->mount_point() + path);
}

TEST_F(OwnCgroup, IsFoundByEveryNameOfIt) {
  make_below("/sub");
  const uint64_t sub_id = tree->at(path + "/sub")->id;
  const TempDir elsewhere;
  fs::create_directory_symlink(directory, elsewhere / "link");
  for (const std::string& spelling : {
           name,
           name + "/",
           path,
           path + "/",
           path + "//",
           "/" + path,
           "./" + name,
           name + "/sub/..",
           directory,
           directory + "/",
           directory + "/sub/..",
           elsewhere / "link",
       }) {
    const Result<Cgroup> found = tree->named(spelling);
    ASSERT_TRUE(found) << spelling << ": " << found.error().message();
    EXPECT_EQ(found->id, cgroup->cgroup().id) << spelling;
    EXPECT_EQ(found->path, path) << spelling;
  }
  for (const std::string& spelling : {name + "/sub", name + "//sub/", directory + "/sub", elsewhere / "link/sub"}) {
    const Result<Cgroup> found = tree->named(spelling);
    ASSERT_TRUE(found) << spelling << ": " << found.error().message();
    EXPECT_EQ(found->id, sub_id) << spelling;
    EXPECT_EQ(found->path, path + "/sub") << spelling;
  }
}

TEST_F(OwnCgroup, RootHasNames) {
  for (const std::string& spelling : {std::string("/"), tree->mount_point(), tree->mount_point() + "/"}) {
    const Result<Cgroup> found = tree->named(spelling);
    ASSERT_TRUE(found) << spelling << ": " << found.error().message();
    EXPECT_EQ(found->path, "/") << spelling;
  }
}

TEST_F(OwnCgroup, WhatIsNoneIsNotFound) {
  for (const std::string& spelling :
       {std::string(), name + "/missing", directory + "/missing", std::string("/etc"), std::string("etc"),
        std::string("../../etc"), name + "/../../..", directory + "/cgroup.procs", std::string("/") + name + "2"}) {
    const Result<Cgroup> found = tree->named(spelling);
    EXPECT_FALSE(found) << spelling << " is " << found->path;
  }
  const Result<Cgroup> missing = tree->named(name + "/missing");
  EXPECT_THAT(missing.error().message(), HasSubstr("there is no cgroup " + name + "/missing"));
  EXPECT_THAT(missing.error().hint, HasSubstr(directory + "/missing"));
}

/// A hierarchy of version 1 with a controller, if there is one that can be written to.
std::optional<CgroupTree> version1_tree() {
  for (const char* name : {"pids", "freezer", "devices", "blkio"}) {
    const std::string directory = std::string("/sys/fs/cgroup/") + name;
    Result<CgroupTree> tree = CgroupTree::find_for({directory});
    if (tree && !tree->controller().empty() && ::access(directory.c_str(), W_OK) == 0) {
      return std::move(*tree);
    }
  }
  return std::nullopt;
}

/// What the kernel calls the id of a cgroup (FILEID_KERNFS).
uint64_t id_by_handle(const std::string& directory) {
  uint64_t id = 0;
  alignas(file_handle) std::array<unsigned char, sizeof(file_handle) + sizeof(id)> room = {};
  auto* handle = reinterpret_cast<file_handle*>(room.data());
  handle->handle_bytes = sizeof(id);
  int mount_id = 0;
  if (::name_to_handle_at(AT_FDCWD, directory.c_str(), handle, &mount_id, 0) == 0) {
    std::memcpy(&id, room.data() + sizeof(file_handle), sizeof(id));
  }
  return id;
}

TEST_F(OwnCgroup, HasTheIdOfTheKernel) {
  if (tree->controller().empty()) {
    EXPECT_EQ(tree->hierarchy(), "cgroup2");
    EXPECT_EQ(tree->hierarchy_id().value_or(-1), 0);
  }
  EXPECT_EQ(id_by_handle(directory), cgroup->cgroup().id);
}

TEST_F(OwnCgroup, HierarchyIsThatOfTheNames) {
  const Result<CgroupTree> found = CgroupTree::find_for({directory, name, path});
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->mount_point(), tree->mount_point());
  EXPECT_EQ(CgroupTree::find_for({})->mount_point(), tree->mount_point());
  EXPECT_NE(cgroup_layout(), CgroupLayout::kNone);
}

TEST_F(OwnCgroup, Version1IsAnotherHierarchy) {
  const std::optional<CgroupTree> version1 = version1_tree();
  if (!version1) {
    GTEST_SKIP() << "no version 1 hierarchy that can be written to";
  }
  const Result<OwnedCgroup> made = OwnedCgroup::create(*version1, *version1->at("/"), name);
  ASSERT_TRUE(made) << made.error().message();
  const Cgroup& other = made->cgroup();
  const std::string where = version1->directory(other);
  EXPECT_EQ(where, version1->mount_point() + path);
  EXPECT_EQ(id_by_handle(where), other.id);
  EXPECT_EQ(version1->hierarchy(), version1->controller());

  std::ifstream table("/proc/cgroups");
  std::string line;
  while (std::getline(table, line)) {
    std::istringstream fields(line);
    std::string controller;
    int hierarchy = 0;
    fields >> controller >> hierarchy;
    if (controller == version1->controller()) {
      EXPECT_EQ(version1->hierarchy_id().value_or(-1), hierarchy);
    }
  }

  const Result<CgroupTree> found = CgroupTree::find_for({where, where + "/"});
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->controller(), version1->controller());
  const Result<Cgroup> named = found->named(where);
  ASSERT_TRUE(named) << named.error().message();
  EXPECT_EQ(named->id, other.id);
  EXPECT_EQ(named->path, path);

  ASSERT_EQ(::mkdir((where + "/sub").c_str(), 0755), 0);
  EXPECT_EQ(version1->children(other).size(), 1U);
  {
    Sleeper sleeper;
    ASSERT_TRUE(move_into(where + "/sub", sleeper.pid()));
    EXPECT_THAT(made->processes(), ElementsAre(sleeper.pid()));
    made->kill();
    EXPECT_TRUE(WIFSIGNALED(sleeper.wait())) << "without cgroup.kill";
  }
  EXPECT_TRUE(version1->own()) << version1->own().error().message();

  if (tree->controller().empty()) {
    const Result<Cgroup> wrong = tree->named(where);
    ASSERT_FALSE(wrong);
    EXPECT_THAT(wrong.error().message(), HasSubstr("another hierarchy"));
    EXPECT_THAT(wrong.error().hint, HasSubstr(tree->mount_point()));
    const Result<CgroupTree> both = CgroupTree::find_for({where, directory});
    ASSERT_FALSE(both);
    EXPECT_THAT(both.error().message(), HasSubstr("different cgroup hierarchies"));
    EXPECT_THAT(both.error().hint, HasSubstr("one snoop for each"));
    EXPECT_EQ(cgroup_layout(), CgroupLayout::kHybrid);
  }
}

TEST_F(OwnCgroup, IsFoundByThePathOfTheKernel) {
  make_below("/sub");
  const uint64_t id = tree->at(path + "/sub")->id;
  // In a cgroup namespace the kernel's path begins further up than the mount.
  for (const std::string above : {"", "/above", "/further/above", "/sub"}) {
    const Result<Cgroup> found = tree->at_kernel_path(above + path + "/sub", id);
    ASSERT_TRUE(found) << above << ": " << found.error().message();
    EXPECT_EQ(found->path, path + "/sub") << above;
    EXPECT_EQ(found->id, id) << above;
  }
  EXPECT_FALSE(tree->at_kernel_path(path + "/sub", id + 1'000'000)) << "another one of that name";
  EXPECT_FALSE(tree->at_kernel_path(path + "/gone", id));
  EXPECT_FALSE(tree->at_kernel_path("", id));
}

TEST_F(OwnCgroup, HasChildrenInOrder) {
  EXPECT_THAT(tree->children(cgroup->cgroup()), IsEmpty());
  for (const char* below : {"/c", "/a", "/b", "/a/deep"}) {
    make_below(below);
  }
  std::vector<std::string> paths;
  for (const Cgroup& child : tree->children(cgroup->cgroup())) {
    paths.push_back(child.path);
    EXPECT_EQ(child.id, tree->at(child.path)->id);
  }
  EXPECT_THAT(paths, ElementsAre(path + "/a", path + "/b", path + "/c"));
  std::vector<std::string> of_root;
  for (const Cgroup& child : tree->children(*tree->at("/"))) {
    of_root.push_back(child.path);
  }
  EXPECT_THAT(of_root, Contains(path));
}

TEST_F(OwnCgroup, HoldsProcesses) {
  EXPECT_THAT(cgroup->processes(), IsEmpty());
  make_below("/sub");
  Sleeper outer;
  Sleeper inner;
  ASSERT_TRUE(move_into(directory, outer.pid()));
  ASSERT_TRUE(move_into(directory + "/sub", inner.pid()));
  EXPECT_THAT(tree->processes(cgroup->cgroup()), ElementsAre(outer.pid()));
  EXPECT_THAT(tree->processes(*tree->at(path + "/sub")), ElementsAre(inner.pid()));
  EXPECT_THAT(cgroup->processes(), testing::UnorderedElementsAre(outer.pid(), inner.pid()));
  cgroup->kill();
  outer.wait();
  inner.wait();
}

TEST_F(OwnCgroup, IsJoinedThroughItsOpenFile) {
  const Result<int> opened = cgroup->open_procs();
  ASSERT_TRUE(opened) << opened.error().message();
  const UniqueFd procs(*opened);
  const pid_t child = ::fork();
  if (child == 0) {
    const bool joined = ::write(procs.get(), "0", 1) == 1;
    const Result<CgroupTree> found = CgroupTree::find();
    const Result<Cgroup> own = found ? found->own() : tl::unexpected(found.error());
    ::_exit(!joined ? 2 : own && own->path == path && own->id == cgroup->cgroup().id ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "joined, and found itself there";
}

TEST_F(OwnCgroup, KillsAllBelow) {
  make_below("/a");
  make_below("/a/b");
  Sleeper first;
  Sleeper second;
  Sleeper outside;
  ASSERT_TRUE(move_into(directory + "/a", first.pid()));
  ASSERT_TRUE(move_into(directory + "/a/b", second.pid()));
  cgroup->kill();
  for (Sleeper* sleeper : {&first, &second}) {
    const int status = sleeper->wait();
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), SIGKILL);
  }
  EXPECT_THAT(cgroup->processes(), IsEmpty());
  EXPECT_EQ(::kill(outside.pid(), 0), 0) << "nobody else";
}

TEST_F(OwnCgroup, RemovesWhatWasMadeBelow) {
  for (const char* below : {"/a", "/a/b", "/a/b/c", "/d"}) {
    make_below(below);
  }
  cgroup.reset();
  EXPECT_FALSE(fs::exists(directory));
}

TEST_F(OwnCgroup, StaysWhileItHoldsProcesses) {
  make_below("/empty");
  make_below("/used");
  Sleeper sleeper;
  ASSERT_TRUE(move_into(directory + "/used", sleeper.pid()));
  cgroup->remove();
  EXPECT_FALSE(fs::exists(directory + "/empty"));
  EXPECT_TRUE(fs::exists(directory + "/used"));
  cgroup->kill();
  sleeper.wait();
  cgroup->remove();
  EXPECT_FALSE(fs::exists(directory));
}

TEST_F(OwnCgroup, IsRemovedByItsLastOwnerOnly) {
  {
    OwnedCgroup moved = std::move(*cgroup);
    cgroup.reset();
    EXPECT_TRUE(fs::exists(directory)) << "the one that was moved from owns nothing";
    EXPECT_EQ(moved.cgroup().path, path);
  }
  EXPECT_FALSE(fs::exists(directory));
}

TEST_F(OwnCgroup, CannotBeMadeTwice) {
  const Result<OwnedCgroup> again = OwnedCgroup::create(*tree, *tree->at("/"), name);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, EEXIST);
  EXPECT_TRUE(fs::exists(directory)) << "the first is not harmed";
}

TEST_F(OwnCgroup, CannotBeMadeInWhatIsGone) {
  const Result<OwnedCgroup> orphan = OwnedCgroup::create(*tree, {1, path + "/missing"}, "x");
  ASSERT_FALSE(orphan);
  EXPECT_EQ(orphan.error().code, ENOENT);
  EXPECT_NE(orphan.error().hint, "");
}

TEST_F(OwnCgroup, ThisProcessIsInOne) {
  const Result<Cgroup> own = tree->own();
  ASSERT_TRUE(own) << own.error().message();
  EXPECT_THAT(tree->processes(*own), Contains(::getpid()));
}

}  // namespace
}  // namespace snoop
