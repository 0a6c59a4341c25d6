// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "probe/record.h"

namespace snoop {

/// Where a file comes from.
enum class FileOrigin : uint8_t {
  kUnknown,
  kImage,    ///< it is in the image, changed since or not
  kWritten,  ///< made at run time, in the container's own layer
  kVolume,   ///< of a volume or bind mount
  kPseudo,   ///< made by the kernel: proc, sysfs, devtmpfs, ...
};

/// One use of one path.
struct Access {
  /// As asked for, absolute and normalised, below the program's own root.
  std::string path;
  /// The file it led to; empty: not known.
  std::string resolved;
  /// Kinds, shifted by the outcome (event.h).
  uint64_t seen = 0;
  /// What the system call returned: 0 or more, or -errno.
  int result = 0;
  pid_t pid = 0;
  pid_t tid = 0;
  uint32_t target = 0;
  uint64_t cgroup_id = 0;
  WallTime time = 0;
  /// The path asked for could not be made absolute; `path` is where it led.
  bool base_unknown = false;
  FileOrigin origin = FileOrigin::kUnknown;
  /// Mount point of a volume or pseudo file system; empty: not known.
  std::string mount;
};

/// Bits of enum snoop_kind with this outcome.
[[nodiscard]] uint16_t kinds_with(uint64_t seen, snoop_outcome outcome);

/// Names of a kind mask, in the order of enum snoop_kind: "open" once for all
/// ways to open, then the others.
[[nodiscard]] std::vector<std::string_view> kind_names(uint16_t kinds);
/// "read", "write", "create", "directory", "path".
[[nodiscard]] std::vector<std::string_view> open_mode_names(uint16_t kinds);

/// Where the file of a record comes from, and its mount point; unknown where the
/// record does not tell.
void set_origin(Access& access, const Record& record);

/// The access that a record tells of, as far as the record goes: `..` is taken
/// out as text, and a loader has its usual name. Nothing where it names no file.
[[nodiscard]] std::optional<Access> to_access(const Record& record);

}  // namespace snoop
