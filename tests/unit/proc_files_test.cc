// SPDX-License-Identifier: Apache-2.0
#include "container/proc_files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/unique_fd.h"
#include "temp_dir.h"

namespace snoop {
namespace {

using testing::Contains;
using testing::Each;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

TEST(BelowRoot, TakesTheRootOff) {
  EXPECT_EQ(below_root("/usr/bin/env", "/"), "/usr/bin/env");
  EXPECT_EQ(below_root("/srv/web/usr/bin/env", "/srv/web"), "/usr/bin/env");
  EXPECT_EQ(below_root("/srv/web", "/srv/web"), "/");
  EXPECT_EQ(below_root("/srv/website/a", "/srv/web"), "/srv/website/a");
  EXPECT_EQ(below_root("/etc/hosts", "/srv/web"), "/etc/hosts");
  EXPECT_EQ(below_root("/a", ""), "/a");
}

TEST(FilesInUse, OfThisProcess) {
  const TempDir dir;
  const std::string open = std::filesystem::path(dir / "open").lexically_normal();
  const std::string mapped = dir / "map ped\n\\";
  const std::string removed = dir / "removed";
  const std::string odd = dir / "odd (deleted)";
  for (const std::string& name : {open, mapped, removed, odd}) {
    std::ofstream(name) << "content";
  }
  const UniqueFd file(::open(open.c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd removed_file(::open(removed.c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd odd_file(::open(odd.c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd directory(::open(dir.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const UniqueFd device(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const UniqueFd memory(::memfd_create("snoop", MFD_CLOEXEC));
  ::unlink(removed.c_str());
  UniqueFd to_map(::open(mapped.c_str(), O_RDONLY | O_CLOEXEC));
  void* address = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, to_map.get(), 0);
  ASSERT_NE(address, MAP_FAILED);
  to_map.reset();

  const std::vector<std::string> files = files_in_use(::getpid());
  ::munmap(address, 4096);
  EXPECT_THAT(files, Each(StartsWith("/")));
  EXPECT_THAT(files, Contains(open));
  EXPECT_THAT(files, Contains(mapped));
  EXPECT_THAT(files, Contains(removed));
  EXPECT_THAT(files, Contains(odd));
  EXPECT_THAT(files, Contains(dir.path()));
  EXPECT_THAT(files, Contains(std::filesystem::read_symlink("/proc/self/exe").string()));
  EXPECT_THAT(files, Not(Contains("/dev/null")));
  EXPECT_THAT(files, Not(Contains(StartsWith("/memfd:"))));
}

TEST(FilesInUse, OfNobody) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  EXPECT_THAT(files_in_use(child), IsEmpty());
}

}  // namespace
}  // namespace snoop
