// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidjson/document.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "packages/attribution.h"
#include "packages/purl.h"
#include "report_draft.h"
#include "temp_dir.h"

namespace snoop {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
namespace fs = std::filesystem;

/// A root directory with package databases, and a report of what was used of it.
class PackagesTest : public testing::Test {
 protected:
  void file(const std::string& path, std::string_view text = "") { write_file(dir.path() + path, text); }
  void directory(const std::string& path) { fs::create_directories(dir.path() + path); }
  void link(const std::string& target, const std::string& path) {
    fs::create_directories(fs::path(dir.path() + path).parent_path());
    fs::create_symlink(target, dir.path() + path);
  }
  /// Installed by dpkg, with these paths in its list. `fields`: further ones, each with a line break.
  void deb(const std::string& name, const std::vector<std::string>& paths, const std::string& fields = "") {
    status += "Package: " + name + "\nStatus: install ok installed\nVersion: 1.0-1\nArchitecture: amd64\n" + fields +
              "Description: " + name + "\n goes on: here\n\n";
    std::string list = "/.\n";
    for (const std::string& path : paths) {
      list += path + "\n";
    }
    file("/var/lib/dpkg/info/" + name + ".list", list);
  }
  void use(const std::string& path, const std::string& resolved = "", uint64_t kinds = seen(SNOOP_KIND_READ),
           FileOrigin origin = FileOrigin::kImage) {
    container->files.add({.path = path,
                          .resolved = resolved,
                          .seen = kinds,
                          .first_seen = kStart + ++uses * kSecond,
                          .last_seen = kStart + 100 * kSecond,
                          .count = 1,
                          .origin = origin});
  }

  Result<Databases> read() {
    if (!status.empty()) {
      file("/var/lib/dpkg/status", status);
    }
    Result<ImageRoot> opened = ImageRoot::open(dir.path());
    return opened ? read_databases(*opened) : tl::unexpected(opened.error());
  }
  /// To be called once: all below is about it.
  void attribute_all() {
    report = draft.report();
    side = *choose_container(report.contents, "");
    databases = *read();
    Result<ImageRoot> opened = ImageRoot::open(dir.path());
    Ownership ownership(*opened, databases);
    attribution = attribute(report.contents.header, side, databases, ownership);
  }
  [[nodiscard]] const PackageUse& of(const std::string& name) const {
    for (size_t i = 0; i < databases.packages.size(); i++) {
      if (databases.packages[i].name == name) {
        return attribution.packages[i];
      }
    }
    ADD_FAILURE() << "no package " << name;
    return attribution.packages.at(0);
  }
  [[nodiscard]] std::string state(const std::string& name) const { return std::string(state_name(of(name).state)); }
  [[nodiscard]] std::vector<std::string> needed_by_of(const std::string& name) const {
    std::vector<std::string> names;
    for (const uint32_t number : of(name).needed_by) {
      names.push_back(databases.packages[number].name);
    }
    return names;
  }
  [[nodiscard]] std::string printed(bool json = false, bool files = false) const {
    const AttributedReport attributed{side, databases, attribution, files};
    return written([&](std::FILE* stream) { (json ? print_packages_json : print_packages)(stream, attributed); });
  }

  TempDir dir;
  std::string status;
  Draft draft{"h"};
  Container* container = &draft.add("web", "sha256:1");
  int uses = 0;
  NamedReport report;
  ReportSide side;
  Databases databases;
  Attribution attribution;
};

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

TEST_F(PackagesTest, Diversions) {
  for (const char* path : {"/bin/sh", "/bin/sh.distrib", "/bin/perf", "/bin/held"}) {
    file(path);
  }
  file("/var/lib/dpkg/diversions", "/bin/sh\n/bin/sh.distrib\ndash\n/bin/perf\n/bin/perf.gone\n:\n");
  deb("dash", {"/bin/sh"});
  deb("bash", {"/bin/sh"});
  deb("perf", {"/bin/perf"});
  use("/bin/sh");
  use("/bin/perf");
  attribute_all();
  EXPECT_EQ(state("dash"), "used");
  EXPECT_EQ(state("bash"), "not_seen");
  // Diverted, and not moved.
  EXPECT_EQ(state("perf"), "used");
}

TEST_F(PackagesTest, DivertedFileIsUsed) {
  file("/bin/sh");
  file("/bin/sh.distrib");
  file("/var/lib/dpkg/diversions", "/bin/sh\n/bin/sh.distrib\ndash\n");
  deb("dash", {"/bin/sh"});
  deb("bash", {"/bin/sh"});
  use("/bin/sh.distrib");
  attribute_all();
  EXPECT_EQ(state("dash"), "not_seen");
  EXPECT_EQ(state("bash"), "used");
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
  EXPECT_THAT(attribution.caveats, Contains(HasSubstr("1 used files are of no package")));
}

/// One of the two is stale.
TEST_F(PackagesTest, ListWithAndWithoutArchitecture) {
  file("/usr/bin/old");
  file("/usr/bin/new");
  deb("two", {"/usr/bin/new"});
  file("/var/lib/dpkg/info/two:amd64.list", "/.\n/usr/bin/old\n");
  use("/usr/bin/new");
  attribute_all();
  EXPECT_EQ(state("two"), "used");
}

TEST_F(PackagesTest, ScriptThatCannotBeRead) {
  file("/usr/bin/one");
  deb("one", {"/usr/bin/one"});
  file("/var/lib/dpkg/info/one.postinst", std::string((1UL << 20) + 5000, '#'));
  attribute_all();
  EXPECT_EQ(state("one"), "unknown");
  EXPECT_THAT(of("one").why, HasSubstr("one.postinst has more than"));
}

TEST_F(PackagesTest, LinesThatEndWithACarriageReturn) {
  file("/usr/bin/one");
  file("/usr/bin/two");
  deb("one", {"/usr/bin/one\r", "/usr/bin/two"});
  use("/usr/bin/one");
  attribute_all();
  EXPECT_EQ(state("one"), "unknown");
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

/// As a crash of the machine leaves it.
TEST_F(PackagesTest, EmptyList) {
  file("/usr/bin/one");
  deb("one", {"/usr/bin/one"});
  file("/var/lib/dpkg/info/one.list", "");
  use("/usr/bin/one");
  attribute_all();
  EXPECT_EQ(state("one"), "unknown");
  EXPECT_THAT(of("one").why, HasSubstr("is empty"));
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

TEST_F(PackagesTest, StatusSaysWhatIsInstalled) {
  file("/bin/x");
  deb("installed", {"/bin/x"});
  for (const char* state : {"deinstall ok config-files", "purge ok not-installed"}) {
    status += std::string("Package: gone\nStatus: ") + state + "\nVersion: 1\n\n";
  }
  status += "Package: half\nStatus: install ok half-configured\nArchitecture: all\n\n";
  attribute_all();
  ASSERT_EQ(databases.packages.size(), 2);
  EXPECT_EQ(databases.packages[0].name, "half");
  // Its list is not there.
  EXPECT_EQ(state("half"), "unknown");
  EXPECT_EQ(databases.packages[1].name, "installed");
}

TEST_F(PackagesTest, SeveralArchitectures) {
  file("/usr/lib/a/libc.so");
  file("/usr/lib/b/libc.so");
  status =
      "Package: libc\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\nMulti-Arch: same\n\n"
      "Package: libc\nStatus: install ok installed\nVersion: 1\nArchitecture: i386\nMulti-Arch: same\n\n";
  file("/var/lib/dpkg/info/libc:amd64.list", "/usr/lib/a/libc.so\n");
  file("/var/lib/dpkg/info/libc:i386.list", "/usr/lib/b/libc.so\n");
  use("/usr/lib/b/libc.so");
  attribute_all();
  ASSERT_EQ(databases.packages.size(), 2);
  EXPECT_EQ(databases.packages[1].arch, "i386");
  EXPECT_EQ(attribution.packages[0].state, PackageState::kNotSeen);
  EXPECT_EQ(attribution.packages[1].state, PackageState::kUsed);
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

TEST_F(PackagesTest, Distroless) {
  file("/usr/lib/libssl.so.3");
  file("/etc/services");
  file("/usr/share/doc/netbase/copyright");
  file("/usr/share/zoneinfo/UTC");
  const std::string sum(32, 'a');
  const auto package = [&](const std::string& name, const std::string& path) {
    file("/var/lib/dpkg/status.d/" + name, "Package: " + name + "\nVersion: 3\nArchitecture: amd64\n");
    file("/var/lib/dpkg/status.d/" + name + ".md5sums", sum + "  " + path + "\n");
  };
  package("libssl3", "usr/lib/libssl.so.3");
  package("tzdata", "usr/share/zoneinfo/UTC");
  package("netbase", "usr/share/doc/netbase/copyright");
  file("/var/lib/dpkg/status.d/bare", "Package: bare\nVersion: 3\nArchitecture: all\n");
  use("/usr/lib/libssl.so.3");
  attribute_all();
  EXPECT_THAT(databases.read, ElementsAre("/var/lib/dpkg/status.d"));
  EXPECT_EQ(state("libssl3"), "used");
  EXPECT_EQ(state("tzdata"), "not_seen");
  EXPECT_EQ(state("bare"), "unknown");
}

TEST_F(PackagesTest, DistrolessEntryThatIsNoFile) {
  file("/usr/bin/x");
  file("/var/lib/dpkg/status.d/x", "Package: x\nVersion: 3\nArchitecture: amd64\n");
  file("/var/lib/dpkg/status.d/x.md5sums", std::string(32, 'a') + "  usr/bin/x\n");
  file("/var/lib/dpkg/status.d/directory/y", "Package: y\nVersion: 3\nArchitecture: amd64\n");
  use("/usr/bin/x");
  attribute_all();
  EXPECT_EQ(state("x"), "used");
  EXPECT_THAT(databases.warnings,
              ElementsAre("cannot read /var/lib/dpkg/status.d/directory: a package may be missing"));
}

/// md5sums have no configuration files, so one that was used may be of any such package.
TEST_F(PackagesTest, DistrolessConfiguration) {
  file("/etc/services");
  file("/usr/share/net");
  file("/var/lib/dpkg/status.d/netbase", "Package: netbase\nVersion: 3\nArchitecture: all\n");
  file("/var/lib/dpkg/status.d/netbase.md5sums", std::string(32, 'a') + "  usr/share/net\n");
  use("/etc/services");
  attribute_all();
  EXPECT_EQ(state("netbase"), "unknown");
  EXPECT_THAT(of("netbase").why, HasSubstr("/etc/services was used"));
}

constexpr std::string_view kApk =
    "C:Q1abc=\nP:musl\nV:1.2.4-r2\nA:x86_64\np:so:libc.musl-x86_64.so.1=1\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\n"
    "R:libc.musl-x86_64.so.1\n\n"
    "P:busybox\nV:1.36.1-r5\nA:x86_64\no:busybox\nD:so:libc.musl-x86_64.so.1\np:cmd:busybox=1\nF:bin\nM:0:0:755\n"
    "R:busybox\n\n"
    "P:busybox-binsh\nV:1.36.1-r5\nA:x86_64\no:busybox\nD:busybox=1.36.1-r5 !other\nF:bin\nR:sh\n\n"
    "P:scripts\nV:1\nA:noarch\nD:/bin/sh\nF:usr/share\nR:script\n\n"
    "P:.build-deps\nV:0\nA:noarch\n\n";

TEST_F(PackagesTest, Alpine) {
  file("/lib/apk/db/installed", kApk);
  file("/etc/os-release", "NAME=\"Alpine Linux\"\nID=alpine\n");
  file("/lib/ld-musl-x86_64.so.1");
  link("ld-musl-x86_64.so.1", "/lib/libc.musl-x86_64.so.1");
  file("/bin/busybox");
  link("/bin/busybox", "/bin/sh");
  // Made by a trigger, in no list.
  link("/bin/busybox", "/bin/ls");
  file("/usr/share/script");
  use("/bin/ls");
  use("/usr/share/script");
  attribute_all();
  EXPECT_EQ(state("busybox"), "used");
  EXPECT_EQ(state("scripts"), "used");
  EXPECT_EQ(state("busybox-binsh"), "not_seen");
  EXPECT_THAT(needed_by_of("busybox-binsh"), ElementsAre("scripts"));
  EXPECT_EQ(state("musl"), "not_seen");
  EXPECT_THAT(needed_by_of("musl"), ElementsAre("busybox"));
  EXPECT_EQ(state(".build-deps"), "no_files");
  EXPECT_THAT(attribution.unowned, IsEmpty());
  EXPECT_THAT(printed(true), HasSubstr("\"pkg:apk/alpine/busybox-binsh@1.36.1-r5?arch=x86_64\""));
  EXPECT_THAT(printed(true), HasSubstr("\"source\": \"busybox\""));
}

/// Both places are one with a merged /usr, two where they are not.
TEST_F(PackagesTest, AlpineWithMergedUsr) {
  file("/usr/lib/apk/db/installed", kApk);
  link("usr/lib", "/lib");
  EXPECT_EQ(read()->packages.size(), 5);
  EXPECT_EQ(read()->read.size(), 1);
}

TEST_F(PackagesTest, NoDatabase) {
  const Result<Databases> none = read();
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message(), HasSubstr("there is no package database"));
  file("/var/lib/rpm/rpmdb.sqlite");
  const Result<Databases> rpm = read();
  ASSERT_FALSE(rpm);
  EXPECT_THAT(rpm.error().message(), HasSubstr("/var/lib/rpm/rpmdb.sqlite"));
  file("/bin/x");
  deb("one", {"/bin/x"});
  attribute_all();
  EXPECT_THAT(attribution.caveats, Contains(HasSubstr("what rpm has installed is missing here")));
  EXPECT_FALSE(ImageRoot::open(dir / "none"));
  EXPECT_FALSE(ImageRoot::open(dir / "bin/x"));
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

/// A damaged list may lack what was used.
TEST_F(PackagesTest, DamagedLists) {
  using namespace std::string_literals;
  for (const auto& [name, list] :
       std::vector<std::pair<std::string, std::string>>{{"cut", "/bin/x\n/bin/other"},
                                                        {"nul", "/bin/x\n/bin/a\0b\n"s},
                                                        {"relative", "/bin/x\nbin/y\n"},
                                                        {"up", "/bin/x\n/bin/../../y\n"},
                                                        {"huge", "/bin/x\n/" + std::string(1 << 20, 'x') + "\n"},
                                                        {"good", "/bin/x\n"}}) {
    deb(name, {});
    file("/var/lib/dpkg/info/" + name + ".list", list);
  }
  file("/bin/x");
  attribute_all();
  for (const char* name : {"cut", "nul", "relative", "up", "huge"}) {
    EXPECT_EQ(state(name), "unknown") << name;
    EXPECT_THAT(of(name).why, HasSubstr(std::string("/info/") + name + ".list"));
  }
  EXPECT_EQ(state("good"), "not_seen");
}

TEST_F(PackagesTest, DamagedStatus) {
  using namespace std::string_literals;
  deb("good", {"/bin/x"});
  status +=
      " goes on from nothing\nno field\nPack\0age: x\n\n"s
      "Version: 1\n\nPackage: ../../etc\nStatus: install ok installed\n\nPackage: cut\nStatus: install ok inst";
  file("/bin/x");
  attribute_all();
  EXPECT_EQ(databases.packages.size(), 2);
  EXPECT_THAT(databases.warnings, ElementsAre(HasSubstr("was cut off"), HasSubstr("3 lines of /var/lib/dpkg/status"),
                                              HasSubstr("2 paragraphs of /var/lib/dpkg/status name no package")));
  EXPECT_THAT(attribution.caveats, Contains(HasSubstr("a package database is damaged")));
}

TEST_F(PackagesTest, DamagedApk) {
  using namespace std::string_literals;
  file(
      "/lib/apk/db/installed",
      "P:one\nV:1\nF:bin\nR:x/y\nR:..\nx\n\nV:2\n\nP:two\nV:1\nF:..\nR:x\n\nP:three\nV:1\nF:bin\nR:\0\n\nP:four\nV:1\nF:b"s);
  file("/bin/x");
  attribute_all();
  for (const char* name : {"one", "two", "three", "four"}) {
    EXPECT_EQ(state(name), "unknown") << name;
  }
  EXPECT_EQ(databases.warnings.size(), 3);
}

/// Any bytes: an error or an answer.
TEST_F(PackagesTest, Noise) {
  file("/bin/x");
  use("/bin/x");
  deb("one", {"/bin/x", "/usr/bin/y"}, "Depends: two | three\nConffiles:\n /etc/x abc\n");
  std::mt19937 random(7);  // NOLINT: the same each time
  const std::vector<std::pair<std::string, std::string>> files = {
      {"/var/lib/dpkg/status", status},
      {"/var/lib/dpkg/info/one.list", "/.\n/bin\n/bin/x\n"},
      {"/var/lib/dpkg/info/one.postinst", "cp /etc/x $ROOT/etc/y//z/../q.\n"},
      {"/var/lib/dpkg/diversions", "/bin/x\n/bin/x.old\none\n"},
      {"/var/lib/dpkg/status.d/two", status},
      {"/var/lib/dpkg/status.d/two.md5sums", std::string(32, 'a') + "  bin/x\n"},
      {"/lib/apk/db/installed", std::string(kApk)},
      {"/etc/os-release", "ID=\"debian\"\n"}};
  status.clear();
  report = draft.report();
  side = *choose_container(report.contents, "");
  for (int round = 0; round < 100; round++) {
    for (const auto& [path, good] : files) {
      std::string bytes = good;
      for (size_t changes = random() % 4; changes > 0 && !bytes.empty(); changes--) {
        const size_t at = random() % bytes.size();
        switch (random() % 4) {
          case 0:
            bytes[at] = static_cast<char>(random());
            break;
          case 1:
            bytes.resize(at);
            break;
          case 2:
            bytes.insert(at, 1 + random() % 5000, "/\n\0.x:|, "[random() % 9]);
            break;
          default:
            bytes.erase(at, 1 + random() % 8);
        }
      }
      file(path, bytes);
    }
    Result<ImageRoot> opened = ImageRoot::open(dir.path());
    const Result<Databases> found = read_databases(*opened);
    if (!found) {
      continue;
    }
    databases = *found;
    Ownership ownership(*opened, databases);
    attribution = attribute(report.contents.header, side, databases, ownership);
    EXPECT_EQ(attribution.packages.size(), databases.packages.size());
    EXPECT_FALSE(rapidjson::Document().Parse(printed(true, true).c_str()).HasParseError());
    EXPECT_THAT(printed(false, true), Not(testing::ContainsRegex("[\x01-\x09\x0b-\x1f]")));
  }
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
