// SPDX-License-Identifier: Apache-2.0
#include "container/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <sstream>

#include "base/unique_fd.h"

namespace snoop {

namespace {

bool is_on(const std::string& directory, decltype(std::declval<struct statfs>().f_type) magic) {
  struct statfs info = {};
  return ::statfs(directory.c_str(), &info) == 0 && info.f_type == magic;
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

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> words;
  std::istringstream stream(list);
  std::string word;
  while (std::getline(stream, word, ',')) {
    words.push_back(word);
  }
  return words;
}

/// A mounted hierarchy that can be seen: a later mount may hide one.
struct CgroupMount {
  std::string mount_point;
  bool is_version2 = false;
  /// Version 1: its controllers; none: a named hierarchy, as systemd has one.
  std::vector<std::string> controllers;

  [[nodiscard]] bool has(std::string_view controller) const {
    return std::find(controllers.begin(), controllers.end(), controller) != controllers.end();
  }
};

/// Of a line of /proc/self/cgroup: "4:cpu,cpuacct:/a/b".
struct Membership {
  int hierarchy_id = 0;
  std::vector<std::string> controllers;
  std::string path;
};

std::vector<Membership> own_memberships() {
  std::vector<Membership> found;
  std::ifstream lines("/proc/self/cgroup");
  std::string line;
  while (std::getline(lines, line)) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (second == std::string::npos) {
      continue;
    }
    found.push_back(
        {std::atoi(line.c_str()), split(line.substr(first + 1, second - first - 1)), line.substr(second + 1)});
  }
  return found;
}

std::vector<CgroupMount> cgroup_mounts() {
  std::set<std::string> known;
  for (const Membership& membership : own_memberships()) {
    known.insert(membership.controllers.begin(), membership.controllers.end());
  }
  std::vector<CgroupMount> found;
  std::ifstream mounts("/proc/self/mountinfo");
  std::string line;
  while (std::getline(mounts, line)) {
    // 31 23 0:27 / /sys/fs/cgroup/pids rw,relatime shared:9 - cgroup cgroup rw,pids
    const size_t separator = line.find(" - ");
    if (separator == std::string::npos) {
      continue;
    }
    std::istringstream fields(line);
    std::istringstream file_system(line.substr(separator + 3));
    std::string skipped;
    std::string type;
    std::string options;
    CgroupMount mount;
    fields >> skipped >> skipped >> skipped >> skipped >> mount.mount_point;
    file_system >> type >> skipped >> options;
    mount.mount_point = unescape_mount(mount.mount_point);
    mount.is_version2 = type == "cgroup2";
    if (type != "cgroup" && !mount.is_version2) {
      continue;
    }
    if (!is_on(mount.mount_point, mount.is_version2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC)) {
      continue;
    }
    for (const std::string& option : split(options)) {
      if (!mount.is_version2 && known.contains(option) && !option.starts_with("name=")) {
        mount.controllers.push_back(option);
      }
    }
    found.push_back(std::move(mount));
  }
  return found;
}

std::string join(const std::string& directory, std::string_view name) {
  return fmt::format("{}/{}", directory == "/" ? "" : directory, name);
}

bool holds_this_process(const CgroupTree& tree, const Cgroup& cgroup) {
  const std::vector<pid_t> pids = tree.processes(cgroup);
  return std::find(pids.begin(), pids.end(), ::getpid()) != pids.end();
}

std::optional<Cgroup> find_this_process(const CgroupTree& tree, const Cgroup& top) {
  if (holds_this_process(tree, top)) {
    return top;
  }
  for (const Cgroup& child : tree.children(top)) {
    if (std::optional<Cgroup> found = find_this_process(tree, child)) {
      return found;
    }
  }
  return std::nullopt;
}

bool is_below(const std::string& path, const std::string& directory) {
  return directory == "/" || path == directory || path.starts_with(directory + "/");
}

std::string real_path(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  return real == nullptr ? "" : real.get();
}

/// Controllers of version 1 that container runtimes make cgroups in, the most usual first.
constexpr std::array kUsualControllers = {"memory", "pids", "cpu", "devices", "freezer", "blkio"};

/// The hierarchy that a directory of version 1 is in.
Result<CgroupTree> version1_tree_of(const std::string& directory) {
  const std::vector<CgroupMount> mounts = cgroup_mounts();
  const CgroupMount* best = nullptr;
  for (const CgroupMount& mount : mounts) {
    if (!mount.is_version2 && is_below(directory, mount.mount_point) &&
        (best == nullptr || mount.mount_point.size() >= best->mount_point.size())) {
      best = &mount;
    }
  }
  if (best == nullptr) {
    return fail(ENOENT, fmt::format("{} is in no cgroup hierarchy that is mounted here", directory));
  }
  if (best->controllers.empty()) {
    return fail(
        0, fmt::format("{} is in a hierarchy without a controller, whose cgroups snoop cannot tell apart", directory),
        "name the container's directory in another one, as /sys/fs/cgroup/pids/...");
  }
  return CgroupTree(best->mount_point, best->controllers.front());
}

}  // namespace

CgroupLayout cgroup_layout() {
  bool version1 = false;
  bool version2 = false;
  for (const CgroupMount& mount : cgroup_mounts()) {
    version2 |= mount.is_version2;
    version1 |= !mount.controllers.empty();
  }
  if (version2) {
    return version1 ? CgroupLayout::kHybrid : CgroupLayout::kUnified;
  }
  return version1 ? CgroupLayout::kPureV1 : CgroupLayout::kNone;
}

std::string_view layout_name(CgroupLayout layout) {
  switch (layout) {
    case CgroupLayout::kUnified:
      return "unified";
    case CgroupLayout::kHybrid:
      return "hybrid: version 1 beside it";
    case CgroupLayout::kPureV1:
      return "pure version 1";
    case CgroupLayout::kNone:
      break;
  }
  return "none";
}

std::string parent_path(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string_view::npos ? "/" : std::string(path.substr(0, slash));
}

Result<CgroupTree> CgroupTree::find() {
  const std::vector<CgroupMount> mounts = cgroup_mounts();
  for (const CgroupMount& mount : mounts) {
    if (mount.is_version2) {
      return CgroupTree(mount.mount_point);
    }
  }
  for (const char* controller : kUsualControllers) {
    for (const CgroupMount& mount : mounts) {
      if (mount.has(controller)) {
        return CgroupTree(mount.mount_point, controller);
      }
    }
  }
  return fail(0, "no cgroup file system is mounted here",
              "mount it (mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified), or give the container the host's "
              "/sys/fs/cgroup");
}

Result<CgroupTree> CgroupTree::find_for(const std::vector<std::string>& names) {
  Result<CgroupTree> usual = find();
  if (!usual) {
    return usual;
  }
  std::optional<CgroupTree> chosen;
  for (const std::string& name : names) {
    const std::string path = name.empty() || name.front() != '/' ? "" : real_path(name);
    Result<CgroupTree> tree = !path.empty() && is_on(path, CGROUP_SUPER_MAGIC) ? version1_tree_of(path) : usual;
    if (!tree) {
      return tree;
    }
    if (chosen && chosen->hierarchy() != tree->hierarchy()) {
      return fail(0,
                  fmt::format("{} and {} are in different cgroup hierarchies ({} and {})", names.front(), name,
                              chosen->hierarchy(), tree->hierarchy()),
                  "start one snoop for each hierarchy");
    }
    chosen = std::move(*tree);
  }
  return chosen ? std::move(*chosen) : usual;
}

Result<int> CgroupTree::hierarchy_id() const {
  if (controller_.empty()) {
    return 0;
  }
  for (const Membership& membership : own_memberships()) {
    if (std::find(membership.controllers.begin(), membership.controllers.end(), controller_) !=
        membership.controllers.end()) {
      return membership.hierarchy_id;
    }
  }
  return fail(ENOENT, fmt::format("/proc/self/cgroup does not tell of the controller {}", controller_));
}

bool CgroupTree::is_cgroup(const std::string& directory) const {
  return is_on(directory, controller_.empty() ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC);
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
  if (!S_ISDIR(info.st_mode) || !is_cgroup(where)) {
    return fail(ENOTDIR, fmt::format("{} is no {} directory", where, controller_.empty() ? "cgroup2" : "cgroup"));
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

Result<Cgroup> CgroupTree::find_id(uint64_t id) const {
  Cgroup found;
  if (const Result<Cgroup> root = at("/")) {
    visit(*root, [&](const Cgroup& cgroup) { found = cgroup.id == id ? cgroup : found; });
  }
  return found.id == id ? Result<Cgroup>(std::move(found)) : fail(ENOENT, fmt::format("cgroup with id {}", id));
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
    const std::string path = real_path(candidate);
    if (path.empty()) {
      continue;
    }
    const std::string prefix = mount_point_ == "/" ? "" : mount_point_;
    if (path == mount_point_ || path.compare(0, prefix.size() + 1, prefix + "/") == 0) {
      if (Result<Cgroup> found = at(tree_path(path.substr(prefix.size())))) {
        return found;
      }
    }
    if (is_on(path, CGROUP_SUPER_MAGIC) || is_on(path, CGROUP2_SUPER_MAGIC)) {
      return fail(0, fmt::format("{} is a cgroup of another hierarchy", path),
                  fmt::format("the hierarchy in use is {}, mounted at {}", hierarchy(), mount_point_));
    }
  }
  return fail(0, fmt::format("there is no cgroup {}", name),
              fmt::format("tried {}{}; snoop-find-cgroup (scripts/find-cgroup.sh) finds a container's",
                          name.front() == '/' ? name + " and " : "", inside));
}

Result<Cgroup> CgroupTree::own() const {
  for (const Membership& membership : own_memberships()) {
    const auto& controllers = membership.controllers;
    if (controller_.empty() ? membership.hierarchy_id == 0
                            : std::find(controllers.begin(), controllers.end(), controller_) != controllers.end()) {
      Result<Cgroup> named = at(membership.path);
      if (named && holds_this_process(*this, *named)) {
        return named;
      }
      // In a cgroup namespace of its own, the path is told from that on, and the tree may be mounted from further up:
      // so it is in a Kubernetes pod that has the node's /sys/fs/cgroup.
      if (const Result<Cgroup> top = at("/")) {
        if (std::optional<Cgroup> found = find_this_process(*this, *top)) {
          return *std::move(found);
        }
      }
      return named;
    }
  }
  return fail(ENOENT, fmt::format("this process is in no cgroup of {}", hierarchy()));
}

void CgroupTree::visit(const Cgroup& cgroup, const std::function<void(const Cgroup&)>& visitor) const {
  visitor(cgroup);
  for (const Cgroup& child : children(cgroup)) {
    visit(child, visitor);
  }
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
                "snoop run needs a cgroup that it may write to: root on the host, or a delegated subtree");
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
  tree_.visit(cgroup_, [&](const Cgroup& cgroup) {
    const std::vector<pid_t> here = tree_.processes(cgroup);
    pids.insert(pids.end(), here.begin(), here.end());
  });
  return pids;
}

void OwnedCgroup::kill() const {
  // cgroup2, from Linux 5.14 on; it also catches what is being forked.
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
  tree_.visit(cgroup_, [&](const Cgroup& cgroup) { directories.push_back(tree_.directory(cgroup)); });
  for (auto it = directories.rbegin(); it != directories.rend(); ++it) {
    ::rmdir(it->c_str());
  }
}

}  // namespace snoop
