// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "syscalls.h"

namespace snoop {

/// A row of bpf/syscalls.h. Numbers are SNOOP_NO_SYSCALL where an architecture
/// does not have the call, arguments SNOOP_NO_ARG where the call has none.
struct SyscallRow {
  std::string_view name;
  int x86_64;
  int i386;
  int arm64;
  uint8_t op;
  uint8_t path;
  uint8_t dirfd;
  uint8_t extra;
  uint8_t path2;
  uint8_t dirfd2;
};

[[nodiscard]] std::span<const SyscallRow> syscall_rows();

/// A row of SNOOP_RESULTS, for the architecture that this program was built for.
struct ResultRow {
  std::string_view name;
  uint8_t argument;
  /// Of native and of 32-bit calls; 0: as many as the call returns.
  uint16_t size_bytes[2];
};

[[nodiscard]] std::span<const ResultRow> result_rows();

/// A row of SNOOP_FOLLOWS.
struct FollowRow {
  std::string_view name;
  uint8_t follow;
  /// SNOOP_NO_ARG where the call has no flags.
  uint8_t argument;
};

[[nodiscard]] std::span<const FollowRow> follow_rows();

/// The row's number on the architecture that this program was built for.
[[nodiscard]] int native_number(const SyscallRow& row);
/// The number that its 32-bit programs use.
[[nodiscard]] int compat_number(const SyscallRow& row);

}  // namespace snoop
