// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "container/cgroup.h"
#include "pipeline/access.h"
#include "pipeline/resolver.h"
#include "probe/probe.h"

namespace snoop::testing {

/// The kernel side for real, and a cgroup of the test's own to watch.
class Capture {
 public:
  /// `tree`: the hierarchy; none: the usual one.
  explicit Capture(ProbeOptions options = {}, std::optional<CgroupTree> tree = {});

  /// Runs `body` in a child that has entered the cgroup, and returns the
  /// accesses that were recorded until it ended, in their order. `body` runs
  /// with the working directory of the test and returns the exit status.
  std::vector<Access> run(const std::function<int()>& body);
  /// The same in another cgroup.
  std::vector<Access> run_in(const OwnedCgroup& cgroup, const std::function<int()>& body);
  /// What is in the ring buffer now.
  std::vector<Access> drain();

  [[nodiscard]] int last_status() const { return last_status_; }
  [[nodiscard]] Probe& probe() { return *probe_; }
  [[nodiscard]] const CgroupTree& tree() const { return *tree_; }
  [[nodiscard]] OwnedCgroup& cgroup() { return *cgroup_; }
  [[nodiscard]] snoop_target_stats stats() const { return probe_->target_stats(0); }
  /// New cgroups that became targets, as (path, target).
  [[nodiscard]] const std::vector<std::pair<std::string, uint32_t>>& adopted() const { return adopted_; }

  /// Records that are no access: moved processes, cgroups that are gone.
  [[nodiscard]] const std::vector<snoop_event>& notices() const { return notices_; }

  static constexpr snoop_target kTarget = {.id = 1, .slot = 0, .flags = 0, .reserved = 0};

 private:
  std::optional<CgroupTree> tree_;
  std::optional<OwnedCgroup> cgroup_;
  std::optional<Probe> probe_;
  std::optional<Resolver> resolver_;
  std::vector<std::pair<std::string, uint32_t>> adopted_;
  std::vector<snoop_event> notices_;
  int last_status_ = -1;
};

/// A test with a capture and an empty working directory. Skips where BPF or
/// cgroups cannot be used.
class KernelTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;
  static void TearDownTestSuite() { shared_.reset(); }

  Capture& start(ProbeOptions options = {}, std::optional<CgroupTree> tree = {});
  [[nodiscard]] const std::string& directory() const { return directory_; }
  /// Absolute path of a name in the working directory.
  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }

  /// One capture for all tests of a suite that take this one, without the memory of what was seen, which might take a
  /// file for that of the test before. It saves the load: on an emulated machine the verifier takes seconds.
  Capture& share();

  std::shared_ptr<Capture> capture_;

 private:
  static std::shared_ptr<Capture> shared_;
  std::string directory_;
};

/// The accesses to one path.
std::vector<Access> at(const std::vector<Access>& accesses, const std::string& path);
std::vector<std::string> paths_of(const std::vector<Access>& accesses);

/// Kinds with any outcome, as names: "open", "stat", and "open:write".
std::vector<std::string> kinds_of(const Access& access);

/// Whether this kernel takes `int $0x80`: asked in a child, which it may kill.
bool has_32bit_calls();

void write_file(const std::string& path, const std::string& content = "x", int mode = 0644);

}  // namespace snoop::testing
