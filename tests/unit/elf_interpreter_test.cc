// SPDX-License-Identifier: Apache-2.0
#include "container/elf_interpreter.h"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <climits>

#include "base/unique_fd.h"
#include "elf_builder.h"
#include "temp_dir.h"

namespace snoop {
namespace {

using namespace std::string_literals;

Result<std::string> interpreter_of(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(fd) << path;
  return elf_interpreter(fd.get());
}

Result<std::string> interpreter_in(const std::string& content) {
  const TempDir dir;
  write_file(dir / "file", content);
  return interpreter_of(dir / "file");
}

TEST(ElfInterpreter, IsReadFromARealProgram) {
  const Result<std::string> name = interpreter_of("/bin/ls");
  ASSERT_TRUE(name) << name.error().message();
  EXPECT_EQ(name->front(), '/');
  EXPECT_NE(name->find("ld"), std::string::npos) << *name;
#if defined(__x86_64__) && defined(__GLIBC__)
  EXPECT_EQ(*name, "/lib64/ld-linux-x86-64.so.2");
#endif
}

TEST(ElfInterpreter, IsReadFromTheLeastFile) {
  const Result<std::string> name = interpreter_in(elf_with_interpreter("/lib/ld-musl-x86_64.so.1\0"s));
  ASSERT_TRUE(name) << name.error().message();
  EXPECT_EQ(*name, "/lib/ld-musl-x86_64.so.1");
}

TEST(ElfInterpreter, EndsAtItsFirstNul) {
  const Result<std::string> name = interpreter_in(elf_with_interpreter("/lib/ld.so\0rest\0"s));
  ASSERT_TRUE(name);
  EXPECT_EQ(*name, "/lib/ld.so");
}

TEST(ElfInterpreter, IsReadFrom32BitFiles) {
  Elf32_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS32;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_EXEC;
  header.e_machine = EM_386;
  header.e_version = EV_CURRENT;
  header.e_phoff = sizeof(header);
  header.e_ehsize = sizeof(header);
  header.e_phentsize = sizeof(Elf32_Phdr);
  header.e_phnum = 1;
  const std::string interpreter = "/lib/ld-linux.so.2\0"s;
  Elf32_Phdr segment = {};
  segment.p_type = PT_INTERP;
  segment.p_offset = sizeof(header) + sizeof(segment);
  segment.p_filesz = static_cast<Elf32_Word>(interpreter.size());
  const Result<std::string> name =
      interpreter_in(std::string(reinterpret_cast<const char*>(&header), sizeof(header)) +
                     std::string(reinterpret_cast<const char*>(&segment), sizeof(segment)) + interpreter);
  ASSERT_TRUE(name) << name.error().message();
  EXPECT_EQ(*name, "/lib/ld-linux.so.2");
}

TEST(ElfInterpreter, IsMissingFromAStaticProgram) {
  const Result<std::string> name = interpreter_in(elf_with_interpreter("/x\0"s, PT_LOAD));
  ASSERT_FALSE(name);
  EXPECT_EQ(name.error().code, ENOENT);
}

TEST(ElfInterpreter, RefusesOtherFiles) {
  for (const std::string& content : {""s, "\x7F"s,
                                     "\x7F"
                                     "ELF"s,
                                     "#!/bin/sh\n"s, "!<arch>\n"s, std::string(4096, '\0')}) {
    EXPECT_FALSE(interpreter_in(content)) << content.size();
  }
}

TEST(ElfInterpreter, RefusesEveryTruncation) {
  const std::string whole = elf_with_interpreter("/lib64/ld-linux-x86-64.so.2\0"s);
  for (size_t size = 0; size < whole.size(); size++) {
    EXPECT_FALSE(interpreter_in(whole.substr(0, size))) << size;
  }
}

TEST(ElfInterpreter, RefusesImpossibleNames) {
  EXPECT_FALSE(interpreter_in(elf_with_interpreter("/lib/ld.so"))) << "no NUL";
  EXPECT_FALSE(interpreter_in(elf_with_interpreter("\0"s))) << "too short for the kernel";
  EXPECT_FALSE(interpreter_in(elf_with_interpreter(std::string(PATH_MAX, 'x') + '\0'))) << "too long";
  EXPECT_TRUE(interpreter_in(elf_with_interpreter(std::string(PATH_MAX - 1, 'x') + '\0')));
}

TEST(ElfInterpreter, SurvivesDamagedHeaders) {
  const std::string whole = elf_with_interpreter("/lib64/ld-linux-x86-64.so.2\0"s);
  const TempDir dir;
  const size_t headers = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
  for (size_t i = SELFMAG; i < headers; i++) {
    for (const char value : {'\x00', '\x01', '\x7F', '\xFF'}) {
      std::string damaged = whole;
      damaged[i] = value;
      write_file(dir / "file", damaged);
      const Result<std::string> name = interpreter_of(dir / "file");
      EXPECT_TRUE(!name || name->size() < PATH_MAX);
    }
  }
}

}  // namespace
}  // namespace snoop
