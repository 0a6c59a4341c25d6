// SPDX-License-Identifier: Apache-2.0
#include "service/metrics.h"

#include <fmt/format.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <bit>
#include <map>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "pipeline/access.h"

namespace snoop {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

struct Description {
  const char* name;
  MetricType type;
  const char* help;
  /// What only the document says.
  const char* more = "";
  /// Names of its labels, as the document shows them.
  const char* labels = "";
};

constexpr const char* kContainerLabels = "namespace, pod, container";

constexpr Description kBuildInfo = {"snoop_build_info", MetricType::Gauge,
                                    "Version of snoop and how it captures; always 1.", "", "version, tier"};
constexpr Description kAccesses = {
    "snoop_accesses_total", MetricType::Counter, "Accesses of all targets, repeats too.",
    "Counted in the kernel. Goes on where the report goes on from that of an earlier run."};
constexpr Description kFirstAccesses = {
    "snoop_first_accesses_total", MetricType::Counter,
    "Accesses that the kernel side had not seen before, by kind and outcome.",
    "Counted where a record arrives, so that a repeat costs nothing: this tells what kinds there are, not how often "
    "each is done. An access that the kernel side has forgotten in between counts again. `kind`: `open`, `exec`, "
    "`interpreter`, `stat`, `access`, `readlink`, `change`, `connect`, `baseline` (open or mapped before it was seen "
    "being used); `outcome`: `ok`, `missing`, `refused`, `failed`.",
    "kind, outcome"};
constexpr Description kNewFiles = {"snoop_new_files_total", MetricType::Counter,
                                   "Paths that were put into the lists of files, of all containers.",
                                   "Goes on where the report goes on from that of an earlier run."};
constexpr Description kLosses = {
    "snoop_losses_total", MetricType::Counter, "Accesses that are not in the report, by cause.",
    "The causes are those of the report's `losses`: docs/report-format.md. `targets_over_limit` counts cgroups, not "
    "accesses. Goes on where the report goes on from that of an earlier run.",
    "cause"};
constexpr Description kContainers = {"snoop_containers", MetricType::Gauge,
                                     "Containers in the report, by whether they are still there.", "", "state"};
constexpr Description kUndecided = {
    "snoop_undecided_containers", MetricType::Gauge,
    "Containers of which nobody has said whether --container, --pod, --namespace or --label mean them.",
    "They have no series of their own."};
constexpr Description kContainersInOther = {
    "snoop_containers_without_series", MetricType::Gauge,
    "Containers whose figures are in those of the container \"_other\", because there are too many.",
    "The first 500 have series of their own."};
constexpr Description kContainerInfo = {
    "snoop_container_info", MetricType::Gauge, "Image of a container; always 1.",
    "To be joined with the others: `... * on (instance, namespace, pod, container) group_left (image) "
    "snoop_container_info`.",
    "namespace, pod, container, image"};
constexpr Description kContainerAccesses = {
    "snoop_container_accesses_total", MetricType::Counter, "Accesses of a container, repeats too.",
    "Of containers that are there; those that have the same labels count together, with those of them that have ended.",
    kContainerLabels};
constexpr Description kContainerFiles = {
    "snoop_container_files", MetricType::Gauge, "Paths in the list of files of a container.",
    "Of containers that are there; those that have the same labels count together.", kContainerLabels};
constexpr Description kContainerLosses = {"snoop_container_losses_total", MetricType::Counter,
                                          "Accesses of a container that are not in the report, by cause.",
                                          "As above. A cause stands here once it has happened; "
                                          "`snoop_losses_total` has all from the start.",
                                          "namespace, pod, container, cause"};
constexpr Description kFilesLimit = {"snoop_container_files_limit", MetricType::Gauge,
                                     "Most paths in the list of files of one container (--max-files)."};
constexpr Description kComplete = {"snoop_report_complete", MetricType::Gauge,
                                   "1 while nothing was lost: what the report says as \"complete\"."};
constexpr Description kReportWrite = {"snoop_report_write_duration_seconds", MetricType::Summary,
                                      "How long it took to write the report, and how often that succeeded."};
constexpr Description kReportErrors = {"snoop_report_write_errors_total", MetricType::Counter,
                                       "Reports that could not be written."};
constexpr Description kReportTime = {"snoop_report_last_success_timestamp_seconds", MetricType::Gauge,
                                     "When the report was last written; 0: not yet.",
                                     "`time() - snoop_report_last_success_timestamp_seconds` is its age."};
constexpr Description kReportSize = {"snoop_report_size_bytes", MetricType::Gauge, "Size of the last report."};
constexpr Description kReportInterval = {"snoop_report_interval_seconds", MetricType::Gauge,
                                         "Time from one report to the next (--interval); 0: only at the end."};
constexpr Description kRingSize = {"snoop_ring_size_bytes", MetricType::Gauge,
                                   "Size of the ring buffer (--ring-size)."};
constexpr Description kRingMost = {
    "snoop_ring_most_bytes", MetricType::Gauge, "Most that was taken from the ring buffer at a time.",
    "If it comes near the size, a larger ring is due; once it was full, `snoop_losses_total` counts `ring_full`."};
constexpr Description kMapEntries = {
    "snoop_map_entries", MetricType::Gauge, "Entries of the kernel side's maps in use.",
    "`map`: `cgroups` (each that is watched), `targets` (containers that are there). The caches are not "
    "listed: they are full soon, and meant to be.",
    "map"};
constexpr Description kMapCapacity = {"snoop_map_capacity_entries", MetricType::Gauge, "Most entries of the same maps.",
                                      "", "map"};
constexpr Description kStart = {"process_start_time_seconds", MetricType::Gauge, "When this run of snoop began."};
constexpr Description kCpu = {"process_cpu_seconds_total", MetricType::Counter,
                              "Processor time of snoop's own process.",
                              "What the kernel side does counts for the processes that it watches."};
constexpr Description kResident = {"process_resident_memory_bytes", MetricType::Gauge,
                                   "Resident memory of snoop's process.", "The maps of the kernel side are not in it."};

constexpr std::array kAll = {&kBuildInfo,
                             &kAccesses,
                             &kFirstAccesses,
                             &kNewFiles,
                             &kLosses,
                             &kContainers,
                             &kUndecided,
                             &kContainerInfo,
                             &kContainerAccesses,
                             &kContainerFiles,
                             &kContainerLosses,
                             &kContainersInOther,
                             &kFilesLimit,
                             &kComplete,
                             &kReportWrite,
                             &kReportErrors,
                             &kReportTime,
                             &kReportSize,
                             &kReportInterval,
                             &kRingSize,
                             &kRingMost,
                             &kMapEntries,
                             &kMapCapacity,
                             &kStart,
                             &kCpu,
                             &kResident};

struct Cause {
  const char* name;
  uint64_t Losses::*count;
};
constexpr std::array kCauses = {
    Cause{"ring_full", &Losses::ring_full}, Cause{"path_unreadable", &Losses::path_unreadable},
    Cause{"path_truncated", &Losses::path_truncated}, Cause{"base_unknown", &Losses::base_unknown},
    Cause{"files_over_limit", &Losses::files_over_limit}};
static_assert(sizeof(Losses) == kCauses.size() * sizeof(uint64_t), "each cause stands here");

double seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }
double seconds_of(WallTime time) { return static_cast<double>(time) / 1e9; }

/// Collects the samples of one metric at a time and writes them out.
class Page {
 public:
  void begin(const Description& metric) {
    end();
    family_ = {.name = metric.name, .help = metric.help, .type = metric.type, .metric = {}};
  }
  void sample(double value, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    if (family_.type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    family_.metric.push_back(std::move(metric));
  }
  void sample(uint64_t value, Labels labels = {}) { sample(static_cast<double>(value), std::move(labels)); }
  template <typename Value>
  void put(const Description& metric, Value value, Labels labels = {}) {
    begin(metric);
    sample(value, std::move(labels));
  }
  void put_summary(const Description& metric, uint64_t count, double sum) {
    begin(metric);
    ClientMetric summary;
    summary.summary.sample_count = count;
    summary.summary.sample_sum = sum;
    family_.metric.push_back(std::move(summary));
  }
  [[nodiscard]] std::string text() {
    end();
    return std::move(out_).str();
  }

 private:
  void end() {
    if (!family_.metric.empty()) {
      prometheus::TextSerializer().Serialize(out_, {std::exchange(family_, {})});
    }
  }

  std::ostringstream out_;
  prometheus::MetricFamily family_;
};

/// Containers that no label tells apart.
struct Group {
  uint64_t accesses = 0;
  uint64_t files = 0;
  Losses losses;
  std::set<std::string> images;

  void count(const Container& container) {
    accesses += container.all_events();
    losses += container.all_losses();
  }
};

/// Namespace, pod, container.
using GroupName = std::array<std::string, 3>;

Labels labels_of(const GroupName& name) { return {{"namespace", name[0]}, {"pod", name[1]}, {"container", name[2]}}; }

Labels with(Labels labels, const char* name, std::string value) {
  labels.push_back({name, std::move(value)});
  return labels;
}

void put_containers(Page& page, const ServiceFigures& figures, const std::vector<Container>& containers,
                    const std::vector<Container>& former) {
  const auto name_of = [&](const Container& container) {
    const auto known = [](const std::string& own, const std::string& given) {
      return to_utf8(own.empty() ? given : own);
    };
    return GroupName{known(container.identity.namespace_name, figures.namespace_name),
                     known(container.identity.pod_name, figures.pod_name), to_utf8(container.name)};
  };
  std::map<GroupName, Group> groups;
  uint64_t there = 0;
  uint64_t ended = 0;
  uint64_t in_other = 0;
  for (const Container& container : containers) {
    if (!container.is_there() || container.undecided || !container.is_reported()) {
      continue;
    }
    there++;
    GroupName name = name_of(container);
    if (groups.size() >= kMaxContainerSeries && !groups.contains(name)) {
      name = {"", "", kOtherContainers};
      in_other++;
    } else if (!container.image.empty()) {
      groups[name].images.insert(to_utf8(container.image));
    }
    Group& group = groups[name];
    group.files += container.files.size();
    group.count(container);
  }
  // A counter must not fall because one of several has ended.
  for (const std::vector<Container>* list : {&containers, &former}) {
    for (const Container& container : *list) {
      if (container.is_there() || container.undecided || !container.is_reported()) {
        continue;
      }
      ended++;
      if (const auto found = groups.find(name_of(container)); found != groups.end()) {
        found->second.count(container);
      }
    }
  }
  page.begin(kContainers);
  page.sample(there, {{"state", "there"}});
  page.sample(ended, {{"state", "ended"}});
  page.put(kUndecided, figures.undecided_containers);
  page.begin(kContainerInfo);
  for (const auto& [name, group] : groups) {
    for (const std::string& image : group.images) {
      page.sample(1.0, with(labels_of(name), "image", image));
    }
  }
  page.begin(kContainerAccesses);
  for (const auto& [name, group] : groups) {
    page.sample(group.accesses, labels_of(name));
  }
  page.begin(kContainerFiles);
  for (const auto& [name, group] : groups) {
    page.sample(group.files, labels_of(name));
  }
  page.begin(kContainerLosses);
  for (const auto& [name, group] : groups) {
    for (const Cause& cause : kCauses) {
      if (group.losses.*cause.count != 0) {
        page.sample(group.losses.*cause.count, with(labels_of(name), "cause", cause.name));
      }
    }
  }
  page.put(kContainersInOther, in_other);
}

void put_records(Page& page, const RecordCounts& records) {
  constexpr std::array kOutcomes = {"ok", "missing", "refused", "failed"};
  static_assert(kOutcomes.size() == SNOOP_OUTCOME_COUNT);
  page.begin(kFirstAccesses);
  for (int kind = 0; kind < SNOOP_KIND_COUNT; kind++) {
    const std::string_view name = kind_names(static_cast<uint16_t>(1U << kind)).front();
    // Links are found by user space.
    if ((kind != 0 && name == "open") || kind == SNOOP_KIND_SYMLINK) {
      continue;
    }
    for (size_t outcome = 0; outcome < kOutcomes.size(); outcome++) {
      const uint64_t count = records.of(static_cast<snoop_kind>(kind), static_cast<snoop_outcome>(outcome));
      if (outcome == SNOOP_OUTCOME_OK || kind != SNOOP_KIND_BASELINE) {
        page.sample(count, {{"kind", std::string(name)}, {"outcome", kOutcomes.at(outcome)}});
      }
    }
  }
}

const char* type_name(MetricType type) {
  switch (type) {
    case MetricType::Counter:
      return "counter";
    case MetricType::Summary:
      return "summary";
    default:
      return "gauge";
  }
}

}  // namespace

void RecordCounts::add(uint64_t seen) {
  for (size_t outcome = 0; outcome < counts_.size(); outcome++) {
    uint32_t kinds = kinds_with(seen, static_cast<snoop_outcome>(outcome));
    constexpr uint32_t kOpens = (1U << SNOOP_KIND_EXEC) - 1;
    if ((kinds & kOpens) != 0) {
      kinds = (kinds & ~kOpens) | 1U;
    }
    for (; kinds != 0; kinds &= kinds - 1) {
      counts_.at(outcome).at(static_cast<size_t>(std::countr_zero(kinds)))++;
    }
  }
}

uint64_t RecordCounts::of(snoop_kind kind, snoop_outcome outcome) const { return counts_.at(outcome).at(kind); }

std::string metrics_page(const ServiceFigures& figures, const std::vector<Container>& containers,
                         const std::vector<Container>& former) {
  uint64_t accesses = 0;
  uint64_t files = 0;
  Losses losses;
  uint64_t there = 0;
  for (const std::vector<Container>* list : {&containers, &former}) {
    for (const Container& container : *list) {
      accesses += container.all_events();
      files += container.files.size();
      losses += container.all_losses();
      there += container.is_there() ? 1 : 0;
    }
  }
  Page page;
  page.put(kBuildInfo, 1.0, {{"version", figures.version}, {"tier", figures.tier}});
  page.put(kAccesses, accesses);
  put_records(page, figures.records);
  page.put(kNewFiles, files);
  page.begin(kLosses);
  for (const Cause& cause : kCauses) {
    page.sample(losses.*cause.count, {{"cause", cause.name}});
  }
  page.sample(figures.undecodable, {{"cause", "undecodable"}});
  page.sample(figures.skipped_runs, {{"cause", "skipped_runs"}});
  page.sample(figures.targets_over_limit, {{"cause", "targets_over_limit"}});
  put_containers(page, figures, containers, former);
  page.put(kFilesLimit, static_cast<uint64_t>(figures.files_limit));
  const bool complete = losses.sum() + figures.undecodable + figures.skipped_runs + figures.targets_over_limit == 0;
  page.put(kComplete, complete ? 1.0 : 0.0);
  page.put_summary(kReportWrite, figures.report.done, seconds(figures.report.took));
  page.put(kReportErrors, figures.report.failed);
  page.put(kReportTime, seconds_of(figures.report.last_success));
  page.put(kReportSize, figures.report.size_bytes);
  page.put(kReportInterval, seconds(figures.interval));
  page.put(kRingSize, figures.ring_size_bytes);
  page.put(kRingMost, figures.ring_most_bytes);
  page.begin(kMapEntries);
  page.sample(static_cast<uint64_t>(figures.cgroups), {{"map", "cgroups"}});
  page.sample(there, {{"map", "targets"}});
  page.begin(kMapCapacity);
  page.sample(static_cast<uint64_t>(figures.cgroups_limit), {{"map", "cgroups"}});
  page.sample(static_cast<uint64_t>(figures.targets_limit), {{"map", "targets"}});
  page.put(kStart, seconds_of(figures.started_at));
  page.put(kCpu, seconds(figures.cpu_time));
  page.put(kResident, figures.resident_bytes);
  return page.text();
}

std::string metrics_document() {
  std::string text =
      "<!-- Made from src/service/metrics.cc: UPDATE_METRICS_DOC=1 build/dev/tests/unit/unit_service -->\n"
      "# Metrics\n\n"
      "What `snoop record` shows at `/metrics`, in the text format of Prometheus.\n\n"
      "| metric | type | labels | meaning |\n|---|---|---|---|\n";
  for (const Description* metric : kAll) {
    text += fmt::format("| `{}` | {} | {} | {}{}{} |\n", metric->name, type_name(metric->type), metric->labels,
                        metric->help, *metric->more == '\0' ? "" : " ", metric->more);
  }
  return text;
}

}  // namespace snoop
