// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace snoop {

/// A directory of a cgroup hierarchy.
struct Cgroup {
  uint64_t id = 0;
  /// From the hierarchy's mount on: "/" or "/a/b".
  std::string path;
};

/// What a machine has of the two versions.
enum class CgroupLayout { kNone, kUnified, kHybrid, kPureV1 };
[[nodiscard]] CgroupLayout cgroup_layout();
[[nodiscard]] std::string_view layout_name(CgroupLayout layout);

/// One cgroup hierarchy, wherever it is mounted: cgroup2, or that of a version 1
/// controller. Reads only.
class CgroupTree {
 public:
  /// The first cgroup2 mount of this mount namespace; where there is none, the
  /// hierarchy of a version 1 controller.
  [[nodiscard]] static Result<CgroupTree> find();
  /// The one that these cgroups of the user are in; all must be in the same.
  [[nodiscard]] static Result<CgroupTree> find_for(const std::vector<std::string>& names);
  /// `controller`: of version 1, as /proc/self/cgroup spells it; empty: cgroup2.
  explicit CgroupTree(std::string mount_point, std::string controller = {})
      : mount_point_(std::move(mount_point)), controller_(std::move(controller)) {}

  [[nodiscard]] const std::string& mount_point() const { return mount_point_; }
  [[nodiscard]] const std::string& controller() const { return controller_; }
  /// "cgroup2", or the controller.
  [[nodiscard]] std::string hierarchy() const { return controller_.empty() ? "cgroup2" : controller_; }
  /// The kernel's number of the hierarchy; 0: cgroup2.
  [[nodiscard]] Result<int> hierarchy_id() const;

  /// What the user named: a directory, or a path from the hierarchy's mount on.
  [[nodiscard]] Result<Cgroup> named(const std::string& name) const;
  /// By its path in the tree.
  [[nodiscard]] Result<Cgroup> at(const std::string& path) const;
  /// By its id and the path that the kernel gives it, which begins at the root
  /// of the hierarchy: in a cgroup namespace the mount begins further down.
  [[nodiscard]] Result<Cgroup> at_kernel_path(const std::string& path, uint64_t id) const;
  /// By its id alone: looks through all.
  [[nodiscard]] Result<Cgroup> find_id(uint64_t id) const;
  /// This process's own.
  [[nodiscard]] Result<Cgroup> own() const;
  /// One level below, sorted by path. What vanishes meanwhile is left out.
  [[nodiscard]] std::vector<Cgroup> children(const Cgroup& cgroup) const;
  /// A cgroup and everything below it, the deepest last.
  void visit(const Cgroup& cgroup, const std::function<void(const Cgroup&)>& visitor) const;
  /// Processes right in it, not below.
  [[nodiscard]] std::vector<pid_t> processes(const Cgroup& cgroup) const;

  [[nodiscard]] std::string directory(const Cgroup& cgroup) const;

 private:
  [[nodiscard]] bool is_cgroup(const std::string& directory) const;

  std::string mount_point_;
  std::string controller_;
};

/// "/a/b" to "/a", "/a" to "/".
[[nodiscard]] std::string parent_path(std::string_view path);

/// A cgroup made by this process; removed at the end, with what was made below.
class OwnedCgroup {
 public:
  /// Below `parent`.
  [[nodiscard]] static Result<OwnedCgroup> create(const CgroupTree& tree, const Cgroup& parent,
                                                  const std::string& name);
  OwnedCgroup(OwnedCgroup&& other) noexcept
      : tree_(std::move(other.tree_)), cgroup_(std::exchange(other.cgroup_, {})) {}
  OwnedCgroup& operator=(OwnedCgroup&&) = delete;
  OwnedCgroup(const OwnedCgroup&) = delete;
  OwnedCgroup& operator=(const OwnedCgroup&) = delete;
  ~OwnedCgroup() { remove(); }

  [[nodiscard]] const Cgroup& cgroup() const { return cgroup_; }
  /// Open for writing: a process id moves a process in.
  [[nodiscard]] Result<int> open_procs() const;
  /// Every process in it and below.
  [[nodiscard]] std::vector<pid_t> processes() const;
  /// Kills everything in it and below.
  void kill() const;
  /// Tries to; what still holds processes stays.
  void remove();

 private:
  OwnedCgroup(CgroupTree tree, Cgroup cgroup) : tree_(std::move(tree)), cgroup_(std::move(cgroup)) {}

  CgroupTree tree_;
  Cgroup cgroup_;
};

}  // namespace snoop
