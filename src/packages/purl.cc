// SPDX-License-Identifier: Apache-2.0
#include "packages/purl.h"

#include <fmt/format.h>

#include <iterator>

namespace snoop {

namespace {

/// All but letters, digits, ".-_~" and the colon is percent-encoded.
std::string encoded(std::string_view text, bool in_lower_case) {
  std::string result;
  for (const char c : text) {
    const bool is_upper = 'A' <= c && c <= 'Z';
    const bool is_plain = is_upper || ('a' <= c && c <= 'z') || ('0' <= c && c <= '9') ||
                          std::string_view(".-_~:").find(c) != std::string_view::npos;
    if (is_plain) {
      result += is_upper && in_lower_case ? static_cast<char>(c - 'A' + 'a') : c;
    } else {
      fmt::format_to(std::back_inserter(result), "%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return result;
}

}  // namespace

std::string_view type_name(Package::Type type) { return type == Package::Type::kDeb ? "deb" : "apk"; }

std::string package_url(const Package& package, std::string_view os_id) {
  const std::string_view origin = package.type == Package::Type::kDeb ? "debian" : "alpine";
  std::string url = fmt::format("pkg:{}/{}/{}", type_name(package.type), encoded(os_id.empty() ? origin : os_id, true),
                                encoded(package.name, true));
  if (!package.version.empty()) {
    url += "@" + encoded(package.version, false);
  }
  if (!package.arch.empty()) {
    url += "?arch=" + encoded(package.arch, false);
  }
  return url;
}

}  // namespace snoop
