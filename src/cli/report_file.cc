// SPDX-License-Identifier: Apache-2.0
#include "cli/report_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/text.h"
#include "cli/resume.h"
#include "output/atomic_file.h"

namespace snoop {

namespace {

/// Files of others that are kept in one run: they must not fill the disk.
constexpr size_t kMostKeptAside = 10;

}  // namespace

ReportFile::Version ReportFile::version_of(const struct stat& info) {
  return {info.st_dev, info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

Result<off_t> ReportFile::write(const std::function<void(std::FILE*)>& put) {
  struct stat info = {};
  const Result<void> written = write_atomically(path_, put, [&](const struct stat& new_file) {
    info = new_file;
    return keep_what_is_not_own();
  });
  if (!written) {
    return tl::unexpected(written.error());
  }
  last_ = version_of(info);
  return info.st_size;
}

Result<void> ReportFile::keep_what_is_not_own() {
  struct stat there = {};
  if (!last_ || ::lstat(path_.c_str(), &there) != 0 || !S_ISREG(there.st_mode) || version_of(there) == *last_) {
    return {};
  }
  if (kept_aside_ == kMostKeptAside) {
    return fail(0,
                fmt::format("cannot write {}: something else writes there, too, and was kept aside {} times", path_,
                            kept_aside_),
                "end that, or name another file with --report");
  }
  const Result<std::string> kept = keep_aside(path_);
  if (!kept) {
    return tl::unexpected(kept.error());
  }
  kept_aside_++;
  spdlog::warn("something else has written to {}: that is kept as {}", printable(path_), printable(*kept));
  return {};
}

UniqueFd ReportFile::open() const {
  UniqueFd file(::open(path_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat info = {};
  if (!file || ::fstat(file.get(), &info) != 0 || last_ != version_of(info)) {
    return {};
  }
  return file;
}

}  // namespace snoop
