// SPDX-License-Identifier: Apache-2.0
#include "packages/database.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "packages/apk.h"
#include "packages/dpkg.h"

namespace snoop {

namespace {

/// Of rpm, in all its formats (sqlite, ndb, Berkeley DB) and both places.
constexpr std::array kRpmDatabases = {
    "/var/lib/rpm/rpmdb.sqlite",      "/var/lib/rpm/Packages.db",           "/var/lib/rpm/Packages",
    "/usr/lib/sysimage/rpm/Packages", "/usr/lib/sysimage/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/Packages.db",
};

/// ID of os-release(5), in lower case; empty where there is none.
std::string read_os_id(ImageRoot& root) {
  constexpr size_t kMaxBytes = 64UL * 1024;
  for (const char* path : {"/etc/os-release", "/usr/lib/os-release"}) {
    const Result<std::optional<std::string>> bytes = root.read(path, kMaxBytes);
    if (!bytes || !*bytes) {
      continue;
    }
    std::string_view rest = **bytes;
    while (!rest.empty()) {
      std::string_view line = trimmed(take_until(rest, '\n'));
      if (!line.starts_with("ID=")) {
        continue;
      }
      line.remove_prefix(3);
      if (line.size() >= 2 && (line.front() == '"' || line.front() == '\'') && line.back() == line.front()) {
        line = line.substr(1, line.size() - 2);
      }
      std::string id(line);
      std::transform(id.begin(), id.end(), id.begin(),
                     [](char c) { return 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
      return id;
    }
  }
  return {};
}

}  // namespace

std::string_view take_until(std::string_view& text, char separator) {
  const size_t end = std::min(text.find(separator), text.size());
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  return begin == std::string_view::npos ? std::string_view()
                                         : text.substr(begin, text.find_last_not_of(" \t\r\n") + 1 - begin);
}

bool is_sound_path(std::string_view path) {
  constexpr size_t kMaxPathBytes = 4096;
  return path.starts_with('/') && path.size() > 1 && path.size() < kMaxPathBytes && !path.ends_with('/') &&
         path.find('\0') == std::string_view::npos && path.find("/../") == std::string_view::npos &&
         !path.ends_with("/..");
}

std::string BadLines::text(const std::string& path) const {
  return count_ == 1 ? fmt::format("line {} of {} makes no sense", first_, path)
                     : fmt::format("{} lines of {} make no sense, the first is line {}", count_, path, first_);
}

void Databases::add(Package package) {
  listed_paths += package.files.size() + package.directories.size() + package.named_in_scripts.size();
  if (listed_paths <= kMaxListedPaths) {
    packages.push_back(std::move(package));
  }
}

Result<Databases> read_databases(ImageRoot& root) {
  Databases databases;
  for (const auto read : {read_dpkg, read_apk}) {
    if (const Result<void> done = read(root, databases); !done) {
      return tl::unexpected(done.error());
    }
  }
  for (const char* path : kRpmDatabases) {
    if (root.walk(path).end == Walk::End::kFound) {
      databases.not_read.emplace_back(path);
    }
  }
  if (databases.read.empty() && !databases.not_read.empty()) {
    return fail(0,
                fmt::format("there is an rpm database ({}), which snoop cannot read: it cannot tell what belongs to "
                            "which package",
                            fmt::join(databases.not_read, ", ")),
                "ask rpm itself: rpm --root DIR -qf PATH, for each path of the report");
  }
  if (databases.read.empty()) {
    return fail(0,
                "there is no package database: neither dpkg's (/var/lib/dpkg/status, status.d) nor apk's "
                "(/lib/apk/db/installed)",
                "is --root the root directory of the image? An image without packages has none");
  }
  if (databases.listed_paths > kMaxListedPaths) {
    return fail(0, fmt::format("the packages list more than {} files", kMaxListedPaths));
  }
  std::sort(databases.packages.begin(), databases.packages.end(), [](const Package& a, const Package& b) {
    return std::tie(a.name, a.arch, a.version, a.type) < std::tie(b.name, b.arch, b.version, b.type);
  });
  databases.os_id = read_os_id(root);
  return databases;
}

}  // namespace snoop
