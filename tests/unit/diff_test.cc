// SPDX-License-Identifier: Apache-2.0
#include "output/diff.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "report_draft.h"

namespace snoop {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

/// Two reports about one container each.
struct Two {
  Draft before{"h", 0, 3600};
  Draft after{"h", 7200, 7260};
  Container* old_one;
  Container* new_one;

  explicit Two(const std::string& name = "web", const std::string& old_image = "", const std::string& new_image = "")
      : old_one(&before.add(name, "", "", old_image)), new_one(&after.add(name, "", "", new_image)) {}

  static void use(Container& container, const std::string& path, uint64_t seen,
                  FileOrigin origin = FileOrigin::kUnknown, const std::string& resolved = "") {
    container.files.add({.path = path,
                         .resolved = resolved,
                         .seen = seen,
                         .first_seen = kStart,
                         .last_seen = kStart,
                         .count = 1,
                         .origin = origin});
  }
  void in_old(const std::string& path, uint64_t seen = 1, FileOrigin origin = FileOrigin::kUnknown,
              const std::string& resolved = "") const {
    use(*old_one, path, seen, origin, resolved);
  }
  void in_new(const std::string& path, uint64_t seen = 1, FileOrigin origin = FileOrigin::kUnknown,
              const std::string& resolved = "") const {
    use(*new_one, path, seen, origin, resolved);
  }
};

struct Compared {
  NamedReport before;
  NamedReport after;
  Result<ReportDiff> diff = fail(0, "");

  Compared(Draft& one, Draft& other, const DiffOptions& options = {}) : before(one.report()), after(other.report()) {
    diff = compare(before.contents, after.contents, options);
  }
  explicit Compared(Two& two, const DiffOptions& options = {}) : Compared(two.before, two.after, options) {}

  [[nodiscard]] std::string error() const { return diff ? "none" : diff.error().message(); }
  /// All but those about containers.
  [[nodiscard]] std::vector<std::string> lines(bool about_containers = false) const {
    EXPECT_TRUE(diff) << error();
    const std::string text = written([&](std::FILE* stream) { print_diff(stream, *diff); });
    std::vector<std::string> lines;
    for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
      const std::string line = text.substr(at, text.find('\n', at) - at);
      if (line.starts_with("@@") || line.starts_with("#") ? about_containers : !about_containers) {
        lines.push_back(line);
      }
    }
    return lines;
  }
};

TEST(Diff, SaysWhatIsDifferent) {
  Two two;
  two.in_old("/both");
  two.in_new("/both");
  two.in_old("/only-old");
  two.in_new("/only-new", seen(SNOOP_KIND_READ) | seen(SNOOP_KIND_WRITE) | seen(SNOOP_KIND_EXEC));
  two.in_old("/run", seen(SNOOP_KIND_READ) | seen(SNOOP_KIND_STAT));
  two.in_new("/run", seen(SNOOP_KIND_READ) | seen(SNOOP_KIND_EXEC));
  two.in_old("/was-missing", seen(SNOOP_KIND_STAT, SNOOP_OUTCOME_MISSING));
  two.in_new("/was-missing", seen(SNOOP_KIND_STAT));
  two.in_old("/refused-now", seen(SNOOP_KIND_STAT));
  two.in_new("/refused-now", seen(SNOOP_KIND_STAT, SNOOP_OUTCOME_REFUSED));
  two.in_old("/other-origin", 1, FileOrigin::kImage);
  two.in_new("/other-origin", 1, FileOrigin::kVolume);
  two.in_old("/python", 1, FileOrigin::kImage, "/python3.11");
  two.in_new("/python", 1, FileOrigin::kUnknown, "/python3.12");
  two.in_new("/x\x1b\n\xff");
  const Compared compared(two);
  EXPECT_THAT(
      compared.lines(),
      ElementsAre("+ /only-new  (open:read+write,exec)", "- /only-old", "~ /other-origin  origin image -> volume",
                  "~ /python  leads to /python3.11 -> /python3.12", "~ /refused-now  used -> refused",
                  "~ /run  +exec, -stat", "~ /was-missing  missing -> used", "+ /x\\x1b\\n\\xff  (open:read)"));
  EXPECT_FALSE(compared.diff->is_empty());
  EXPECT_THAT(
      compared.lines(true),
      ElementsAre(StartsWith("@@ web: 2 only in NEW, 1 only in OLD, 5 changed, 1 the same. OLD: watched for 1h 0m, "
                             "nothing lost. NEW: watched for 1m 0s"),
                  HasSubstr("not that it is not needed")));
}

TEST(Diff, WhatOneDoesNotKnowIsNoDifference) {
  Two two;
  two.in_old("/a", 1, FileOrigin::kUnknown);
  two.in_new("/a", 1, FileOrigin::kImage, "/b");
  two.in_old("/lib", seen(SNOOP_KIND_BASELINE));
  two.in_new("/lib", seen(SNOOP_KIND_READ));
  two.in_old("/log", seen(SNOOP_KIND_READ) | seen(SNOOP_KIND_BASELINE));
  two.in_new("/log", seen(SNOOP_KIND_READ));
  const Compared compared(two);
  EXPECT_THAT(compared.lines(), IsEmpty());
  EXPECT_TRUE(compared.diff->is_empty());
  EXPECT_EQ(compared.diff->containers.at(0).same, 3U);
}

TEST(Diff, WhatIsNotThereOnlyIfAskedFor) {
  Two two;
  two.in_old("/gone", seen(SNOOP_KIND_STAT, SNOOP_OUTCOME_MISSING));
  two.in_new("/asked", seen(SNOOP_KIND_READ, SNOOP_OUTCOME_MISSING));
  two.in_old("/both", seen(SNOOP_KIND_STAT, SNOOP_OUTCOME_MISSING));
  two.in_new("/both", seen(SNOOP_KIND_ACCESS, SNOOP_OUTCOME_MISSING));
  EXPECT_THAT(Compared(two).lines(), IsEmpty());
  DiffOptions options;
  options.missing = true;
  EXPECT_THAT(Compared(two, options).lines(),
              ElementsAre("+ /asked  (missing: open:read)", "~ /both  +access, -stat", "- /gone  (missing: stat)"));
}

TEST(Diff, OfSomeOrigins) {
  Two two;
  two.in_new("/image", 1, FileOrigin::kImage);
  two.in_new("/volume", 1, FileOrigin::kVolume);
  two.in_new("/pseudo", 1, FileOrigin::kPseudo);
  // Of the image on one side: it is no file that only the other has.
  two.in_old("/either", 1, FileOrigin::kWritten);
  two.in_new("/either", 1, FileOrigin::kImage);
  DiffOptions options;
  options.origins = {FileOrigin::kImage, FileOrigin::kPseudo};
  EXPECT_THAT(Compared(two, options).lines(),
              ElementsAre("~ /either  origin written -> image", "+ /image  (open:read)", "+ /pseudo  (open:read)"));
  two.after.header.only_image = true;
  const Compared compared(two);
  EXPECT_THAT(compared.lines(), ElementsAre("~ /either  origin written -> image", "+ /image  (open:read)"));
  EXPECT_THAT(compared.lines(true).back(), HasSubstr("--only image"));
}

TEST(Diff, FindsTheCounterpart) {
  Draft before("h", 0, 60);
  Draft after("h", 100, 160);
  const auto add = [](Draft& draft, const std::string& name, const std::string& image, const std::string& ns = "") {
    Container& container = draft.add(name, image.empty() ? "" : "sha256:" + image, "", image);
    container.identity.namespace_name = ns;
    Two::use(container, "/" + image, 1);
  };
  add(before, "web", "nginx:1", "shop");
  add(after, "web", "nginx:2", "shop");  // another image
  add(before, "quirky_bose", "r/redis:7");
  add(after, "happy_curie", "r/redis:7");  // another name
  add(before, "app", "localhost:5000/a:1");
  add(before, "app", "localhost:5000/b:1");
  add(after, "app", "localhost:5000/b:2");
  add(after, "app", "localhost:5000/a:2");  // two of one name
  add(before, "gone", "x:1");
  add(after, "came", "y:1");
  add(before, "web", "nginx:1", "other");
  const Compared compared(before, after);
  ASSERT_TRUE(compared.diff) << compared.error();
  std::vector<std::string> titles;
  for (const std::string& line : compared.lines(true)) {
    titles.push_back(line.substr(0, line.find(": ", line.find(')'))));
  }
  EXPECT_THAT(titles,
              ElementsAre("@@ app (localhost:5000/a:1) -> app (localhost:5000/a:2)",
                          "@@ app (localhost:5000/b:1) -> app (localhost:5000/b:2)",
                          "@@ quirky_bose (r/redis:7) -> happy_curie (r/redis:7)",
                          "@@ shop/web (nginx:1) -> shop/web (nginx:2)", "@@ only in OLD: gone (x:1)",
                          "@@ only in OLD: other/web (nginx:1)", "@@ only in NEW: came (y:1)", StartsWith("# ")));
}

TEST(Diff, ReplicasAreOne) {
  Draft before("h", 0, 60);
  Draft after("h", 100, 160);
  for (int i = 0; i < 3; i++) {
    Two::use(before.add("web", "d"), fmt::format("/{}", i), 1);
  }
  Container& web = after.add("web", "d");
  for (int i = 0; i < 3; i++) {
    Two::use(web, fmt::format("/{}", i), 1);
  }
  const Compared compared(before, after);
  EXPECT_TRUE(compared.diff->is_empty());
  EXPECT_THAT(compared.lines(true), ElementsAre(HasSubstr("watched for 1m 0s in 3 containers")));
}

TEST(Diff, OneByName) {
  Draft before("h", 0, 60);
  Draft after("h", 100, 160);
  for (const char* ns : {"a", "b"}) {
    for (Draft* draft : {&before, &after}) {
      Container& container = draft->add("web", ns);
      container.identity.namespace_name = ns;
      Two::use(container, std::string("/") + ns + draft->recorder.containers().back().cgroup_path, 1);
    }
  }
  before.add("old", "");
  DiffOptions options;
  options.container = "a/web";
  EXPECT_EQ(Compared(before, after, options).diff->containers.size(), 1U);
  options.container = "web";
  EXPECT_THAT(Compared(before, after, options).error(), AllOf(HasSubstr("several"), HasSubstr("a/web, b/web")));
  options.container = "old";
  EXPECT_THAT(Compared(before, after, options).error(),
              AllOf(HasSubstr("no container 'old' in NEW"), HasSubstr("a/web, b/web")));
}

TEST(Diff, NothingInCommon) {
  Draft before("h", 0, 60);
  Draft after("h", 100, 160);
  Two::use(before.add("ls", ""), "/a", 1);
  Two::use(before.add("cat", ""), "/b", 1);
  Two::use(after.add("dog", ""), "/b", 1);
  const Compared compared(before, after);
  EXPECT_THAT(compared.error(), AllOf(HasSubstr("OLD has cat, ls"), HasSubstr("NEW has dog")));
  EXPECT_THAT(compared.diff.error().hint, HasSubstr("--all"));
  DiffOptions options;
  options.all = true;
  EXPECT_THAT(Compared(before, after, options).lines(), ElementsAre("- /a"));
  Draft empty("h", 200, 260);
  EXPECT_THAT(Compared(before, empty, options).error(), HasSubstr("NEW has no container"));
}

TEST(Diff, SaysHowFarItCanBeTrusted) {
  Two two;
  two.old_one->losses.ring_full = 3;
  two.before.header.skipped_runs = 2;
  two.before.header.final = false;
  two.new_one->identity.not_observable = "gVisor";
  two.new_one->undecided = two.new_one->doubtful = true;
  EXPECT_THAT(Compared(two).lines(true),
              ElementsAre(AllOf(HasSubstr("5 lost, not final. NEW"), HasSubstr("undecided, not observable: gVisor"))));
}

TEST(Diff, TheOtherWayRoundIsTheOpposite) {
  std::mt19937 random(4);
  for (int round = 0; round < 30; round++) {
    Two two;
    for (int i = 0; i < 40; i++) {
      Container& container = random() % 2 == 0 ? *two.old_one : *two.new_one;
      Two::use(container, fmt::format("/{}", random() % 20),
               seen(static_cast<snoop_kind>(random() % SNOOP_KIND_COUNT), static_cast<snoop_outcome>(random() % 4)),
               static_cast<FileOrigin>(random() % 5), fmt::format("/{}", random() % 3));
    }
    DiffOptions options;
    options.missing = random() % 2 == 0;
    const Compared there(two, options);
    const Compared back(two.after, two.before, options);
    const ContainerDiff& one = there.diff->containers.at(0);
    const ContainerDiff& other = back.diff->containers.at(0);
    EXPECT_EQ(one.added, other.removed);
    EXPECT_EQ(one.removed, other.added);
    EXPECT_EQ(one.changed, other.changed);
    EXPECT_EQ(one.same, other.same);
    EXPECT_TRUE(Compared(two.before, two.before, options).diff->is_empty());
  }
}

TEST(Diff, AsJson) {
  Two two("web", "nginx:1", "nginx:2");
  two.in_old("/old");
  two.in_new("/x\xff");
  two.in_old("/run");
  two.in_new("/run", 1 | seen(SNOOP_KIND_EXEC));
  two.before.add("gone", "x");
  const Compared compared(two);
  const std::string text = written([&](std::FILE* stream) { print_diff_json(stream, *compared.diff); });
  rapidjson::Document json;
  json.Parse<rapidjson::kParseValidateEncodingFlag>(text.data(), text.size());
  ASSERT_FALSE(json.HasParseError()) << text;
  EXPECT_TRUE(json["different"].GetBool());
  EXPECT_STREQ(json["containers_only_in_old"][0]["name"].GetString(), "gone");
  EXPECT_EQ(json["containers_only_in_new"].Size(), 0U);
  const rapidjson::Value& web = json["containers"][0];
  EXPECT_STREQ(web["old"]["image"].GetString(), "nginx:1");
  EXPECT_STREQ(web["new"]["image"].GetString(), "nginx:2");
  EXPECT_EQ(web["old"]["observed_seconds"].GetUint64(), 3600U);
  EXPECT_STREQ(web["only_in_old"][0]["path"].GetString(), "/old");
  EXPECT_STREQ(web["only_in_new"][0]["path_base64"].GetString(), "L3j/");
  EXPECT_STREQ(web["changed"][0]["path"].GetString(), "/run");
  EXPECT_STREQ(web["changed"][0]["changes"][0].GetString(), "+exec");
  EXPECT_EQ(web["changed"][0]["new"]["access"].Size(), 2U);
  EXPECT_THAT(text, Not(HasSubstr("\xff")));
}

}  // namespace
}  // namespace snoop
