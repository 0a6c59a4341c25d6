// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/unique_fd.h"

namespace snoop {

struct WalkedLink {
  /// Of the link itself, no link in it.
  std::string path;
  /// The place that its text names, not followed any further.
  std::string target;
};

/// Where a path leads below a root directory. All paths are absolute there.
struct Walk {
  enum class End {
    kFound,
    kMissing,  ///< no such file, or a part of the path is no directory
    kLoop,     ///< more than 40 links
    kRefused,
    kUnavailable,  ///< could not be looked at without a risk: see RootWalker
  };
  End end = End::kUnavailable;
  /// As asked for, links kept; but behind a `..` it is where the kernel went:
  /// "/a/link/../b" is "/x/b" where link leads to "/x/y".
  std::string path;
  /// The file that it led to; empty unless it was found.
  std::string resolved;
  /// Each link that was followed, in order.
  std::vector<WalkedLink> links;
};

/// Walks paths below a root directory that it holds, as a process with that root
/// would, component by component, and never leaves it: the container may change
/// its directories and links at any moment. It triggers no automount, and asks no
/// file system that may let it wait (FUSE, network) for anything that the kernel
/// does not have in memory (RESOLVE_CACHED, openat2(2)). Links of procfs are not
/// followed: they mean something else to each process.
class RootWalker {
 public:
  /// Magic number of the file system of an open file (statfs(2)), got in a way
  /// that cannot block.
  using Magic = std::function<uint32_t(int)>;

  RootWalker(UniqueFd root, Magic magic);

  /// `base`: an absolute path without links, where a relative `path` begins.
  /// `was_missing`: whoever asked for it was told that there is no such file.
  [[nodiscard]] Walk walk(std::string_view base, std::string_view path, bool follow_last, bool was_missing = false);
  /// A handle (O_PATH) on the end of a path, or nothing.
  [[nodiscard]] UniqueFd open(std::string_view path, bool follow_last);
  /// The regular file at the end of a path, to be read; nothing where it is another
  /// kind of file, or one that reading may wait for.
  [[nodiscard]] UniqueFd open_file(std::string_view path);
  /// Forgets the directories that it has seen: they may change.
  void begin_batch() {
    directories_.clear();
    missing_.clear();
  }

  [[nodiscard]] int root_fd() const { return root_.fd.get(); }

 private:
  struct Directory {
    UniqueFd fd;
    uint32_t magic = 0;
    uint64_t mount = 0;
    [[nodiscard]] bool may_block() const;
  };
  struct State;

  /// The directory with that path, which has no link in it; nullptr: errno tells.
  const Directory* directory(const std::string& path);
  /// What is held on other mounts than the root's keeps their owner from unmounting them.
  void leave_other_mounts();
  [[nodiscard]] UniqueFd open_child(const Directory& parent, const std::string& name) const;
  const Directory& hold(const std::string& path, UniqueFd fd);
  bool reach(const std::string& path);
  bool skip_plain_part(State& state, std::string_view& path, bool was_missing);
  bool step(State& state, std::string_view text, bool is_link_text);
  bool on_component(State& state, const std::string& name, bool follow);

  Directory root_;
  Magic magic_;
  /// By path, without links and without a slash at the end.
  std::unordered_map<std::string, Directory> directories_;
  bool holds_other_mounts_ = false;
  /// The last place in this batch, no link on the way to it, where there was nothing;
  /// empty: none. Programs look for many files below such a place.
  std::string missing_;
};

}  // namespace snoop
