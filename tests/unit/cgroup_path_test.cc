// SPDX-License-Identifier: Apache-2.0
#include "container/cgroup_path.h"

#include <gtest/gtest.h>

namespace snoop {
namespace {

TEST(CgroupPath, IsAtOrBelow) {
  EXPECT_TRUE(is_at_or_below("/a", "/a"));
  EXPECT_TRUE(is_at_or_below("/a/b", "/a"));
  EXPECT_TRUE(is_at_or_below("/a/b", "/"));
  EXPECT_FALSE(is_at_or_below("/ab", "/a"));
  EXPECT_FALSE(is_at_or_below("/a", "/a/b"));
  EXPECT_EQ(last_component("/a/b"), "b");
}

TEST(CgroupPath, WhatIsToldIsOfThePlaceItNames) {
  EXPECT_TRUE(is_told_of("", "/docker/b"));
  EXPECT_TRUE(is_told_of("/docker/b", "/docker/b"));
  EXPECT_TRUE(is_told_of("/docker/b/init.scope", "/docker/b")) << "where one of its processes is";
  EXPECT_TRUE(is_told_of("/docker/b", "/docker/b/container"));
  EXPECT_TRUE(is_told_of("/docker/node/docker/b", "/docker/b")) << "seen from within the node";
  EXPECT_TRUE(is_told_of("/../b", "/docker/b"));
  EXPECT_FALSE(is_told_of("/docker/b", "/docker/a/docker/b")) << "what a container calls its own cgroups";
  EXPECT_FALSE(is_told_of("/docker/b", "/lab/docker/b"));
  EXPECT_FALSE(is_told_of("/docker/a", "/docker/b"));
}

TEST(CgroupPath, NoUnitOfSystemdIsAContainer) {
  for (const char* path : {"/lab/c1", "/c1", "/machine.slice/other.scope", "/system.slice/docker.service/x"}) {
    EXPECT_TRUE(may_be_container(path)) << path;
  }
  for (const char* path : {"/", "/system.slice", "/system.slice/nginx.service", "/init.scope", "/a/session-1.scope",
                           "/user.slice/app-x-1.scope", "/system.slice/run-r1.scope", "/system.slice/tmp.mount"}) {
    EXPECT_FALSE(may_be_container(path)) << path;
  }
}

}  // namespace
}  // namespace snoop
