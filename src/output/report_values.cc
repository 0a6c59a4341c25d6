// SPDX-License-Identifier: Apache-2.0
#include "output/report_values.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "base/text.h"
#include "event.h"
#include "pipeline/access.h"

namespace snoop {

void damaged(std::string what) { throw Damage{std::move(what)}; }

const Value* find(const Value& object, std::string_view key) {
  const auto found = object.members.find(key);
  return found == object.members.end() ? nullptr : &found->second;
}

namespace {

const Value& get(const Value& object, std::string_view key, Value::Type type) {
  const Value* value = find(object, key);
  if (value == nullptr) {
    damaged(fmt::format("there is no {}", key));
  }
  if (value->type != type) {
    damaged(fmt::format("{} is of another type", key));
  }
  return *value;
}

uint64_t get_number(const Value& object, std::string_view key, uint64_t most = kMaxReportedCount) {
  const uint64_t number = get(object, key, Value::Type::kNumber).number;
  if (number > most) {
    damaged(fmt::format("{} is {}", key, number));
  }
  return number;
}

bool get_flag(const Value& object, std::string_view key) { return get(object, key, Value::Type::kBool).flag; }

WallTime get_time(const Value& object, std::string_view key) {
  const std::optional<WallTime> time = from_rfc3339(get(object, key, Value::Type::kText).text);
  if (!time) {
    damaged(fmt::format("{} is no time", key));
  }
  return *time;
}

/// A member of any bytes, as put_bytes writes it.
std::string get_bytes(const Value& object, const std::string& key) {
  const std::string& shown = get(object, key, Value::Type::kText).text;
  if (find(object, key + "_base64") == nullptr) {
    return shown;
  }
  std::optional<std::string> bytes = from_base64(get(object, key + "_base64", Value::Type::kText).text);
  if (!bytes || to_utf8(*bytes) != shown) {
    damaged(fmt::format("{} and its bytes do not agree", key));
  }
  return std::move(*bytes);
}

std::string get_bytes_or_none(const Value& object, const std::string& key) {
  return find(object, key) == nullptr ? std::string() : get_bytes(object, key);
}

Interval get_interval(const Value& object) {
  const Interval interval{get_time(object, "from"), get_time(object, "to")};
  if (interval.from > interval.to) {
    damaged("an interval ends before it begins");
  }
  return interval;
}

std::vector<Interval> get_intervals(const Value& object, std::string_view key) {
  std::vector<Interval> intervals;
  for (const Value& item : get(object, key, Value::Type::kArray).items) {
    intervals.push_back(get_interval(item));
  }
  if (intervals.size() > kMaxIntervals) {
    damaged(fmt::format("{} is too long", key));
  }
  return intervals;
}

Losses get_losses(const Value& object, uint64_t most = kMaxReportedCount) {
  const Value& losses = get(object, "losses", Value::Type::kObject);
  return {.ring_full = get_number(losses, "ring_full", most),
          .path_unreadable = get_number(losses, "path_unreadable", most),
          .path_truncated = get_number(losses, "path_truncated", most),
          .base_unknown = get_number(losses, "base_unknown", most),
          .files_over_limit = get_number(losses, "files_over_limit", most)};
}

/// A mask from names of its bits; `names_of` gives those of a mask.
uint16_t get_mask(const Value& object, std::string_view key, std::vector<std::string_view> (*names_of)(uint16_t)) {
  uint16_t mask = 0;
  if (find(object, key) == nullptr) {
    return mask;
  }
  for (const Value& item : get(object, key, Value::Type::kArray).items) {
    uint16_t bits = 0;
    for (int kind = 0; kind < SNOOP_KIND_COUNT; kind++) {
      const auto bit = static_cast<uint16_t>(1U << kind);
      const std::vector<std::string_view> names = names_of(bit);
      if (item.type == Value::Type::kText && names.size() == 1 && names.front() == item.text) {
        bits |= bit;
      }
    }
    if (bits == 0 || (mask & bits) == bits) {
      damaged(fmt::format("{} has a name that it cannot have", key));
    }
    mask |= bits;
  }
  if (mask == 0) {
    damaged(fmt::format("{} is empty", key));
  }
  return mask;
}

/// The kinds of access: those that are no open, and the ways to open.
uint16_t get_kinds(const Value& object, const std::string& key, const std::string& modes_key) {
  uint16_t kinds = get_mask(object, key, &kind_names);
  const uint16_t modes = get_mask(object, modes_key, &open_mode_names);
  // All ways to open have the one name "open".
  uint16_t open = 0;
  for (int kind = 0; kind < SNOOP_KIND_COUNT; kind++) {
    const auto bit = static_cast<uint16_t>(1U << kind);
    open |= open_mode_names(bit).empty() ? uint16_t{0} : bit;
  }
  if (((kinds & open) != 0) != (modes != 0)) {
    damaged(fmt::format("{} and {} do not agree", key, modes_key));
  }
  kinds &= static_cast<uint16_t>(~open);
  return kinds | modes;
}

uint64_t get_seen(const Value& file) {
  const bool found = get_flag(file, "found");
  const bool succeeded = found && find(file, "succeeded") == nullptr;
  if (find(file, "succeeded") != nullptr && (get_flag(file, "succeeded") || !found)) {
    damaged("succeeded can only be false, where the file was found");
  }
  const uint16_t access = get_kinds(file, "access", "open_modes");
  const uint16_t missing = get_kinds(file, "missing", "missing_open_modes");
  const uint16_t refused = get_kinds(file, "refused", "refused_open_modes");
  const uint16_t failed = get_kinds(file, "failed", "failed_open_modes");
  if (access == 0) {
    damaged("access is empty");
  }
  const auto mask = [](uint16_t kinds, snoop_outcome outcome) {
    return static_cast<uint64_t>(kinds) << SNOOP_SEEN_SHIFT(outcome);
  };
  if (!found) {
    if ((missing | refused | failed) != 0) {
      damaged("a file that was not found has outcomes of one that was");
    }
    return mask(access, SNOOP_OUTCOME_MISSING);
  }
  if (!succeeded && ((refused | failed) == 0 || access != (missing | refused | failed))) {
    damaged("access is not what was tried");
  }
  return mask(succeeded ? access : 0, SNOOP_OUTCOME_OK) | mask(missing, SNOOP_OUTCOME_MISSING) |
         mask(refused, SNOOP_OUTCOME_REFUSED) | mask(failed, SNOOP_OUTCOME_OTHER);
}

FileOrigin get_origin(const Value& file) {
  const std::string& name = get(file, "origin", Value::Type::kText).text;
  for (const FileOrigin origin :
       {FileOrigin::kUnknown, FileOrigin::kImage, FileOrigin::kWritten, FileOrigin::kVolume, FileOrigin::kPseudo}) {
    if (origin_name(origin) == name) {
      return origin;
    }
  }
  damaged("origin is none that there is");
}

/// Paths are C strings in the kernel.
void check_path(std::string_view path, std::string_view key) {
  if (path.empty() || path.front() != '/' || path.find('\0') != std::string_view::npos) {
    damaged(fmt::format("{} is no absolute path", key));
  }
}

Discovery get_discovery(const Value& container) {
  const Value& discovery = get(container, "discovery", Value::Type::kObject);
  const uint64_t bucket_seconds = get_number(discovery, "bucket_seconds");
  if (bucket_seconds == 0 || (bucket_seconds & (bucket_seconds - 1)) != 0) {
    damaged("bucket_seconds is no power of two");
  }
  std::vector<uint64_t> new_files;
  for (const Value& item : get(discovery, "new_files", Value::Type::kArray).items) {
    if (item.type != Value::Type::kNumber || item.number > kMaxReportedCount ||
        new_files.size() == Discovery::kMaxBuckets) {
      damaged("new_files is none of a curve");
    }
    new_files.push_back(item.number);
  }
  return {get_time(discovery, "from"), bucket_seconds, std::move(new_files)};
}

std::vector<LossWindow> get_loss_windows(const Value& container) {
  std::vector<LossWindow> windows;
  for (const Value& item : get(container, "loss_windows", Value::Type::kArray).items) {
    const Interval interval = get_interval(item);
    windows.push_back({interval.from, interval.to, get_number(item, "lost"), get_bytes(item, "cause")});
    if (windows.size() > kMaxIntervals || (windows.size() > 1 && windows[windows.size() - 2].from > interval.from)) {
      damaged("loss_windows are not sorted, or too many");
    }
  }
  return windows;
}

std::map<std::string, std::string> get_labels_or_none(const Value& object) {
  std::map<std::string, std::string> labels;
  if (find(object, "labels") != nullptr) {
    for (const auto& [key, value] : get(object, "labels", Value::Type::kObject).members) {
      if (value.type != Value::Type::kText) {
        damaged("a label is no text");
      }
      labels[key] = value.text;
    }
  }
  return labels;
}

Identity get_identity(const Value& value) {
  Identity identity{.runtime = get_bytes_or_none(value, "runtime"),
                    .id = get_bytes_or_none(value, "id"),
                    .image_id = get_bytes_or_none(value, "image_id"),
                    .pod_name = get_bytes_or_none(value, "pod_name"),
                    .pod_uid = get_bytes_or_none(value, "pod_uid"),
                    .namespace_name = get_bytes_or_none(value, "namespace"),
                    .labels = get_labels_or_none(value),
                    .restart_count = std::nullopt,
                    .command = {},
                    .is_sandbox = find(value, "sandbox") != nullptr && get_flag(value, "sandbox"),
                    .not_observable = get_bytes_or_none(value, "not_observable"),
                    .source = get_bytes_or_none(value, "metadata_source"),
                    .settled = {}};
  if (find(value, "restart_count") != nullptr) {
    identity.restart_count = get_number(value, "restart_count");
  }
  if (find(value, "command") != nullptr) {
    for (const Value& word : get(value, "command", Value::Type::kArray).items) {
      if (word.type != Value::Type::kText) {
        damaged("a word of command is no text");
      }
      identity.command.push_back(word.text);
    }
  }
  return identity;
}

void check_sums(const Value& top, const ReportContents& contents) {
  Losses losses;
  uint64_t total_events = 0;
  for (const Container& container : contents.containers) {
    losses += container.earlier_losses;
    total_events += container.earlier_events;
  }
  const Losses said = get_losses(top, UINT64_MAX);
  const ReportHeader& header = contents.header;
  const uint64_t dropped = said.sum() + header.undecodable + header.skipped_runs;
  const bool same = said.ring_full == losses.ring_full && said.path_unreadable == losses.path_unreadable &&
                    said.path_truncated == losses.path_truncated && said.base_unknown == losses.base_unknown &&
                    said.files_over_limit == losses.files_over_limit &&
                    get_number(top, "total_events", UINT64_MAX) == total_events &&
                    get_number(top, "dropped_events", UINT64_MAX) == dropped &&
                    get_flag(top, "complete") == (dropped == 0 && header.targets_over_limit == 0);
  if (!same) {
    damaged("its sums are not those of its containers");
  }
}

std::vector<ReportSource> get_merged_from(const Value& top) {
  std::vector<ReportSource> sources;
  if (find(top, "merged_from") != nullptr) {
    for (const Value& item : get(top, "merged_from", Value::Type::kArray).items) {
      sources.push_back({.hostname = get_bytes(item, "hostname"),
                         .machine_id = get_bytes_or_none(item, "machine_id"),
                         .started_at = get_time(item, "started_at"),
                         .updated_at = get_time(item, "last_updated_at"),
                         .runs = get_number(item, "runs"),
                         .complete = get_flag(item, "complete"),
                         .final = get_flag(item, "final")});
    }
  }
  return sources;
}

}  // namespace

void read_file_entry(const Value& file, AccessStore& files) {
  const std::string path = get_bytes(file, "path");
  check_path(path, "path");
  if (files.size() > 0 && files.entries().back().path() >= path) {
    damaged("files are not sorted");
  }
  std::string resolved = get_bytes_or_none(file, "resolved");
  if (!resolved.empty()) {
    check_path(resolved, "resolved");
  }
  const std::string mount = get_bytes_or_none(file, "mount");
  const AccessStore::Use use{.path = path,
                             .resolved = resolved,
                             .seen = get_seen(file),
                             .first_seen = get_time(file, "first_seen"),
                             .last_seen = get_time(file, "last_seen"),
                             .count = static_cast<uint32_t>(get_number(file, "count", UINT32_MAX)),
                             .origin = get_origin(file),
                             .mount = mount};
  if (use.first_seen > use.last_seen) {
    damaged("last_seen is before first_seen");
  }
  if (!mount.empty() && use.origin == FileOrigin::kUnknown) {
    damaged("a mount without an origin");
  }
  files.add(use);
}

Container get_container(const Value& value, AccessStore files) {
  if (get_number(value, "unique_files") != files.size()) {
    damaged("unique_files is not the number of files");
  }
  Container container{.name = get_bytes(value, "name"),
                      .image = get_bytes_or_none(value, "image"),
                      .image_digest = get_bytes_or_none(value, "image_digest"),
                      .identity = get_identity(value),
                      .cgroup_id = get_number(value, "cgroup_id", UINT64_MAX),
                      .cgroup_path = get_bytes(value, "cgroup_path"),
                      .target = 0,
                      .slot = 0,
                      .observed = get_intervals(value, "observed"),
                      .ended_at = find(value, "ended_at") == nullptr ? 0 : get_time(value, "ended_at"),
                      .only_if_used = false,
                      .undecided = find(value, "undecided") != nullptr,
                      .doubtful = find(value, "undecided") != nullptr,
                      .total_events = 0,
                      .losses = {},
                      .base_unknown_here = 0,
                      .earlier_events = get_number(value, "total_events"),
                      .earlier_losses = get_losses(value),
                      .loss_windows = get_loss_windows(value),
                      .unresolved = get_bytes_or_none(value, "unresolved"),
                      .counts_are_lower_bounds = find(value, "counts_are_lower_bounds") != nullptr &&
                                                 get_flag(value, "counts_are_lower_bounds"),
                      .discovery = get_discovery(value),
                      .files = std::move(files)};
  if (container.observed.empty()) {
    damaged("observed is empty");
  }
  if (!container.cgroup_path.empty()) {
    check_path(container.cgroup_path, "cgroup_path");
  }
  return container;
}

void read_top(const Value& top, ReportContents& contents) {
  ReportHeader& header = contents.header;
  header.snoop_version = get_bytes(top, "snoop_version");
  const Value& host = get(top, "host", Value::Type::kObject);
  header.hostname = get_bytes(host, "hostname");
  header.kernel = get_bytes(host, "kernel");
  header.arch = get_bytes(host, "arch");
  header.machine_id = get_bytes_or_none(host, "machine_id");
  header.boot_id = get_bytes_or_none(host, "boot_id");
  const Value& capture = get(top, "capture", Value::Type::kObject);
  header.tier = get_bytes(capture, "tier");
  header.hierarchy = get_bytes_or_none(capture, "hierarchy");
  for (const Value& item : get(capture, "not_seen", Value::Type::kArray).items) {
    if (item.type != Value::Type::kText || item.text.empty()) {
      damaged("not_seen has something that is no text");
    }
    header.not_seen.push_back(item.text);
  }
  header.only_image = !get_bytes_or_none(capture, "only").empty();
  if (find(capture, "metadata_sources") != nullptr) {
    for (const Value& item : get(capture, "metadata_sources", Value::Type::kArray).items) {
      header.metadata_sources.push_back({.name = get_bytes(item, "name"),
                                         .endpoint = get_bytes_or_none(item, "endpoint"),
                                         .state = get_bytes(item, "state"),
                                         .error = get_bytes_or_none(item, "error")});
    }
  }
  if (find(capture, "undecided_containers") != nullptr) {
    header.undecided_containers = get_number(capture, "undecided_containers");
  }
  header.pod_name = get_bytes_or_none(top, "pod_name");
  header.namespace_name = get_bytes_or_none(top, "namespace");
  header.labels = get_labels_or_none(top);
  header.started_at = get_time(top, "started_at");
  header.updated_at = get_time(top, "last_updated_at");
  header.runs = get_number(top, "runs");
  header.gaps = get_intervals(top, "gaps");
  header.merged_from = get_merged_from(top);
  header.final = get_flag(top, "final");
  const Value& losses = get(top, "losses", Value::Type::kObject);
  header.undecodable = get_number(losses, "undecodable");
  header.skipped_runs = get_number(losses, "skipped_runs");
  header.targets_over_limit = get_number(losses, "targets_over_limit");
  get(top, "containers", Value::Type::kArray);
  check_sums(top, contents);
}

}  // namespace snoop
