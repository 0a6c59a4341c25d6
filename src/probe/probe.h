// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/mapping.h"
#include "base/result.h"
#include "event.h"
#include "probe/ring.h"
#include "probe/tier.h"

struct snoop_bpf;

namespace snoop {

class KernelTypes;

struct ProbeOptions {
  /// Size of the ring buffer in bytes: a power of two, a page or more.
  uint64_t ring_size_bytes = 16ULL << 20;
  /// false: every access makes a record, not only what is new.
  bool first_sight_only = true;
  /// The hierarchy whose cgroups are traced: a controller of version 1 and the
  /// number of its hierarchy; empty: cgroup2.
  std::string cgroup_controller = {};
  int hierarchy_id = 0;
  /// false: scan_baseline() is not needed, and its programs are left out; as on a kernel that has no iterators over
  /// tasks.
  bool iterators = true;
  /// false: as on a machine where paths cannot be read without a call (bpf/user_text.bpf.h).
  bool direct_text = true;
  Tier tier = Tier::kAuto;
};

/// Owns the kernel side: programs, maps, attachments. The only class that sees
/// libbpf. Used from one thread.
class Probe {
 public:
  using RawHandler = Ring::Handler;
  using Drained = Ring::Drained;

  /// Loads the programs; nothing is seen yet.
  [[nodiscard]] static Result<Probe> load(const ProbeOptions& options);

  Probe(Probe&&) noexcept;
  Probe& operator=(Probe&&) noexcept;
  ~Probe();

  /// The one in use: never kAuto.
  [[nodiscard]] Tier tier() const { return tier_; }

  [[nodiscard]] Result<void> attach();
  /// After this nothing more comes into the ring buffer.
  void detach();

  /// Traces a cgroup, or with target.id 0 only adopts what is made below it.
  /// `replace` false: an entry that the kernel side made already stays, and the
  /// result is false.
  [[nodiscard]] Result<bool> add_cgroup(uint64_t cgroup_id, const snoop_target& target, bool replace);
  void remove_cgroup(uint64_t cgroup_id);
  [[nodiscard]] bool has_cgroup(uint64_t cgroup_id) const;
  /// What the cgroup's entry says; nothing: it has none.
  [[nodiscard]] std::optional<snoop_target> target_of(uint64_t cgroup_id) const;
  /// How many cgroups have an entry now.
  [[nodiscard]] size_t traced_cgroups() const;
  [[nodiscard]] size_t max_cgroups() const;
  /// Whether scan_baseline() can be used.
  [[nodiscard]] bool has_iterators() const { return has_iterators_; }
  /// Sends a record for each file that a process of a target has open or mapped
  /// now. After attach() and add_cgroup(), so that nothing falls in between.
  [[nodiscard]] Result<void> scan_baseline();
  /// Has a record of type SNOOP_EVENT_FILE sent about a file that is open here, as
  /// a process sees it whose root directory is `root_fd`. `number` comes back as
  /// snoop_event.entry. No record comes if the file is not below that root.
  void ask_file(int fd, int root_fd, uint32_t target, uint64_t number);
  struct Described {
    /// No other directory has it while this one exists; the same as snoop_event.root
    /// of a process that has it as its root. 0: not to be had.
    uint64_t identity = 0;
    /// As statfs(2) has it, but without asking the file system.
    uint32_t magic = 0;
  };
  [[nodiscard]] Described describe(int fd) const;
  /// The first `count` of the counters of uses, part by part: how often what was seen
  /// was seen again, by snoop_event.entry modulo SNOOP_USE_COUNTS; but for what the
  /// recents still have. They only grow.
  void read_use_counts(size_t count,
                       const std::function<void(size_t first, std::span<const uint64_t> counts)>& on_part) const;
  /// Those of all CPUs, part by part; they change while they are read.
  void read_recents(const std::function<void(std::span<const snoop_recent>)>& on_part) const;
  /// The same of these processes only, as far as the kernel can choose (from 6.1 on).
  [[nodiscard]] Result<void> scan_baseline(std::span<const pid_t> pids);
  /// A target set aside for the next cgroup made below an adopting one; false:
  /// as many as there can be are set aside already.
  [[nodiscard]] Result<bool> add_free_target(const snoop_target& target);

  /// Whether this process may, as it is now, use what was loaded.
  [[nodiscard]] bool can_be_used() const;

  /// File descriptor to poll, edge-triggered: readable after a wake-up.
  [[nodiscard]] int ring_fd() const;
  /// Hands over what the ring buffer holds (Ring::drain).
  Drained drain(const RawHandler& handler) { return ring_->drain(handler); }
  /// Asks the kernel side to wake the reader for the next record, whatever its
  /// size; drain once more afterwards.
  void ask_for_wakeup();

  /// Sums over all CPUs.
  [[nodiscard]] snoop_target_stats target_stats(uint32_t slot) const;
  /// Sets them to 0, for the next target of this slot.
  void clear_target_stats(uint32_t slot);
  [[nodiscard]] snoop_global_stats global_stats() const;
  /// Whether processes of a target with this slot have mounted or unmounted anything.
  [[nodiscard]] bool has_changed_mounts(uint32_t slot) const;
  /// Runs that the kernel left out, because the program was running on that CPU
  /// already: each may have been an access.
  [[nodiscard]] uint64_t skipped_runs() const;

  /// Whether this kernel lets io_uring requests be seen.
  [[nodiscard]] bool sees_io_uring() const;
  /// The same of those with the path of a socket (6.11 and later).
  [[nodiscard]] bool sees_io_uring_sockets() const { return sees_io_uring() && io_uring_sockets_; }
  /// Sends, as succeeded, the io_uring requests that may have ended unseen; after
  /// detach() also those that have not ended.
  void flush_requests();

  /// true: the process that this one forks next is no target's either, whatever cgroup it is in. One at a time.
  void expect_own_child(bool expected);

  /// From now on what was told before is told again, once it is used.
  void forget_what_was_told();

  /// Whether paths are read without a call (bpf/user_text.bpf.h).
  [[nodiscard]] bool reads_directly() const;

  /// Whether process ids in records are what /proc shows here.
  [[nodiscard]] bool sees_same_pids() const;

  /// How many targets there can be at a time.
  [[nodiscard]] static constexpr uint32_t max_targets() { return SNOOP_MAX_TARGETS; }
  /// How many of them can be set aside.
  [[nodiscard]] static constexpr uint32_t max_free_targets() { return 1024; }

 private:
  struct SkeletonDeleter {
    void operator()(snoop_bpf* skeleton) const;
  };

  explicit Probe(std::unique_ptr<snoop_bpf, SkeletonDeleter> skeleton);
  [[nodiscard]] static Result<Probe> load_fexit(const ProbeOptions& options, std::optional<KernelTypes>& kernel);
  [[nodiscard]] static Result<Probe> load_tier(const ProbeOptions& options, std::optional<KernelTypes>& kernel,
                                               Tier tier);
  [[nodiscard]] Result<void> choose_hierarchy(const ProbeOptions& options, const KernelTypes& kernel);
  /// Leaves out what this kernel does not have.
  void choose_iterators(bool use);
  /// What the kernel side has looked up in the map of cgroups: after each change of it.
  void forget_fronts();
  /// `pid` 0: over all tasks.
  [[nodiscard]] Result<void> scan_baseline_of(pid_t pid);

  /// Where each CPU counts the repeats of this slot's target (snoop_recents).
  [[nodiscard]] std::vector<uint64_t*> repeats(uint32_t slot) const;

  /// So many slots are mapped at once.
  static constexpr size_t kSlotsAtOnce = 512;

  std::unique_ptr<snoop_bpf, SkeletonDeleter> skeleton_;
  /// Of so many slots, for each CPU; mapped when they are first asked for.
  mutable std::array<std::vector<Mapping>, SNOOP_MAX_TARGETS / kSlotsAtOnce> repeats_;
  Tier tier_ = Tier::kTracepoint;
  bool attached_ = false;
  bool io_uring_sockets_ = false;
  std::unique_ptr<Ring> ring_;
  bool has_iterators_ = false;
};

/// Version of the libbpf in use, as "1.1".
[[nodiscard]] std::string libbpf_version();

/// Rounds up to what a ring buffer can be.
[[nodiscard]] uint64_t ring_size_at_least(uint64_t bytes);

}  // namespace snoop
