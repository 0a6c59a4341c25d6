// SPDX-License-Identifier: Apache-2.0
#include "container/root_walk.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <utility>

namespace snoop {

namespace {

/// include/linux/namei.h
constexpr size_t kMaxLinks = 40;
/// Directories held at once: there are only so many descriptors.
constexpr size_t kMaxDirectories = 128;

Walk::End end_of(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return Walk::End::kMissing;
    case EACCES:
    case EPERM:
      return Walk::End::kRefused;
    default:
      return Walk::End::kUnavailable;
  }
}

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

/// The number of the mount that an open file is on; 0: not known.
uint64_t mount_of(int fd) {
  struct statx info = {};
  const bool is_known = ::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &info) == 0;
  return is_known ? info.stx_mnt_id : 0;
}

std::string or_root(const std::string& path) { return path.empty() ? "/" : path; }

/// Text of a path, taken apart from the front.
class Components {
 public:
  explicit Components(std::string_view text) : rest_(text) {}
  /// The next one that is neither empty nor `.`; empty: there is none.
  std::string_view next() {
    while (true) {
      const size_t begin = rest_.find_first_not_of('/');
      if (begin == std::string_view::npos) {
        rest_ = {};
        return {};
      }
      const size_t end = std::min(rest_.find('/', begin), rest_.size());
      const std::string_view name = rest_.substr(begin, end - begin);
      rest_.remove_prefix(end);
      if (name != ".") {
        return name;
      }
    }
  }
  /// Nothing behind, not even a slash: that asks for a directory, and so follows.
  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  /// What is behind.
  [[nodiscard]] std::string_view text() const { return rest_; }

 private:
  std::string_view rest_;
};

}  // namespace

bool RootWalker::Directory::may_block() const {
  switch (magic) {
    case FUSE_SUPER_MAGIC:
    case NFS_SUPER_MAGIC:
    case SMB_SUPER_MAGIC:
    case CIFS_SUPER_MAGIC:
    case SMB2_SUPER_MAGIC:
    case V9FS_MAGIC:
    case AFS_SUPER_MAGIC:
    case AFS_FS_MAGIC:
    case AUTOFS_SUPER_MAGIC:
    case CODA_SUPER_MAGIC:
    case CEPH_SUPER_MAGIC:
    case OCFS2_SUPER_MAGIC:
    case 0x0BD00BD0:  // Lustre
      return true;
    default:
      return false;
  }
}

/// A walk on its way.
struct RootWalker::State {
  Walk walk;
  /// Where it is, without links; empty: at the root.
  std::string at;
  /// The same as asked for.
  std::string asked;
  bool follow_last = true;
};

RootWalker::RootWalker(UniqueFd root, Magic magic) : magic_(std::move(magic)) {
  root_.magic = magic_(root.get());
  root_.mount = mount_of(root.get());
  root_.fd = std::move(root);
}

UniqueFd RootWalker::open_child(const Directory& parent, const std::string& name) const {
  open_how how = {};
  how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_CACHED | RESOLVE_NO_MAGICLINKS;
  const long fd = ::syscall(SYS_openat2, parent.fd.get(), name.c_str(), &how, sizeof(how));
  // EINVAL: this kernel has no RESOLVE_CACHED (before 5.12).
  if (fd >= 0 || (errno != EAGAIN && errno != EINVAL) || parent.may_block()) {
    return UniqueFd(static_cast<int>(fd));
  }
  return UniqueFd(::openat(parent.fd.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

const RootWalker::Directory* RootWalker::directory(const std::string& path) {
  if (path.empty()) {
    return &root_;
  }
  if (const auto found = directories_.find(path); found != directories_.end()) {
    return &found->second;
  }
  const std::string above = parent_of(path);
  const Directory* parent = directory(above);
  if (parent == nullptr) {
    return nullptr;
  }
  UniqueFd fd = open_child(*parent, path.substr(above.size() + 1));
  return fd ? &hold(path, std::move(fd)) : nullptr;
}

const RootWalker::Directory& RootWalker::hold(const std::string& path, UniqueFd fd) {
  Directory opened;
  opened.mount = mount_of(fd.get());
  const bool is_same_mount = opened.mount != 0 && opened.mount == root_.mount;
  opened.magic = is_same_mount ? root_.magic : magic_(fd.get());
  opened.fd = std::move(fd);
  holds_other_mounts_ = holds_other_mounts_ || !is_same_mount;
  if (directories_.size() >= kMaxDirectories) {
    directories_.clear();
  }
  return directories_[path] = std::move(opened);
}

/// Opens a directory at once. false, and EAGAIN or ENOENT: it may be that one above
/// can be had; any other error tells nothing of that.
bool RootWalker::reach(const std::string& path) {
  if (directories_.contains(path)) {
    return true;
  }
  open_how how = {};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_CACHED | RESOLVE_NO_SYMLINKS;
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, root_.fd.get(), path.c_str() + 1, &how, sizeof(how))));
  if (!fd) {
    return false;
  }
  hold(path, std::move(fd));
  return true;
}

/// Most paths have no link in them, except perhaps as the last component: the kernel
/// comes to that faster in one call than by one for each component. false: it ended here.
bool RootWalker::skip_plain_part(State& state, std::string_view& path, bool was_missing) {
  std::string place = state.at;
  Components parts(path);
  for (std::string_view part = parts.next(); !part.empty(); part = parts.next()) {
    if (part == "..") {
      return true;
    }
    place += '/';
    place += part;
  }
  if (place.size() == state.at.size()) {
    return true;  // "." and the like
  }
  if (missing_.size() > state.at.size() && (place + '/').starts_with(missing_ + '/')) {
    if (was_missing) {
      state.walk.end = Walk::End::kMissing;
      state.asked = std::move(place);
      return false;
    }
    place = missing_;
  }
  for (place = parent_of(place); place.size() > state.at.size(); place = parent_of(place)) {
    if (reach(place)) {
      break;
    }
    if (errno != EAGAIN && errno != ENOENT) {
      return true;
    }
  }
  Components rest(path);
  for (size_t at = state.at.size(); at < place.size();) {
    at += 1 + rest.next().size();
  }
  path = rest.text();
  state.at = place;
  state.asked = std::move(place);
  return true;
}

void RootWalker::leave_other_mounts() {
  if (std::exchange(holds_other_mounts_, false)) {
    std::erase_if(directories_, [&](const auto& held) { return held.second.mount != root_.mount; });
  }
}

/// false: it ended here.
bool RootWalker::on_component(State& state, const std::string& name, bool follow) {
  const auto ended = [&](Walk::End end) {
    state.walk.end = end;
    return false;
  };
  const Directory* parent = directory(state.at);
  if (parent == nullptr) {
    return ended(end_of(errno));
  }
  std::array<char, PATH_MAX> text = {};
  ssize_t length = 0;
  if (parent->may_block()) {
    const UniqueFd child = open_child(*parent, name);
    struct statx info = {};
    if (!child) {
      return ended(end_of(errno));
    }
    if (::statx(child.get(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &info) != 0 ||
        S_ISLNK(info.stx_mode)) {
      return ended(Walk::End::kUnavailable);
    }
    length = -1;
    errno = EINVAL;
  } else {
    length = ::readlinkat(parent->fd.get(), name.c_str(), text.data(), text.size());
  }
  if (length < 0 && errno != EINVAL) {
    const int error = errno;
    if (error == ENOENT && state.walk.links.empty()) {
      missing_ = state.at + '/' + name;
    }
    return ended(end_of(error));
  }
  if (length < 0 || !follow) {
    state.at += '/';
    state.at += name;
    return true;
  }
  if (parent->magic == PROC_SUPER_MAGIC) {
    return ended(Walk::End::kUnavailable);
  }
  if (state.walk.links.size() >= kMaxLinks) {
    return ended(Walk::End::kLoop);
  }
  const std::string_view target(text.data(), static_cast<size_t>(length));
  if (target.empty() || static_cast<size_t>(length) == text.size()) {
    return ended(Walk::End::kMissing);
  }
  const bool is_absolute = target.front() == '/';
  std::string named = is_absolute ? std::string() : state.at;
  for (Components parts(target); true;) {
    const std::string_view part = parts.next();
    if (part.empty()) {
      break;
    }
    if (part == "..") {
      named = parent_of(named);
    } else {
      named += '/';
      named += part;
    }
  }
  state.walk.links.push_back({state.at + "/" + name, or_root(named)});
  if (is_absolute) {
    state.at.clear();
  }
  return step(state, target, true);
}

bool RootWalker::step(State& state, std::string_view text, bool is_link_text) {
  Components parts(text);
  // A link that is followed is followed to its end.
  const bool follow_last = is_link_text || state.follow_last;
  while (true) {
    const std::string name(parts.next());
    if (name.empty()) {
      return true;
    }
    if (name == "..") {
      // What is above has no link in it, so its parent is that of the text.
      state.at = parent_of(state.at);
      if (!is_link_text) {
        state.asked = state.at;
      }
      continue;
    }
    if (!is_link_text) {
      state.asked += '/';
      state.asked += name;
    }
    if (!on_component(state, name, follow_last || !parts.at_end())) {
      if (!is_link_text) {
        // Nothing behind was looked at; where it goes up again it is nowhere.
        std::string rest;
        for (std::string_view part = parts.next(); !part.empty(); part = parts.next()) {
          if (part == "..") {
            return false;
          }
          rest += '/';
          rest += part;
        }
        state.asked += rest;
      }
      return false;
    }
  }
}

Walk RootWalker::walk(std::string_view base, std::string_view path, bool follow_last, bool was_missing) {
  State state;
  if (!path.starts_with('/')) {
    for (Components parts(base); true;) {
      const std::string_view part = parts.next();
      if (part.empty()) {
        break;
      }
      state.at += '/';
      state.at += part;
    }
    state.asked = state.at;
  }
  state.follow_last = follow_last;
  if (skip_plain_part(state, path, was_missing) && step(state, path, false)) {
    state.walk.end = Walk::End::kFound;
    state.walk.resolved = or_root(state.at);
  }
  state.walk.path = or_root(state.asked);
  leave_other_mounts();
  return std::move(state.walk);
}

UniqueFd RootWalker::open(std::string_view path, bool follow_last) {
  const Walk walked = walk("/", path, follow_last);
  if (walked.end != Walk::End::kFound) {
    return {};
  }
  const std::string& place = walked.resolved;
  if (place == "/") {
    return UniqueFd(::fcntl(root_.fd.get(), F_DUPFD_CLOEXEC, 0));
  }
  const std::string above = parent_of(place);
  const Directory* parent = directory(above);
  UniqueFd opened = parent == nullptr ? UniqueFd() : open_child(*parent, place.substr(above.size() + 1));
  leave_other_mounts();
  return opened;
}

UniqueFd RootWalker::open_file(std::string_view path) {
  Directory handle;
  handle.fd = open(path, true);
  struct stat info = {};
  if (!handle.fd) {
    return {};
  }
  handle.magic = magic_(handle.fd.get());
  if (handle.may_block() || ::fstat(handle.fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return {};
  }
  const std::string link = "/proc/self/fd/" + std::to_string(handle.fd.get());
  return UniqueFd(::open(link.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

}  // namespace snoop
