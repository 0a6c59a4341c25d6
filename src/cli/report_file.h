// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdio>
#include <ctime>
#include <functional>
#include <optional>
#include <string>
#include <tuple>

#include "base/result.h"
#include "base/unique_fd.h"

namespace snoop {

/// The place of the report, and what was written there last.
class ReportFile {
 public:
  /// `path` must outlive this.
  explicit ReportFile(const std::string& path) : path_(path) {}

  /// Replaces the report; its size. What somebody else has put in the place of the one before is kept aside.
  [[nodiscard]] Result<off_t> write(const std::function<void(std::FILE*)>& put);
  /// The one that was written last, for reading. None if there is none, or if something else is in its place. Not kept
  /// open: the file system could not be unmounted.
  [[nodiscard]] UniqueFd open() const;

 private:
  /// Device, inode, size, and when it was written: seconds and nanoseconds.
  using Version = std::tuple<dev_t, ino_t, off_t, time_t, long>;

  [[nodiscard]] static Version version_of(const struct stat& info);
  [[nodiscard]] Result<void> keep_what_is_not_own();

  const std::string& path_;
  std::optional<Version> last_;
  size_t kept_aside_ = 0;
};

}  // namespace snoop
