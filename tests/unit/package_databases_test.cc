// SPDX-License-Identifier: Apache-2.0
// Package databases of all kinds, sound and damaged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidjson/document.h>
#include <unistd.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "packages_fixture.h"

namespace snoop {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
namespace fs = std::filesystem;

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

/// dpkg-divert --no-rename: what was there stays, a copy of it is where it should be, and whoever diverts has nothing
/// there.
TEST_F(PackagesTest, DivertedAndNotMoved) {
  file("/bin/tool");
  file("/bin/tool.real");
  file("/var/lib/dpkg/diversions", "/bin/tool\n/bin/tool.real\nwrapper\n");
  deb("tool", {"/bin/tool"});
  deb("wrapper", {"/bin/other"});
  use("/bin/tool");
  attribute_all();
  EXPECT_EQ(state("tool"), "used");
  EXPECT_EQ(state("wrapper"), "used") << "a script of it may have made what is there";
}

TEST_F(PackagesTest, DiversionsThatWereCutOff) {
  file("/bin/sh");
  file("/var/lib/dpkg/diversions", "/bin/sh\n/bin/sh.distrib\nda");
  deb("dash", {"/bin/sh"});
  use("/bin/sh");
  attribute_all();
  EXPECT_THAT(attribution.caveats, Contains(HasSubstr("diversions was cut off")));
}

TEST_F(PackagesTest, ParagraphWithoutTheEmptyLineBeforeIt) {
  file("/bin/one");
  file("/bin/two");
  deb("one", {"/bin/one"});
  status.pop_back();  // the empty line
  deb("two", {"/bin/two"});
  use("/bin/one");
  use("/bin/two");
  attribute_all();
  EXPECT_EQ(state("one"), "used");
  EXPECT_EQ(state("two"), "used");
  EXPECT_THAT(attribution.caveats, Contains(HasSubstr("status makes no sense")));
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

TEST_F(PackagesTest, PartThatMayNotBeLookedAt) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root, to be somebody else";
  }
  fs::permissions(dir.path(), fs::perms::all);
  file("/bin/one");
  file("/secret/two");
  deb("one", {"/bin/one"});
  deb("two", {"/secret", "/secret/two"});
  use("/bin/one");
  write_status();
  fs::permissions(dir.path() + "/secret", fs::perms::none);
  ASSERT_EQ(::seteuid(65534), 0);
  attribute_all();
  ASSERT_EQ(::seteuid(0), 0);
  EXPECT_THAT(attribution.caveats, Contains(HasSubstr("/secret/two and perhaps more may not be looked at")));
  fs::permissions(dir.path() + "/secret", fs::perms::all);
}

TEST_F(PackagesTest, LinesThatEndWithACarriageReturn) {
  file("/usr/bin/one");
  file("/usr/bin/two");
  deb("one", {"/usr/bin/one\r", "/usr/bin/two"});
  use("/usr/bin/one");
  attribute_all();
  EXPECT_EQ(state("one"), "unknown");
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

}  // namespace
}  // namespace snoop
