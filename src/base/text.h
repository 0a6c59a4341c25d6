// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace snoop {

/// Whether these bytes are UTF-8 (RFC 3629: no surrogates, nothing overlong).
[[nodiscard]] bool is_utf8(std::string_view bytes);

/// The text with each byte that is not UTF-8 replaced by U+FFFD.
[[nodiscard]] std::string to_utf8(std::string_view bytes);

/// RFC 4648, section 4, with padding.
[[nodiscard]] std::string to_base64(std::string_view bytes);
/// Reads what to_base64 writes; nothing where it is anything else.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

/// Safe to print to a terminal or a log: control characters, backslashes and
/// bytes that are not UTF-8 become \n, \t, \\ or \xNN.
[[nodiscard]] std::string printable(std::string_view bytes);
/// The same of what is printable in parts already: backslashes stay.
[[nodiscard]] std::string without_controls(std::string_view bytes);

}  // namespace snoop
