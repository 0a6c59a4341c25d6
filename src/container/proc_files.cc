// SPDX-License-Identifier: Apache-2.0
#include "container/proc_files.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <string_view>

namespace snoop {

namespace {

constexpr std::string_view kDeleted = " (deleted)";

std::optional<std::string> target_of(const std::string& link) {
  std::array<char, PATH_MAX> buffer = {};
  const ssize_t length = ::readlink(link.c_str(), buffer.data(), buffer.size());
  if (length <= 0 || length == static_cast<ssize_t>(buffer.size())) {
    return std::nullopt;
  }
  return std::string(buffer.data(), static_cast<size_t>(length));
}

/// The file behind a link of /proc: nothing where it stands in no directory
/// (pipes, sockets, memfd), or is neither a regular file nor a directory.
std::optional<std::string> file_behind(const std::string& link) {
  std::optional<std::string> path = target_of(link);
  struct stat info = {};
  if (!path || path->front() != '/' || ::stat(link.c_str(), &info) != 0 ||
      !(S_ISREG(info.st_mode) || S_ISDIR(info.st_mode))) {
    return std::nullopt;
  }
  if (path->ends_with(kDeleted) && info.st_nlink == 0) {
    path->resize(path->size() - kDeleted.size());
    // What only looks like a path: memfd, shared memory.
    const bool nameless =
        path->starts_with("/memfd:") || path->starts_with("/SYSV") || *path == "/dev/zero" || *path == "/[aio]";
    if (nameless) {
      return std::nullopt;
    }
  }
  return path;
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(directory.c_str()), &::closedir);
  while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr) {
    if (entry->d_name[0] != '.') {
      names.emplace_back(entry->d_name);
    }
  }
  return names;
}

/// As the lines of /proc/PID/maps spell them: "ADDRESSES rights offset device inode      PATH".
/// For whoever may not follow /proc/PID/map_files.
std::set<std::string> mapped_by_name(const std::string& process) {
  std::set<std::string> found;
  std::ifstream maps(process + "/maps");
  std::string line;
  while (std::getline(maps, line)) {
    const size_t slash = line.find('/');
    if (slash == std::string::npos || std::string_view(line).ends_with(kDeleted)) {
      continue;
    }
    std::string path = line.substr(slash);
    for (size_t at = path.find("\\012"); at != std::string::npos; at = path.find("\\012", at)) {
      path.replace(at, 4, "\n");
    }
    found.insert(std::move(path));
  }
  return found;
}

}  // namespace

std::string below_root(const std::string& path, const std::string& root) {
  if (root == "/" || root.empty()) {
    return path;
  }
  if (path == root) {
    return "/";
  }
  return path.starts_with(root + "/") ? path.substr(root.size()) : path;
}

std::vector<std::string> files_in_use(pid_t pid) {
  const std::string process = fmt::format("/proc/{}", pid);
  const std::optional<std::string> root = target_of(process + "/root");
  if (!root) {
    return {};
  }
  std::set<std::string> found;
  const auto add = [&](const std::string& link) {
    if (const std::optional<std::string> path = file_behind(link)) {
      found.insert(below_root(*path, *root));
    }
  };
  add(process + "/exe");
  for (const std::string& name : names_in(process + "/fd")) {
    add(fmt::format("{}/fd/{}", process, name));
  }
  const std::vector<std::string> mappings = names_in(process + "/map_files");
  // To read such a link is one thing, to follow it needs CAP_CHECKPOINT_RESTORE.
  struct stat info = {};
  if (mappings.empty() || ::stat((process + "/map_files/" + mappings.front()).c_str(), &info) != 0) {
    for (const std::string& path : mapped_by_name(process)) {
      found.insert(below_root(path, *root));
    }
  }
  for (const std::string& name : mappings) {
    add(fmt::format("{}/map_files/{}", process, name));
  }
  return {found.begin(), found.end()};
}

}  // namespace snoop
