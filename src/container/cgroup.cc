// SPDX-License-Identifier: Apache-2.0
#include "container/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>

#include "base/unique_fd.h"

namespace snoop {

namespace {

bool is_cgroup2(const std::string& directory) {
  struct statfs info = {};
  return ::statfs(directory.c_str(), &info) == 0 && info.f_type == CGROUP2_SUPER_MAGIC;
}

/// The kernel's octal escapes in mountinfo (man 5 proc).
std::string unescape_mount(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string join(const std::string& directory, std::string_view name) {
  return fmt::format("{}/{}", directory == "/" ? "" : directory, name);
}

/// A cgroup and everything below it, the deepest last.
void visit(const CgroupTree& tree, const Cgroup& cgroup, const std::function<void(const Cgroup&)>& visitor) {
  visitor(cgroup);
  for (const Cgroup& child : tree.children(cgroup)) {
    visit(tree, child, visitor);
  }
}

}  // namespace

std::string parent_path(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string_view::npos ? "/" : std::string(path.substr(0, slash));
}

Result<CgroupTree> CgroupTree::find() {
  std::ifstream mounts("/proc/self/mountinfo");
  std::string line;
  while (std::getline(mounts, line)) {
    // 31 23 0:27 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw
    const size_t separator = line.find(" - ");
    if (separator == std::string::npos || line.compare(separator + 3, 8, "cgroup2 ") != 0) {
      continue;
    }
    std::istringstream fields(line);
    std::string id;
    std::string parent;
    std::string device;
    std::string root;
    std::string mount_point;
    fields >> id >> parent >> device >> root >> mount_point;
    mount_point = unescape_mount(mount_point);
    // A later mount may hide it.
    if (is_cgroup2(mount_point)) {
      return CgroupTree(mount_point);
    }
  }
  return fail(0, "no cgroup2 file system is mounted here",
              "mount it (mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified), or give the container the host's "
              "/sys/fs/cgroup");
}

std::string CgroupTree::directory(const Cgroup& cgroup) const {
  return cgroup.path == "/" ? mount_point_ : mount_point_ + cgroup.path;
}

Result<Cgroup> CgroupTree::at(const std::string& path) const {
  Cgroup cgroup{0, path};
  struct stat info = {};
  const std::string where = directory(cgroup);
  if (::stat(where.c_str(), &info) != 0) {
    return fail(errno, fmt::format("cgroup {}", where));
  }
  if (!S_ISDIR(info.st_mode) || !is_cgroup2(where)) {
    return fail(ENOTDIR, fmt::format("{} is no cgroup2 directory", where));
  }
  // A cgroup's id is its inode number (kernfs, on 64-bit machines).
  cgroup.id = info.st_ino;
  return cgroup;
}

Result<Cgroup> CgroupTree::at_kernel_path(const std::string& path, uint64_t id) const {
  for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    Result<Cgroup> cgroup = at(path.substr(slash));
    if (cgroup && cgroup->id == id) {
      return cgroup;
    }
  }
  return fail(ENOENT, fmt::format("cgroup {}", path));
}

Result<Cgroup> CgroupTree::named(const std::string& name) const {
  const auto tree_path = [](std::string path) {
    while (path.size() > 1 && path.back() == '/') {
      path.pop_back();
    }
    return path.empty() || path.front() != '/' ? "/" + path : path;
  };
  if (name.empty()) {
    return fail(EINVAL, "an empty cgroup path");
  }
  const std::string inside = directory({0, tree_path(name)});
  for (const std::string& candidate : {name.front() == '/' ? name : inside, inside}) {
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(candidate.c_str(), nullptr), &std::free);
    if (real == nullptr) {
      continue;
    }
    const std::string path = real.get();
    const std::string prefix = mount_point_ == "/" ? "" : mount_point_;
    if (path == mount_point_ || path.compare(0, prefix.size() + 1, prefix + "/") == 0) {
      if (Result<Cgroup> found = at(tree_path(path.substr(prefix.size())))) {
        return found;
      }
    }
    struct statfs info = {};
    if (::statfs(path.c_str(), &info) == 0 && info.f_type == CGROUP_SUPER_MAGIC) {
      return fail(0, fmt::format("{} is a cgroup of version 1", path),
                  fmt::format("snoop traces version 2, which is mounted at {}", mount_point_));
    }
  }
  return fail(0, fmt::format("there is no cgroup {}", name),
              fmt::format("tried {}{}; snoop-find-cgroup (scripts/find-cgroup.sh) finds a container's",
                          name.front() == '/' ? name + " and " : "", inside));
}

Result<Cgroup> CgroupTree::own() const {
  std::ifstream lines("/proc/self/cgroup");
  std::string line;
  while (std::getline(lines, line)) {
    if (line.compare(0, 3, "0::") == 0) {
      return at(line.substr(3));
    }
  }
  return fail(ENOENT, "this process is in no cgroup2");
}

std::vector<Cgroup> CgroupTree::children(const Cgroup& cgroup) const {
  std::vector<Cgroup> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(directory(cgroup).c_str()), &::closedir);
  if (!dir) {
    return found;
  }
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (entry->d_type != DT_DIR || name == "." || name == "..") {
      continue;
    }
    if (Result<Cgroup> child = at(join(cgroup.path, name))) {
      found.push_back(std::move(*child));
    }
  }
  std::sort(found.begin(), found.end(), [](const Cgroup& a, const Cgroup& b) { return a.path < b.path; });
  return found;
}

std::vector<pid_t> CgroupTree::processes(const Cgroup& cgroup) const {
  std::ifstream procs(directory(cgroup) + "/cgroup.procs");
  std::vector<pid_t> pids;
  pid_t pid = 0;
  while (procs >> pid) {
    pids.push_back(pid);
  }
  return pids;
}

Result<OwnedCgroup> OwnedCgroup::create(const CgroupTree& tree, const Cgroup& parent, const std::string& name) {
  const std::string path = join(parent.path, name);
  const std::string where = tree.directory({0, path});
  if (::mkdir(where.c_str(), 0755) != 0) {
    return fail(errno, fmt::format("cannot make the cgroup {}", where),
                "snoop run needs a cgroup2 that it may write to: root on the host, or a delegated subtree");
  }
  Result<Cgroup> cgroup = tree.at(path);
  if (!cgroup) {
    ::rmdir(where.c_str());
    return fail(cgroup.error(), "after making it");
  }
  return OwnedCgroup(tree, std::move(*cgroup));
}

Result<int> OwnedCgroup::open_procs() const {
  const std::string file = tree_.directory(cgroup_) + "/cgroup.procs";
  const int fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) {
    return fail(errno, fmt::format("cannot open {}", file));
  }
  return fd;
}

std::vector<pid_t> OwnedCgroup::processes() const {
  std::vector<pid_t> pids;
  visit(tree_, cgroup_, [&](const Cgroup& cgroup) {
    const std::vector<pid_t> here = tree_.processes(cgroup);
    pids.insert(pids.end(), here.begin(), here.end());
  });
  return pids;
}

void OwnedCgroup::kill() const {
  // From Linux 5.14 on; it also catches what is being forked.
  const UniqueFd fd(::open((tree_.directory(cgroup_) + "/cgroup.kill").c_str(), O_WRONLY | O_CLOEXEC));
  if (fd && ::write(fd.get(), "1", 1) == 1) {
    return;
  }
  for (const pid_t pid : processes()) {
    ::kill(pid, SIGKILL);
  }
}

void OwnedCgroup::remove() {
  if (cgroup_.path.empty()) {
    return;
  }
  std::vector<std::string> directories;
  visit(tree_, cgroup_, [&](const Cgroup& cgroup) { directories.push_back(tree_.directory(cgroup)); });
  for (auto it = directories.rbegin(); it != directories.rend(); ++it) {
    ::rmdir(it->c_str());
  }
}

}  // namespace snoop
