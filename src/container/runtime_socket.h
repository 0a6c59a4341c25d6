// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace snoop {

/// A runtime's socket, and what is spoken there.
struct RuntimeSocket {
  enum class Kind { kCri, kContainerd, kDocker, kPodman };
  Kind kind = Kind::kCri;
  std::string path;
  /// The text does not say what is spoken there, and nor does the socket's name.
  bool is_guess = false;
};

/// [KIND:]PATH; containerd's socket speaks CRI, too. Empty where KIND is none.
[[nodiscard]] std::vector<RuntimeSocket> parse_socket(const std::string& text);

/// Why it is not what --runtime-socket takes; empty: it is.
[[nodiscard]] std::string wrong_with_socket(const std::string& text);

}  // namespace snoop
