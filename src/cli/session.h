// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "cli/baseline.h"
#include "cli/loss_log.h"
#include "cli/naming.h"
#include "cli/options.h"
#include "cli/report_file.h"
#include "cli/resume.h"
#include "cli/targets.h"
#include "container/cgroup.h"
#include "output/report.h"
#include "pipeline/access.h"
#include "pipeline/recorder.h"
#include "pipeline/resolver.h"
#include "pipeline/use_counts.h"
#include "probe/probe.h"
#include "probe/ring_reader.h"
#include "service/metrics.h"

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
  /// Has runtimes asked who the containers are. Before any target.
  void start_naming(EventLoop& loop, std::optional<Launcher> launcher) { naming_.start(loop, std::move(launcher)); }
  [[nodiscard]] Targets& targets() { return targets_; }
  /// Takes in what the targets have open and mapped already. Where that is not
  /// possible the report says so.
  void add_baseline();

  /// Gives up what privileges the capture needs no more, if that is wanted.
  void confine();

  /// Stops the kernel side and takes in what it has sent.
  void finish();

  /// Writes the report where the options say.
  [[nodiscard]] Result<void> write_report(bool final);
  /// The final one. What cannot be written there is put into the directory for
  /// temporary files instead; that is still an error, which says where it is.
  [[nodiscard]] Result<void> write_final_report();
  struct Totals {
    size_t containers = 0;
    size_t files = 0;
    /// Accesses, repeats too.
    uint64_t events = 0;
    uint64_t lost = 0;
    /// Containers of which nobody has said whether they are asked for: not in the above.
    uint64_t undecided = 0;
  };
  [[nodiscard]] Totals totals();
  /// Says what was lost, why, and what would help: all of it, or only causes that are new.
  void warn_of_losses(bool final);
  /// One line: how much was seen, how much lost.
  [[nodiscard]] std::string summary();

  /// What /metrics shows, as it is now.
  [[nodiscard]] std::string metrics();
  /// The report that was written last, for reading. None if there is none, or if
  /// something else was put in its place.
  [[nodiscard]] UniqueFd open_report() const;

  [[nodiscard]] const CgroupTree& tree() const { return tree_; }
  [[nodiscard]] Recorder& recorder() { return recorder_; }
  /// After something is no longer left out: what is used from now on comes in, also if it was used before.
  void forget_what_was_told() { probe_.forget_what_was_told(); }

 private:
  Session(const Options& options, CgroupTree tree, Probe probe, Timer idle, AccessHandler on_access);

  void on_bytes(std::span<const std::byte> bytes);
  void on_access(const Record& record);
  void on_file(const Record& record);
  std::optional<uint32_t> keep(const Record& record, const Access& access);
  void on_round();
  [[nodiscard]] Result<void> watch_idle(EventLoop& loop);
  [[nodiscard]] uint64_t undecided() const;
  bool note_ring_losses();
  void collect_uses();
  /// A new one: what the options and the report that is gone on from say of it.
  void on_container(Container& container);
  void on_named(Container& container);
  [[nodiscard]] Targets::Handlers target_handlers();
  void name_by_options(Container& container) const;
  /// Those that were to be gone on from when their image is known.
  void go_on_without_waiting(bool all);
  void end_gone_targets();
  void collect_stats();
  void read_stats(Container& container);
  [[nodiscard]] ReportHeader header(bool final);
  [[nodiscard]] Result<void> put_report_file(bool final);
  void put_report(std::FILE* stream, const ReportHeader& report_header);

  const Options& options_;
  CgroupTree tree_;
  Probe probe_;
  AccessHandler on_access_;
  Recorder recorder_;
  Resolver resolver_;
  UseCounts use_counts_;
  Naming naming_;
  Targets targets_;
  Baseline baseline_;
  std::unique_ptr<RingReader> reader_;
  /// Rounds also where nothing comes: with a selection, and where reports come seldom.
  Timer idle_;
  WallTime last_counts_ = 0;
  uint64_t undecodable_ = 0;
  RecordCounts record_counts_;
  ReportWrites report_writes_;
  ReportFile report_file_;
  /// Bytes of the records of a round: of this one, and most so far.
  uint64_t round_bytes_ = 0;
  uint64_t most_round_bytes_ = 0;
  /// Held, so that it can be read whatever is given up after the start.
  UniqueFd statm_;
  /// Of the kernel side, when last looked at, and when that was.
  uint64_t ring_losses_ = 0;
  WallTime last_round_ = 0;
  LossLog loss_log_;
  /// Something was lost: what is in use must be looked at again.
  bool rescan_due_ = false;
  WallTime started_at_ = 0;
  std::vector<std::string> not_seen_;
  /// Of the earlier runs, with the containers that were not found again.
  std::optional<ReportContents> former_;
  /// Targets whose containers may be of those, and since when that waits for their image.
  std::map<uint32_t, std::chrono::steady_clock::time_point> may_go_on_;
  std::string boot_id_;
};

/// Sets up logging to stderr as the options say.
void set_up_logging(const Options& options);

/// Logs an error and its hint.
void log_error(const Error& error);

}  // namespace snoop
