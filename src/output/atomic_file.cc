// SPDX-License-Identifier: Apache-2.0
#include "output/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace snoop {

namespace {

std::string hint_for(int code, const std::string& directory) {
  switch (code) {
    case ENOENT:
      return fmt::format("make the directory {}, or name another file", directory);
    case EACCES:
    case EPERM:
    case EROFS:
      return fmt::format("make {} writable, or name another file", directory);
    case ENOSPC:
    case EDQUOT:
      return "make room on that file system";
    default:
      return "name another file";
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

/// The abstract address that stands for a name in a directory.
struct ClaimAddress {
  sockaddr_un address = {};
  socklen_t size = 0;
};

ClaimAddress claim_address(const struct stat& directory, const std::string& name) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a: a name may be longer than an address
  for (const char c : name) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  const std::string text = fmt::format("snoop-report-{:x}-{:x}-{:016x}", directory.st_dev, directory.st_ino, hash);
  ClaimAddress claimed;
  claimed.address.sun_family = AF_UNIX;
  std::copy(text.begin(), text.end(), claimed.address.sun_path + 1);
  claimed.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
  return claimed;
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

Result<UniqueFd> claim(const std::string& path) {
  const Result<Place> place = place_of(path);
  if (!place) {
    const int code = place.error().code;
    return code == ENOENT || code == ENOTDIR ? tl::unexpected(place.error()) : Result<UniqueFd>();
  }
  struct stat directory = {};
  if (::fstat(place->dir.get(), &directory) != 0) {
    return {};
  }
  const ClaimAddress claimed = claim_address(directory, place->name);
  const auto* address = reinterpret_cast<const sockaddr*>(&claimed.address);
  // Again where the other one ends just now.
  for (int attempt = 0; attempt < 3; attempt++) {
    UniqueFd own(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (own && ::bind(own.get(), address, claimed.size) == 0) {
      // Those who ask are never answered: who listens is all they want to know.
      return ::listen(own.get(), 128) == 0 ? std::move(own) : UniqueFd();
    }
    if (!own || errno != EADDRINUSE) {
      return {};
    }
    const UniqueFd asking(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ucred other = {};
    socklen_t size = sizeof(other);
    const bool is_known = ::connect(asking.get(), address, claimed.size) == 0 &&
                          ::getsockopt(asking.get(), SOL_SOCKET, SO_PEERCRED, &other, &size) == 0;
    if (!is_known && errno == ECONNREFUSED) {
      continue;
    }
    // Anybody can take a name: another user's process keeps nobody from writing.
    if (is_known && other.uid != 0 && other.uid != ::geteuid()) {
      return {};
    }
    return fail(0,
                fmt::format("another snoop{} writes to {} already",
                            is_known && other.pid > 0 ? fmt::format(" (pid {})", other.pid) : "", path),
                "end that one, or name another file");
  }
  return {};
}

Result<void> write_atomically(const std::string& path, const std::function<void(std::FILE*)>& write,
                              const BeforeReplacing& before_replacing) {
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
  struct stat info = {};
  if (::fsync(::fileno(stream.get())) != 0 || ::fstat(::fileno(stream.get()), &info) != 0) {
    return failed_late(errno);
  }
  if (std::fclose(stream.release()) != 0) {
    return failed_late(errno);
  }
  if (Result<void> may = before_replacing ? before_replacing(info) : Result<void>(); !may) {
    ::unlinkat(dir, temporary.c_str(), 0);
    return may;
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
