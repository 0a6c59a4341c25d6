// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cli/settings.h"
#include "output/diff.h"
#include "output/merge.h"
#include "probe/tier.h"

namespace snoop {

/// Exit codes of snoop. `snoop run` otherwise passes on that of its command.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,
  kExitUsage = 2,
  /// `snoop run`: snoop itself failed (as in docker run, env, timeout).
  kExitRunFailure = 125,
  kExitNotExecutable = 126,
  kExitNotFound = 127,
  kExitSignalBase = 128,
};

enum class Command { kRun, kRecord, kTrace, kContainers, kMerge, kDiff, kPackages, kCheck, kVersion };

/// All settings, from flags, environment and configuration file.
struct Options {
  Command command = Command::kVersion;

  // Targets.
  std::vector<std::string> cgroups;
  bool all = false;
  bool all_containers = false;
  /// Names or ids.
  std::vector<std::string> containers;
  std::vector<std::string> pods;
  /// Containers are asked for: namespace_name and labels, too, say which.
  [[nodiscard]] bool selects() const { return all_containers || !containers.empty() || !pods.empty(); }

  // Who they are.
  /// Path of snoop-metadata; empty: where it was installed; "none": nobody is asked.
  std::string metadata_program;
  std::vector<std::string> runtime_sockets;
  std::string host_root;
  [[nodiscard]] std::vector<std::string> metadata_arguments() const;

  // Capture.
  Tier tier = Tier::kAuto;
  uint64_t ring_size_bytes = 16ULL << 20;
  std::vector<std::string> exclude = {"/proc/", "/sys/", "/dev/"};
  size_t max_files = 1'000'000;

  /// Take in what targets have open and mapped at the start (record).
  bool baseline = true;
  /// Whether what is open and mapped is ever looked at.
  [[nodiscard]] bool needs_baseline() const { return baseline && command != Command::kTrace; }
  /// false, for tests: do it as on a kernel without iterators over tasks.
  bool iterators = true;

  /// Leave out of the report what is known to be none of the image.
  bool only_image = false;

  // Report.
  std::string report;
  /// Do not go on from the report that is there; keep it aside (record).
  bool fresh = false;
  std::chrono::milliseconds interval{30'000};
  /// What this machine is called in the report; empty: as uname says.
  std::string host_name;
  std::string image;
  std::string image_digest;
  std::string pod_name;
  /// With selects(): of the containers that are asked for.
  std::string namespace_name;
  std::map<std::string, std::string> labels;
  std::string container_name;

  // Service.
  /// Where HTTP is served; as parse_listen_address() reads it.
  std::string metrics_addr = "off";
  /// Asked for, and no default: then it must be had.
  bool metrics_addr_given = false;
  /// /report and /containers for other machines, too.
  bool expose_report = false;

  // run
  std::vector<std::string> run_command;
  std::chrono::milliseconds grace{5'000};

  // trace
  bool trace_json = false;
  bool trace_unique = false;

  // containers
  bool list_json = false;

  // merge, diff, packages
  /// Of diff: the old one, and the new one.
  std::vector<std::string> reports;
  std::string output = "-";
  MergeBy merge_by = MergeBy::kImage;
  DiffOptions diff;
  bool diff_json = false;

  // packages
  std::string packages_root;
  /// The name of one, "NAME" or "NAMESPACE/NAME"; empty: there is only one.
  std::string packages_container;
  bool packages_json = false;
  bool packages_files = false;

  /// Give up what privileges a capture needs no more, once it has begun (record, trace).
  bool sandbox = true;

  // Log.
  std::string log_level = "info";
  std::string log_format = "text";

  /// Each option as it was given, and where.
  std::vector<Setting> settings;
  /// Variables that look as if they set something and do not, each with what to say about it.
  std::vector<std::string> unknown_variables;
  /// The command line, to read it all again.
  std::vector<std::string> command_line;
};

/// What the arguments ask for: options, or text to print and an exit code
/// (help, a mistake).
struct ParsedArguments {
  Options options;
  /// Not to be acted upon, but to be told (snoop config).
  bool shows_settings = false;
  bool exit_now = false;
  int exit_code = kExitOk;
  /// For stdout.
  std::string output;
  /// What is wrong, and what to do.
  std::string mistake;
  std::string hint;
};

/// With the environment and the configuration file as they are now.
[[nodiscard]] ParsedArguments read_arguments(const std::vector<std::string>& all);

/// The same of main(); prints help and mistakes.
[[nodiscard]] ParsedArguments parse_arguments(int argc, const char* const* argv);

}  // namespace snoop
