// SPDX-License-Identifier: Apache-2.0
#include "container/elf_interpreter.h"

#include <gelf.h>
#include <libelf.h>
#include <unistd.h>

#include <climits>
#include <memory>

namespace snoop {

Result<std::string> elf_interpreter(int fd) {
  ::elf_version(EV_CURRENT);
  const std::unique_ptr<Elf, int (*)(Elf*)> elf(::elf_begin(fd, ELF_C_READ, nullptr), &::elf_end);
  size_t headers = 0;
  if (!elf || ::elf_kind(elf.get()) != ELF_K_ELF || ::elf_getphdrnum(elf.get(), &headers) != 0) {
    return fail(ENOEXEC, "not an ELF file");
  }
  for (size_t i = 0; i < headers; i++) {
    GElf_Phdr header = {};
    if (::gelf_getphdr(elf.get(), static_cast<int>(i), &header) == nullptr || header.p_type != PT_INTERP) {
      continue;
    }
    // As the kernel checks it (fs/binfmt_elf.c).
    if (header.p_filesz < 2 || header.p_filesz > PATH_MAX) {
      return fail(ENOEXEC, "an ELF interpreter of impossible length");
    }
    std::string path(header.p_filesz, '\0');
    const ssize_t got = ::pread(fd, path.data(), path.size(), static_cast<off_t>(header.p_offset));
    if (got != static_cast<ssize_t>(path.size()) || path.back() != '\0') {
      return fail(ENOEXEC, "an ELF interpreter that does not end");
    }
    path.resize(path.find('\0'));
    return path;
  }
  return fail(ENOENT, "no ELF interpreter");
}

}  // namespace snoop
