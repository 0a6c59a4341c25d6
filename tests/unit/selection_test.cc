// SPDX-License-Identifier: Apache-2.0
#include "cli/selection.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace snoop {
namespace {

using Verdict = Selection::Verdict;

class SelectionTest : public testing::Test {
 protected:
  /// As its runtime tells of it.
  static Container told(const std::string& name, const std::string& id = std::string(64, 'a')) {
    Recorder recorder({.exclude = {}, .max_files = 1});
    snoop_target target = {};
    target.id = 1;
    Container container = std::move(recorder.add_container(name, 1, "/docker/x", target));
    container.identity.id = id;
    container.identity.source = "docker";
    container.identity.settled = kAllSettled;
    return container;
  }
  /// As the path of its cgroup tells.
  static Container untold(const std::string& id = std::string(64, 'a')) {
    Container container = told(id.substr(0, 12), id);
    container.identity.source.clear();
    container.identity.settled = {};
    return container;
  }
  Verdict judge(const Container& container) { return Selection(options_).judge(container); }

  Options options_;
};

TEST_F(SelectionTest, WithoutConditionsAll) {
  options_.all_containers = true;
  EXPECT_EQ(judge(told("web")), Verdict::kYes);
  EXPECT_EQ(judge(untold()), Verdict::kYes);
}

TEST_F(SelectionTest, ByName) {
  options_.containers = {"web", "db"};
  EXPECT_EQ(judge(told("db")), Verdict::kYes);
  EXPECT_EQ(judge(told("webs")), Verdict::kNo);
  EXPECT_EQ(judge(untold()), Verdict::kUnknown);
  EXPECT_EQ(judge(untold("db")), Verdict::kYes) << "with ctr the id is the name";
}

TEST_F(SelectionTest, ById) {
  options_.containers = {"aaaaaaaaaaaa"};
  EXPECT_EQ(judge(untold()), Verdict::kYes);
  EXPECT_EQ(judge(untold(std::string(64, 'b'))), Verdict::kUnknown) << "it may be a name";
  EXPECT_EQ(judge(told("web", std::string(64, 'b'))), Verdict::kNo);
  options_.containers = {"aaaaaaaaaaa"};
  EXPECT_EQ(judge(told("web")), Verdict::kNo) << "too short";
  options_.containers = {std::string(64, 'a')};
  EXPECT_EQ(judge(untold()), Verdict::kYes);
  EXPECT_EQ(judge(untold(std::string(64, 'b'))), Verdict::kNo) << "that is no name";
  EXPECT_EQ(judge(untold("web")), Verdict::kUnknown);
}

TEST_F(SelectionTest, ByPodNamespaceAndLabels) {
  Container container = told("web");
  container.identity.pod_name = "web-0";
  container.identity.namespace_name = "shop";
  container.identity.labels = {{"app", "web"}, {"tier", "front"}};
  options_.pods = {"other", "web-0"};
  EXPECT_EQ(judge(container), Verdict::kYes);
  options_.namespace_name = "shop";
  options_.labels = {{"app", "web"}, {"tier", "front"}};
  EXPECT_EQ(judge(container), Verdict::kYes);
  EXPECT_EQ(judge(untold()), Verdict::kUnknown);
  options_.labels["tier"] = "back";
  EXPECT_EQ(judge(container), Verdict::kNo);
  options_.labels = {};
  options_.namespace_name = "other";
  EXPECT_EQ(judge(container), Verdict::kNo);
  options_.namespace_name.clear();
  options_.pods = {"other"};
  EXPECT_EQ(judge(container), Verdict::kNo);
  options_.pods.clear();
  options_.containers = {"db"};
  EXPECT_EQ(judge(container), Verdict::kNo);
}

/// What runc's files tell has no name, and Podman's have no labels.
TEST_F(SelectionTest, WhoCannotKnowSaysNoNo) {
  Container container = told("aaaaaaaaaaaa");
  container.identity.settled = {};
  options_.containers = {"web"};
  EXPECT_EQ(judge(container), Verdict::kUnknown);
  container.identity.settled.name = true;
  EXPECT_EQ(judge(container), Verdict::kNo);
  container.name = "web";
  EXPECT_EQ(judge(container), Verdict::kYes);
  options_.pods = {"shop"};
  EXPECT_EQ(judge(container), Verdict::kUnknown);
  options_.pods.clear();
  options_.labels = {{"tier", "front"}};
  EXPECT_EQ(judge(container), Verdict::kUnknown);
  container.identity.settled.labels = true;
  EXPECT_EQ(judge(container), Verdict::kNo);
}

TEST_F(SelectionTest, ByTheNameThatThePathHas) {
  Container container = told("buildah-buildah77", "buildah-buildah77");
  container.cgroup_path = "/buildah-buildah77";
  for (const char* name : {"buildah-buildah77", "77"}) {
    options_.containers = {name};
    EXPECT_EQ(judge(container), Verdict::kYes) << name;
  }
}

TEST_F(SelectionTest, SaysWhatIsMissing) {
  std::vector<Container> containers;
  containers.push_back(told("web"));
  options_.containers = {"web", "weeb"};
  EXPECT_EQ(Selection(options_).missing(containers), std::vector<std::string>{"container 'weeb'"});
  options_.containers = {"web"};
  EXPECT_TRUE(Selection(options_).missing(containers).empty());
  options_.labels = {{"tier", "front"}};
  EXPECT_EQ(Selection(options_).missing(containers), std::vector<std::string>{"container that fits"});
  options_.pods = {"shop"};
  EXPECT_EQ(Selection(options_).missing(containers), std::vector<std::string>{"container of pod 'shop'"});
}

TEST_F(SelectionTest, EachKindMustFit) {
  options_.containers = {std::string(64, 'a')};
  options_.namespace_name = "shop";
  EXPECT_EQ(judge(untold()), Verdict::kUnknown) << "its name fits, its namespace is not known";
  EXPECT_EQ(judge(untold(std::string(64, 'b'))), Verdict::kNo);
}

}  // namespace
}  // namespace snoop
