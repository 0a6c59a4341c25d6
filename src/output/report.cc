// SPDX-License-Identifier: Apache-2.0
#include "output/report.h"

#include <algorithm>
#include <boost/sort/spreadsort/string_sort.hpp>
#include <cmath>
#include <cstddef>
#include <string_view>
#include <tuple>
#include <vector>

#include "output/identity_json.h"
#include "output/json_bytes.h"
#include "output/report_json.h"
#include "pipeline/completeness.h"

namespace snoop {

namespace {

using Entry = AccessStore::Entry;
using Writer = ReportWriter;

void put_losses(Writer& json, const Losses& losses) {
  put_number(json, "ring_full", losses.ring_full);
  put_number(json, "path_unreadable", losses.path_unreadable);
  put_number(json, "path_truncated", losses.path_truncated);
  put_number(json, "base_unknown", losses.base_unknown);
  put_number(json, "files_over_limit", losses.files_over_limit);
}

void put_intervals(Writer& json, std::string_view key, const std::vector<Interval>& intervals) {
  put_key(json, key);
  json.StartArray();
  for (const Interval& interval : intervals) {
    json.StartObject();
    put_time(json, "from", interval.from);
    put_time(json, "to", interval.to);
    json.EndObject();
  }
  json.EndArray();
}

void put_merged_from(Writer& json, const std::vector<ReportSource>& sources) {
  put_key(json, "merged_from");
  json.StartArray();
  for (const ReportSource& source : sources) {
    json.StartObject();
    put_bytes(json, "hostname", source.hostname);
    put_bytes_unless_empty(json, "machine_id", source.machine_id);
    put_time(json, "started_at", source.started_at);
    put_time(json, "last_updated_at", source.updated_at);
    put_number(json, "runs", source.runs);
    put_key(json, "complete");
    json.Bool(source.complete);
    put_key(json, "final");
    json.Bool(source.final);
    json.EndObject();
  }
  json.EndArray();
}

void put_loss_windows(Writer& json, const std::vector<LossWindow>& windows) {
  put_key(json, "loss_windows");
  json.StartArray();
  for (const LossWindow& window : windows) {
    json.StartObject();
    put_time(json, "from", window.from);
    put_time(json, "to", window.to);
    put_number(json, "lost", window.lost);
    put_bytes(json, "cause", window.cause);
    json.EndObject();
  }
  json.EndArray();
}

void put_discovery(Writer& json, const Container& container, WallTime now) {
  Discovery curve = container.discovery;
  // No further than somebody looked.
  for (const Interval& interval : container.observed_until(now)) {
    curve.extend(interval.to);
  }
  put_key(json, "discovery");
  json.StartObject();
  put_time(json, "from", curve.from());
  put_number(json, "bucket_seconds", curve.bucket_seconds());
  put_key(json, "new_files");
  json.SetFormatOptions(rapidjson::kFormatSingleLineArray);
  json.StartArray();
  for (const uint64_t count : curve.new_files()) {
    json.Uint64(count);
  }
  json.EndArray();
  json.SetFormatOptions(rapidjson::kFormatDefault);
  json.EndObject();
}

void put_completeness(Writer& json, const Completeness& completeness) {
  put_key(json, "completeness");
  json.StartObject();
  put_key(json, "applies");
  json.Bool(completeness.applies());
  put_bytes_unless_empty(json, "why_not", completeness.why_not);
  put_number(json, "seen", completeness.frequencies.files);
  put_number(json, "singletons", completeness.frequencies.singletons);
  put_number(json, "doubletons", completeness.frequencies.doubletons);
  if (completeness.applies()) {
    const Estimate& estimate = completeness.estimate;
    put_number(json, "estimate", static_cast<uint64_t>(std::llround(estimate.files)));
    put_number(json, "low", static_cast<uint64_t>(std::floor(estimate.low)));
    put_number(json, "high", static_cast<uint64_t>(std::ceil(estimate.high)));
    put_key(json, "coverage");
    // Rounded down: 1 is all of it.
    json.Double(std::floor(estimate.coverage * 1e6) / 1e6);
  }
  json.EndObject();
}

/// By path. Many begin with the same directories: a radix sort does not compare those again and again.
std::vector<const Entry*> sorted_files(const AccessStore& store, bool only_image) {
  std::vector<const Entry*> files;
  files.reserve(store.size());
  for (const Entry& entry : store.entries()) {
    if (!only_image || may_be_of_image(entry.origin())) {
      files.push_back(&entry);
    }
  }
  boost::sort::spreadsort::string_sort(
      files.begin(), files.end(),
      [](const Entry* file, size_t at) { return static_cast<unsigned char>(file->path()[at]); },
      [](const Entry* file) { return file->path().size(); },
      [](const Entry* a, const Entry* b) { return a->path() < b->path(); });
  return files;
}

void put_container(JsonOutput& output, Writer& json, WallTime now, const Container& container, bool only_image) {
  const std::vector<const Entry*> files = sorted_files(container.files, only_image);

  json.StartObject();
  put_identity(json, container.name, container.image, container.image_digest, container.identity);
  if (container.undecided) {
    put_key(json, "undecided");
    json.Bool(true);
  }
  put_number(json, "cgroup_id", container.cgroup_id);
  put_bytes(json, "cgroup_path", container.cgroup_path);
  put_intervals(json, "observed", container.observed_until(now));
  if (container.ended_at != 0) {
    put_time(json, "ended_at", container.ended_at);
  }
  put_bytes_unless_empty(json, "unresolved", container.unresolved);
  put_number(json, "total_events", container.all_events());
  put_number(json, "unique_files", files.size());
  put_key(json, "losses");
  json.StartObject();
  put_losses(json, container.all_losses());
  json.EndObject();
  put_loss_windows(json, container.loss_windows);
  if (container.counts_are_lower_bounds) {
    put_key(json, "counts_are_lower_bounds");
    json.Bool(true);
  }
  put_discovery(json, container, now);
  put_completeness(json, completeness_of(container, now));

  put_key(json, "files");
  json.StartArray();
  FilePrinter printer(json);
  for (const AccessStore::Entry* file : files) {
    printer.put(container.files.use_of(*file));
    output.flush_if_enough();
  }
  json.EndArray();
  json.EndObject();
}

}  // namespace

void write_report(std::FILE* stream, const ReportHeader& header, const std::vector<Container>& containers,
                  const std::vector<Container>& former) {
  const WallTime now = to_whole_milliseconds(header.updated_at);
  JsonOutput output(stream);
  Writer json(output.buffer());
  json.SetIndent(' ', 1);

  std::vector<const Container*> sorted;
  Losses losses;
  uint64_t total_events = 0;
  const auto take = [&](const Container& container) {
    if (!container.is_reported()) {
      return;
    }
    sorted.push_back(&container);
    losses += container.all_losses();
    total_events += container.all_events();
  };
  std::for_each(containers.begin(), containers.end(), take);
  std::for_each(former.begin(), former.end(), take);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Container* a, const Container* b) {
    const auto key = [](const Container& container) {
      const Identity& identity = container.identity;
      return std::tie(container.cgroup_path, container.cgroup_id, container.image, container.image_digest,
                      identity.image_id, container.name, identity.namespace_name, identity.is_sandbox,
                      container.undecided, identity.not_observable);
    };
    return key(*a) < key(*b);
  });
  const uint64_t dropped = losses.sum() + header.undecodable + header.skipped_runs;

  json.StartObject();
  put_number(json, "schema_version", kReportSchemaVersion);
  put_bytes(json, "snoop_version", header.snoop_version);
  put_key(json, "host");
  json.StartObject();
  put_bytes(json, "hostname", header.hostname);
  put_bytes(json, "kernel", header.kernel);
  put_bytes(json, "arch", header.arch);
  put_bytes_unless_empty(json, "machine_id", header.machine_id);
  put_bytes_unless_empty(json, "boot_id", header.boot_id);
  json.EndObject();
  put_key(json, "capture");
  json.StartObject();
  put_bytes(json, "tier", header.tier);
  put_bytes_unless_empty(json, "hierarchy", header.hierarchy);
  put_list(json, "not_seen", {header.not_seen.begin(), header.not_seen.end()});
  if (header.only_image) {
    put_key(json, "only");
    put_text(json, "image");
  }
  if (!header.metadata_sources.empty()) {
    put_metadata_sources(json, "metadata_sources", header.metadata_sources);
  }
  if (header.undecided_containers != 0) {
    put_number(json, "undecided_containers", header.undecided_containers);
  }
  json.EndObject();
  put_bytes_unless_empty(json, "pod_name", header.pod_name);
  put_bytes_unless_empty(json, "namespace", header.namespace_name);
  put_labels_unless_none(json, header.labels);
  put_time(json, "started_at", header.started_at);
  put_time(json, "last_updated_at", header.updated_at);
  put_number(json, "runs", header.runs);
  put_intervals(json, "gaps", header.gaps);
  if (!header.merged_from.empty()) {
    put_merged_from(json, header.merged_from);
  }
  put_key(json, "final");
  json.Bool(header.final);
  put_key(json, "complete");
  json.Bool(dropped == 0 && header.targets_over_limit == 0);
  put_key(json, "losses");
  json.StartObject();
  put_losses(json, losses);
  put_number(json, "undecodable", header.undecodable);
  put_number(json, "skipped_runs", header.skipped_runs);
  put_number(json, "targets_over_limit", header.targets_over_limit);
  json.EndObject();
  put_number(json, "total_events", total_events);
  put_number(json, "dropped_events", dropped);
  put_key(json, "containers");
  json.StartArray();
  for (const Container* container : sorted) {
    put_container(output, json, now, *container, header.only_image);
  }
  json.EndArray();
  json.EndObject();
  output.buffer().Put('\n');
  output.flush();
}

}  // namespace snoop
