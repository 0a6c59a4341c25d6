// SPDX-License-Identifier: Apache-2.0
#include "cli/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <sstream>
#include <tuple>

#include "cli/mistake.h"
#include "cli/option_groups.h"
#include "cli/options_of_reports.h"
#include "cli/settings.h"
#include "version.h"

namespace snoop {

namespace {

constexpr const char* kRunReport = "./snoop-report.json";
constexpr const char* kRecordReport = "/data/snoop-report.json";

constexpr const char* kFooter =
    "Every option can also be set in the environment (SNOOP_ and its name: SNOOP_RING_SIZE=4M, lists separated by\n"
    "commas) and in a configuration file (snoop --config FILE: TOML, a section for each command). A flag beats the\n"
    "environment, the environment beats the file.";

/// CLI11 takes the next argument for the value that "--name=" leaves empty.
std::vector<std::string> with_empty_values(const std::vector<std::string>& arguments) {
  std::vector<std::string> separate;
  for (const std::string& argument : arguments) {
    const bool is_empty = argument.compare(0, 2, "--") == 0 && argument.find('=') == argument.size() - 1;
    separate.push_back(is_empty ? argument.substr(0, argument.size() - 1) : argument);
    if (is_empty) {
      separate.emplace_back();
    }
  }
  return separate;
}

/// Ways to say what to watch are one choice. Those of lower places are out already.
void check_targets(const Options& options) {
  const char* containers = options.all_containers       ? "--all-containers"
                           : options.containers.empty() ? "--pod"
                                                        : "--container";
  const bool by_cgroup = !options.cgroups.empty();
  if (by_cgroup && (options.all || options.selects())) {
    throw CLI::ExcludesError("--cgroup", options.selects() ? containers : "--all");
  }
  if (options.all && options.selects()) {
    throw CLI::ExcludesError("--all", containers);
  }
  if (options.cgroups.size() > 1 && !options.container_name.empty()) {
    throw CLI::ParseError(
        fmt::format("--container-name names one container, but there are {} targets", options.cgroups.size()),
        kExitUsage);
  }
  if (options.selects() && !options.container_name.empty()) {
    throw CLI::ParseError("--container-name names what --cgroup gives; --container chooses containers", kExitUsage);
  }
}

/// The whole command line, and what each command is for.
struct CommandLine {
  CLI::App app{"snoop sees which files containers really use, with eBPF, and reports them.", "snoop"};
  CLI::App* run = nullptr;
  CLI::App* record = nullptr;
  CLI::App* trace = nullptr;
  CLI::App* containers = nullptr;
  CLI::App* merge = nullptr;
  CLI::App* diff = nullptr;
  CLI::App* packages = nullptr;
  CLI::App* check = nullptr;
  CLI::App* config = nullptr;
  CLI::App* version = nullptr;
  /// Each command's own: what a configuration file sets for one is not for another.
  std::map<Command, Options> options_of;

  CommandLine() {
    app.require_subcommand(1);
    app.fallthrough();
    // It is read by add_settings().
    app.add_option("--config", "Configuration file (TOML)")->type_name("FILE");
    app.set_version_flag("-V,--version", std::string("snoop ") + kVersion);
    app.get_formatter()->column_width(34);
    app.footer(
        "Examples:\n"
        "  snoop run -- python3 app.py              what does this command use?\n"
        "  snoop containers                         which containers are there?\n"
        "  snoop record --container web --report web.json\n"
        "  snoop trace --all                        watch it happen\n"
        "  snoop diff old.json new.json             what does the new image use?\n"
        "  snoop packages web.json --root /mnt      which packages does it use?\n"
        "  snoop check                              can it work here?\n"
        "\n'snoop COMMAND --help' tells more.");

    Options& run_options = options_of[Command::kRun];
    run = app.add_subcommand("run", "Runs a command in a cgroup of its own and reports all that it used");
    add_report_options(*run, run_options, kRunReport);
    add_label_options(*run, run_options, "Report", "Namespace of the pod",
                      "Goes into the report as it is (repeatable)");
    add_duration(*run, "--grace", run_options.grace, std::chrono::milliseconds(0),
                 "How long what the command leaves running may go on", "5s");
    add_capture_options(*run, run_options);
    add_service_options(*run, run_options, "off");
    add_log_options(*run, run_options);
    run->footer(
        std::string("The command stands behind '--': snoop run [OPTIONS] -- COMMAND [ARGUMENTS...]\n"
                    "\nExamples:\n"
                    "  snoop run -- ls -l /etc\n"
                    "  snoop run --report /tmp/build.json --image my/app:1.2 -- make -j2\n"
                    "\nExit code: the command's own (128 and the signal's number if one ended it); 125 if snoop\n"
                    "failed, 126 if the command could not be run, 127 if it was not found.\n\n") +
        kFooter);

    Options& record_options = options_of[Command::kRecord];
    record = app.add_subcommand("record", "Records what cgroups use until SIGINT or SIGTERM");
    add_target_options(*record, record_options);
    add_report_options(*record, record_options, kRecordReport);
    add_label_options(*record, record_options, "Targets",
                      "With --all-containers, --container or --pod: those whose pod is in this namespace.\n"
                      "Without: it goes into the report as the namespace of the pod",
                      "With --all-containers, --container or --pod: those with this label; with several, with all\n"
                      "of them. Without: it goes into the report as it is (repeatable)");
    add_metadata_options(*record, record_options);
    record
        ->add_flag("--fresh", record_options.fresh,
                   "Keep the report that is there aside, and begin a new one. Without it: go on from that one")
        ->group("Report");
    add_duration(*record, "--interval", record_options.interval, std::chrono::milliseconds(100),
                 "Time from one report to the next", "30s");
    add_capture_options(*record, record_options);
    record
        ->add_flag_callback(
            "--no-baseline", [&record_options] { record_options.baseline = false; },
            "Leave out what targets have open or mapped when capture begins")
        ->group("Capture");
    record
        ->add_flag_callback(
            "--no-iterators", [&record_options] { record_options.iterators = false; }, "For tests: baseline by /proc")
        ->group("");
    add_service_options(*record, record_options, ":9090");
    add_sandbox_option(*record, record_options);
    add_log_options(*record, record_options);
    record->footer(
        std::string("Examples:\n"
                    "  snoop record --container web --report web.json\n"
                    "  snoop record --all-containers --namespace shop --label app=cart\n"
                    "  snoop record --cgroup system.slice/nginx.service --image nginx:1.27\n"
                    "  snoop record --all --interval 5m\n"
                    "  snoop record                    in a pod: the other containers of it\n"
                    "\nThe report is there as soon as capture is on, and written again at every interval, at\n"
                    "SIGUSR1, and at the end. A report that is there already is gone on from; one that is\n"
                    "damaged or of another host is kept aside as PATH.kept-TIME.\n"
                    "\nSIGHUP reads the configuration again: --interval, --exclude, --max-files, --log-level and\n"
                    "--log-format can be changed that way. If the terminal is gone, it ends snoop.\n\n") +
        kFooter);

    Options& trace_options = options_of[Command::kTrace];
    trace = app.add_subcommand("trace", "Prints accesses as they happen");
    add_target_options(*trace, trace_options);
    add_label_options(*trace, trace_options, "Targets",
                      "With --all-containers, --container or --pod: those whose pod is in this namespace",
                      "The same: those with this label (repeatable; all must fit)");
    add_metadata_options(*trace, trace_options);
    trace
        ->add_option_function<std::string>(
            "--format", [&trace_options](const std::string& format) { trace_options.trace_json = format == "json"; },
            "Lines of text, or one JSON object a line")
        ->check(CLI::IsMember({"text", "json"}))
        ->default_str("text")
        ->group("Output");
    trace->add_flag("--unique", trace_options.trace_unique, "Each path once for each kind of access")->group("Output");
    add_capture_options(*trace, trace_options);
    add_sandbox_option(*trace, trace_options);
    add_log_options(*trace, trace_options);
    trace->footer(std::string("Examples:\n"
                              "  snoop trace --cgroup system.slice/nginx.service\n"
                              "  snoop trace --container web\n"
                              "  snoop trace --all --format json | jq -r .path\n"
                              "\nColumns of the text: process id, container, kinds of access, result, path.\n\n") +
                  kFooter);

    Options& containers_options = options_of[Command::kContainers];
    containers = app.add_subcommand("containers", "Lists the containers of this machine");
    containers
        ->add_option_function<std::string>(
            "--format",
            [&containers_options](const std::string& format) { containers_options.list_json = format == "json"; },
            "A table, or one JSON object")
        ->check(CLI::IsMember({"table", "json"}))
        ->default_str("table")
        ->group("Output");
    add_metadata_options(*containers, containers_options);
    add_log_options(*containers, containers_options);
    containers->footer(std::string("Examples:\n"
                                   "  snoop containers\n"
                                   "  snoop containers --format json | jq -r '.containers[].image'\n"
                                   "\nExit code: 0 also where there is none; 1 if cgroups cannot be read.\n\n") +
                       kFooter);

    merge = add_merge_command(app, options_of[Command::kMerge]);
    add_log_options(*merge, options_of[Command::kMerge]);
    diff = add_diff_command(app, options_of[Command::kDiff]);
    add_log_options(*diff, options_of[Command::kDiff]);
    packages = add_packages_command(app, options_of[Command::kPackages]);
    add_log_options(*packages, options_of[Command::kPackages]);

    check = app.add_subcommand("check", "Tells what this kernel, its cgroups and these privileges allow");
    add_log_options(*check, options_of[Command::kCheck]);
    check->footer(
        "Example:\n"
        "  snoop check || echo 'not here'\n"
        "\nExit code: 0 if snoop can run here, 1 if not.");
    config = app.add_subcommand("config", "Prints what is in force for a command, and where it comes from");
    config->footer(
        "Behind it stands what would be run, record if nothing does: snoop config [run|record|trace] [OPTIONS]\n"
        "What comes out can be used as a configuration file.\n"
        "\nExample:\n"
        "  snoop config record --interval 5m > snoop.toml");
    version = app.add_subcommand("version", "Prints the version of snoop and what is built in");
    version->footer("Example:\n  snoop version | head -n 1");
  }
};

/// Takes "config" away from "config record ...", where it does not stand alone with a
/// flag; whether it was there.
bool take_config(std::vector<std::string>& arguments, const CLI::App& app) {
  const size_t at = command_among(arguments, app);
  if (at == arguments.size() || arguments[at] != "config") {
    return false;
  }
  const auto next = arguments.begin() + static_cast<std::ptrdiff_t>(at) + 1;
  const size_t command = command_among(arguments, app, at + 1);
  if (command == arguments.size()) {
    const bool wants_help = std::any_of(
        next, arguments.end(), [](const std::string& argument) { return argument == "--help" || argument == "-h"; });
    if (wants_help) {
      return false;
    }
    arguments[at] = "record";
    return true;
  }
  if (arguments[command] != "run" && arguments[command] != "record" && arguments[command] != "trace") {
    throw CLI::ParseError(fmt::format("'snoop config' tells of run, record and trace, not of '{}'", arguments[command]),
                          kExitUsage);
  }
  arguments.erase(arguments.begin() + static_cast<std::ptrdiff_t>(at));
  return true;
}

}  // namespace

std::vector<std::string> Options::metadata_arguments() const {
  std::vector<std::string> arguments;
  for (const std::string& socket : runtime_sockets) {
    arguments.insert(arguments.end(), {"--runtime-socket", socket});
  }
  if (!host_root.empty()) {
    arguments.insert(arguments.end(), {"--host-root", host_root});
  }
  return arguments;
}

ParsedArguments read_arguments(const std::vector<std::string>& all) {
  ParsedArguments parsed;
  CommandLine line;

  // What follows "--" is the command to run, whatever it looks like.
  const auto end = std::find(all.begin(), all.end(), "--");
  const bool has_command = end != all.end();
  std::vector<std::string> arguments(all.begin(), end);
  if (!arguments.empty() && arguments.front() == "help") {
    arguments.erase(arguments.begin());
    if (arguments.empty() || command_among(arguments, line.app) == 0) {
      arguments.emplace_back("--help");
    }
  }
  std::vector<Setting> added;

  Options& options = parsed.options;
  try {
    parsed.shows_settings = take_config(arguments, line.app);
    add_settings(arguments, line.app, added);
    std::vector<std::string> reversed = with_empty_values(arguments);
    std::reverse(reversed.begin(), reversed.end());
    line.app.parse(std::move(reversed));
    const std::map<const CLI::App*, Command> commands = {
        {line.run, Command::kRun},           {line.record, Command::kRecord},
        {line.trace, Command::kTrace},       {line.containers, Command::kContainers},
        {line.merge, Command::kMerge},       {line.diff, Command::kDiff},
        {line.packages, Command::kPackages}, {line.check, Command::kCheck},
        {line.version, Command::kVersion}};
    const CLI::App* used = line.app.get_subcommands().front();
    options = line.options_of[commands.at(used)];
    options.command = commands.at(used);
    options.run_command.assign(has_command ? end + 1 : end, all.end());
    options.command_line = all;
    check_targets(options);
    check_reports(options);
    if (line.run->parsed() && options.run_command.empty() && !parsed.shows_settings) {
      throw CLI::ParseError("no command to run: put it behind '--', as in: snoop run -- ls /", kExitUsage);
    }
    if (!line.run->parsed() && has_command) {
      throw CLI::ParseError(
          fmt::format("unexpected '-- {}': only 'snoop run' takes a command", fmt::join(options.run_command, " ")),
          kExitUsage);
    }
    options.settings = settings_of(*used, added);
    options.unknown_variables = unknown_variables(line.app);
  } catch (const CLI::ParseError& error) {
    parsed.exit_now = true;
    if (error.get_exit_code() == 0) {  // --help, --version
      std::ostringstream out;
      std::ostringstream nothing;
      parsed.exit_code = line.app.exit(error, out, nothing);
      parsed.output = out.str();
      return parsed;
    }
    std::tie(parsed.mistake, parsed.hint) = describe_mistake(line.app, arguments, added, error);
    parsed.exit_code = kExitUsage;
    return parsed;
  }

  if (options.report.empty()) {
    options.report = options.command == Command::kRun ? kRunReport : kRecordReport;
  }
  if (options.metadata_program == kMetadataProgram) {
    options.metadata_program.clear();
  }
  // The link is never to be replaced by a report.
  for (std::string* path : {&options.report, &options.output}) {
    if (*path == "/dev/stdout") {
      *path = "-";
    }
  }
  // An empty prefix is how to say that nothing is excluded.
  std::erase(options.exclude, std::string());
  return parsed;
}

ParsedArguments parse_arguments(int argc, const char* const* argv) {
  ParsedArguments parsed = read_arguments({argv + 1, argv + argc});
  std::fputs(parsed.output.c_str(), stdout);
  if (argc == 1) {
    fmt::print(stderr, "{}\nsnoop: error: a subcommand is required\n", CommandLine().app.help());
  } else if (!parsed.mistake.empty()) {
    fmt::print(stderr, "snoop: error: {}\nsnoop: error: hint: {}\n", parsed.mistake, parsed.hint);
  }
  return parsed;
}

}  // namespace snoop
