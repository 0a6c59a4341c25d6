// SPDX-License-Identifier: Apache-2.0
#include "packages/apk.h"

#include <fmt/format.h>

#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace snoop {

namespace {

/// "so:libc.musl-x86_64.so.1=1 /bin/sh busybox>=1.36 !other" to names without versions; conflicts ("!") left out.
std::vector<std::string> names_in(std::string_view text) {
  std::vector<std::string> names;
  while (!text.empty()) {
    std::string_view name = take_until(text, ' ');
    name = name.substr(0, name.find_first_of("<>=~@"));
    if (!name.empty() && name.front() != '!') {
      names.emplace_back(name);
    }
  }
  return names;
}

/// Paragraphs of lines "LETTER:TEXT": apk-installed(5). F names a directory, R a file in it.
void parse_installed(std::string_view text, const std::string& path, Databases& databases) {
  const bool is_cut_off = !text.empty() && text.back() != '\n';
  Package package;
  std::string directory;
  BadLines bad;
  bool is_damaged = false;
  size_t nameless = 0;
  const auto finish = [&] {
    const bool is_empty = package.files.empty() && package.directories.empty() && package.version.empty();
    if (!package.name.empty()) {
      package.source = package.source == package.name ? "" : package.source;
      package.doubt = is_damaged ? fmt::format("its part of {} is damaged", path) : "";
      databases.add(std::move(package));
    } else if (!is_empty) {
      nameless++;
    }
    package = {};
    package.type = Package::Type::kApk;
    directory.clear();
    is_damaged = false;
  };
  finish();
  for (size_t line_number = 1; !text.empty(); line_number++) {
    const std::string_view line = take_until(text, '\n');
    if (line.empty()) {
      finish();
      continue;
    }
    const std::string_view value = line.size() < 2 ? std::string_view() : line.substr(2);
    bool is_good = line.size() >= 2 && line[1] == ':' && line.find('\0') == std::string_view::npos;
    std::string file;
    switch (is_good ? line[0] : '\0') {
      case 'P':
        package.name = value;
        break;
      case 'V':
        package.version = value;
        break;
      case 'A':
        package.arch = value;
        break;
      case 'o':
        package.source = value;
        break;
      case 'D':
        for (std::string& name : names_in(value)) {
          package.needs.push_back({std::move(name)});
        }
        break;
      case 'p':
        package.provides = names_in(value);
        break;
      case 'F':
        directory = value.empty() ? "" : "/" + std::string(value);
        is_good = value.empty() || is_sound_path(directory);
        if (is_good && !value.empty()) {
          package.directories.push_back(directory);
        }
        break;
      case 'R':
        file = directory + "/" + std::string(value);
        is_good = is_sound_path(file) && value.find('/') == std::string_view::npos;
        if (is_good) {
          package.files.push_back(std::move(file));
        }
        break;
      default:
        break;
    }
    if (!is_good) {
      bad.add(line_number);
      is_damaged = true;
    }
  }
  is_damaged = is_damaged || is_cut_off;
  finish();
  if (bad.any()) {
    databases.warnings.push_back(bad.text(path));
  }
  if (nameless != 0) {
    databases.warnings.push_back(fmt::format("{} paragraphs of {} name no package", nameless, path));
  }
  if (is_cut_off) {
    databases.warnings.push_back(path + " was cut off: packages may be missing");
  }
}

}  // namespace

Result<void> read_apk(ImageRoot& root, Databases& databases) {
  std::set<std::string> places;
  for (const std::string path : {"/lib/apk/db/installed", "/usr/lib/apk/db/installed"}) {
    const Result<std::optional<std::string>> bytes = root.read(path, kMaxDatabaseBytes);
    if (!bytes) {
      return tl::unexpected(bytes.error());
    }
    // With a merged /usr both are one file.
    if (*bytes && places.insert(root.walk(path).resolved).second) {
      databases.read.push_back(path);
      parse_installed(**bytes, path, databases);
    }
  }
  return {};
}

}  // namespace snoop
