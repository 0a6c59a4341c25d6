// SPDX-License-Identifier: Apache-2.0
#include "packages/image_root.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

namespace snoop {

namespace {

/// Deeper, nothing can be opened by its path (PATH_MAX).
constexpr size_t kMaxPathBytes = 4096;

/// "/a/b" to "/a" and "b"; the directory of what is at the top is "".
std::pair<std::string_view, std::string_view> split(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::pair(std::string_view(), path)
                                         : std::pair(path.substr(0, slash), path.substr(slash + 1));
}

}  // namespace

// The user names this root, and waits: a network file system may be asked.
ImageRoot::ImageRoot(UniqueFd root) : walker_(std::move(root), [](int) { return 0U; }) {}

Result<ImageRoot> ImageRoot::open(const std::string& directory) {
  UniqueFd root(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) {
    return fail(errno, "cannot open the root directory " + directory,
                "--root takes the directory of an unpacked image, a mount of it, or /proc/PID/root of its container");
  }
  return ImageRoot(std::move(root));
}

Result<std::optional<std::string>> ImageRoot::read(const std::string& path, size_t max_bytes) {
  const Walk::End end = walk(path).end;
  if (end == Walk::End::kMissing || end == Walk::End::kLoop) {
    return std::nullopt;
  }
  errno = 0;
  const UniqueFd file = walker_.open_file(path);
  if (!file) {
    const bool is_refused = end == Walk::End::kRefused || errno == EACCES || errno == EPERM;
    return fail(is_refused ? EACCES : 0, fmt::format("cannot read {}", path),
                is_refused ? "run snoop as a user who may read it" : "it must be a regular file");
  }
  struct stat info = {};
  const bool has_size = ::fstat(file.get(), &info) == 0 && info.st_size > 0;
  // Most files are read at once, and one read tells that this was all.
  const size_t block = std::clamp<size_t>(has_size ? static_cast<size_t>(info.st_size) + 1 : 0, 4096, 1UL << 20);
  std::string bytes;
  while (true) {
    const size_t size = bytes.size();
    bytes.resize(size + block);
    const ssize_t got = ::read(file.get(), bytes.data() + size, block);
    bytes.resize(size + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && errno != EINTR) {
      return fail(errno, fmt::format("cannot read {}", path));
    }
    if (got == 0) {
      return bytes;
    }
    if (bytes.size() > max_bytes) {
      return fail(EFBIG, fmt::format("{} has more than {} bytes", path, max_bytes));
    }
  }
}

Walk ImageRoot::walk(const std::string& path) {
  Walk walked = walker_.walk("/", path, true);
  if (walked.end == Walk::End::kRefused && refused_.empty()) {
    refused_ = path;
  }
  return walked;
}

std::vector<std::string> ImageRoot::names_in(const std::string& path) {
  const UniqueFd handle = walker_.open(path, true);
  const int fd = handle ? ::openat(handle.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(fd < 0 ? nullptr : ::fdopendir(fd), &::closedir);
  if (!directory && (errno == EACCES || errno == EPERM) && refused_.empty()) {
    refused_ = path;
  }
  std::vector<std::string> names;
  while (const dirent* entry = directory ? ::readdir(directory.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") {
      names.emplace_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

const ImageRoot::CanonicalDirectory& ImageRoot::canonical_directory(const std::string& path) {
  if (const auto found = directories_.find(path); found != directories_.end()) {
    return *found;
  }
  std::string place;
  if (path.empty()) {
    // The root's own.
  } else if (const Walk walked = walk(path); walked.end == Walk::End::kFound) {
    place = walked.resolved == "/" ? "" : walked.resolved;
  } else {
    const auto [above, name] = split(path);
    place = canonical_directory(std::string(above)).second;
    place += '/';
    place += name;
  }
  return *directories_.emplace(path, std::move(place)).first;
}

std::string ImageRoot::canonical(std::string_view path) {
  if (path.size() > kMaxPathBytes) {
    return std::string(path);
  }
  const auto [above, name] = split(path);
  // Lists name what is in one directory one after the other.
  if (last_directory_ == nullptr || last_directory_->first != above) {
    last_directory_ = &canonical_directory(std::string(above));
  }
  std::string place = last_directory_->second;
  place += '/';
  place += name;
  return place;
}

std::optional<struct stat> ImageRoot::look(const std::string& canonical) {
  const auto [above, name] = split(canonical);
  if (looked_in_ != above) {
    looked_in_ = above;
    looked_in_fd_ = walker_.open(above.empty() ? "/" : above, false);
  }
  struct stat info = {};
  const std::string last(name.empty() ? "." : name);
  const bool is_there =
      looked_in_fd_ && ::fstatat(looked_in_fd_.get(), last.c_str(), &info, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0;
  if (looked_in_fd_ && !is_there && (errno == EACCES || errno == EPERM) && refused_.empty()) {
    refused_ = canonical;
  }
  return is_there ? std::optional(info) : std::nullopt;
}

}  // namespace snoop
