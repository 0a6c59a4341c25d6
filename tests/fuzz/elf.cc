// SPDX-License-Identifier: Apache-2.0
// Executables of containers: of them the name of the loader is read.
#include <sys/mman.h>
#include <unistd.h>

#include "container/elf_interpreter.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int file = ::memfd_create("fuzz", 0);
  if (::ftruncate(file, 0) != 0 || ::pwrite(file, data, size, 0) != static_cast<ssize_t>(size)) {
    return 0;
  }
  if (const snoop::Result<std::string> loader = snoop::elf_interpreter(file)) {
    snoop::expect(loader->find('\0') == std::string::npos, "a name has no NUL");
    snoop::expect(loader->size() <= size, "the name is a part of the file");
  }
  return 0;
}
