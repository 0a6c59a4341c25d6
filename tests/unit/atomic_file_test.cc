// SPDX-License-Identifier: Apache-2.0
#include "output/atomic_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/unique_fd.h"
#include "private_mounts.h"
#include "temp_dir.h"

namespace snoop {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::function<void(std::FILE*)> text(const std::string& content) {
  return [content](std::FILE* stream) { static_cast<void>(std::fwrite(content.data(), 1, content.size(), stream)); };
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

size_t open_files() { return names_in("/proc/self/fd").size(); }

/// Expects that writing fails so, with a hint, and leaves the old file alone.
void expect_failure(const std::string& path, int code) {
  const Result<void> written = write_atomically(path, text("new"));
  ASSERT_FALSE(written) << path;
  EXPECT_EQ(written.error().code, code) << written.error().message();
  EXPECT_THAT(written.error().message(), HasSubstr(path));
  EXPECT_NE(written.error().hint, "") << written.error().message();
}

TEST(AtomicFile, MakesAFile) {
  const TempDir dir;
  ASSERT_TRUE(write_atomically(dir / "report.json", text("content")));
  EXPECT_EQ(read_file(dir / "report.json"), "content");
  EXPECT_THAT(names_in(dir.path()), ElementsAre("report.json"));
}

TEST(AtomicFile, ReplacesAFile) {
  const TempDir dir;
  write_file(dir / "report.json", "a much longer old content");
  ASSERT_TRUE(write_atomically(dir / "report.json", text("new")));
  EXPECT_EQ(read_file(dir / "report.json"), "new");
  ASSERT_TRUE(write_atomically(dir / "report.json", text("")));
  EXPECT_EQ(read_file(dir / "report.json"), "");
  EXPECT_THAT(names_in(dir.path()), ElementsAre("report.json"));
}

TEST(AtomicFile, ReadersKeepWhatTheyOpened) {
  const TempDir dir;
  write_file(dir / "report.json", "old");
  const UniqueFd reader(::open((dir / "report.json").c_str(), O_RDONLY | O_CLOEXEC));
  std::string during;
  ASSERT_TRUE(write_atomically(dir / "report.json", [&](std::FILE* stream) {
    std::fputs("new", stream);
    std::fflush(stream);
    during = read_file(dir / "report.json");
  }));
  EXPECT_EQ(during, "old");
  char buffer[8] = {};
  EXPECT_EQ(::read(reader.get(), buffer, sizeof(buffer)), 3);
  EXPECT_STREQ(buffer, "old");
}

TEST(AtomicFile, WritesMuch) {
  const TempDir dir;
  const std::string content(10UL << 20, 'x');
  ASSERT_TRUE(write_atomically(dir / "report.json", text(content)));
  EXPECT_EQ(read_file(dir / "report.json"), content);
}

TEST(AtomicFile, IsReadableByOthers) {
  const TempDir dir;
  const mode_t former = ::umask(022);
  ASSERT_TRUE(write_atomically(dir / "report.json", text("x")));
  ::umask(former);
  struct stat info = {};
  ASSERT_EQ(::stat((dir / "report.json").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0644U);
}

TEST(AtomicFile, TakesRelativePaths) {
  const TempDir dir;
  const fs::path former = fs::current_path();
  fs::current_path(dir.path());
  fs::create_directory("sub");
  EXPECT_TRUE(write_atomically("report.json", text("here")));
  EXPECT_TRUE(write_atomically("./sub/../sub/report.json", text("below")));
  fs::current_path(former);
  EXPECT_EQ(read_file(dir / "report.json"), "here");
  EXPECT_EQ(read_file(dir / "sub/report.json"), "below");
}

TEST(AtomicFile, ReplacesASymbolicLink) {
  const TempDir dir;
  write_file(dir / "victim", "untouched");
  fs::create_symlink("victim", dir / "report.json");
  ASSERT_TRUE(write_atomically(dir / "report.json", text("new")));
  EXPECT_FALSE(fs::is_symlink(dir / "report.json"));
  EXPECT_EQ(read_file(dir / "report.json"), "new");
  EXPECT_EQ(read_file(dir / "victim"), "untouched");
  fs::create_symlink("nowhere", dir / "dangling");
  ASSERT_TRUE(write_atomically(dir / "dangling", text("new")));
  EXPECT_EQ(read_file(dir / "dangling"), "new");
}

TEST(AtomicFile, FollowsALinkOnTheWay) {
  const TempDir dir;
  fs::create_directory(dir / "real");
  fs::create_directory_symlink("real", dir / "link");
  ASSERT_TRUE(write_atomically(dir / "link/report.json", text("new")));
  EXPECT_EQ(read_file(dir / "real/report.json"), "new");
}

TEST(AtomicFile, TakesOverFromACrash) {
  const TempDir dir;
  write_file(dir / "report.json", "old");
  write_file(dir / ".report.json.tmp", "half of a rep");
  ASSERT_TRUE(write_atomically(dir / "report.json", text("new")));
  EXPECT_EQ(read_file(dir / "report.json"), "new");
  EXPECT_THAT(names_in(dir.path()), ElementsAre("report.json"));
}

TEST(AtomicFile, DoesNotWriteThroughALinkInItsWay) {
  const TempDir dir;
  write_file(dir / "victim", "untouched");
  fs::create_symlink("victim", dir / ".report.json.tmp");
  fs::create_hard_link(dir / "victim", dir / "hard");
  ASSERT_TRUE(write_atomically(dir / "report.json", text("new")));
  EXPECT_EQ(read_file(dir / "victim"), "untouched");
  EXPECT_EQ(read_file(dir / "report.json"), "new");
}

TEST(AtomicFile, WritesWhateverStandsInItsWay) {
  const TempDir dir;
  fs::create_directories(dir / ".report.json.tmp/full");
  ASSERT_TRUE(write_atomically(dir / "report.json", text("new")));
  EXPECT_EQ(read_file(dir / "report.json"), "new");
  EXPECT_THAT(names_in(dir.path()), ElementsAre(".report.json.tmp", "report.json"));
}

TEST(AtomicFile, LeavesAHardLinkToTheReportAlone) {
  const TempDir dir;
  write_file(dir / "victim", "untouched");
  fs::create_hard_link(dir / "victim", dir / "report.json");
  fs::create_hard_link(dir / "victim", dir / ".report.json.tmp");
  ASSERT_TRUE(write_atomically(dir / "report.json", text("new")));
  EXPECT_EQ(read_file(dir / "victim"), "untouched");
  EXPECT_EQ(read_file(dir / "report.json"), "new");
  EXPECT_EQ(fs::hard_link_count(dir / "victim"), 1U);
}

TEST(AtomicFile, SaysThatTheDirectoryIsMissing) {
  const TempDir dir;
  expect_failure(dir / "missing/report.json", ENOENT);
  EXPECT_THAT(names_in(dir.path()), IsEmpty());
  const Result<void> written = write_atomically(dir / "missing/report.json", text("x"));
  EXPECT_THAT(written.error().hint, HasSubstr(dir / "missing"));
}

TEST(AtomicFile, RefusesADirectory) {
  const TempDir dir;
  fs::create_directory(dir / "report");
  expect_failure(dir / "report", EISDIR);
  expect_failure(dir / "report/", EISDIR);
  expect_failure("/", EISDIR);
  EXPECT_THAT(names_in(dir.path()), ElementsAre("report"));
  EXPECT_THAT(names_in(dir / "report"), IsEmpty());
}

TEST(AtomicFile, RefusesAFileAsDirectory) {
  const TempDir dir;
  write_file(dir / "file", "untouched");
  expect_failure(dir / "file/report.json", ENOTDIR);
  EXPECT_EQ(read_file(dir / "file"), "untouched");
}

TEST(AtomicFile, RefusesANameThatIsTooLong) {
  const TempDir dir;
  expect_failure(dir / std::string(300, 'n'), ENAMETOOLONG);
  EXPECT_THAT(names_in(dir.path()), IsEmpty());
}

TEST(AtomicFile, KeepsWhatIsNoRegularFile) {
  const TempDir dir;
  ASSERT_EQ(::mkfifo((dir / "fifo").c_str(), 0600), 0);
  fs::create_symlink("fifo", dir / "link");
  for (const char* name : {"fifo", "link"}) {
    const Result<void> written = write_atomically(dir / name, text("new"));
    ASSERT_FALSE(written) << name;
    EXPECT_NE(written.error().hint, "");
  }
  EXPECT_TRUE(fs::is_fifo(fs::symlink_status(dir / "fifo")));
  EXPECT_TRUE(fs::is_symlink(dir / "link"));
  EXPECT_THAT(names_in(dir.path()), ElementsAre("fifo", "link"));
}

TEST(AtomicFile, KeepsADevice) {
  // As --report /dev/null by root would meet it.
  const TempDir dir;
  if (::mknod((dir / "null").c_str(), S_IFCHR | 0600, ::makedev(1, 3)) != 0) {
    GTEST_SKIP() << "cannot make a device here: " << std::strerror(errno);
  }
  EXPECT_FALSE(write_atomically(dir / "null", text("new")));
  EXPECT_TRUE(fs::is_character_file(fs::symlink_status(dir / "null")));
  EXPECT_THAT(names_in(dir.path()), ElementsAre("null"));
}

TEST(AtomicFile, LeavesNoDescriptorOpen) {
  const TempDir dir;
  const size_t before = open_files();
  EXPECT_TRUE(write_atomically(dir / "report.json", text("x")));
  EXPECT_FALSE(write_atomically(dir / "missing/report.json", text("x")));
  EXPECT_FALSE(write_atomically(dir / std::string(300, 'n'), text("x")));
  EXPECT_EQ(open_files(), before);
}

TEST(AtomicFile, KeepsTheOldFileWhenTheDiskIsFull) {
  const TempDir dir;
  const std::string wrong = in_private_mounts([&]() -> std::string {
    if (::mount("tmpfs", dir.path().c_str(), "tmpfs", 0, "size=64k") != 0) {
      return std::string("skip: no tmpfs: ") + std::strerror(errno);
    }
    write_file(dir / "report.json", "old");
    for (const size_t size : {100'000UL, 10'000'000UL}) {
      const Result<void> written = write_atomically(dir / "report.json", text(std::string(size, 'x')));
      if (written) {
        return "it was written";
      }
      if (written.error().code != ENOSPC || written.error().hint.empty()) {
        return written.error().message() + ", hint: " + written.error().hint;
      }
      if (read_file(dir / "report.json") != "old" || names_in(dir.path()).size() != 1) {
        return "the old file is not whole, or something is left";
      }
    }
    const Result<void> again = write_atomically(dir / "report.json", text("small enough"));
    return again ? read_file(dir / "report.json") == "small enough" ? "" : "not the new one" : again.error().message();
  });
  if (wrong.starts_with("skip")) {
    GTEST_SKIP() << wrong;
  }
  EXPECT_EQ(wrong, "");
}

TEST(AtomicFile, KeepsTheOldFileWhenThereIsNoInodeLeft) {
  const TempDir dir;
  const std::string wrong = in_private_mounts([&]() -> std::string {
    if (::mount("tmpfs", dir.path().c_str(), "tmpfs", 0, "nr_inodes=2") != 0) {
      return std::string("skip: no tmpfs: ") + std::strerror(errno);
    }
    write_file(dir / "report.json", "old");
    const Result<void> written = write_atomically(dir / "report.json", text("new"));
    if (written || written.error().code != ENOSPC || written.error().hint.empty()) {
      return written ? "it was written" : written.error().message();
    }
    return read_file(dir / "report.json") == "old" ? "" : "the old file is not whole";
  });
  if (wrong.starts_with("skip")) {
    GTEST_SKIP() << wrong;
  }
  EXPECT_EQ(wrong, "");
}

TEST(AtomicFile, SaysThatTheFileSystemIsReadOnly) {
  const TempDir dir;
  const std::string wrong = in_private_mounts([&]() -> std::string {
    if (::mount("tmpfs", dir.path().c_str(), "tmpfs", 0, "") != 0) {
      return std::string("skip: no tmpfs: ") + std::strerror(errno);
    }
    write_file(dir / "report.json", "old");
    if (::mount(nullptr, dir.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
      return std::string("skip: no read-only tmpfs: ") + std::strerror(errno);
    }
    const Result<void> written = write_atomically(dir / "report.json", text("new"));
    if (written || written.error().code != EROFS || written.error().hint.empty()) {
      return written ? "it was written" : written.error().message();
    }
    return read_file(dir / "report.json") == "old" ? "" : "the old file is not whole";
  });
  if (wrong.starts_with("skip")) {
    GTEST_SKIP() << wrong;
  }
  EXPECT_EQ(wrong, "");
}

TEST(AtomicFile, SaysThatTheDirectoryIsNotOurs) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root can become another user";
  }
  const TempDir dir;
  write_file(dir / "report.json", "old");
  fs::permissions(dir.path(), fs::perms(0755));
  ASSERT_EQ(::seteuid(65534), 0);
  const Result<void> written = write_atomically(dir / "report.json", text("new"));
  ASSERT_EQ(::seteuid(0), 0);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, EACCES) << written.error().message();
  EXPECT_THAT(written.error().hint, HasSubstr(dir.path()));
  EXPECT_EQ(read_file(dir / "report.json"), "old");
  EXPECT_THAT(names_in(dir.path()), ElementsAre("report.json"));
}

TEST(AtomicFile, AsksBeforeItReplaces) {
  const TempDir dir;
  write_file(dir / "report.json", "old");
  const auto refuse = [](const struct stat& info) -> Result<void> {
    return fail(0, "not now: " + std::to_string(info.st_size));
  };
  const Result<void> written = write_atomically(dir / "report.json", text("new one"), refuse);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().what, "not now: 7");
  EXPECT_EQ(read_file(dir / "report.json"), "old");
  EXPECT_THAT(names_in(dir.path()), ElementsAre("report.json"));
}

TEST(Claim, IsOfOneAtATime) {
  const TempDir dir;
  fs::create_directory(dir / "other");
  fs::create_directory_symlink(".", dir / "link");
  {
    const Result<UniqueFd> own = claim(dir / "report.json");
    ASSERT_TRUE(own && *own);
    for (const std::string& path : {dir / "report.json", dir / "link/report.json"}) {
      const Result<UniqueFd> second = claim(path);
      ASSERT_FALSE(second);
      EXPECT_THAT(second.error().what, HasSubstr("(pid " + std::to_string(::getpid()) + ")"));
      EXPECT_NE(second.error().hint, "");
    }
    EXPECT_TRUE(claim(dir / "report2.json"));
    EXPECT_TRUE(claim(dir / "other/report.json"));
    EXPECT_THAT(names_in(dir.path()), ElementsAre("link", "other"));
    // However many ask.
    for (int i = 0; i < 200; i++) {
      ASSERT_FALSE(claim(dir / "report.json"));
    }
  }
  EXPECT_TRUE(claim(dir / "report.json"));
  EXPECT_FALSE(claim(dir / "missing/report.json"));
}

TEST(Claim, NoOtherUserCanKeepItFromBeing) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root can become another user";
  }
  const TempDir dir;
  fs::permissions(dir.path(), fs::perms(0755));
  ASSERT_EQ(::seteuid(65534), 0);
  const Result<UniqueFd> theirs = claim(dir / "report.json");
  ASSERT_EQ(::seteuid(0), 0);
  ASSERT_TRUE(theirs && *theirs);
  EXPECT_TRUE(claim(dir / "report.json"));
}

TEST(AtomicFile, ReportsAnErrorOfTheStream) {
  const TempDir dir;
  write_file(dir / "report.json", "old");
  const Result<void> written = write_atomically(dir / "report.json", [](std::FILE* stream) {
    std::fputs("new", stream);
    // Reading from a stream for writing sets its error.
    static_cast<void>(std::fgetc(stream));
  });
  ASSERT_FALSE(written);
  EXPECT_EQ(read_file(dir / "report.json"), "old");
  EXPECT_THAT(names_in(dir.path()), ElementsAre("report.json"));
}

}  // namespace
}  // namespace snoop
