// SPDX-License-Identifier: Apache-2.0
#include "output/trace_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include <cerrno>

#include "base/text.h"
#include "seen.h"

namespace snoop {
namespace {

using testing::HasSubstr;
using testing::Not;

class TraceLine : public testing::Test {
 protected:
  TraceLine() : container(recorder.add_container("web", 101, "/pod/web", {})) {
    access.path = "/etc/passwd";
    access.pid = 12;
    access.tid = 13;
    access.cgroup_id = 102;
    access.seen = seen(SNOOP_KIND_READ);
    access.time = 1'500'000'000;
  }
  rapidjson::Document json() {
    const std::string line = trace_json_line(access, container);
    EXPECT_EQ(line.find('\n'), line.size() - 1) << "one line";
    EXPECT_TRUE(is_utf8(line));
    EXPECT_THAT(line, Not(HasSubstr("\x1B")));
    rapidjson::Document document;
    document.Parse(line.data(), line.size());
    EXPECT_FALSE(document.HasParseError()) << line;
    return document;
  }

  Recorder recorder{{.exclude = {}, .max_files = 1}};
  Container& container;
  Access access;
};

TEST_F(TraceLine, TextHasColumns) {
  EXPECT_EQ(trace_text_line(access, container),
            "12       web              open:read            ok       /etc/passwd\n");
}

TEST_F(TraceLine, TextNamesKindsAndResult) {
  struct Row {
    uint64_t seen;
    int result;
    const char* kinds;
    const char* outcome;
  };
  for (const Row& row : {
           Row{seen(SNOOP_KIND_READ) | seen(SNOOP_KIND_WRITE), 3, " open:read+write ", " ok "},
           Row{seen(SNOOP_KIND_READ) | seen(SNOOP_KIND_DIRECTORY), 3, " open:read+directory ", " ok "},
           Row{seen(SNOOP_KIND_PATH), 0, " open:path ", " ok "},
           Row{seen(SNOOP_KIND_EXEC), 0, " exec ", " ok "},
           Row{seen(SNOOP_KIND_INTERPRETER), 0, " interpreter ", " ok "},
           Row{seen(SNOOP_KIND_STAT, SNOOP_OUTCOME_MISSING), -ENOENT, " stat ", " ENOENT "},
           Row{seen(SNOOP_KIND_ACCESS, SNOOP_OUTCOME_REFUSED), -EACCES, " access ", " EACCES "},
           Row{seen(SNOOP_KIND_READLINK, SNOOP_OUTCOME_OTHER), -EINVAL, " readlink ", " EINVAL "},
           Row{seen(SNOOP_KIND_CHANGE), 0, " change ", " ok "},
           Row{seen(SNOOP_KIND_CHANGE, SNOOP_OUTCOME_OTHER), -999, " change ", " error 999 "},
       }) {
    access.seen = row.seen;
    access.result = row.result;
    const std::string line = trace_text_line(access, container);
    EXPECT_THAT(line, HasSubstr(row.kinds));
    EXPECT_THAT(line, HasSubstr(row.outcome));
    EXPECT_THAT(line, HasSubstr(" /etc/passwd\n"));
  }
}

TEST_F(TraceLine, TextIsSafeForATerminal) {
  access.path =
      "/a\n\x1B[2J\xC2\x9B"
      "0m\xFF\\\x07";
  container.name = "\x1B]0;owned\x07";
  const std::string line = trace_text_line(access, container);
  EXPECT_THAT(line, HasSubstr("/a\\n\\x1b[2J\\xc2\\x9b0m\\xff\\\\\\x07\n"));
  EXPECT_THAT(line, HasSubstr("\\x1b]0;owned\\x07"));
  for (const char c : line.substr(0, line.size() - 1)) {
    EXPECT_GE(static_cast<unsigned char>(c), 0x20);
  }
}

TEST_F(TraceLine, JsonHasEveryField) {
  access.resolved = "/usr/etc/passwd";
  const rapidjson::Document line = json();
  EXPECT_STREQ(line["time"].GetString(), "1970-01-01T00:00:01.500Z");
  EXPECT_EQ(line["pid"].GetInt(), 12);
  EXPECT_EQ(line["tid"].GetInt(), 13);
  EXPECT_STREQ(line["container"].GetString(), "web");
  EXPECT_EQ(line["cgroup_id"].GetUint64(), 102U);
  ASSERT_EQ(line["access"].Size(), 1U);
  EXPECT_STREQ(line["access"][0].GetString(), "open");
  ASSERT_EQ(line["open_modes"].Size(), 1U);
  EXPECT_STREQ(line["open_modes"][0].GetString(), "read");
  EXPECT_STREQ(line["result"].GetString(), "ok");
  EXPECT_STREQ(line["path"].GetString(), "/etc/passwd");
  EXPECT_STREQ(line["resolved"].GetString(), "/usr/etc/passwd");
}

TEST_F(TraceLine, JsonLeavesOutWhatSaysNothing) {
  access.seen = seen(SNOOP_KIND_STAT, SNOOP_OUTCOME_MISSING);
  access.result = -ENOENT;
  access.resolved = access.path;
  const rapidjson::Document line = json();
  EXPECT_FALSE(line.HasMember("open_modes"));
  EXPECT_FALSE(line.HasMember("resolved"));
  EXPECT_STREQ(line["result"].GetString(), "ENOENT");
}

TEST_F(TraceLine, JsonKeepsAnyBytes) {
  access.path = "/a\n\"\\\x1B[2J";
  EXPECT_EQ(std::string(json()["path"].GetString()), access.path);
  access.path = "/\xFF\x1B";
  const rapidjson::Document line = json();
  EXPECT_EQ(std::string(line["path"].GetString()), "/\xEF\xBF\xBD\x1B");
  EXPECT_EQ(std::string(line["path_base64"].GetString()), to_base64(access.path));
}

}  // namespace
}  // namespace snoop
