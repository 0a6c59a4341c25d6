// SPDX-License-Identifier: Apache-2.0
#include "container/container_list.h"

#include <gtest/gtest.h>
#include <sys/mount.h>

#include <filesystem>

#include "temp_dir.h"

namespace snoop {
namespace {

KnownContainer told(const std::string& id, const std::string& cgroup, const std::string& name) {
  KnownContainer known;
  known.identity.id = id;
  known.identity.source = "docker";
  known.cgroup_path = cgroup;
  known.name = name;
  known.state = "running";
  return known;
}

TEST(ContainerList, WithoutCgroupsThereIsWhatRuntimesTell) {
  KnownContainer removed = told("b", "/x/b", "gone");
  removed.state = "removed";
  const auto list = list_containers(CgroupTree("/nowhere"), {told("c", "/x/c", "web"), removed, told("a", "", "no")});
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].name, "no");
  EXPECT_EQ(list[1].name, "web");
}

/// In a cgroup hierarchy of this machine, if one can be written to.
class ContainerListTest : public testing::Test {
 protected:
  void SetUp() override {
    const Result<CgroupTree> tree = CgroupTree::find();
    Result<Cgroup> root = tree ? tree->at("/") : tl::unexpected(tree.error());
    Result<OwnedCgroup> top = root ? OwnedCgroup::create(*tree, *root, "snoop-unit-list-" + std::to_string(::getpid()))
                                   : tl::unexpected(root.error());
    if (!top) {
      GTEST_SKIP() << top.error().message();
    }
    // As if its top were the hierarchy's.
    directory_ = tree->directory(top->cgroup());
    tree_.emplace(directory_, tree->controller());
    top_.emplace(std::move(*top));
  }
  void make(const std::string& path) { std::filesystem::create_directories(directory_ + path); }

  std::string directory_;
  std::optional<CgroupTree> tree_;
  std::optional<OwnedCgroup> top_;
};

TEST_F(ContainerListTest, PutsPathsAndRuntimesTogether) {
  const std::string a(64, 'a');
  const std::string b(64, 'b');
  const std::string kata(64, 'c');
  make("/docker/" + a + "/init.scope");
  make("/docker/" + a + "/docker/" + b);
  make("/system.slice/nginx.service");
  make("/default/web");
  make("/kata_overhead/" + kata);
  make("/buildah-buildah77");
  const auto list =
      list_containers(*tree_, {told(a, "/docker/" + a + "/init.scope", "node"), told(b, "/docker/" + b, "elsewhere"),
                               told("web", "", "web"), told("buildah-buildah77", "/buildah-buildah77", "build")});
  ASSERT_EQ(list.size(), 6U);
  EXPECT_EQ(list[0].identity.id, "buildah-buildah77") << "as its runtime calls it, in one line";
  EXPECT_EQ(list[1].cgroup_path, "/default/web");
  EXPECT_EQ(list[1].identity.runtime, "containerd");
  EXPECT_EQ(list[1].identity.source, "docker");
  EXPECT_EQ(list[2].cgroup_path, "/docker/" + a);
  EXPECT_EQ(list[2].name, "node");
  EXPECT_EQ(list[3].cgroup_path, "/docker/" + a + "/docker/" + b);
  EXPECT_EQ(list[3].name, b.substr(0, 12)) << "a container within a container can call itself as it likes";
  EXPECT_EQ(list[3].state, "empty");
  EXPECT_EQ(list[4].name, "elsewhere");
  EXPECT_EQ(list[5].identity.runtime, "kata");
  EXPECT_NE(list[5].identity.not_observable, "");
}

}  // namespace
}  // namespace snoop
