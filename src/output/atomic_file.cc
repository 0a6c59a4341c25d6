// SPDX-License-Identifier: Apache-2.0
#include "output/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <memory>

#include "base/unique_fd.h"

namespace snoop {

namespace {

std::string hint_for(int code, const std::string& directory) {
  switch (code) {
    case ENOENT:
      return fmt::format("make the directory {}, or name another file with --report", directory);
    case EACCES:
    case EPERM:
    case EROFS:
      return fmt::format("make {} writable, or name another file with --report", directory);
    case ENOSPC:
    case EDQUOT:
      return "make room on that file system";
    default:
      return "name another file with --report";
  }
}

/// 0, or why the file that a report would replace must stay: a directory, or a
/// device, FIFO or socket, also behind a symbolic link (/dev/stdout).
int replaceable(int dir, const std::string& name) {
  for (const int flags : {AT_SYMLINK_NOFOLLOW, 0}) {
    struct stat info = {};
    if (::fstatat(dir, name.c_str(), &info, flags) != 0) {
      return errno == ENAMETOOLONG ? errno : 0;
    }
    if (S_ISDIR(info.st_mode) && flags != 0) {
      return EISDIR;
    }
    if (!S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode) && !S_ISDIR(info.st_mode)) {
      return ENOTSUP;
    }
  }
  return 0;
}

struct Place {
  std::string path;
  std::string directory;
  std::string name;
  /// Everything goes by a handle on the directory: it may be moved meanwhile.
  UniqueFd dir;

  [[nodiscard]] tl::unexpected<Error> failed(int code) const {
    return fail(code, fmt::format("cannot write {}", path), hint_for(code, directory));
  }
};

Result<Place> place_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  Place place;
  place.path = path;
  place.directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  place.name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (place.name.empty()) {
    return place.failed(EISDIR);
  }
  place.dir = UniqueFd(::open(place.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!place.dir) {
    return place.failed(errno);
  }
  if (const int code = replaceable(place.dir.get(), place.name); code != 0) {
    return place.failed(code);
  }
  return place;
}

/// A new one, or none.
UniqueFd make_file(int dir, const std::string& name) {
  return UniqueFd(::openat(dir, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
}

std::string random_digits() {
  uint64_t number = 0;
  [[maybe_unused]] const ssize_t got = ::getrandom(&number, sizeof(number), 0);
  return fmt::format("{:016x}", number);
}

}  // namespace

Result<void> can_write(const std::string& path) {
  const Result<Place> place = place_of(path);
  if (!place) {
    return tl::unexpected(place.error());
  }
  if (::faccessat(place->dir.get(), ".", W_OK | X_OK, AT_EACCESS) != 0) {
    return place->failed(errno);
  }
  return {};
}

Result<void> write_atomically(const std::string& path, const std::function<void(std::FILE*)>& write) {
  const Result<Place> place = place_of(path);
  if (!place) {
    return tl::unexpected(place.error());
  }
  const int dir = place->dir.get();
  std::string temporary = "." + place->name + ".tmp";
  ::unlinkat(dir, temporary.c_str(), 0);
  UniqueFd fd = make_file(dir, temporary);
  if (!fd && errno == EEXIST) {
    // Somebody else who may write here has put something there that cannot be taken away.
    temporary += "-" + random_digits();
    fd = make_file(dir, temporary);
  }
  if (!fd) {
    return place->failed(errno);
  }
  const auto failed_late = [&](int code) {
    ::unlinkat(dir, temporary.c_str(), 0);
    return place->failed(code);
  };
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> stream(::fdopen(fd.get(), "w"), &std::fclose);
  if (!stream) {
    return failed_late(errno);
  }
  [[maybe_unused]] const int owned_by_stream = fd.release();
  errno = 0;
  write(stream.get());
  if (std::fflush(stream.get()) != 0 || std::ferror(stream.get()) != 0) {
    return failed_late(errno != 0 ? errno : EIO);
  }
  if (::fsync(::fileno(stream.get())) != 0) {
    return failed_late(errno);
  }
  if (std::fclose(stream.release()) != 0) {
    return failed_late(errno);
  }
  if (::renameat(dir, temporary.c_str(), dir, place->name.c_str()) != 0) {
    return failed_late(errno);
  }
  if (::fsync(dir) != 0 && errno != EINVAL) {
    return place->failed(errno);
  }
  return {};
}

}  // namespace snoop
