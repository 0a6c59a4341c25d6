// SPDX-License-Identifier: Apache-2.0
// What a capture tells of itself: reports, metrics, sums.
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <ctime>

#include "cli/session.h"
#include "output/atomic_file.h"
#include "version.h"

namespace snoop {

namespace {

std::chrono::nanoseconds cpu_time() {
  timespec used = {};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

uint64_t resident_bytes(int statm) {
  std::array<char, 128> text = {};
  unsigned long pages = 0;
  if (::pread(statm, text.data(), text.size() - 1, 0) <= 0 || std::sscanf(text.data(), "%*u %lu", &pages) != 1) {
    return 0;
  }
  return pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

ReportHeader Session::header(bool final) {
  ReportHeader header;
  header.snoop_version = kVersion;
  name_host(options_, header);
  header.tier = tier_name(probe_.tier());
  header.hierarchy = tree_.hierarchy();
  header.not_seen = not_seen_;
  header.only_image = options_.only_image;
  header.metadata_sources = naming_.sources();
  header.undecided_containers = undecided();
  header.pod_name = options_.pod_name;
  if (!options_.selects()) {
    header.namespace_name = options_.namespace_name;
    header.labels = options_.labels;
  }
  header.started_at = started_at_;
  header.updated_at = wall_now();
  header.final = final;
  header.undecodable = undecodable_;
  header.skipped_runs = probe_.skipped_runs();
  header.targets_over_limit = probe_.global_stats().targets_over_limit + targets_.over_limit();
  if (former_) {
    add_former(former_->header, header);
  }
  return header;
}

void Session::put_report(std::FILE* stream, const ReportHeader& report_header) {
  const std::vector<Container> none;
  snoop::write_report(stream, report_header, recorder_.containers(), former_ ? former_->containers : none);
}

Result<void> Session::write_report(bool final) {
  probe_.flush_requests();
  reader_->drain();
  baseline_.scan_moved();
  reader_->drain();
  collect_stats();
  if (!final) {
    warn_of_losses(false);
  }
  collect_uses();
  go_on_without_waiting(final);
  if (options_.report == "-") {
    if (!final) {
      return {};
    }
    put_report(stdout, header(final));
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
      return fail(errno, "cannot write the report to stdout");
    }
    return {};
  }
  return put_report_file(final);
}

Result<void> Session::put_report_file(bool final) {
  const auto began = std::chrono::steady_clock::now();
  const Result<off_t> written = report_file_.write([&](std::FILE* stream) { put_report(stream, header(final)); });
  if (!written) {
    report_writes_.failed++;
    return tl::unexpected(written.error());
  }
  report_writes_.done++;
  report_writes_.took += std::chrono::steady_clock::now() - began;
  report_writes_.last_success = wall_now();
  report_writes_.size_bytes = static_cast<uint64_t>(*written);
  return {};
}

UniqueFd Session::open_report() const { return report_file_.open(); }

std::string Session::metrics() {
  note_ring_losses();
  for (Container& container : recorder_.containers()) {
    if (container.ended_at == 0) {
      read_stats(container);
    }
  }
  ServiceFigures figures;
  figures.version = kVersion;
  figures.tier = tier_name(probe_.tier());
  figures.started_at = started_at_;
  figures.pod_name = options_.pod_name;
  figures.namespace_name = options_.namespace_name;
  figures.undecided_containers = undecided();
  figures.records = record_counts_;
  figures.report = report_writes_;
  figures.interval = options_.command == Command::kRecord ? options_.interval : std::chrono::milliseconds(0);
  figures.undecodable = undecodable_ + (former_ ? former_->header.undecodable : 0);
  figures.skipped_runs = probe_.skipped_runs() + (former_ ? former_->header.skipped_runs : 0);
  figures.targets_over_limit = probe_.global_stats().targets_over_limit + targets_.over_limit() +
                               (former_ ? former_->header.targets_over_limit : 0);
  figures.ring_size_bytes = options_.ring_size_bytes;
  figures.ring_most_bytes = most_round_bytes_;
  figures.cgroups = probe_.traced_cgroups();
  figures.cgroups_limit = probe_.max_cgroups();
  figures.targets_limit = Probe::max_targets();
  figures.files_limit = options_.max_files;
  figures.cpu_time = cpu_time();
  figures.resident_bytes = resident_bytes(statm_.get());
  const std::vector<Container> none;
  return metrics_page(figures, recorder_.containers(), former_ ? former_->containers : none);
}

Result<void> Session::write_final_report() {
  Result<void> written = write_report(true);
  if (written || options_.report == "-") {
    return written;
  }
  const char* directory = std::getenv("TMPDIR");
  const std::string instead = fmt::format("{}/snoop-report-{}.json",
                                          directory != nullptr && *directory != '\0' ? directory : "/tmp", ::getpid());
  const ReportHeader report_header = header(true);
  const Result<void> saved = write_atomically(instead, [&](std::FILE* stream) { put_report(stream, report_header); });
  Error error = written.error();
  error.hint = saved ? fmt::format("the report is in {} instead", instead)
                     : fmt::format("and not in {} either: the report is lost", instead);
  return tl::unexpected(error);
}

Session::Totals Session::totals() {
  collect_stats();
  Totals totals;
  totals.lost = undecodable_ + probe_.skipped_runs();
  totals.undecided = undecided();
  for (const Container& container : recorder_.containers()) {
    if (container.undecided) {
      continue;
    }
    totals.containers++;
    totals.files += container.files.size();
    totals.events += container.all_events();
    totals.lost += container.all_losses().sum();
  }
  return totals;
}

void Session::warn_of_losses(bool final) {
  Losses sum;
  for (const Container& container : recorder_.containers()) {
    if (!container.undecided) {
      sum += container.losses;
    }
  }
  loss_log_.tell(sum, undecodable_, probe_.skipped_runs(), final);
}

std::string Session::summary() {
  const Totals sums = totals();
  const size_t count = sums.containers;
  const std::string undecided =
      sums.undecided == 0 ? std::string()
                          : fmt::format("; of {} more nobody has said whether they are asked for", sums.undecided);
  return fmt::format("{} paths of {} container{}, {} accesses, {} lost{}", sums.files, count, count == 1 ? "" : "s",
                     sums.events, sums.lost, undecided);
}

}  // namespace snoop
