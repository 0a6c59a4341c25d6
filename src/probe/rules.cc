// SPDX-License-Identifier: Apache-2.0
#include "probe/rules.h"

namespace snoop {

namespace {

constexpr SyscallRow kRows[] = {
#define SNOOP_ROW(name, x86_64, i386, arm64, op, path, dirfd, extra, path2, dirfd2) \
  {#name, x86_64, i386, arm64, op, path, dirfd, extra, path2, dirfd2},
    SNOOP_SYSCALLS(SNOOP_ROW, SNOOP_NO_SYSCALL, SNOOP_NO_ARG)
#undef SNOOP_ROW
};

constexpr ResultRow kResults[] = {
#if defined(__x86_64__)
#define SNOOP_ROW(name, argument, x86_64, i386, arm64) {#name, argument, {x86_64, i386}},
#else
#define SNOOP_ROW(name, argument, x86_64, i386, arm64) {#name, argument, {arm64, 0}},
#endif
    SNOOP_RESULTS(SNOOP_ROW)
#undef SNOOP_ROW
};

constexpr FollowRow kFollows[] = {
#define SNOOP_ROW(name, follow, argument) {#name, follow, argument},
    SNOOP_FOLLOWS(SNOOP_ROW, SNOOP_NO_ARG)
#undef SNOOP_ROW
};

}  // namespace

std::span<const SyscallRow> syscall_rows() { return kRows; }
std::span<const ResultRow> result_rows() { return kResults; }
std::span<const FollowRow> follow_rows() { return kFollows; }

#if defined(__x86_64__)
int native_number(const SyscallRow& row) { return row.x86_64; }
int compat_number(const SyscallRow& row) { return row.i386; }
#elif defined(__aarch64__)
int native_number(const SyscallRow& row) { return row.arm64; }
int compat_number(const SyscallRow&) { return SNOOP_NO_SYSCALL; }
#else
#error "snoop knows x86_64 and arm64"
#endif

}  // namespace snoop
