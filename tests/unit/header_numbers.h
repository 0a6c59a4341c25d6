// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

namespace snoop {

/// What the headers of this machine say: the name of each row of bpf/syscalls.h
/// to the text of its number, or to "__NR_" and the name where they have no such
/// call. Empty where the machine has not the headers of that architecture.
[[nodiscard]] std::map<std::string, std::string> header_numbers_x86_64();
[[nodiscard]] std::map<std::string, std::string> header_numbers_i386();
[[nodiscard]] std::map<std::string, std::string> header_numbers_arm64();

}  // namespace snoop

#define SNOOP_TEXT_OF(x) #x
#define SNOOP_EXPANDED_TEXT_OF(x) SNOOP_TEXT_OF(x)
// A name that is no macro stays as it is, which is how to see that it is none.
#define SNOOP_HEADER_NUMBER(name, x86_64, i386, arm64, op, path, dirfd, extra, path2, dirfd2) \
  {#name, SNOOP_EXPANDED_TEXT_OF(__NR_##name)},
