// SPDX-License-Identifier: Apache-2.0
#include "cli/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

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

TEST_F(OptionsTest, RunHasDefaults) {
  const Options options = parse({"run", "--", "ls"}).options();
  EXPECT_EQ(options.command, Command::kRun);
  EXPECT_THAT(options.run_command, ElementsAre("ls"));
  EXPECT_EQ(options.report, "./snoop-report.json");
  EXPECT_EQ(options.grace, milliseconds(5'000));
  EXPECT_EQ(options.ring_size_bytes, 16ULL << 20);
  EXPECT_EQ(options.tier, Tier::kAuto);
  EXPECT_THAT(options.exclude, ElementsAre("/proc/", "/sys/", "/dev/"));
  EXPECT_EQ(options.max_files, 1'000'000U);
  EXPECT_EQ(options.log_level, "info");
  EXPECT_EQ(options.log_format, "text");
  EXPECT_THAT(options.labels, IsEmpty());
  EXPECT_EQ(options.image + options.image_digest + options.pod_name + options.namespace_name + options.container_name,
            "");
}

TEST_F(OptionsTest, TierByFlagAndEnvironment) {
  for (const Tier tier : {Tier::kAuto, Tier::kFexit, Tier::kTracepoint}) {
    const std::string name(tier_name(tier));
    EXPECT_EQ(tier_named(name), tier);
    EXPECT_EQ(parse({"record", "--tier", name}).options().tier, tier);
    EXPECT_EQ(parse({"trace", "--tier=" + name}).options().tier, tier);
  }
  set("SNOOP_TIER", "fexit");
  EXPECT_EQ(parse({"run", "--", "ls"}).options().tier, Tier::kFexit);
  EXPECT_EQ(parse({"run", "--tier", "tracepoint", "--", "ls"}).options().tier, Tier::kTracepoint);
  EXPECT_EQ(parse({"check"}).options().command, Command::kCheck) << "it tries all of them";
  expect_usage_error({"record", "--tier", "kprobe"}, "--tier");
  set("SNOOP_TIER", "fast");
  expect_usage_error({"record"}, "fast");
}

TEST_F(OptionsTest, RecordHasDefaults) {
  const Options options = parse({"record"}).options();
  EXPECT_EQ(options.command, Command::kRecord);
  EXPECT_EQ(options.report, "/data/snoop-report.json");
  EXPECT_EQ(options.interval, milliseconds(30'000));
  EXPECT_FALSE(options.all);
  EXPECT_THAT(options.cgroups, IsEmpty());
  EXPECT_THAT(options.exclude, ElementsAre("/proc/", "/sys/", "/dev/"));
}

TEST_F(OptionsTest, OtherCommandsHaveDefaults) {
  const Options trace = parse({"trace"}).options();
  EXPECT_EQ(trace.command, Command::kTrace);
  EXPECT_FALSE(trace.trace_json);
  EXPECT_FALSE(trace.trace_unique);
  EXPECT_EQ(parse({"check"}).options().command, Command::kCheck);
  EXPECT_EQ(parse({"version"}).options().command, Command::kVersion);
}

TEST_F(OptionsTest, FlagsAreTaken) {
  const Options options = parse({"record",         "--cgroup", "a",           "--cgroup=b", "--report",    "r.json",
                                 "--interval",     "5m",       "--exclude",   "/a/",        "--exclude",   "/b",
                                 "--max-files",    "7",        "--ring-size", "4M",         "--image",     "i:1",
                                 "--image-digest", "sha256:x", "--pod-name",  "p",          "--namespace", "n",
                                 "--label",        "k=v",      "--label",     "l=w",        "--log-level", "debug",
                                 "--log-format",   "json"})
                              .options();
  EXPECT_THAT(options.cgroups, ElementsAre("a", "b"));
  EXPECT_EQ(options.report, "r.json");
  EXPECT_EQ(options.interval, milliseconds(300'000));
  EXPECT_THAT(options.exclude, ElementsAre("/a/", "/b"));
  EXPECT_EQ(options.max_files, 7U);
  EXPECT_EQ(options.ring_size_bytes, 4ULL << 20);
  EXPECT_EQ(options.image, "i:1");
  EXPECT_EQ(options.image_digest, "sha256:x");
  EXPECT_EQ(options.pod_name, "p");
  EXPECT_EQ(options.namespace_name, "n");
  EXPECT_EQ(parse({"record", "--cgroup=a", "--container-name", "c"}).options().container_name, "c");
  EXPECT_THAT(options.labels, ElementsAre(Pair("k", "v"), Pair("l", "w")));
  EXPECT_EQ(options.log_level, "debug");
  EXPECT_EQ(options.log_format, "json");
  const Options trace = parse({"trace", "--all", "--format", "json", "--unique"}).options();
  EXPECT_TRUE(trace.all);
  EXPECT_TRUE(trace.trace_json);
  EXPECT_TRUE(trace.trace_unique);
}

TEST_F(OptionsTest, DurationsHaveUnits) {
  struct Row {
    const char* text;
    int64_t expected;
  };
  for (const Row& row : {Row{"500ms", 500}, Row{"30s", 30'000}, Row{"5m", 300'000}, Row{"1h", 3'600'000},
                         Row{"2", 2'000}, Row{"0.5", 500}, Row{"1.5m", 90'000}, Row{"100ms", 100}}) {
    EXPECT_EQ(parse({"record", "--interval", row.text}).options().interval, milliseconds(row.expected)) << row.text;
  }
  for (const char* text :
       {"", "s", "abc", "5 s", "5x", "5S", "5mm", "-5s", "nan", "inf", "1e99h", "0x", "5s5s", "0", "99ms", "--5"}) {
    expect_usage_error({"record", std::string("--interval=") + text}, "--interval");
  }
  EXPECT_EQ(parse({"run", "--grace", "0", "--", "x"}).options().grace, milliseconds(0));
  expect_usage_error({"run", "--grace", "-1s", "--", "x"});
  expect_usage_error({"record", "--interval"});
}

TEST_F(OptionsTest, RingSizesHaveUnits) {
  struct Row {
    const char* text;
    uint64_t expected;
  };
  for (const Row& row : {Row{"4096", 4096}, Row{"5000", 8192}, Row{"4K", 4096}, Row{"4KB", 4096}, Row{"1m", 1ULL << 20},
                         Row{"3M", 4ULL << 20}, Row{"1G", 1ULL << 30}, Row{"1", 4096}}) {
    EXPECT_EQ(parse({"record", "--ring-size", row.text}).options().ring_size_bytes, row.expected) << row.text;
  }
  for (const char* text : {"", "abc", "4X", "-1", "-4M", "2G", "1.5M", "99999999999G", "1048576G", "16777216T"}) {
    expect_usage_error({"record", std::string("--ring-size=") + text});
  }
}

TEST_F(OptionsTest, LabelsArePairs) {
  EXPECT_THAT(parse({"record", "--label", "a=b=c", "--label", "d=", "--label", "e= f,g"}).options().labels,
              ElementsAre(Pair("a", "b=c"), Pair("d", ""), Pair("e", " f,g")));
  EXPECT_THAT(parse({"record", "--label", "a=1", "--label", "a=2"}).options().labels, ElementsAre(Pair("a", "2")));
  for (const char* text : {"", "a", "=", "=v"}) {
    expect_usage_error({"record", std::string("--label=") + text});
  }
}

TEST_F(OptionsTest, BadValuesAreUsageErrors) {
  for (const auto& arguments : std::initializer_list<std::vector<std::string>>{
           {"record", "--max-files", "0"},
           {"record", "--max-files", "-1"},
           {"record", "--max-files", "many"},
           {"record", "--max-files", "100000001"},
           {"record", "--log-level", "loud"},
           {"record", "--log-format", "xml"},
           {"trace", "--format", "xml"},
           {"record", "--report"},
           {"record", "--report", "a", "--report", "b"},
           {"record", "--cgroup"},
           {"record", "--cgroup", "a", "b"},
           {"record", "--unknown"},
           {"record", "-x"},
           {"record", "extra"},
           {"check", "--report", "x"},
           {"trace", "--report", "x"},
           {"run", "--cgroup", "x", "--", "ls"},
           {"run", "--interval", "5s", "--", "ls"},
       }) {
    expect_usage_error(arguments);
  }
}

TEST_F(OptionsTest, OneCommandIsNeeded) {
  expect_usage_error({});
  expect_usage_error({"unknown"});
  expect_usage_error({"record", "trace"});
  expect_usage_error({"check", "check"});
  expect_usage_error({"--", "record"});
}

TEST_F(OptionsTest, TargetsAreOneChoice) {
  expect_usage_error({"record", "--cgroup", "a", "--all"}, "--all");
  expect_usage_error({"trace", "--all", "--cgroup=a"}, "--all");
}

TEST_F(OptionsTest, ContainersAreAChoiceOfTheirOwn) {
  const Options options =
      parse({"record", "--container", "web", "--container=db", "--pod", "p", "--namespace", "n", "--label", "a=b"})
          .options();
  EXPECT_THAT(options.containers, ElementsAre("web", "db"));
  EXPECT_THAT(options.pods, ElementsAre("p"));
  EXPECT_EQ(options.namespace_name, "n");
  EXPECT_TRUE(options.selects());
  EXPECT_TRUE(parse({"trace", "--all-containers", "--label", "a=b"}).options().selects());
  EXPECT_FALSE(parse({"record", "--namespace", "n", "--label", "a=b"}).options().selects());
  expect_usage_error({"record", "--container", "web", "--all"}, "--all");
  expect_usage_error({"record", "--all-containers", "--cgroup", "a"}, "--cgroup");
  expect_usage_error({"record", "--pod", "p", "--container-name", "web"}, "--container-name");
  expect_usage_error({"run", "--container", "web", "--", "true"}, "--container");
  // The service's file says all.
  const std::string all_in_file = config("[record]\nall = true\n");
  const Options by_flag = parse({all_in_file, "record", "--container", "web"}).options();
  EXPECT_FALSE(by_flag.all);
  EXPECT_TRUE(by_flag.selects());
  set("SNOOP_CONTAINER", "a,b");
  EXPECT_THAT(parse({all_in_file, "record"}).options().containers, ElementsAre("a", "b"));
  const Options flag_over_environment = parse({"record", "--all"}).options();
  EXPECT_TRUE(flag_over_environment.all);
  EXPECT_FALSE(flag_over_environment.selects());
}

TEST_F(OptionsTest, WhoIsAskedForNames) {
  EXPECT_THAT(parse({"record"}).options().metadata_arguments(), IsEmpty());
  EXPECT_THAT(parse({"containers", "--runtime-socket", "docker:/a", "--runtime-socket=/b", "--host-root", "/tmp"})
                  .options()
                  .metadata_arguments(),
              ElementsAre("--runtime-socket", "docker:/a", "--runtime-socket", "/b", "--host-root", "/tmp"));
  EXPECT_EQ(parse({"record", "--metadata-program", "none"}).options().metadata_program, "none");
  EXPECT_TRUE(parse({"containers", "--format", "json"}).options().list_json);
}

TEST_F(OptionsTest, WhoCannotBeAskedForNames) {
  for (const char* command : {"containers", "record", "trace"}) {
    expect_usage_error({command, "--runtime-socket", "foo:/x"}, "cri|containerd|docker|podman:");
    expect_usage_error({command, "--host-root", "tmp"}, "--host-root: must be a directory");
    expect_usage_error({command, "--host-root", "/no/such"}, "--host-root: must be a directory");
    expect_usage_error({command, "--metadata-program", "/etc/passwd"}, "must be a program, or 'none'");
  }
  EXPECT_EQ(parse({"record", "--runtime-socket", "none"}).options().runtime_sockets.size(), 1U);
}

TEST_F(OptionsTest, HelpIsNoError) {
  for (const auto& arguments : std::initializer_list<std::vector<std::string>>{{"--help"},
                                                                               {"-h"},
                                                                               {"run", "--help"},
                                                                               {"record", "--help"},
                                                                               {"record", "-h"},
                                                                               {"trace", "--help"},
                                                                               {"containers", "--help"},
                                                                               {"merge", "--help"},
                                                                               {"diff", "--help"},
                                                                               {"packages", "--help"},
                                                                               {"check", "--help"},
                                                                               {"version", "--help"},
                                                                               {"record", "--all", "--help"}}) {
    const Parsed parsed = parse(arguments);
    const std::string shown = testing::PrintToString(arguments);
    EXPECT_TRUE(parsed.result.exit_now) << shown;
    EXPECT_EQ(parsed.result.exit_code, kExitOk) << shown;
    EXPECT_NE(parsed.out, "") << shown;
    EXPECT_EQ(parsed.err, "") << shown;
  }
  EXPECT_THAT(parse({"--help"}).out, HasSubstr("Examples:"));
  for (const char* command : {"run", "record", "trace", "containers"}) {
    const std::string help = parse({command, "--help"}).out;
    EXPECT_THAT(help, HasSubstr("Examples:")) << command;
    EXPECT_THAT(help, HasSubstr("SNOOP_")) << command;
    EXPECT_THAT(help, HasSubstr(std::string("snoop ") + command)) << command;
  }
}

TEST_F(OptionsTest, ReportsToMergeAndToCompare) {
  const Options merge = parse({"merge", "run", "-", "b.json", "-o", "/dev/stdout", "--by", "container"}).options();
  EXPECT_EQ(merge.command, Command::kMerge);
  EXPECT_THAT(merge.reports, ElementsAre("run", "-", "b.json"));
  EXPECT_EQ(merge.output, "-");
  EXPECT_EQ(merge.merge_by, MergeBy::kContainer);
  EXPECT_EQ(parse({"merge", "--output=x", "a"}).options().output, "x");
  const Options diff =
      parse({"diff", "--origin", "image", "a", "diff", "--origin", "unknown", "--missing", "--format", "json"})
          .options();
  EXPECT_EQ(diff.command, Command::kDiff);
  EXPECT_THAT(diff.reports, ElementsAre("a", "diff"));
  EXPECT_THAT(diff.diff.origins, ElementsAre(FileOrigin::kImage, FileOrigin::kUnknown));
  EXPECT_TRUE(diff.diff.missing && diff.diff_json && !diff.diff.all);
  const Options packages = parse({"packages", "-", "--root", "/mnt", "--container", "a/b", "--files"}).options();
  EXPECT_EQ(packages.command, Command::kPackages);
  EXPECT_THAT(packages.reports, ElementsAre("-"));
  EXPECT_EQ(packages.packages_root, "/mnt");
  EXPECT_EQ(packages.packages_container, "a/b");
  EXPECT_TRUE(packages.packages_files && !packages.packages_json);
  EXPECT_TRUE(parse({"packages", "--format=json", "a", "--root=/"}).options().packages_json);
  expect_usage_error({"packages", "a"}, "--root");
  expect_usage_error({"packages", "--root", "/"}, "REPORT");
  expect_usage_error({"merge"}, "REPORT");
  expect_usage_error({"diff", "a"}, "NEW");
  expect_usage_error({"diff", "a", "b", "c"}, "c");
  expect_usage_error({"merge", "-", "a", "-"}, "stdin");
  expect_usage_error({"merge", "a", "-o", ""}, "--output");
  expect_usage_error({"merge", "a", "--by", "pod"}, "--by");
  expect_usage_error({"diff", "a", "b", "--all", "--container", "c"}, "--container");
}

TEST_F(OptionsTest, NothingElseSetsWhatMergeAndDiffDo) {
  set("SNOOP_CONTAINER", "web");
  set("SNOOP_ALL", "1");
  set("SNOOP_FORMAT", "table");
  set("SNOOP_LOG_LEVEL", "warn");
  const Options diff = parse({"diff", "a", "b"}).options();
  EXPECT_EQ(diff.diff.container, "");
  EXPECT_FALSE(diff.diff.all);
  EXPECT_EQ(diff.log_level, "warn");
  EXPECT_EQ(parse({config("[diff]\nlog-level = \"error\"\n"), "diff", "a", "b"}).options().log_level, "warn");
  expect_usage_error({config("[merge]\noutput = \"x\"\n"), "merge", "a"}, "has no option 'output'");
  set("SNOOP_OUTPUT", "x");
  EXPECT_THAT(parse({"merge", "a"}).options().unknown_variables, testing::Contains(HasSubstr("SNOOP_OUTPUT")));
}

TEST_F(OptionsTest, CommandToRunIsTakenAsItIs) {
  EXPECT_THAT(parse({"run", "--", "sh", "-c", "echo $1", "--", "--help", "--report", "x", ""}).options().run_command,
              ElementsAre("sh", "-c", "echo $1", "--", "--help", "--report", "x", ""));
  EXPECT_EQ(parse({"run", "--", "sh", "--report", "x"}).options().report, "./snoop-report.json");
  EXPECT_EQ(parse({"run", "--report", "y", "--", "sh", "--report", "x"}).options().report, "y");
  EXPECT_THAT(parse({"run", "--", "record", "--all"}).options().run_command, ElementsAre("record", "--all"));
}

TEST_F(OptionsTest, RunNeedsACommand) {
  expect_usage_error({"run"}, "--");
  expect_usage_error({"run", "--"}, "--");
  expect_usage_error({"run", "ls"});
  expect_usage_error({"record", "--", "ls"});
  expect_usage_error({"record", "--"});
}

TEST_F(OptionsTest, ExcludesReplaceTheDefault) {
  EXPECT_THAT(parse({"record", "--exclude", "/a"}).options().exclude, ElementsAre("/a"));
  EXPECT_THAT(parse({"record", "--exclude", ""}).options().exclude, IsEmpty());
  EXPECT_THAT(parse({"record", "--exclude="}).options().exclude, IsEmpty());
  EXPECT_THAT(parse({"record", "--exclude", "", "--exclude", "/a b"}).options().exclude, ElementsAre("/a b"));
}

TEST_F(OptionsTest, ReportsAndCgroupsHaveNames) {
  expect_usage_error({"record", "--report", ""}, "--report: must not be empty");
  expect_usage_error({"record", "--report=", "--interval=5s"}, "--report: must not be empty");
  expect_usage_error({"record", "--cgroup", "a", "--cgroup="}, "--cgroup: must not be empty");
  EXPECT_EQ(parse({"record", "--report", "-"}).options().report, "-");
  EXPECT_EQ(parse({"record", "--report", "/dev/stdout"}).options().report, "-");
}

TEST_F(OptionsTest, EnvironmentSetsEveryOption) {
  set("SNOOP_CGROUP", "b/c");
  set("SNOOP_REPORT", "r,1.json");
  set("SNOOP_INTERVAL", "5s");
  set("SNOOP_EXCLUDE", "/a/,/b");
  set("SNOOP_MAX_FILES", "7");
  set("SNOOP_RING_SIZE", "4M");
  set("SNOOP_IMAGE", "i:1");
  set("SNOOP_IMAGE_DIGEST", "sha256:x");
  set("SNOOP_POD_NAME", "p");
  set("SNOOP_NAMESPACE", "n");
  set("SNOOP_CONTAINER_NAME", "c");
  set("SNOOP_LABEL", "k=v,l=w");
  set("SNOOP_LOG_LEVEL", "warn");
  set("SNOOP_LOG_FORMAT", "json");
  const Options options = parse({"record"}).options();
  EXPECT_THAT(options.cgroups, ElementsAre("b/c"));
  EXPECT_EQ(options.report, "r,1.json");
  EXPECT_EQ(options.interval, milliseconds(5'000));
  EXPECT_THAT(options.exclude, ElementsAre("/a/", "/b"));
  EXPECT_EQ(options.max_files, 7U);
  EXPECT_EQ(options.ring_size_bytes, 4ULL << 20);
  EXPECT_EQ(options.image, "i:1");
  EXPECT_EQ(options.image_digest, "sha256:x");
  EXPECT_EQ(options.pod_name, "p");
  EXPECT_EQ(options.namespace_name, "n");
  EXPECT_EQ(options.container_name, "c");
  EXPECT_THAT(options.labels, ElementsAre(Pair("k", "v"), Pair("l", "w")));
  EXPECT_EQ(options.log_level, "warn");
  EXPECT_EQ(options.log_format, "json");

  forget_environment();
  set("SNOOP_CGROUP", "a,b/c");
  EXPECT_THAT(parse({"record"}).options().cgroups, ElementsAre("a", "b/c"));
  forget_environment();
  set("SNOOP_ALL", "true");
  set("SNOOP_FORMAT", "json");
  set("SNOOP_UNIQUE", "1");
  const Options trace = parse({"trace"}).options();
  EXPECT_TRUE(trace.all);
  EXPECT_TRUE(trace.trace_json);
  EXPECT_TRUE(trace.trace_unique);
  set("SNOOP_GRACE", "1s");
  EXPECT_EQ(parse({"run", "--", "x"}).options().grace, milliseconds(1'000));
}

TEST_F(OptionsTest, EnvironmentOfOtherCommandsDoesNotHurt) {
  set("SNOOP_CGROUP", "a");
  set("SNOOP_INTERVAL", "nonsense");
  set("SNOOP_HELP", "1");
  set("SNOOP_WHATEVER", "1");
  EXPECT_EQ(parse({"run", "--", "x"}).options().command, Command::kRun);
  EXPECT_EQ(parse({"version"}).options().command, Command::kVersion);
}

TEST_F(OptionsTest, UnknownVariablesAreTold) {
  set("SNOOP_INTERVALL", "1s");
  set("SNOOP_FOO", "1");
  for (const char* good : {"SNOOP_INTERVAL", "SNOOP_NO_ITERATORS", "SNOOP_CONFIG", "SNOOP_METADATA_X", "SNOOP_PORT",
                           "SNOOP_PORT_9090_TCP", "SNOOP_SERVICE_HOST"}) {
    set(good, "");
  }
  EXPECT_THAT(parse({"version"}).options().unknown_variables,
              UnorderedElementsAre("the variable SNOOP_INTERVALL sets nothing: did you mean SNOOP_INTERVAL?",
                                   "the variable SNOOP_FOO sets nothing: no option has that name"));
}

TEST_F(OptionsTest, MistakesInPlainWords) {
  expect_usage_error({"record", "--report", "a", "--report=b"}, "--report: takes one value, and was given 2 times");
  expect_usage_error({"record", "--cgroup"}, "--cgroup: its value is missing");
  expect_usage_error({"record", "--reprot", "x"}, "unexpected argument '--reprot': did you mean '--report'?");
  expect_usage_error({"trace", "--log-levl=x"}, "did you mean '--log-level'?");
  EXPECT_THAT(parse({"record", "--xyz"}).err, Not(HasSubstr("did you mean")));
  expect_usage_error({"record", "--cgroup=a", "--cgroup=b", "--container-name=c"}, "there are 2 targets");
  for (const auto& [text, said] :
       {std::pair("[record]\nall = \n", "saw the end of the line"), std::pair("[record]\nall = tru\n", "saw 'tru'")}) {
    const Parsed parsed = parse({config(text), "record"});
    EXPECT_THAT(parsed.err, AllOf(HasSubstr(said), Not(HasSubstr("\\n")))) << text;
  }
}

TEST_F(OptionsTest, HelpAndVersionAsOthersHaveThem) {
  EXPECT_EQ(parse({"help"}).out, parse({"--help"}).out);
  EXPECT_EQ(parse({"help", "record"}).out, parse({"record", "--help"}).out);
  EXPECT_EQ(parse({"help", "record"}).result.exit_code, kExitOk);
  EXPECT_EQ(parse({"-V"}).out, parse({"--version"}).out);
  expect_usage_error({"help", "me"}, "me");
}

TEST_F(OptionsTest, EmptyVariablesAreNotSet) {
  set("SNOOP_REPORT", "");
  set("SNOOP_EXCLUDE", "");
  set("SNOOP_ALL", "");
  set("SNOOP_MAX_FILES", "");
  const Options options = parse({"record"}).options();
  EXPECT_EQ(options.report, "/data/snoop-report.json");
  EXPECT_EQ(options.exclude.size(), 3U);
  EXPECT_FALSE(options.all);
}

TEST_F(OptionsTest, BadVariablesAreUsageErrors) {
  set("SNOOP_INTERVAL", "soon");
  expect_usage_error({"record"}, "soon");
  set("SNOOP_INTERVAL", "5s");
  set("SNOOP_LABEL", "a=b,c");
  expect_usage_error({"record"}, "'c'");
}

}  // namespace
}  // namespace snoop
