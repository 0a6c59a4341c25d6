// SPDX-License-Identifier: Apache-2.0
#include "output/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

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

}  // namespace

Result<void> write_atomically(const std::string& path, const std::function<void(std::FILE*)>& write) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  const std::string temporary = "." + name + ".tmp";
  const auto failed = [&](int code) {
    return fail(code, fmt::format("cannot write {}", path), hint_for(code, directory));
  };
  if (name.empty()) {
    return failed(EISDIR);
  }

  // Everything by a handle on the directory: it may be moved meanwhile.
  const UniqueFd dir(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir) {
    return failed(errno);
  }
  if (const int code = replaceable(dir.get(), name); code != 0) {
    return failed(code);
  }
  ::unlinkat(dir.get(), temporary.c_str(), 0);
  UniqueFd fd(::openat(dir.get(), temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!fd) {
    return failed(errno);
  }
  const auto failed_late = [&](int code) {
    ::unlinkat(dir.get(), temporary.c_str(), 0);
    return failed(code);
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
  if (::renameat(dir.get(), temporary.c_str(), dir.get(), name.c_str()) != 0) {
    return failed_late(errno);
  }
  if (::fsync(dir.get()) != 0 && errno != EINVAL) {
    return failed(errno);
  }
  return {};
}

}  // namespace snoop
