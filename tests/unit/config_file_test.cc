// SPDX-License-Identifier: Apache-2.0
// The configuration file, and which of several places of an option counts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "cli/options.h"
#include "parse_options.h"

namespace snoop {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;
using testing::StartsWith;
using testing::UnorderedElementsAre;

TEST_F(OptionsTest, ConfigurationFileSetsOptions) {
  const std::string file = config(R"(# what to watch
[record]
cgroup = ["a", "b"]
report = "/tmp/r.json"
interval = "5s"
exclude = ["/a/", "/b"]
max-files = 7
ring-size = "4M"
label = ["k=v", "l=w"]
pod-name = "a pod"
[trace]
all = true
format = "json"
)");
  const Options options = parse({file, "record"}).options();
  EXPECT_THAT(options.cgroups, ElementsAre("a", "b"));
  EXPECT_FALSE(options.all);
  EXPECT_EQ(options.report, "/tmp/r.json");
  EXPECT_EQ(options.interval, milliseconds(5'000));
  EXPECT_THAT(options.exclude, ElementsAre("/a/", "/b"));
  EXPECT_EQ(options.max_files, 7U);
  EXPECT_EQ(options.ring_size_bytes, 4ULL << 20);
  EXPECT_THAT(options.labels, ElementsAre(Pair("k", "v"), Pair("l", "w")));
  EXPECT_EQ(options.pod_name, "a pod");
  EXPECT_FALSE(options.trace_json);
  const Options trace = parse({"trace", file}).options();
  EXPECT_TRUE(trace.all);
  EXPECT_TRUE(trace.trace_json);
  EXPECT_THAT(trace.cgroups, IsEmpty());
}

TEST_F(OptionsTest, SectionsOfOtherCommandsDoNotCount) {
  const std::string file = config("[run]\nreport = \"run.json\"\nlog-level = \"off\"\nlabel = [\"a=b\"]\n");
  const Options options = parse({file, "record"}).options();
  EXPECT_EQ(options.report, "/data/snoop-report.json");
  EXPECT_EQ(options.log_level, "info");
  EXPECT_THAT(options.labels, IsEmpty());
  EXPECT_EQ(parse({file, "run", "--", "x"}).options().report, "run.json");
}

TEST_F(OptionsTest, FlagBeatsEnvironmentBeatsFile) {
  const std::string file = config(
      "[record]\nreport = \"file\"\ninterval = \"1s\"\nexclude = [\"/file/\"]\nlabel = [\"from=file\"]\n"
      "ring-size = \"1M\"\nmax-files = 1\n");
  const auto get = [&](const std::vector<std::string>& flags) {
    std::vector<std::string> arguments = {file, "record"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return parse(arguments).options();
  };
  const std::vector<std::string> flags = {"--report", "flag",      "--interval",  "3s", "--exclude",   "/flag/",
                                          "--label",  "from=flag", "--ring-size", "4M", "--max-files", "3"};
  const Options from_file = get({});
  EXPECT_EQ(from_file.report, "file");
  EXPECT_EQ(from_file.interval, milliseconds(1'000));
  EXPECT_THAT(from_file.exclude, ElementsAre("/file/"));
  EXPECT_THAT(from_file.labels, ElementsAre(Pair("from", "file")));
  EXPECT_EQ(from_file.ring_size_bytes, 1ULL << 20);
  EXPECT_EQ(from_file.max_files, 1U);

  set("SNOOP_REPORT", "environment");
  set("SNOOP_INTERVAL", "2s");
  set("SNOOP_EXCLUDE", "/environment/");
  set("SNOOP_LABEL", "from=environment");
  set("SNOOP_RING_SIZE", "2M");
  set("SNOOP_MAX_FILES", "2");
  const Options from_environment = get({});
  EXPECT_EQ(from_environment.report, "environment");
  EXPECT_EQ(from_environment.interval, milliseconds(2'000));
  EXPECT_THAT(from_environment.exclude, ElementsAre("/environment/"));
  EXPECT_THAT(from_environment.labels, ElementsAre(Pair("from", "environment")));
  EXPECT_EQ(from_environment.ring_size_bytes, 2ULL << 20);
  EXPECT_EQ(from_environment.max_files, 2U);

  const Options from_flags = get(flags);
  EXPECT_EQ(from_flags.report, "flag");
  EXPECT_EQ(from_flags.interval, milliseconds(3'000));
  EXPECT_THAT(from_flags.exclude, ElementsAre("/flag/"));
  EXPECT_THAT(from_flags.labels, ElementsAre(Pair("from", "flag")));
  EXPECT_EQ(from_flags.ring_size_bytes, 4ULL << 20);
  EXPECT_EQ(from_flags.max_files, 3U);
}

TEST_F(OptionsTest, FlagWinsWhereverItStands) {
  set("SNOOP_REPORT", "environment");
  EXPECT_EQ(parse({"record", "--report=flag"}).options().report, "flag");
  // A value that looks like a command is none.
  EXPECT_EQ(parse({"record", "--pod-name", "trace"}).options().pod_name, "trace");
  const std::string file = config("[record]\nreport = \"file\"\n");
  EXPECT_EQ(parse({"record", file}).options().report, "environment");
  EXPECT_EQ(parse({"--config", dir / "snoop.toml", "record"}).options().report, "environment");
}

TEST_F(OptionsTest, ConfigurationFileMayBeNamedLikeACommand) {
  const std::filesystem::path former = std::filesystem::current_path();
  std::filesystem::current_path(dir.path());
  write_file("./run", "[record]\npod-name = \"p\"\n");
  set("SNOOP_REPORT", "environment");
  const Parsed parsed = parse({"--config", "run", "record"});
  std::filesystem::current_path(former);
  EXPECT_EQ(parsed.options().command, Command::kRecord);
  EXPECT_EQ(parsed.options().pod_name, "p");
  EXPECT_EQ(parsed.options().report, "environment");
}

TEST_F(OptionsTest, EnvironmentNamesTheConfigurationFile) {
  config("[record]\nreport = \"file\"\n");
  set("SNOOP_CONFIG", (dir / "snoop.toml").c_str());
  EXPECT_EQ(parse({"record"}).options().report, "file");
  write_file(dir / "other.toml", "[record]\nreport = \"other\"\n");
  EXPECT_EQ(parse({"record", "--config", dir / "other.toml"}).options().report, "other");
  set("SNOOP_CONFIG", (dir / "missing.toml").c_str());
  expect_usage_error({"record"}, "missing.toml");
}

TEST_F(OptionsTest, TargetsOfAHigherPlaceReplaceThoseOfALower) {
  const std::string all_in_file = config("[record]\nall = true\n");
  const Options by_flag = parse({all_in_file, "record", "--cgroup", "a"}).options();
  EXPECT_FALSE(by_flag.all);
  EXPECT_THAT(by_flag.cgroups, ElementsAre("a"));
  set("SNOOP_CGROUP", "b");
  const Options by_environment = parse({all_in_file, "record"}).options();
  EXPECT_FALSE(by_environment.all);
  EXPECT_THAT(by_environment.cgroups, ElementsAre("b"));
  const Options flag_over_environment = parse({"record", "--all"}).options();
  EXPECT_TRUE(flag_over_environment.all);
  EXPECT_THAT(flag_over_environment.cgroups, IsEmpty());

  forget_environment();
  const std::string cgroups_in_file = config("[record]\ncgroup = [\"c\"]\n");
  const Options all_by_flag = parse({cgroups_in_file, "record", "--all"}).options();
  EXPECT_TRUE(all_by_flag.all);
  EXPECT_THAT(all_by_flag.cgroups, IsEmpty());

  expect_usage_error({config("[record]\ncgroup = [\"c\"]\nall = true\n"), "record"}, "--all");
  set("SNOOP_ALL", "true");
  set("SNOOP_CGROUP", "a");
  expect_usage_error({"record"}, "--all");
  set("SNOOP_ALL", "false");
  EXPECT_THAT(parse({"record"}).options().cgroups, ElementsAre("a"));
}

TEST_F(OptionsTest, MistakesInTheConfigurationFileAreUsageErrors) {
  for (const char* text : {
           "[record]\nmax_files = 10\n",
           "[record]\nnonsense = 1\n",
           "[recrod]\nmax-files = 10\n",
           "max-files = 10\n",
           "[record]\ninterval = \"soon\"\n",
           "[record]\nmax-files = 0\n",
           "[record]\nall = maybe\n",
       }) {
    expect_usage_error({config(text), "record"});
  }
  expect_usage_error({"--config", dir / "missing.toml", "record"}, "missing.toml");
  expect_usage_error({"--config", dir.path(), "record"});
}

TEST_F(OptionsTest, WrongValuesNameOptionPlaceAndWhatIsAllowed) {
  struct Row {
    const char* command;
    const char* option;
    const char* variable;
    const char* value;
    const char* allowed;
  };
  for (const Row& row : {
           Row{"record", "interval", "SNOOP_INTERVAL", "soon", "give a number and ms, s, m or h"},
           Row{"record", "interval", "SNOOP_INTERVAL", "1ms", "must be 100ms or more"},
           Row{"run", "grace", "SNOOP_GRACE", "x", "give a number and ms, s, m or h"},
           Row{"record", "max-files", "SNOOP_MAX_FILES", "0", "from 1 to 100000000"},
           Row{"record", "max-files", "SNOOP_MAX_FILES", "many", "from 1 to 100000000"},
           Row{"record", "ring-size", "SNOOP_RING_SIZE", "big", "give bytes, or a number and K, M or G"},
           Row{"record", "ring-size", "SNOOP_RING_SIZE", "2G", "1G or less"},
           Row{"record", "exclude", "SNOOP_EXCLUDE", "proc", "must begin with /"},
           Row{"record", "label", "SNOOP_LABEL", "x", "KEY=VALUE"},
           Row{"record", "only", "SNOOP_ONLY", "x", "{image}"},
           Row{"record", "all", "SNOOP_ALL", "maybe", "true or false"},
           Row{"record", "fresh", "SNOOP_FRESH", "maybe", "true or false"},
           Row{"record", "no-baseline", "SNOOP_NO_BASELINE", "maybe", "true or false"},
           Row{"trace", "format", "SNOOP_FORMAT", "xml", "{text,json}"},
           Row{"trace", "unique", "SNOOP_UNIQUE", "maybe", "true or false"},
           Row{"check", "log-level", "SNOOP_LOG_LEVEL", "loud", "{trace,debug,info,warn,error,off}"},
           Row{"check", "log-format", "SNOOP_LOG_FORMAT", "xml", "{text,json}"},
       }) {
    const auto refused = [&](const std::vector<std::string>& arguments, const std::string& place) {
      const Parsed parsed = parse(arguments);
      EXPECT_EQ(parsed.result.exit_code, kExitUsage) << row.option;
      EXPECT_THAT(parsed.result.mistake, StartsWith(std::string("--") + row.option + place + ": "));
      EXPECT_THAT(parsed.result.mistake, HasSubstr(row.allowed));
    };
    refused({row.command, std::string("--") + row.option + "=" + row.value}, "");
    const std::string file =
        config(std::string("[") + row.command + "]\n# a comment\n" + row.option + " = \"" + row.value + "\"\n");
    refused({row.command, file}, " (" + (dir / "snoop.toml") + ", line 3)");
    set(row.variable, row.value);
    refused({row.command}, std::string(" (") + row.variable + ")");
    forget_environment();
  }
}

TEST_F(OptionsTest, TheConfigurationFileIsToml) {
  const std::string file = config(R"([record]
pod-name = "a \"b\" # c, \u00e9"  # a comment
image = 'C:\x'
label = [
  "k=v, w",  # with a comment
  'l=[x]',
]
max-files = 1_000
interval = 2.5
fresh = true
exclude = []
)");
  const Options options = parse({file, "record"}).options();
  EXPECT_EQ(options.pod_name, "a \"b\" # c, \u00e9");
  EXPECT_EQ(options.image, "C:\\x");
  EXPECT_THAT(options.labels, ElementsAre(Pair("k", "v, w"), Pair("l", "[x]")));
  EXPECT_EQ(options.max_files, 1'000U);
  EXPECT_EQ(options.interval, milliseconds(2'500));
  EXPECT_TRUE(options.fresh);
  EXPECT_THAT(options.exclude, IsEmpty());
  for (const char* text : {"[record]\nimage = \"a\\u0000b\"\n", "[record]\nimage = {a = 1}\n", "[record.x]\n",
                           "[record]\nlabel = [[\"a=b\"]]\n", "[record]\nimage = 1979-05-27\n", "[version]\n"}) {
    expect_usage_error({config(text), "record"}, "snoop.toml, line ");
  }
}

TEST_F(OptionsTest, SettingsKnowTheirPlace) {
  const std::string file = config("[record]\nimage = \"i\"\npod-name = \"p\"\nnamespace = \"n\"\n");
  set("SNOOP_POD_NAME", "q");
  set("SNOOP_NAMESPACE", "m");
  const Options options = parse({file, "record", "--namespace=l"}).options();
  const auto setting = [&](const std::string& name) {
    const auto found = std::find_if(options.settings.begin(), options.settings.end(),
                                    [&](const Setting& one) { return one.name == name; });
    EXPECT_NE(found, options.settings.end()) << name;
    return *found;
  };
  EXPECT_EQ(setting("image").place, Place::kFile);
  EXPECT_EQ(setting("image").where, (dir / "snoop.toml") + ", line 2");
  EXPECT_EQ(setting("pod-name").place, Place::kEnvironment);
  EXPECT_EQ(setting("pod-name").where, "SNOOP_POD_NAME");
  EXPECT_THAT(setting("pod-name").values, ElementsAre("q"));
  EXPECT_EQ(setting("namespace").place, Place::kFlag);
  EXPECT_EQ(setting("interval").place, Place::kDefault);
  EXPECT_THAT(setting("interval").values, ElementsAre("30s"));
  EXPECT_THAT(setting("exclude").values, ElementsAre("/proc/", "/sys/", "/dev/"));
  EXPECT_THAT(setting("image-digest").values, IsEmpty());
  EXPECT_THAT(setting("all").values, ElementsAre("false"));
}

}  // namespace
}  // namespace snoop
