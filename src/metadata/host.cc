// SPDX-License-Identifier: Apache-2.0
#include "metadata/host.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "container/container_name.h"

namespace snoop::metadata {

namespace {

constexpr size_t kMaxProcFile = 256UL << 10;

bool is_below(std::string_view path, std::string_view top) {
  return path.substr(0, top.size()) == top && (path.size() == top.size() || path[top.size()] == '/');
}

/// The part of one path that is the container's.
std::string part_of(std::string_view path, const std::string& id, const std::string& cgroups_path) {
  if (cgroups_path.size() > 1 && cgroups_path.front() == '/' && is_below(path, cgroups_path)) {
    return cgroups_path;
  }
  std::string_view rest = path;
  while (const std::optional<ContainerName> name = parse_container_name(rest)) {
    if (name->id == id) {
      return std::string(name->top);
    }
    rest = name->outer;
  }
  // In a directory that the user chose: its own, called by its id.
  for (size_t at = 0; !id.empty() && at < path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    if (path.substr(at, end - at) == id) {
      return std::string(path.substr(0, end));
    }
    at = end + 1;
  }
  return {};
}

}  // namespace

std::string find_cgroup(const std::string& proc_cgroup, const std::string& id, const std::string& cgroups_path) {
  std::string found;
  std::string_view rest = proc_cgroup;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) {
      continue;
    }
    std::string part = part_of(line.substr(second + 1), id, cgroups_path);
    // cgroup2's, "0::", before those of version 1.
    if (!part.empty() && (found.empty() || line.substr(0, 3) == "0::")) {
      found = std::move(part);
    }
  }
  return found;
}

Host::Host(std::string root) : root_(std::move(root)) {
  while (!root_.empty() && root_.back() == '/') {
    root_.pop_back();
  }
  root_fd_ = UniqueFd(::open(root_.empty() ? "/" : root_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

std::string Host::path(const std::string& path) const { return root_ + path; }

UniqueFd Host::open(const std::string& path, int flags) const {
  // A file of a container may be a pipe: its opening would wait.
  flags |= O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  open_how how{};
  how.flags = static_cast<uint64_t>(flags);
  how.resolve = RESOLVE_IN_ROOT;
  const long fd = syscall(SYS_openat2, root_fd_.get(), path.c_str(), &how, sizeof(how));
  if (fd < 0 && (errno == ENOSYS || errno == EPERM) && root_.empty()) {
    return UniqueFd(::open(path.c_str(), flags));  // a seccomp filter that does not know openat2
  }
  return UniqueFd(static_cast<int>(fd));
}

std::optional<std::string> Host::read(const std::string& path, size_t max_bytes) const {
  const UniqueFd fd = open(path, O_RDONLY);
  struct stat info {};
  if (!fd || fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return std::nullopt;
  }
  std::string text;
  char buffer[16384];
  while (true) {
    const ssize_t size = ::read(fd.get(), buffer, sizeof(buffer));
    if (size < 0 && errno == EINTR) {
      continue;
    }
    if (size < 0 || text.size() + static_cast<size_t>(size) > max_bytes) {
      return std::nullopt;
    }
    if (size == 0) {
      return text;
    }
    text.append(buffer, static_cast<size_t>(size));
  }
}

std::vector<std::string> Host::names(const std::string& directory, size_t max_names) const {
  std::vector<std::string> names;
  UniqueFd fd = open(directory, O_RDONLY | O_DIRECTORY);
  const std::unique_ptr<DIR, int (*)(DIR*)> opened(fd ? fdopendir(fd.get()) : nullptr, closedir);
  if (!opened) {
    return names;
  }
  (void)fd.release();
  while (const dirent* entry = readdir(opened.get())) {
    if (entry->d_name[0] != '.' && names.size() < max_names) {
      names.emplace_back(static_cast<const char*>(entry->d_name));
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool Host::exists(const std::string& path) const { return static_cast<bool>(open(path, O_PATH)); }

bool Host::is_process(pid_t pid) const {
  const std::string directory = "/proc/" + std::to_string(pid);
  return exists(directory) || access(directory.c_str(), F_OK) == 0;
}

std::string Host::cgroup_of(const std::string& id, pid_t pid, const std::string& cgroups_path) const {
  if (pid > 0) {
    const std::string file = "/proc/" + std::to_string(pid) + "/cgroup";
    std::optional<std::string> text = read(file, kMaxProcFile);
    if (!text && !root_.empty()) {
      static const Host own("/");
      text = own.read(file, kMaxProcFile);
    }
    if (text) {
      if (std::string found = find_cgroup(*text, id, cgroups_path); !found.empty()) {
        return found;
      }
    }
  }
  return !cgroups_path.empty() && cgroups_path.front() == '/' ? cgroups_path : std::string();
}

}  // namespace snoop::metadata
