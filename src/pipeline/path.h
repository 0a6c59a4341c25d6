// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace snoop {

/// An absolute path without empty components, `.` and `..`, as text: where a
/// component behind a `..` is a symbolic link the file may be another.
/// A relative path is taken from "/".
[[nodiscard]] std::string normalise(std::string_view path);

/// The directory that the kernel side sent as names from the leaf to the root,
/// each with a NUL: "c\0b\0a\0" is "/a/b/c", nothing is "/".
[[nodiscard]] std::string directory_of(std::string_view names);

/// Where a path leads that a program gave while in `directory`.
[[nodiscard]] std::string absolute(std::string_view directory, std::string_view path);

/// The path as asked for, when all that is known is the directory or file that
/// it led to: empty where that cannot be said. `..` and `.` alone lead where
/// they lead; any other path must be the end of `result`.
[[nodiscard]] std::string absolute_from_result(std::string_view result, std::string_view path);

/// Whether a path lies below one of the prefixes, whole components compared:
/// "/proc/" and "/proc" catch "/proc/1" but neither "/procfoo" nor "/proc".
[[nodiscard]] bool is_excluded(std::string_view path, std::span<const std::string> prefixes);

}  // namespace snoop
