// SPDX-License-Identifier: Apache-2.0
#include "pipeline/resolver.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "container/elf_interpreter.h"
#include "pipeline/path.h"

namespace snoop {

namespace {

constexpr uint64_t kSymlink = 1ULL << SNOOP_KIND_SYMLINK << SNOOP_SEEN_SHIFT(SNOOP_OUTCOME_OK);
constexpr uint64_t kMissing = uint64_t{UINT16_MAX} << SNOOP_SEEN_SHIFT(SNOOP_OUTCOME_MISSING);

/// Whether a component of the path is `..`.
bool has_parent(std::string_view path) {
  for (size_t at = path.find(".."); at != std::string_view::npos; at = path.find("..", at + 1)) {
    const bool begins = at == 0 || path[at - 1] == '/';
    const bool ends = at + 2 == path.size() || path[at + 2] == '/';
    if (begins && ends) {
      return true;
    }
  }
  return false;
}

/// The interpreter that a script names (fs/binfmt_script.c); empty: it is no script.
std::string named_interpreter(int fd) {
  std::array<char, 256> start = {};
  const ssize_t length = ::pread(fd, start.data(), start.size(), 0);
  std::string_view line(start.data(), static_cast<size_t>(std::max<ssize_t>(length, 0)));
  if (!line.starts_with("#!")) {
    return {};
  }
  line = line.substr(2, line.find('\n') - 2);
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  return std::string(line.substr(0, line.find_first_of(std::string_view(" \t\0", 3))));
}

/// The name that an executable asks for its loader by; empty: it cannot be had.
std::string asked_loader(RootWalker& root, const std::string& executable) {
  const UniqueFd fd = root.open_file(executable);
  if (!fd) {
    return {};
  }
  Result<std::string> name = elf_interpreter(fd.get());
  // A relative one begins where the program was started, which is not told.
  return name && name->starts_with('/') ? std::move(*name) : std::string();
}

}  // namespace

std::optional<Resolver::Resolved> Resolver::resolve(const Record& record,
                                                    const std::function<bool(std::string_view)>& wanted) {
  std::optional<Access> access = to_access(record);
  if (!access) {
    return std::nullopt;
  }
  Resolved resolved{.access = std::move(*access), .links = {}, .no_root = false};
  const bool is_loader = record.event.type == SNOOP_EVENT_ELF_INTERPRETER;
  std::string_view asked = record.path;
  std::string loader;
  if (is_loader) {
    RootWalker* root = root_of(record);
    loader = root == nullptr ? std::string() : asked_loader(*root, directory_of(record.base));
    if (!loader.empty()) {
      resolved.access.path = normalise(loader);
    } else {
      loader = resolved.access.path;
    }
    asked = loader;
  }
  const bool has_base = !is_loader && record.has(SNOOP_FLAG_RELATIVE);
  const bool is_asked = !asked.empty() && (!has_base || !record.has(SNOOP_FLAG_BASE_IS_RESULT)) &&
                        !(has_base && record.has(SNOOP_FLAG_BASE_ABOVE_ROOT));
  // Text that is the kernel's own path has no link in it.
  const bool is_true = resolved.access.resolved == resolved.access.path && !has_parent(asked);
  if (follow_ && is_asked && !is_true && wanted(resolved.access.path)) {
    follow(record, has_base ? directory_of(record.base) : "/", asked, resolved);
  }
  if (follow_ && record.has(SNOOP_FLAG_SCRIPT)) {
    if (RootWalker* root = root_of(record)) {
      add_scripts(*root, resolved);
    }
  }
  return resolved;
}

/// The kernel tells which program runs a script in the end, not which scripts lie
/// between: it opens them by itself, so it takes the first lines to know them.
void Resolver::add_scripts(RootWalker& root, Resolved& resolved) {
  std::string script = resolved.access.path;
  for (int depth = 0; depth < 5; depth++) {  // as many as the kernel follows (fs/exec.c)
    const UniqueFd fd = root.open_file(script);
    std::string interpreter = fd ? named_interpreter(fd.get()) : std::string();
    if (depth > 0 && !interpreter.empty()) {
      Access between = resolved.access;
      between.path = script;
      between.resolved.clear();
      between.seen = 1ULL << SNOOP_KIND_INTERPRETER << SNOOP_SEEN_SHIFT(SNOOP_OUTCOME_OK);
      resolved.links.push_back(std::move(between));
    }
    if (!interpreter.starts_with('/')) {
      return;
    }
    script = normalise(interpreter);
  }
}

void Resolver::follow(const Record& record, std::string_view base, std::string_view asked, Resolved& resolved) {
  Access& access = resolved.access;
  RootWalker* root = root_of(record);
  if (root == nullptr) {
    resolved.no_root = true;
    if (!access.resolved.empty() && has_parent(asked)) {
      // What the kernel opened, rather than what the text looks like.
      access.path = access.resolved;
    }
    return;
  }
  const bool follow_last = !record.has(SNOOP_FLAG_NOFOLLOW);
  const bool was_missing = (access.seen & ~kMissing) == 0;
  Walk walk;
  std::string above;
  if (record.has(SNOOP_FLAG_IN_ROOT)) {
    RootWalker inner(root->open(base, true), [this](int fd) { return describe_(fd).magic; });
    walk = inner.walk("/", asked, follow_last, was_missing);
    above = base == "/" ? "" : base;
  } else {
    walk = root->walk(base, asked, follow_last, was_missing);
  }
  if (!walk.path.empty()) {
    access.path = absolute(above, walk.path);
  }
  const bool succeeded = kinds_with(access.seen, SNOOP_OUTCOME_OK) != 0;
  if (access.resolved.empty() && succeeded && walk.end == Walk::End::kFound) {
    access.resolved = absolute(above, walk.resolved);
  }
  for (const WalkedLink& walked : walk.links) {
    Access link = access;
    link.path = absolute(above, walked.path);
    link.resolved = absolute(above, walked.target);
    link.seen = kSymlink;
    link.result = 0;
    link.origin = FileOrigin::kUnknown;
    link.mount.clear();
    link.base_unknown = false;
    resolved.links.push_back(std::move(link));
  }
}

Resolver::Opened Resolver::open(const Record& record, const Access& access) {
  RootWalker* root = root_of(record);
  if (root == nullptr) {
    return {};
  }
  const bool is_link = access.seen == kSymlink || record.has(SNOOP_FLAG_NOFOLLOW);
  return {root->open(access.path, !is_link), root->root_fd()};
}

std::string_view Resolver::no_root_reason() const {
  return pids_are_ours_ ? "a root directory could not be opened: its processes had ended, or CAP_SYS_PTRACE is missing"
                        : "no process with that root directory can be seen from snoop's pid namespace: it needs the "
                          "host's pids, or the pod's (shareProcessNamespace), and CAP_SYS_PTRACE";
}

}  // namespace snoop
