// SPDX-License-Identifier: Apache-2.0
#include "pipeline/access.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <array>

#include "container/elf_interpreter.h"
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

std::optional<std::string> LoaderNames::find(uint32_t target, pid_t pid, const std::string& executable,
                                             uint64_t loader_inode) {
  bool is_own_root = false;
  if (pids_are_ours_) {
    UniqueFd root(::open(fmt::format("/proc/{}/root", pid).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (root) {
      roots_[target] = std::move(root);
      is_own_root = true;
    }
  }
  const auto held = roots_.find(target);
  if (held == roots_.end()) {
    return std::nullopt;
  }
  const Result<int> opened = open_in_root(held->second.get(), executable, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!opened) {
    return std::nullopt;
  }
  const UniqueFd fd(*opened);
  struct stat info = {};
  if (::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return std::nullopt;
  }
  Result<std::string> name = elf_interpreter(fd.get());
  if (!name || name->empty()) {
    return std::nullopt;
  }
  if (!is_own_root && loader_inode != 0) {
    // The root of another process: it may have another executable of that name.
    const Result<int> loader = open_in_root(held->second.get(), *name, O_PATH);
    const UniqueFd loader_fd(loader ? *loader : -1);
    if (!loader_fd || ::fstat(loader_fd.get(), &info) != 0 || info.st_ino != loader_inode) {
      return std::nullopt;
    }
  }
  return std::move(*name);
}

std::optional<Access> to_access(const Record& record, LoaderNames& loader_names) {
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
    const std::optional<std::string> name =
        loader_names.find(event.target, access.pid, directory_of(record.base), event.inode);
    if (!name) {
      access.path = usual_loader_name(access.resolved);
    } else {
      // A relative one begins where the program was started, which is not told.
      access.path = name->front() == '/' ? normalise(*name) : access.resolved;
    }
  } else {
    access.path = path_of(record, access);
  }
  if (access.path.empty()) {
    return std::nullopt;
  }
  return access;
}

}  // namespace snoop
