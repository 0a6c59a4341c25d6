// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace snoop {

/// What was being attempted, why it failed, and what to do about it.
struct Error {
  /// errno, or 0 where the failure is none of the system's.
  int code = 0;
  std::string what;
  /// What the user can do next; may be empty.
  std::string hint = {};

  [[nodiscard]] std::string message() const {
    std::string text = what;
    if (code != 0) {
      text += ": ";
      text += strerrordesc_np(code) != nullptr ? strerrordesc_np(code) : "unknown error";
    }
    return text;
  }
};

template <typename T>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(int code, std::string what, std::string hint = {}) {
  return tl::unexpected<Error>(Error{code, std::move(what), std::move(hint)});
}

/// Puts what was being done in front of why it failed.
[[nodiscard]] inline tl::unexpected<Error> fail(Error error, std::string_view context) {
  error.what = std::string(context) + ": " + error.what;
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace snoop
