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

/// Surely nothing to leave out of it, as in nearly all paths: no empty component, none that begins with a dot.
bool is_plain(std::string_view path) {
  const auto begins_oddly = [](char before, char first) { return before == '/' && (first == '/' || first == '.'); };
  return !path.empty() && path.front() != '.' && path.back() != '/' &&
         std::adjacent_find(path.begin(), path.end(), begins_oddly) == path.end();
}

void append_normalised(std::string& out, std::string_view path) {
  if (is_plain(path)) {
    if (path.front() != '/') {
      out += '/';
    }
    out += path;
    return;
  }
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
  if (out.empty()) {
    out = '/';
  }
  return out;
}

std::string directory_of(std::string_view names) {
  if (names.empty() || names.back() != '\0') {
    return "/";
  }
  std::string out(names.size(), '/');
  size_t slash = names.size();
  for (size_t begin = 0; begin < names.size();) {
    const size_t size = names.find('\0', begin) - begin;
    slash -= size + 1;
    names.copy(out.data() + slash + 1, size, begin);
    begin += size + 1;
  }
  return out;
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
