// SPDX-License-Identifier: Apache-2.0
// As arch/arm64/include/uapi/asm/unistd.h has it.
#define __ARCH_WANT_RENAMEAT
#define __ARCH_WANT_NEW_STAT
#define __ARCH_WANT_SET_GET_RLIMIT
#define __ARCH_WANT_TIME32_SYSCALLS
#define __ARCH_WANT_SYS_CLONE3
#define __ARCH_WANT_MEMFD_SECRET
#include <asm-generic/unistd.h>

#include "header_numbers.h"
#include "syscalls.h"

std::map<std::string, std::string> snoop::header_numbers_arm64() { return {SNOOP_SYSCALLS(SNOOP_HEADER_NUMBER, , )}; }
