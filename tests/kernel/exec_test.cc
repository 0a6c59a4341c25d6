// SPDX-License-Identifier: Apache-2.0
// What the kernel opens by itself to start a program.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <thread>

#include "harness.h"

namespace snoop::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

class ExecTest : public KernelTest {
 protected:
  static int exec(const char* file) {
    char* const arguments[] = {const_cast<char*>(file), nullptr};
    ::execve(file, arguments, environ);
    return errno;
  }
  static int exec_at(int fd, const char* file, int flags) {
    char* const arguments[] = {const_cast<char*>("program"), nullptr};
    ::syscall(SYS_execveat, fd, file, arguments, environ, flags);
    return errno;
  }
  void copy_true(const std::string& name) { std::filesystem::copy_file("/bin/true", name); }
};

void expect_kind(const std::vector<Access>& accesses, const std::string& path, const std::string& kind) {
  const auto found = at(accesses, path);
  ASSERT_FALSE(found.empty()) << path << " not in " << ::testing::PrintToString(paths_of(accesses));
  EXPECT_THAT(kinds_of(found[0]), ElementsAre(kind));
  EXPECT_NE(kinds_with(found[0].seen, SNOOP_OUTCOME_OK), 0);
}

TEST_F(ExecTest, ProgramAndItsLoader) {
  copy_true("program");
  Capture& capture = start();
  const auto accesses = capture.run([] { return exec("./program"); });
  EXPECT_EQ(capture.last_status(), 0);
  expect_kind(accesses, path("program"), "exec");
#if defined(__x86_64__)
  expect_kind(accesses, "/lib64/ld-linux-x86-64.so.2", "interpreter");
  EXPECT_EQ(at(accesses, "/lib64/ld-linux-x86-64.so.2")[0].resolved,
            std::filesystem::canonical("/lib64/ld-linux-x86-64.so.2"));
#endif
}

TEST_F(ExecTest, LinkToAProgram) {
  copy_true("program");
  std::filesystem::create_symlink("program", "link");
  Capture& capture = start();
  const auto accesses = capture.run([] { return exec("./link"); });
  expect_kind(accesses, path("link"), "exec");
  EXPECT_EQ(at(accesses, path("link"))[0].resolved, path("program"));
}

TEST_F(ExecTest, ScriptAndItsInterpreter) {
  copy_true("interpreter");
  write_file("script", "#! ./interpreter argument\n", 0755);
  Capture& capture = start();
  const auto accesses = capture.run([] { return exec("./script"); });
  EXPECT_EQ(capture.last_status(), 0);
  expect_kind(accesses, path("script"), "exec");
  expect_kind(accesses, path("interpreter"), "interpreter");
}

TEST_F(ExecTest, MissingInterpreter) {
  write_file("script", "#!/no/such/interpreter\n", 0755);
  Capture& capture = start();
  const auto accesses = capture.run([] { return exec("./script"); });
  EXPECT_EQ(WEXITSTATUS(capture.last_status()), ENOENT);
  EXPECT_FALSE(at(accesses, path("script")).empty());
}

TEST_F(ExecTest, NoProgramAtAll) {
  write_file("text", "hello", 0755);
  Capture& capture = start();
  const auto accesses = capture.run([] { return exec("./text"); });
  EXPECT_EQ(WEXITSTATUS(capture.last_status()), ENOEXEC);
  const auto found = at(accesses, path("text"));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_NE(kinds_with(found[0].seen, SNOOP_OUTCOME_OTHER), 0);
}

TEST_F(ExecTest, ByDirectoryDescriptor) {
  std::filesystem::create_directory("sub");
  copy_true("sub/program");
  for (const int flags : {0, O_CLOEXEC}) {
    const int dirfd = ::open("sub", O_PATH | O_DIRECTORY | flags);
    Capture& capture = start();
    const auto accesses = capture.run([&] { return exec_at(dirfd, "program", 0); });
    EXPECT_EQ(capture.last_status(), 0);
    expect_kind(accesses, path("sub/program"), "exec");
    ::close(dirfd);
  }
}

TEST_F(ExecTest, ByDescriptorOfTheFile) {
  copy_true("program");
  for (const int flags : {0, O_CLOEXEC}) {
    const int fd = ::open("program", O_PATH | flags);
    Capture& capture = start();
    const auto accesses = capture.run([&] { return exec_at(fd, "", AT_EMPTY_PATH); });
    EXPECT_EQ(capture.last_status(), 0);
    expect_kind(accesses, path("program"), "exec");
    ::close(fd);
  }
}

TEST_F(ExecTest, ScriptByDescriptor) {
  copy_true("interpreter");
  write_file("script", "#! ./interpreter\n", 0755);
  const int fd = ::open("script", O_RDONLY);
  Capture& capture = start();
  const auto accesses = capture.run([&] { return exec_at(fd, "", AT_EMPTY_PATH); });
  EXPECT_EQ(capture.last_status(), 0);
  expect_kind(accesses, path("script"), "exec");
  expect_kind(accesses, path("interpreter"), "interpreter");
}

TEST_F(ExecTest, MemoryFileHasNoPath) {
  const int fd = ::memfd_create("anything", 0);
  const std::filesystem::path source = "/bin/true";
  {
    const int in = ::open(source.c_str(), O_RDONLY);
    const auto size = std::filesystem::file_size(source);
    std::string bytes(size, '\0');
    ASSERT_EQ(::read(in, bytes.data(), size), static_cast<ssize_t>(size));
    ASSERT_EQ(::write(fd, bytes.data(), size), static_cast<ssize_t>(size));
    ::close(in);
  }
  Capture& capture = start();
  const auto accesses = capture.run([&] { return exec_at(fd, "", AT_EMPTY_PATH); });
  EXPECT_EQ(capture.last_status(), 0);
  for (const std::string& used : paths_of(accesses)) {
    EXPECT_THAT(used, Not(::testing::HasSubstr("memfd")));
  }
}

TEST_F(ExecTest, FromAThread) {
  copy_true("program");
  Capture& capture = start();
  const auto accesses = capture.run([] {
    std::thread([] { exec("./program"); }).join();
    return 1;
  });
  EXPECT_EQ(capture.last_status(), 0);
  expect_kind(accesses, path("program"), "exec");
}

TEST_F(ExecTest, LoaderOfANamelessProgram) {
  Capture& capture = start();
  const auto accesses = capture.run([] {
    const int program = ::memfd_create("nameless", MFD_CLOEXEC);
    const int original = ::open("/usr/bin/true", O_RDONLY | O_CLOEXEC);
    if (::sendfile(program, original, nullptr, 1 << 24) <= 0) {
      return errno;
    }
    const char* arguments[] = {"nameless", nullptr};
    ::fexecve(program, const_cast<char* const*>(arguments), environ);
    return errno;
  });
  EXPECT_EQ(capture.last_status(), 0);
  EXPECT_EQ(capture.stats().base_unknown, 0U);
  const auto is_loader = [](const Access& access) {
    return kinds_of(access) == std::vector<std::string>{"interpreter"};
  };
  EXPECT_TRUE(std::any_of(accesses.begin(), accesses.end(), is_loader));
}

}  // namespace
}  // namespace snoop::testing
