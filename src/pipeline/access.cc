// SPDX-License-Identifier: Apache-2.0
#include "pipeline/access.h"

#include <linux/magic.h>

#include <array>

#include "pipeline/path.h"

namespace snoop {

namespace {

constexpr uint16_t bit(snoop_kind kind) { return static_cast<uint16_t>(1U << kind); }

constexpr uint16_t kOpenKinds = bit(SNOOP_KIND_READ) | bit(SNOOP_KIND_WRITE) | bit(SNOOP_KIND_CREATE) |
                                bit(SNOOP_KIND_DIRECTORY) | bit(SNOOP_KIND_PATH);

struct NamedKind {
  snoop_kind kind;
  std::string_view name;
};

constexpr std::array kOpenModes = {
    NamedKind{SNOOP_KIND_READ, "read"},     NamedKind{SNOOP_KIND_WRITE, "write"},
    NamedKind{SNOOP_KIND_CREATE, "create"}, NamedKind{SNOOP_KIND_DIRECTORY, "directory"},
    NamedKind{SNOOP_KIND_PATH, "path"},
};

constexpr std::array kOtherKinds = {
    NamedKind{SNOOP_KIND_EXEC, "exec"},         NamedKind{SNOOP_KIND_INTERPRETER, "interpreter"},
    NamedKind{SNOOP_KIND_STAT, "stat"},         NamedKind{SNOOP_KIND_ACCESS, "access"},
    NamedKind{SNOOP_KIND_READLINK, "readlink"}, NamedKind{SNOOP_KIND_CHANGE, "change"},
    NamedKind{SNOOP_KIND_CONNECT, "connect"},   NamedKind{SNOOP_KIND_BASELINE, "baseline"},
    NamedKind{SNOOP_KIND_SYMLINK, "symlink"},
};
static_assert(kOpenModes.size() + kOtherKinds.size() == SNOOP_KIND_COUNT);

/// The name that programs ask for a loader by, from the file that it is: the
/// name is part of each ABI. Where the executable cannot be asked this is as good;
/// a loader of another name is taken to be asked for as what it is.
std::string usual_loader_name(const std::string& file) {
  const std::string name = file.substr(file.rfind('/') + 1);
  if (name == "ld-linux-x86-64.so.2") {
    return "/lib64/" + name;
  }
  if (name == "ld-linux.so.2" || name == "ld-linux-aarch64.so.1" || name == "ld-linux-armhf.so.3" ||
      (name.starts_with("ld-musl-") && name.ends_with(".so.1"))) {
    return "/lib/" + name;
  }
#if defined(__x86_64__)
  // glibc before 2.34 had its version in the name of the file.
  if (name.starts_with("ld-2.") && file.find("x86_64") != std::string::npos) {
    return "/lib64/ld-linux-x86-64.so.2";
  }
#endif
  return file;
}

/// File systems that the kernel makes up (include/uapi/linux/magic.h).
bool is_pseudo(uint32_t magic) {
  switch (magic) {
    case PROC_SUPER_MAGIC:
    case SYSFS_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case DEVPTS_SUPER_MAGIC:
    case DEBUGFS_MAGIC:
    case TRACEFS_MAGIC:
    case BPF_FS_MAGIC:
    case SECURITYFS_MAGIC:
    case SELINUX_MAGIC:
    case PSTOREFS_MAGIC:
    case EFIVARFS_MAGIC:
    case NSFS_MAGIC:
    case BINFMTFS_MAGIC:
    case PIPEFS_MAGIC:
    case SOCKFS_MAGIC:
    case ANON_INODE_FS_MAGIC:
    case HUGETLBFS_MAGIC:
    case 0x19800202:  // mqueue
    case 0x62656570:  // configfs
    case 0x65735543:  // fusectl
      return true;
    default:
      return false;
  }
}

std::string path_of(const Record& record, Access& access) {
  if (record.path.empty() && !record.has(SNOOP_FLAG_RELATIVE)) {
    return access.resolved;
  }
  if (!record.has(SNOOP_FLAG_RELATIVE)) {
    return normalise(record.path);
  }
  const std::string base = directory_of(record.base);
  if (record.has(SNOOP_FLAG_BASE_IS_RESULT)) {
    std::string path = absolute_from_result(base, record.path);
    access.base_unknown = path.empty();
    return path.empty() ? base : path;
  }
  if (record.has(SNOOP_FLAG_IN_ROOT)) {
    return absolute(base, normalise(record.path));
  }
  return absolute(base, record.path);
}

}  // namespace

uint16_t kinds_with(uint64_t seen, snoop_outcome outcome) {
  return static_cast<uint16_t>(seen >> SNOOP_SEEN_SHIFT(outcome));
}

std::vector<std::string_view> kind_names(uint16_t kinds) {
  std::vector<std::string_view> names;
  if ((kinds & kOpenKinds) != 0) {
    names.emplace_back("open");
  }
  for (const NamedKind& named : kOtherKinds) {
    if ((kinds & bit(named.kind)) != 0) {
      names.push_back(named.name);
    }
  }
  return names;
}

std::vector<std::string_view> open_mode_names(uint16_t kinds) {
  std::vector<std::string_view> names;
  for (const NamedKind& named : kOpenModes) {
    if ((kinds & bit(named.kind)) != 0) {
      names.push_back(named.name);
    }
  }
  return names;
}

void set_origin(Access& access, const Record& record) {
  const snoop_event& event = record.event;
  if (event.fs_magic == 0 || record.has(SNOOP_FLAG_NAMELESS) || record.has(SNOOP_FLAG_RESOLVED_ABOVE_ROOT)) {
    return;
  }
  const std::string_view mount_names = record.resolved.substr(event.mount_at);
  if (is_pseudo(event.fs_magic)) {
    access.origin = FileOrigin::kPseudo;
    access.mount = directory_of(mount_names);
  } else if (!mount_names.empty()) {
    access.origin = FileOrigin::kVolume;
    access.mount = directory_of(mount_names);
  } else if (event.layer == SNOOP_LAYER_LOWER || event.layer == SNOOP_LAYER_COPIED) {
    access.origin = FileOrigin::kImage;
  } else if (event.layer == SNOOP_LAYER_UPPER) {
    access.origin = FileOrigin::kWritten;
  }
}

std::optional<Access> to_access(const Record& record) {
  Access access;
  const snoop_event& event = record.event;
  access.seen = event.seen;
  access.result = event.result;
  access.pid = static_cast<pid_t>(event.pid);
  access.tid = static_cast<pid_t>(event.tid);
  access.target = event.target;
  access.cgroup_id = event.cgroup_id;
  access.time = wall_from_boottime(event.time_ns);
  if (!record.resolved.empty()) {
    access.resolved = directory_of(record.resolved);
  }
  if (event.type == SNOOP_EVENT_ELF_INTERPRETER) {
    access.path = usual_loader_name(access.resolved);
  } else {
    access.path = path_of(record, access);
  }
  if (access.path.empty()) {
    return std::nullopt;
  }
  set_origin(access, record);
  return access;
}

}  // namespace snoop
