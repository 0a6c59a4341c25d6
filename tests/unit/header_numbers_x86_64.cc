// SPDX-License-Identifier: Apache-2.0
#if defined(__x86_64__)
#include <asm/unistd_64.h>
#endif

#include "header_numbers.h"
#include "syscalls.h"

std::map<std::string, std::string> snoop::header_numbers_x86_64() {
#if defined(__x86_64__)
  return {SNOOP_SYSCALLS(SNOOP_HEADER_NUMBER, , )};
#else
  return {};
#endif
}
