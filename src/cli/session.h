// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "cli/options.h"
#include "cli/resume.h"
#include "container/cgroup.h"
#include "output/report.h"
#include "pipeline/access.h"
#include "pipeline/recorder.h"
#include "pipeline/resolver.h"
#include "pipeline/use_counts.h"
#include "probe/probe.h"
#include "probe/ring_reader.h"

namespace snoop {

/// A capture from its start to its report: what run, record and trace share.
/// One thread: everything happens in the event loop.
class Session {
 public:
  using AccessHandler = std::function<void(const Access&, const Container&)>;

  /// Loads and attaches the kernel side; no target yet. `on_access` gets every
  /// access instead of the lists, if it is set, and `on_drained` is called
  /// after each batch of them.
  [[nodiscard]] static Result<std::unique_ptr<Session>> start(const Options& options, EventLoop& loop,
                                                              AccessHandler on_access = {},
                                                              EventLoop::Callback on_drained = {});
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// What an earlier run saw becomes part of the report. Before any target.
  void go_on_from(ReportContents former);
  /// A cgroup with all below it. `name` empty: the last part of its path.
  [[nodiscard]] Result<void> add_target(const Cgroup& cgroup, const std::string& name = {});
  /// What the options say: --cgroup, --all, or the siblings of snoop's own.
  [[nodiscard]] Result<void> add_targets();
  /// Takes in what the targets have open and mapped already. Where that is not
  /// possible the report says so.
  void add_baseline();

  /// Stops the kernel side and takes in what it has sent.
  void finish();

  /// Writes the report where the options say.
  [[nodiscard]] Result<void> write_report(bool final);
  /// The final one. What cannot be written there is put into the directory for
  /// temporary files instead; that is still an error, which says where it is.
  [[nodiscard]] Result<void> write_final_report();
  struct Totals {
    size_t files = 0;
    /// Accesses, repeats too.
    uint64_t events = 0;
    uint64_t lost = 0;
  };
  [[nodiscard]] Totals totals();
  /// One line: how much was seen, how much lost.
  [[nodiscard]] std::string summary();

  [[nodiscard]] const CgroupTree& tree() const { return tree_; }
  [[nodiscard]] Recorder& recorder() { return recorder_; }

 private:
  struct Moved {
    uint32_t target = 0;
    uint64_t cgroup_id = 0;
  };

  Session(const Options& options, CgroupTree tree, Probe probe, AccessHandler on_access);

  void on_bytes(std::span<const std::byte> bytes);
  void on_access(const Record& record);
  void on_file(const Record& record);
  std::optional<uint32_t> keep(const Record& record, const Access& access);
  void on_round();
  bool note_ring_losses();
  void collect_uses();
  void on_new_cgroup(const Record& record);
  void forget_if_gone(const Cgroup& cgroup);
  void on_moved(const Record& record);
  [[nodiscard]] Result<snoop_target> next_target();
  /// One that never counts, if the target has ended.
  [[nodiscard]] uint32_t slot_of(uint32_t target) const;
  /// Takes back the last one, which nobody has seen.
  void return_target(const snoop_target& target);
  /// As many as there can be, if cgroups are adopted.
  [[nodiscard]] Result<void> set_targets_aside();
  /// Its top cgroup was removed: the counters stay in the container, the slot is free.
  void end_target(uint32_t target, WallTime at);
  /// Ends targets whose record of it was lost, and lets go of the roots of such cgroups.
  void end_gone_targets();
  [[nodiscard]] Result<void> watch_moved(EventLoop& loop);
  /// What the processes have open and mapped that were moved in lately.
  void scan_moved();
  /// The baseline without the kernel's iterators.
  void scan_proc(const Cgroup& cgroup, uint32_t target);
  void scan_proc(pid_t pid, uint32_t target, uint64_t cgroup_id);
  [[nodiscard]] Result<void> add_subtree(const Cgroup& cgroup, const snoop_target& target, bool replace);
  [[nodiscard]] Result<void> add_all();
  [[nodiscard]] Result<void> add_siblings();
  [[nodiscard]] Result<void> adopt_below(const Cgroup& cgroup, const Cgroup& own);
  Container& add_container(std::string name, const Cgroup& cgroup, const snoop_target& target);
  [[nodiscard]] Container& container_of(const Access& access);
  void collect_stats();
  void read_stats(Container& container);
  [[nodiscard]] ReportHeader header(bool final);
  void put_report(std::FILE* stream, const ReportHeader& report_header);

  const Options& options_;
  CgroupTree tree_;
  Probe probe_;
  AccessHandler on_access_;
  Recorder recorder_;
  Resolver resolver_;
  UseCounts use_counts_;
  std::unique_ptr<RingReader> reader_;
  /// Where the hierarchy's mount begins, as the kernel sees it; empty: at the root, or not known yet.
  std::string above_mount_;
  /// Slots in the order in which they became free, so that one rests as long as possible.
  std::deque<uint32_t> free_slots_;
  std::map<uint32_t, uint32_t> slot_of_target_;
  uint32_t last_target_ = 0;
  bool adopts_ = false;
  bool wants_baseline_ = false;
  /// Processes that were moved into targets, to be looked at; empty for who wants no baseline.
  std::map<pid_t, Moved> moved_;
  std::unique_ptr<Timer> moved_timer_;
  std::chrono::nanoseconds moved_delay_;
  uint64_t undecodable_ = 0;
  /// Of the kernel side, when last looked at, and when that was.
  uint64_t ring_losses_ = 0;
  WallTime last_round_ = 0;
  /// Something was lost: what is in use must be looked at again.
  bool rescan_due_ = false;
  WallTime started_at_ = 0;
  std::vector<std::string> not_seen_;
  /// Of the earlier runs, with the containers that were not found again.
  std::optional<ReportContents> former_;
  std::string boot_id_;
};

/// Sets up logging to stderr as the options say.
void set_up_logging(const Options& options);

/// Logs an error and its hint.
void log_error(const Error& error);

}  // namespace snoop
