// SPDX-License-Identifier: Apache-2.0
#include "output/container_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidjson/document.h>

namespace snoop {
namespace {

using testing::HasSubstr;
using testing::Not;

std::vector<KnownContainer> sample() {
  KnownContainer web;
  web.identity.runtime = "docker";
  web.identity.id = std::string(64, 'a');
  web.name = "we\x1b[31mb";
  web.image = "nginx:1";
  web.cgroup_path = "/docker/a";
  web.state = "running";
  KnownContainer vm;
  vm.identity.id = "vm";
  vm.identity.not_observable = "a virtual machine";
  KnownContainer ended;
  ended.identity.id = "ended";
  ended.state = "exited";
  return {web, vm, ended};
}

TEST(ContainerTable, IsSafeForATerminal) {
  const std::string table = container_table(sample());
  EXPECT_THAT(table, HasSubstr("RUNTIME"));
  EXPECT_THAT(table, HasSubstr("docker   aaaaaaaaaaaa  we\\x1b[31mb  nginx:1"));
  EXPECT_THAT(table, HasSubstr("no: a virtual machine"));
  EXPECT_THAT(table, HasSubstr("exited   no: exited"));
  EXPECT_THAT(table, Not(HasSubstr("\x1b")));
}

TEST(ContainerTable, Json) {
  rapidjson::Document document;
  document.Parse(container_json(sample(), {{"docker", "/run/docker.sock", "answered", ""}}).c_str());
  ASSERT_FALSE(document.HasParseError());
  EXPECT_EQ(document["containers"].Size(), 3U);
  EXPECT_STREQ(document["containers"][0]["image"].GetString(), "nginx:1");
  EXPECT_TRUE(document["containers"][0]["observable"].GetBool());
  EXPECT_FALSE(document["containers"][1]["observable"].GetBool());
  EXPECT_FALSE(document["containers"][2]["observable"].GetBool());
  EXPECT_STREQ(document["containers"][1]["not_observable"].GetString(), "a virtual machine");
  EXPECT_STREQ(document["sources"][0]["state"].GetString(), "answered");
}

}  // namespace
}  // namespace snoop
