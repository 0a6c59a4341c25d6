// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidjson/document.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "packages/purl.h"
#include "packages_fixture.h"

namespace snoop {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
namespace fs = std::filesystem;

TEST_F(PackagesTest, ThreeStates) {
  file("/usr/bin/one");
  file("/usr/bin/two");
  file("/usr/share/doc/meta/copyright");
  directory("/usr/share/empty");
  deb("one", {"/usr", "/usr/bin", "/usr/bin/one", "/usr/share/one.gone"});
  deb("two", {"/usr", "/usr/bin", "/usr/bin/two"});
  deb("meta", {"/usr", "/usr/share", "/usr/share/doc", "/usr/share/doc/meta", "/usr/share/doc/meta/copyright"});
  deb("empty", {"/usr", "/usr/share", "/usr/share/empty"});
  deb("nothing", {});
  use("/usr/bin/one");
  use("/usr/bin/two", "", seen(SNOOP_KIND_READ, SNOOP_OUTCOME_MISSING));
  use("/usr/share/empty", "", seen(SNOOP_KIND_DIRECTORY));
  attribute_all();
  EXPECT_EQ(state("one"), "used");
  EXPECT_EQ(of("one").evidence, "/usr/bin/one");
  EXPECT_EQ(of("one").files, 1);
  EXPECT_EQ(of("one").used_files, 1);
  // Asked for in vain is not used, a directory tells nothing.
  EXPECT_EQ(state("two"), "not_seen");
  EXPECT_EQ(state("meta"), "no_files");
  EXPECT_EQ(state("empty"), "no_files");
  EXPECT_EQ(state("nothing"), "no_files");
  EXPECT_THAT(attribution.unowned, IsEmpty());
}

TEST_F(PackagesTest, RefusedAndFailedAreUses) {
  for (const auto& [name, outcome] :
       {std::pair("refused", SNOOP_OUTCOME_REFUSED), std::pair("failed", SNOOP_OUTCOME_OTHER)}) {
    const std::string path = std::string("/usr/bin/") + name;
    file(path);
    deb(name, {path});
    use(path, "", seen(SNOOP_KIND_READ, outcome));
  }
  attribute_all();
  EXPECT_EQ(state("refused"), "used");
  EXPECT_EQ(state("failed"), "used");
}

/// On disk all is below /usr, lists and reports say either.
TEST_F(PackagesTest, MergedUsr) {
  file("/usr/lib/libold.so.1.2");
  file("/usr/lib/libnew.so");
  file("/usr/bin/dash");
  link("usr/lib", "/lib");
  link("/usr/bin", "/bin");
  link("libold.so.1.2", "/usr/lib/libold.so.1");
  link("dash", "/usr/bin/sh");
  deb("old", {"/lib", "/lib/libold.so.1", "/lib/libold.so.1.2"});
  deb("new", {"/usr", "/usr/lib", "/usr/lib/libnew.so"});
  deb("dash", {"/bin", "/bin/sh", "/bin/dash"});
  deb("base", {"/lib", "/bin"});
  use("/usr/lib/libold.so.1", "/usr/lib/libold.so.1.2");
  use("/lib/libnew.so", "/usr/lib/libnew.so");
  // Where the report does not know where it led, the image does.
  use("/bin/sh");
  attribute_all();
  EXPECT_EQ(of("old").used_files, 2);
  EXPECT_EQ(of("new").used_files, 1);
  EXPECT_EQ(of("dash").used_files, 2);
  // They are directories in the lists of others.
  EXPECT_EQ(state("base"), "no_files");
  EXPECT_THAT(of("dash").used_paths, ElementsAre("/usr/bin/dash", "/usr/bin/sh"));
}

TEST_F(PackagesTest, LinkOfOnePackageToAFileOfAnother) {
  file("/usr/bin/real");
  link("real", "/usr/bin/name");
  link("/etc/alternatives/editor", "/usr/bin/editor");
  link("/usr/bin/real", "/etc/alternatives/editor");
  link("/somewhere", "/usr/bin/other");
  deb("real", {"/usr/bin/real"});
  deb("names", {"/usr/bin/name"});
  deb("others", {"/usr/bin/other"});
  use("/usr/bin/name", "/usr/bin/real");
  attribute_all();
  EXPECT_EQ(state("real"), "used");
  EXPECT_EQ(state("names"), "used");
  EXPECT_EQ(state("others"), "not_seen");
}

TEST_F(PackagesTest, Alternatives) {
  file("/usr/bin/vim.basic");
  link("/etc/alternatives/editor", "/usr/bin/editor");
  link("/usr/bin/vim.basic", "/etc/alternatives/editor");
  deb("vim", {"/usr/bin/vim.basic"});
  use("/usr/bin/editor");
  attribute_all();
  EXPECT_EQ(state("vim"), "used");
}

TEST_F(PackagesTest, HardLinksAndSeveralOwners) {
  file("/usr/bin/perl");
  fs::create_hard_link(dir.path() + "/usr/bin/perl", dir.path() + "/usr/bin/perl5");
  file("/usr/share/common");
  deb("perl", {"/usr/bin/perl"});
  deb("perl5", {"/usr/bin/perl5", "/usr/share/common"});
  deb("other", {"/usr/share/common"});
  use("/usr/bin/perl");
  use("/usr/share/common");
  attribute_all();
  EXPECT_EQ(of("perl").used_files, 1);
  EXPECT_EQ(of("perl5").used_files, 2);
  EXPECT_EQ(of("other").used_files, 1);
}

TEST_F(PackagesTest, CompiledPython) {
  file("/usr/lib/python3/dist-packages/six.py");
  file("/usr/lib/python3/dist-packages/__pycache__/six.cpython-311.pyc");
  deb("six", {"/usr/lib/python3/dist-packages/six.py"});
  use("/usr/lib/python3/dist-packages/__pycache__/six.cpython-311.pyc");
  attribute_all();
  EXPECT_EQ(state("six"), "used");
}

/// The link has an owner, what it leads to has none.
TEST_F(PackagesTest, OwnedLinkToWhatAScriptMade) {
  file("/usr/bin/one");
  file("/usr/bin/two");
  file("/var/cache/fonts/data");
  link("/var/cache/fonts/data", "/usr/bin/data");
  deb("linker", {"/usr/bin/data", "/usr/bin/one"});
  deb("fonts", {"/usr/bin/two"});
  file("/var/lib/dpkg/info/fonts.postinst", "#!/bin/sh\nmkdir -p /var/cache/fonts\n");
  use("/usr/bin/data", "/var/cache/fonts/data");
  attribute_all();
  EXPECT_EQ(state("linker"), "used");
  EXPECT_EQ(state("fonts"), "unknown");
  EXPECT_THAT(of("fonts").why, HasSubstr("scripts of this one name /var/cache/fonts"));
  EXPECT_THAT(attribution.caveats, Contains(HasSubstr("1 used file is of no package")));
}

/// What scripts of packages make is in no list.
TEST_F(PackagesTest, MadeAtInstallation) {
  for (const char* path : {"/etc/ssl/certs/all.crt", "/etc/passwd", "/usr/share/certs/a.crt", "/usr/bin/master"}) {
    file(path);
  }
  deb("certs", {"/etc", "/etc/ssl", "/etc/ssl/certs", "/usr/share/certs/a.crt"});
  deb("users", {"/usr/bin/master"});
  file("/var/lib/dpkg/info/users.postinst", "#!/bin/sh\ncp \"$DPKG_ROOT/usr/bin/master\" \"$DPKG_ROOT/etc/passwd\".\n");
  use("/etc/ssl/certs/all.crt");
  use("/etc/passwd");
  attribute_all();
  EXPECT_EQ(state("certs"), "unknown");
  EXPECT_THAT(of("certs").why, HasSubstr("/etc/ssl/certs/all.crt was used: it is of no package"));
  EXPECT_EQ(state("users"), "unknown");
  EXPECT_THAT(of("users").why, HasSubstr("scripts of this one name it"));
  EXPECT_THAT(attribution.unowned, ElementsAre("/etc/passwd", "/etc/ssl/certs/all.crt"));
}

TEST_F(PackagesTest, WhatTheReportLeavesOut) {
  file("/usr/bin/one");
  deb("one", {"/usr/bin/one"});
  draft.header.not_seen = {"x32 system calls", "files open, mapped or running before capture started"};
  draft.header.only_image = true;
  use("/usr/bin/one");
  use("/usr/bin/gone");
  attribute_all();
  EXPECT_THAT(attribution.caveats, Contains("not in the report: files open, mapped or running before capture started"));
  EXPECT_THAT(attribution.caveats, Not(Contains(HasSubstr("x32"))));
  EXPECT_THAT(attribution.caveats, Contains(HasSubstr("made at run time")));
  EXPECT_THAT(attribution.caveats, Contains(HasSubstr("used files of the image are not there (1)")));
}

TEST_F(PackagesTest, OfNoPackage) {
  file("/app/main");
  file("/app/written");
  deb("one", {"/usr/bin/one"});
  use("/app/main", "", seen(SNOOP_KIND_EXEC), FileOrigin::kUnknown);
  use("/app/written", "", seen(SNOOP_KIND_CREATE), FileOrigin::kWritten);
  use("/app/deleted");
  use("/app", "", seen(SNOOP_KIND_STAT));
  use("/app/link", "/app/main", seen(SNOOP_KIND_SYMLINK));
  attribute_all();
  EXPECT_THAT(attribution.unowned, ElementsAre("/app/main"));
  EXPECT_EQ(attribution.not_in_root, 1);
  // Nothing that could be looked at.
  EXPECT_EQ(state("one"), "unknown");
  EXPECT_THAT(attribution.caveats, Contains(HasSubstr("is this the root directory of that image?")));
}

TEST_F(PackagesTest, NeededBy) {
  for (const char* name : {"app", "lib", "data", "mta", "other", "alone"}) {
    file(std::string("/usr/bin/") + name);
  }
  deb("app", {"/usr/bin/app"}, "Pre-Depends: lib:any (>= 1.0)\nDepends: none | mail-agent,\n other [amd64]\n");
  deb("lib", {"/usr/bin/lib"}, "Depends: data (= 1)\n");
  deb("data", {"/usr/bin/data"}, "Essential: yes\n");
  deb("mta", {"/usr/bin/mta"}, "Provides: mail-agent (= 3), x\n");
  deb("other", {"/usr/bin/other"});
  deb("alone", {"/usr/bin/alone"}, "Depends: lib\n");
  use("/usr/bin/app");
  attribute_all();
  EXPECT_THAT(needed_by_of("lib"), ElementsAre("app"));
  EXPECT_THAT(needed_by_of("data"), ElementsAre("lib"));
  EXPECT_THAT(needed_by_of("mta"), ElementsAre("app"));
  EXPECT_THAT(needed_by_of("other"), ElementsAre("app"));
  EXPECT_THAT(needed_by_of("alone"), IsEmpty());
  EXPECT_THAT(printed(), HasSubstr("essential; needed by lib\n"));
}

/// Links of the image lead nowhere else, and what is no regular file is not read.
TEST_F(PackagesTest, NothingLeadsOut) {
  TempDir outside;
  write_file(outside / "status", "Package: secret\nStatus: install ok installed\nVersion: 1\n\n");
  link(outside / "status", "/var/lib/dpkg/status");
  EXPECT_THAT(read().error().message(), HasSubstr("there is no package database"));
  fs::remove(dir / "var/lib/dpkg/status");
  link("../../../../../../../../../.." + outside.path() + "/status", "/var/lib/dpkg/status");
  EXPECT_THAT(read().error().message(), HasSubstr("there is no package database"));
  fs::remove(dir / "var/lib/dpkg/status");
  ASSERT_EQ(::mkfifo((dir / "var/lib/dpkg/status").c_str(), 0600), 0);
  EXPECT_THAT(read().error().message(), HasSubstr("cannot read /var/lib/dpkg/status"));
  fs::remove(dir / "var/lib/dpkg/status");
  directory("/var/lib/dpkg/status");
  EXPECT_THAT(read().error().message(), HasSubstr("cannot read /var/lib/dpkg/status"));
}

TEST_F(PackagesTest, LoopsAndAbsentDirectories) {
  link("b", "/a");
  link("a", "/b");
  deb("loop", {"/a/file", "/none/below/file", "/b"});
  use("/a/file", "", seen(SNOOP_KIND_STAT, SNOOP_OUTCOME_OTHER));
  use("/none/below/file");
  attribute_all();
  // The link that was walked, too.
  EXPECT_EQ(of("loop").used_files, 3);
}

TEST_F(PackagesTest, Caveats) {
  file("/bin/x");
  deb("one", {"/bin/x"});
  use("/bin/x");
  use("/bin/y", "", seen(SNOOP_KIND_BASELINE));
  draft.header.final = false;
  draft.header.skipped_runs = 7;
  draft.header.runs = 2;
  draft.header.gaps = {{kStart + 10 * kSecond, kStart + 40 * kSecond}};
  container->unresolved = "no right to look";
  attribute_all();
  for (const char* text : {"not complete: 7 accesses were lost", "not final", "nobody looked for 30s",
                           "no right to look", "running before capture began", "cannot be estimated"}) {
    EXPECT_THAT(attribution.caveats, Contains(HasSubstr(text)));
    EXPECT_THAT(printed(), HasSubstr(text));
  }
}

TEST_F(PackagesTest, Table) {
  file("/bin/x");
  file("/app/odd\nname");
  deb("one", {"/bin/x"}, "Source: many (1.0)\n");
  deb("two", {"/bin/y"});
  use("/bin/x");
  use("/app/odd\nname");
  attribute_all();
  const std::string text = printed(false, true);
  EXPECT_THAT(text, HasSubstr("STATE    PACKAGE  VERSION  ARCH   USED/FILES  NOTE\n"
                              "used     one      1.0-1    amd64  1/1         /bin/x\n  /bin/x\n"
                              "unknown  two      1.0-1    amd64  0/0         none of its files is there\n"
                              "used files of no package:\n  /app/odd\\nname\n"
                              "packages: 2, used 1, not seen 0, no files 0, unknown 1; used files of no package 1, not "
                              "there 0\n# web (sha256:1): watched for 1m 0s, nothing lost.\n"));
  rapidjson::Document json;
  json.Parse(printed(true, true).c_str());
  ASSERT_FALSE(json.HasParseError());
  EXPECT_STREQ(json["container"]["name"].GetString(), "web");
  EXPECT_EQ(json["summary"]["used"].GetInt(), 1);
  EXPECT_STREQ(json["packages"][0]["purl"].GetString(), "pkg:deb/debian/one@1.0-1?arch=amd64");
  EXPECT_STREQ(json["packages"][0]["source"].GetString(), "many");
  EXPECT_STREQ(json["packages"][0]["used_paths"][0]["path"].GetString(), "/bin/x");
  EXPECT_STREQ(json["unowned"][0]["path"].GetString(), "/app/odd\nname");
}

TEST(PackageUrl, AsTheSpecificationSays) {
  Package package;
  package.name = "libstdc++6";
  package.version = "1:12.2.0-14+deb12u1~x";
  package.arch = "amd64";
  EXPECT_EQ(package_url(package, ""), "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1~x?arch=amd64");
  package = {};
  package.type = Package::Type::kApk;
  package.name = "Curl";
  EXPECT_EQ(package_url(package, "wolfi/x"), "pkg:apk/wolfi%2Fx/curl");
}

TEST(ChooseContainer, OneIsMeant) {
  Draft draft("h");
  draft.add("web", "sha256:1");
  EXPECT_EQ(choose_container(draft.report().contents, "")->container->name, "web");
  draft.add("cart", "sha256:2");
  draft.add("web", "sha256:1");
  const NamedReport report = draft.report();
  const auto error = [&](const std::string& name) {
    const Result<ReportSide> chosen = choose_container(report.contents, name);
    return chosen ? "none" : chosen.error().message();
  };
  EXPECT_THAT(error(""), HasSubstr("there are several containers in the report: cart, web"));
  EXPECT_THAT(error("dog"), HasSubstr("there is no container 'dog' in the report: cart, web"));
  EXPECT_EQ(choose_container(report.contents, "web")->containers, 2);
  draft.add("cart", "sha256:3");
  EXPECT_THAT(choose_container(draft.report().contents, "cart").error().message(), HasSubstr("of different images"));
}

}  // namespace
}  // namespace snoop
