// SPDX-License-Identifier: Apache-2.0
#include "pipeline/resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "elf_builder.h"
#include "private_mounts.h"
#include "record_builder.h"
#include "temp_dir.h"

namespace snoop {
namespace {

using namespace std::string_literals;
using testing::ElementsAre;
using testing::IsEmpty;

/// The number of the only root that there is.
constexpr uint64_t kRoot = 7;

/// A tree of its own as the root: the process is in a chroot, seen by its /proc/PID/root.
class ResolverTest : public testing::Test {
 protected:
  std::optional<Resolver::Resolved> resolve(RecordBuilder builder) {
    if (builder.event.seen == 0) {
      builder.event.seen = 1ULL << SNOOP_KIND_STAT;
    }
    bytes_ = builder.bytes();
    return resolver.resolve(*decode(bytes_), [](std::string_view path) { return !path.starts_with("/proc/"); });
  }
  RecordBuilder asked(const std::string& path) {
    RecordBuilder builder;
    builder.event.root = kRoot;
    builder.event.pid = static_cast<uint32_t>(::getpid());
    builder.path = path;
    return builder;
  }
  static std::vector<std::string> links_of(const Resolver::Resolved& resolved) {
    std::vector<std::string> links;
    for (const Access& link : resolved.links) {
      links.push_back(link.path + " -> " + link.resolved);
      EXPECT_EQ(kind_names(kinds_with(link.seen, SNOOP_OUTCOME_OK)), std::vector<std::string_view>{"symlink"});
    }
    return links;
  }

  TempDir dir;
  std::vector<std::byte> bytes_;
  Resolver resolver{[](int) { return Roots::Described{kRoot, 0}; }, true, true};
};

TEST_F(ResolverTest, LinksOnTheWayAndTheTruthOfDotDot) {
  const std::string top = dir.path();
  std::filesystem::create_directories(top + "/x/y");
  std::filesystem::create_directories(top + "/a");
  write_file(top + "/x/b", "");
  std::filesystem::create_directory_symlink("../x/y", top + "/a/link");
  const auto resolved = resolve(asked(top + "/a/link/../b"));
  ASSERT_TRUE(resolved);
  EXPECT_EQ(resolved->access.path, top + "/x/b") << "not " << top << "/a/b";
  EXPECT_THAT(links_of(*resolved), ElementsAre(top + "/a/link -> " + top + "/x/y"));
  EXPECT_FALSE(resolved->no_root);
}

TEST_F(ResolverTest, TheLastLinkOnlyWhereItIsFollowed) {
  const std::string top = dir.path();
  write_file(top + "/file", "");
  std::filesystem::create_symlink("file", top + "/link");
  RecordBuilder builder = asked(top + "/link");
  const auto followed = resolve(builder);
  EXPECT_EQ(followed->access.resolved, top + "/file");
  EXPECT_THAT(links_of(*followed), ElementsAre(top + "/link -> " + top + "/file"));
  builder.event.flags = SNOOP_FLAG_NOFOLLOW;
  EXPECT_THAT(links_of(*resolve(builder)), IsEmpty());
}

TEST_F(ResolverTest, NothingToLookUpWhereTheKernelSaysTheSame) {
  RecordBuilder builder = asked("/nowhere/at/all");
  builder.resolved = names_of("/nowhere/at/all");
  builder.event.root = 8;  // would be missed
  EXPECT_FALSE(resolve(builder)->no_root);
  builder.path = "/proc/self/exe";
  EXPECT_FALSE(resolve(builder)->no_root) << "left out of the report, so of no interest";
}

TEST_F(ResolverTest, WithoutARootWhatTheKernelOpenedCounts) {
  Resolver nothing{[](int) { return Roots::Described{}; }, true, true};
  RecordBuilder builder = asked("/a/link/../b");
  builder.event.seen = 1ULL << SNOOP_KIND_READ;
  builder.resolved = names_of("/x/b");
  bytes_ = builder.bytes();
  const auto resolved = nothing.resolve(*decode(bytes_), [](std::string_view) { return true; });
  EXPECT_TRUE(resolved->no_root);
  EXPECT_EQ(resolved->access.path, "/x/b");
  EXPECT_FALSE(nothing.no_root_reason().empty());
}

TEST_F(ResolverTest, LoaderHasTheNameThatTheProgramAsksFor) {
  const std::string top = dir.path();
  write_file(top + "/prog", elf_with_interpreter(top + "/./ld-test.so.2\0"s));
  write_file(top + "/relative", elf_with_interpreter("ld-test.so\0"s));
  write_file(top + "/nameless", elf_with_interpreter("\0\0"s));
  write_file(top + "/script", "#!/bin/sh\n");
  ::mkfifo((top + "/fifo").c_str(), 0600);
  const auto loader = [&](const std::string& executable) {
    RecordBuilder builder;
    builder.event.type = SNOOP_EVENT_ELF_INTERPRETER;
    builder.event.flags = SNOOP_FLAG_RELATIVE;
    builder.event.root = kRoot;
    builder.event.pid = static_cast<uint32_t>(::getpid());
    builder.event.seen = 1ULL << SNOOP_KIND_INTERPRETER;
    builder.base = names_of(executable);
    builder.resolved = names_of("/usr/lib/ld-real.so");
    return resolve(builder)->access.path;
  };
  EXPECT_EQ(loader(top + "/prog"), top + "/ld-test.so.2");
  for (const char* other : {"/relative", "/nameless", "/script", "/fifo", "", "/gone"}) {
    EXPECT_EQ(loader(top + other), "/usr/lib/ld-real.so") << other;
  }
}

TEST_F(ResolverTest, TheRootOfAProcessIsHeldOnceSeen) {
  RecordBuilder builder = asked("/etc/../etc/passwd");
  EXPECT_FALSE(resolve(builder)->no_root);
  builder.event.pid = 0x7FFFFFFF;
  EXPECT_FALSE(resolve(builder)->no_root) << "the next process may be gone already";
}

}  // namespace
}  // namespace snoop
