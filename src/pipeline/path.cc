// SPDX-License-Identifier: Apache-2.0
#include "pipeline/path.h"

#include <algorithm>

namespace snoop {

namespace {

/// Takes the first component off the front, and the slashes around it.
std::string_view next_component(std::string_view& path) {
  const size_t begin = path.find_first_not_of('/');
  if (begin == std::string_view::npos) {
    path = {};
    return {};
  }
  const size_t end = std::min(path.find('/', begin), path.size());
  const std::string_view component = path.substr(begin, end - begin);
  path.remove_prefix(end);
  return component;
}

void append_normalised(std::string& out, std::string_view path) {
  while (!path.empty()) {
    const std::string_view component = next_component(path);
    if (component.empty() || component == ".") {
      continue;
    }
    if (component == "..") {
      out.resize(std::min(out.size(), out.rfind('/')));
      continue;
    }
    out += '/';
    out += component;
  }
}

}  // namespace

std::string normalise(std::string_view path) { return absolute({}, path); }

std::string absolute(std::string_view directory, std::string_view path) {
  std::string out;
  out.reserve(directory.size() + path.size() + 1);
  append_normalised(out, directory);
  append_normalised(out, path);
  return out.empty() ? "/" : out;
}

std::string directory_of(std::string_view names) {
  std::string out;
  out.reserve(names.size() + 1);
  while (!names.empty()) {
    names.remove_suffix(1);                      // the NUL
    const size_t begin = names.rfind('\0') + 1;  // npos + 1 is 0
    out += '/';
    out += names.substr(begin);
    names = names.substr(0, begin);
  }
  return out.empty() ? "/" : out;
}

std::string absolute_from_result(std::string_view result, std::string_view path) {
  bool has_names = false;
  bool has_parents = false;
  for (std::string_view rest = path; !rest.empty();) {
    const std::string_view component = next_component(rest);
    has_parents = has_parents || component == "..";
    has_names = has_names || (!component.empty() && component != "." && component != "..");
  }
  if (!has_names) {
    return std::string(result);
  }
  if (has_parents) {
    return {};
  }
  const std::string tail = normalise(path);
  return result.ends_with(tail) ? std::string(result) : std::string();
}

bool is_excluded(std::string_view path, std::span<const std::string> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](std::string_view prefix) {
    if (prefix.empty()) {
      return false;
    }
    while (prefix.ends_with('/')) {
      prefix.remove_suffix(1);
    }
    return path.size() > prefix.size() + 1 && path.starts_with(prefix) && path[prefix.size()] == '/';
  });
}

}  // namespace snoop
