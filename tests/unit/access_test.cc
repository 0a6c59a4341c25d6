// SPDX-License-Identifier: Apache-2.0
#include "pipeline/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "record_builder.h"
#include "seen.h"

namespace snoop {
namespace {

using namespace std::string_literals;
using testing::ElementsAre;
using testing::IsEmpty;

std::optional<Access> access_of(const RecordBuilder& builder) {
  const auto bytes = builder.bytes();
  const std::optional<Record> record = decode(bytes);
  EXPECT_TRUE(record);
  return record ? to_access(*record) : std::nullopt;
}

TEST(Access, HasAnAbsolutePath) {
  constexpr int kRelative = SNOOP_FLAG_RELATIVE;
  constexpr int kInRoot = SNOOP_FLAG_RELATIVE | SNOOP_FLAG_IN_ROOT;
  constexpr int kFromResult = SNOOP_FLAG_RELATIVE | SNOOP_FLAG_BASE_IS_RESULT;
  struct Row {
    const char* what;
    int flags;
    std::string path;
    std::string base;
    std::string expected;
    bool base_unknown = false;
  };
  for (const Row& row : {
           Row{"absolute", 0, "/etc/passwd", "", "/etc/passwd"},
           Row{"absolute, not normal", 0, "//etc/./x/../passwd/", "", "/etc/passwd"},
           Row{"absolute, a base that does not count", 0, "/etc/passwd", "/srv", "/etc/passwd"},
           Row{"relative", kRelative, "a/b", "/srv/app", "/srv/app/a/b"},
           Row{"relative to the root", kRelative, "a", "", "/a"},
           Row{"relative, upward", kRelative, "../x", "/srv/app", "/srv/x"},
           Row{"relative, above the root", kRelative, "../../../x", "/srv", "/x"},
           Row{"relative, the directory itself", kRelative, ".", "/srv", "/srv"},
           Row{"relative, empty", kRelative, "", "/srv", "/srv"},
           Row{"relative, above the task's root", kRelative | SNOOP_FLAG_BASE_ABOVE_ROOT, "x", "/srv", "/srv/x"},
           Row{"in root, absolute", kInRoot, "/etc/passwd", "/srv", "/srv/etc/passwd"},
           Row{"in root, relative", kInRoot, "etc/passwd", "/srv", "/srv/etc/passwd"},
           Row{"in root, upward", kInRoot, "/../../etc", "/srv", "/srv/etc"},
           Row{"in root, relative upward", kInRoot, "a/../../b", "/srv", "/srv/b"},
           Row{"in root, the root", kInRoot, "/", "/srv", "/srv"},
           Row{"chdir, parent", kFromResult, "..", "/srv", "/srv"},
           Row{"chdir, child", kFromResult, "app", "/srv/app", "/srv/app"},
           Row{"chdir, by a link", kFromResult, "link", "/real", "/real", true},
           Row{"chdir, sideways", kFromResult, "../app", "/srv/app", "/srv/app", true},
           Row{"bytes", kRelative, "\xFF\n\"", "/d\xC3", "/d\xC3/\xFF\n\""},
           Row{"long", 0, "/" + std::string(4094, 'x'), "", "/" + std::string(4094, 'x')},
       }) {
    RecordBuilder builder;
    builder.event.flags = static_cast<__u16>(row.flags);
    builder.path = row.path;
    builder.base = names_of(row.base);
    const std::optional<Access> access = access_of(builder);
    ASSERT_TRUE(access) << row.what;
    EXPECT_EQ(access->path, row.expected) << row.what;
    EXPECT_EQ(access->base_unknown, row.base_unknown) << row.what;
    EXPECT_EQ(access->resolved, "") << row.what;
  }
}

TEST(Access, CarriesWhatTheRecordSays) {
  RecordBuilder builder;
  builder.path = "/lib/libc.so";
  builder.resolved = names_of("/usr/lib/libc.so.6");
  builder.event.seen = seen(SNOOP_KIND_READ) | seen(SNOOP_KIND_STAT, SNOOP_OUTCOME_MISSING);
  builder.event.result = -2;
  builder.event.pid = 10;
  builder.event.tid = 11;
  builder.event.target = 12;
  builder.event.cgroup_id = 13;
  timespec boot = {};
  ::clock_gettime(CLOCK_BOOTTIME, &boot);
  builder.event.time_ns = static_cast<__u64>(boot.tv_sec) * 1'000'000'000 + static_cast<__u64>(boot.tv_nsec);
  const std::optional<Access> access = access_of(builder);
  ASSERT_TRUE(access);
  EXPECT_EQ(access->path, "/lib/libc.so");
  EXPECT_EQ(access->resolved, "/usr/lib/libc.so.6");
  EXPECT_EQ(access->seen, builder.event.seen);
  EXPECT_EQ(access->result, -2);
  EXPECT_EQ(access->pid, 10);
  EXPECT_EQ(access->tid, 11);
  EXPECT_EQ(access->target, 12U);
  EXPECT_EQ(access->cgroup_id, 13U);
  EXPECT_NEAR(static_cast<double>(access->time), static_cast<double>(wall_now()), 1e9);
}

TEST(Access, WithoutAPathIsOfTheFileItself) {
  RecordBuilder builder;
  builder.resolved = names_of("/usr/bin/prog");
  const std::optional<Access> access = access_of(builder);
  ASSERT_TRUE(access);
  EXPECT_EQ(access->path, "/usr/bin/prog");
}

TEST(Access, OfNothingThatHasANameIsNone) {
  RecordBuilder builder;
  builder.event.flags = SNOOP_FLAG_NAMELESS;
  EXPECT_FALSE(access_of(builder));
  builder.event.type = SNOOP_EVENT_ELF_INTERPRETER;
  builder.event.flags = SNOOP_FLAG_RELATIVE | SNOOP_FLAG_NAMELESS;
  builder.base = names_of("/bin/prog");
  EXPECT_FALSE(access_of(builder));
}

TEST(Access, NamelessFileWithAPathKeepsItsPath) {
  RecordBuilder builder;
  builder.event.flags = SNOOP_FLAG_NAMELESS;
  builder.path = "/proc/self/fd/3";
  const std::optional<Access> access = access_of(builder);
  ASSERT_TRUE(access);
  EXPECT_EQ(access->path, "/proc/self/fd/3");
}

TEST(Access, SurvivesAnyDecodableRecord) {
  std::mt19937 random(7);
  const std::vector<std::string> paths = {"", "/", "..", "a/../..", "/a/b", "\xFF", ".", "//"};
  const std::vector<std::string> places = {"", "a\0"s, "b\0a\0"s, "..\0a\0"s, ".\0"s};
  for (int round = 0; round < 20'000; round++) {
    RecordBuilder builder;
    builder.event.type = static_cast<__u16>(1 + random() % 3);
    builder.event.flags = static_cast<__u16>(random());
    builder.event.seen = (uint64_t{random()} << 32) | random();
    builder.event.time_ns = uint64_t{random()} << 31;
    builder.event.result = static_cast<__s32>(random());
    builder.event.pid = static_cast<__u32>(random() >> 1);
    builder.path = paths[random() % paths.size()];
    builder.base = places[random() % places.size()];
    builder.resolved = places[random() % places.size()];
    const std::optional<Access> access = access_of(builder);
    if (access) {
      ASSERT_TRUE(access->path.starts_with('/')) << access->path;
      ASSERT_TRUE(access->resolved.empty() || access->resolved.starts_with('/')) << access->resolved;
    }
  }
}

TEST(Access, LoaderHasItsUsualName) {
  struct Row {
    const char* file;
    const char* expected;
  };
  for (const Row& row : {
           Row{"/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2"},
           Row{"/usr/lib/i386-linux-gnu/ld-linux.so.2", "/lib/ld-linux.so.2"},
           Row{"/usr/lib/ld-linux-aarch64.so.1", "/lib/ld-linux-aarch64.so.1"},
           Row{"/usr/lib/ld-linux-armhf.so.3", "/lib/ld-linux-armhf.so.3"},
           Row{"/usr/lib/ld-musl-x86_64.so.1", "/lib/ld-musl-x86_64.so.1"},
           Row{"/opt/ld-other.so.1", "/opt/ld-other.so.1"},
           Row{"/ld-musl-", "/ld-musl-"},
       }) {
    RecordBuilder builder;
    builder.event.type = SNOOP_EVENT_ELF_INTERPRETER;
    builder.event.flags = SNOOP_FLAG_RELATIVE;
    builder.event.target = 99;
    builder.base = names_of("/bin/gone");
    builder.resolved = names_of(row.file);
    const std::optional<Access> access = access_of(builder);
    ASSERT_TRUE(access) << row.file;
    EXPECT_EQ(access->path, row.expected);
    EXPECT_EQ(access->resolved, row.file);
  }
}

TEST(Access, Origin) {
  struct Row {
    const char* what;
    uint32_t magic;
    uint8_t layer;
    std::string resolved;
    uint16_t mount_at;
    FileOrigin expected;
    std::string mount = {};
  };
  constexpr uint32_t kOverlay = 0x794c7630;
  constexpr uint32_t kExt4 = 0xef53;
  constexpr uint32_t kProc = 0x9fa0;
  for (const Row& row : {
           Row{"not told", 0, SNOOP_LAYER_UNKNOWN, "/a", 2, FileOrigin::kUnknown},
           Row{"lower layer", kOverlay, SNOOP_LAYER_LOWER, "/a", 2, FileOrigin::kImage},
           Row{"changed", kOverlay, SNOOP_LAYER_COPIED, "/a", 2, FileOrigin::kImage},
           Row{"upper layer", kOverlay, SNOOP_LAYER_UPPER, "/a", 2, FileOrigin::kWritten},
           Row{"no overlay", kExt4, SNOOP_LAYER_PLAIN, "/a", 2, FileOrigin::kUnknown},
           Row{"volume", kExt4, SNOOP_LAYER_PLAIN, "/data/x/a", 4, FileOrigin::kVolume, "/data"},
           Row{"overlay as a volume", kOverlay, SNOOP_LAYER_LOWER, "/data/a", 2, FileOrigin::kVolume, "/data"},
           Row{"a file mounted alone", kExt4, SNOOP_LAYER_PLAIN, "/etc/hosts", 0, FileOrigin::kVolume, "/etc/hosts"},
           Row{"made up", kProc, SNOOP_LAYER_PLAIN, "/proc/1/stat", 7, FileOrigin::kPseudo, "/proc"},
       }) {
    RecordBuilder builder;
    builder.path = "/a";
    builder.event.fs_magic = row.magic;
    builder.event.layer = row.layer;
    builder.event.mount_at = row.mount_at;
    builder.resolved = names_of(row.resolved);
    const std::optional<Access> access = access_of(builder);
    ASSERT_TRUE(access) << row.what;
    EXPECT_EQ(access->origin, row.expected) << row.what;
    EXPECT_EQ(access->mount, row.mount) << row.what;
  }
}

TEST(Kinds, AreTakenByOutcome) {
  const uint64_t mask = seen(SNOOP_KIND_READ) | seen(SNOOP_KIND_STAT, SNOOP_OUTCOME_MISSING) |
                        seen(SNOOP_KIND_WRITE, SNOOP_OUTCOME_REFUSED) | seen(SNOOP_KIND_CHANGE, SNOOP_OUTCOME_OTHER);
  EXPECT_EQ(kinds_with(mask, SNOOP_OUTCOME_OK), 1U << SNOOP_KIND_READ);
  EXPECT_EQ(kinds_with(mask, SNOOP_OUTCOME_MISSING), 1U << SNOOP_KIND_STAT);
  EXPECT_EQ(kinds_with(mask, SNOOP_OUTCOME_REFUSED), 1U << SNOOP_KIND_WRITE);
  EXPECT_EQ(kinds_with(mask, SNOOP_OUTCOME_OTHER), 1U << SNOOP_KIND_CHANGE);
}

TEST(Kinds, AllFitIntoTheirPlace) { EXPECT_LE(int{SNOOP_KIND_COUNT}, 16) << "an outcome has 16 bits"; }

TEST(Kinds, HaveNames) {
  EXPECT_THAT(kind_names(0), IsEmpty());
  EXPECT_THAT(kind_names(0xFFFF), ElementsAre("open", "exec", "interpreter", "stat", "access", "readlink", "change",
                                              "connect", "baseline", "symlink"));
  EXPECT_THAT(kind_names((1 << SNOOP_KIND_READ) | (1 << SNOOP_KIND_WRITE)), ElementsAre("open"));
  EXPECT_THAT(kind_names(1 << SNOOP_KIND_PATH), ElementsAre("open"));
  EXPECT_THAT(kind_names(1 << SNOOP_KIND_CHANGE), ElementsAre("change"));
  EXPECT_THAT(open_mode_names(0xFFFF), ElementsAre("read", "write", "create", "directory", "path"));
  EXPECT_THAT(open_mode_names(1 << SNOOP_KIND_STAT), IsEmpty());
  EXPECT_THAT(open_mode_names((1 << SNOOP_KIND_DIRECTORY) | (1 << SNOOP_KIND_EXEC)), ElementsAre("directory"));
}

TEST(Kinds, HaveOneNameEach) {
  for (int kind = 0; kind < SNOOP_KIND_COUNT; kind++) {
    EXPECT_EQ(kind_names(static_cast<uint16_t>(1 << kind)).size(), 1U) << kind;
  }
}

}  // namespace
}  // namespace snoop
