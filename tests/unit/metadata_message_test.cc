// SPDX-License-Identifier: Apache-2.0
#include "container/metadata_message.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>
#include <string>

namespace snoop {
namespace {

using testing::ElementsAre;
using testing::Pair;

std::optional<KnownContainer> container(const std::string& line) {
  const std::optional<MetadataMessage> message = parse_metadata_line(line);
  const auto* known = message ? std::get_if<KnownContainer>(&*message) : nullptr;
  return known == nullptr ? std::nullopt : std::optional(*known);
}

TEST(MetadataMessage, TellsOfAContainer) {
  const auto known = container(R"({"container":{"id":"0a","runtime":"containerd","name":"web","image":"nginx:1",
    "image_digest":"sha256:1","image_id":"sha256:2","pod":"web-0","pod_uid":"u","namespace":"shop",
    "labels":{"app":"web","tier":""},"restart_count":3,"command":["nginx","-g",""],"cgroup":"/a/b","pid":77,
    "state":"running","sandbox":true,"observable":false,"why_not_observable":"Kata","source":"cri","new":[1]}})");
  ASSERT_TRUE(known);
  EXPECT_EQ(known->identity.id, "0a");
  EXPECT_EQ(known->identity.runtime, "containerd");
  EXPECT_EQ(known->name, "web");
  EXPECT_EQ(known->image, "nginx:1");
  EXPECT_EQ(known->image_digest, "sha256:1");
  EXPECT_EQ(known->identity.image_id, "sha256:2");
  EXPECT_EQ(known->identity.pod_name, "web-0");
  EXPECT_EQ(known->identity.pod_uid, "u");
  EXPECT_EQ(known->identity.namespace_name, "shop");
  EXPECT_THAT(known->identity.labels, ElementsAre(Pair("app", "web"), Pair("tier", "")));
  EXPECT_EQ(known->identity.restart_count, 3U);
  EXPECT_THAT(known->identity.command, ElementsAre("nginx", "-g", ""));
  EXPECT_EQ(known->cgroup_path, "/a/b");
  EXPECT_EQ(known->pid, 77);
  EXPECT_EQ(known->state, "running");
  EXPECT_TRUE(known->identity.is_sandbox);
  EXPECT_EQ(known->identity.not_observable, "Kata");
  EXPECT_EQ(known->identity.source, "cri");
}

TEST(MetadataMessage, WhatIsNotToldIsNotKnown) {
  const auto known = container(R"({"container":{"id":"0a","name":null}})");
  ASSERT_TRUE(known);
  EXPECT_EQ(known->name, "");
  EXPECT_FALSE(known->identity.restart_count);
  EXPECT_TRUE(known->identity.command.empty());
  EXPECT_EQ(known->identity.not_observable, "");
  EXPECT_FALSE(known->identity.is_sandbox);
}

TEST(MetadataMessage, TakesAnyBytes) {
  const auto known = container(R"({"container":{"id":"0a","name":"a\ufffd","name_base64":"Yf8="}})");
  ASSERT_TRUE(known);
  EXPECT_EQ(known->name, "a\xff");
}

TEST(MetadataMessage, TheOtherKinds) {
  const auto source = parse_metadata_line(
      R"({"source":{"name":"docker","endpoint":"/run/docker.sock","state":"timed_out","error":"why"}})");
  ASSERT_TRUE(source && std::holds_alternative<MetadataSource>(*source));
  EXPECT_EQ(std::get<MetadataSource>(*source).endpoint, "/run/docker.sock");
  EXPECT_EQ(std::get<MetadataSource>(*source).state, "timed_out");
  EXPECT_EQ(std::get<MetadataSource>(*source).error, "why");
  const auto unknown = parse_metadata_line(R"({"unknown":{"id":"0a","cgroup":"/x"}})");
  ASSERT_TRUE(unknown && std::holds_alternative<UnknownContainer>(*unknown));
  EXPECT_EQ(std::get<UnknownContainer>(*unknown).id, "0a");
  const auto listed = parse_metadata_line(R"({"listed":true})");
  EXPECT_TRUE(listed && std::holds_alternative<AllListed>(*listed));
}

TEST(MetadataMessage, RefusesNonsense) {
  for (const std::string line : {
           "",
           "nothing",
           "[]",
           "{}",
           "7",
           R"({"container":{}})",
           R"({"container":{"id":""}})",
           R"({"container":{"id":7}})",
           R"({"container":{"id":"0a","labels":["a"]}})",
           R"({"container":{"id":"0a","labels":{"a":1}}})",
           R"({"container":{"id":"0a","command":"sh"}})",
           R"({"container":{"id":"0a","command":[null]}})",
           R"({"container":{"id":"0a","restart_count":-1}})",
           R"({"container":{"id":"0a","pid":"7"}})",
           R"({"container":{"id":"0a","sandbox":"no"}})",
           R"({"container":{"id":"0a","name":"a","name_base64":"%"}})",
           "{\"container\":{\"id\":\"0a\xff\"}}",
           R"({"container":{"id":"0a"}} {)",
           R"({"container":{"id":"0a"},"listed":true})",
           R"({"source":{"name":"docker"}})",
           R"({"source":{"name":"docker","state":"so \u001b so"}})",
           R"({"source":"docker"})",
           R"({"unknown":7})",
           R"({"gossip":{}})",
       }) {
    EXPECT_FALSE(parse_metadata_line(line)) << line;
  }
  EXPECT_FALSE(parse_metadata_line(std::string(1'000'000, '[')));
  EXPECT_FALSE(parse_metadata_line(R"({"container":)" + std::string(1'000'000, '{')));
}

TEST(MetadataMessage, KeepsNoMoreThanIsWorthIt) {
  std::string labels;
  std::string words;
  for (int i = 0; i < 10'000; i++) {
    fmt::format_to(std::back_inserter(labels), "{}\"{}\":\"{}\"", i == 0 ? "" : ",", i, i);
    fmt::format_to(std::back_inserter(words), "{}\"{}\"", i == 0 ? "" : ",", i);
  }
  const auto known = container(R"({"container":{"id":"0a","labels":{)" + labels + R"(},"command":[)" + words + "]}}");
  ASSERT_TRUE(known);
  EXPECT_EQ(known->identity.labels.size(), 256U);
  ASSERT_EQ(known->identity.command.size(), 257U);
  EXPECT_EQ(known->identity.command.back(), "...");
  EXPECT_FALSE(container(R"({"container":{"id":")" + std::string(1'000'000, 'a') + R"("}})"));
}

TEST(MetadataMessage, Asks) {
  EXPECT_EQ(metadata_question("/a \"b\"", "0a", 7),
            "{\"ask\":{\"cgroup\":\"/a \\\"b\\\"\",\"id\":\"0a\",\"pid\":7}}\n");
  EXPECT_EQ(metadata_question("/a\n\xff", "", 0),
            "{\"ask\":{\"cgroup\":\"/a\\n\xef\xbf\xbd\",\"cgroup_base64\":\"L2EK/w==\",\"id\":\"\",\"pid\":0}}\n");
}

}  // namespace
}  // namespace snoop
