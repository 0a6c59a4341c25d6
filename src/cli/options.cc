// SPDX-License-Identifier: Apache-2.0
#include "cli/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <sstream>
#include <tuple>

#include "cli/mistake.h"
#include "cli/options_of_reports.h"
#include "cli/settings.h"
#include "container/runtime_socket.h"
#include "probe/probe.h"
#include "service/listener.h"
#include "version.h"

namespace snoop {

namespace {

constexpr const char* kRunReport = "./snoop-report.json";
constexpr const char* kRecordReport = "/data/snoop-report.json";

/// Beside snoop, or where it was installed.
constexpr const char* kMetadataProgram = "snoop-metadata";

constexpr const char* kFooter =
    "Every option can also be set in the environment (SNOOP_ and its name: SNOOP_RING_SIZE=4M, lists separated by\n"
    "commas) and in a configuration file (snoop --config FILE: TOML, a section for each command). A flag beats the\n"
    "environment, the environment beats the file.";

/// Durations such as 500ms, 30s, 5m, 1h; a bare number is in seconds.
std::string to_milliseconds(std::string& text) {
  size_t end = 0;
  double number = 0;
  try {
    number = std::stod(text, &end);
  } catch (const std::exception&) {
    return "'" + text + "' is no duration: give a number and ms, s, m or h, such as 30s";
  }
  const std::string unit = text.substr(end);
  const std::map<std::string, double> units = {{"ms", 1}, {"", 1e3}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}};
  const auto found = units.find(unit);
  if (found == units.end() || !(number >= 0) || number * found->second > 1e12) {
    return "'" + text + "' is no duration: give a number and ms, s, m or h, such as 30s";
  }
  text = std::to_string(static_cast<int64_t>(number * found->second));
  return {};
}

/// Adds options that are stored as given and converted in a callback.
void add_duration(CLI::App& app, const std::string& name, std::chrono::milliseconds& value,
                  std::chrono::milliseconds least, const std::string& description, const std::string& shown_default) {
  const auto store = [&value, least, name](const CLI::results_t& results) {
    std::string text = results.back();
    if (const std::string error = to_milliseconds(text); !error.empty()) {
      throw CLI::ValidationError(name, error);
    }
    value = std::chrono::milliseconds(std::stoll(text));
    if (value < least) {
      throw CLI::ValidationError(name, "must be " + std::to_string(least.count()) + "ms or more");
    }
    return true;
  };
  app.add_option(name, store, description)->type_name("TIME")->default_str(shown_default);
}

/// Says what is allowed, whatever is wrong with the number.
CLI::Validator whole_number(uint64_t least, uint64_t most) {
  const auto check = [least, most](const std::string& text) {
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool is_good = error == std::errc() && end == text.data() + text.size() && number >= least && number <= most;
    return is_good ? std::string() : fmt::format("must be a whole number from {} to {}, not '{}'", least, most, text);
  };
  return {check, "", ""};
}

/// Paths in lists are absolute: no other prefix would ever fit.
CLI::Validator absolute_or_empty() {
  const auto check = [](const std::string& text) {
    return text.empty() || text.front() == '/' ? std::string() : fmt::format("must begin with /, unlike '{}'", text);
  };
  return {check, "", ""};
}

CLI::Validator host_directory() {
  const auto check = [](const std::string& text) {
    if (text.empty()) {
      return std::string();
    }
    struct stat info = {};
    const bool is_directory = text.front() == '/' && ::stat(text.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
    return is_directory ? std::string() : fmt::format("must be a directory, its path from / on, unlike '{}'", text);
  };
  return {check, "", ""};
}

CLI::Validator program_or_none() {
  const auto check = [](const std::string& text) {
    struct stat info = {};
    const bool is_program =
        text.empty() || text == "none" || text == kMetadataProgram ||
        (::stat(text.c_str(), &info) == 0 && S_ISREG(info.st_mode) && ::access(text.c_str(), X_OK) == 0);
    return is_program ? std::string() : fmt::format("must be a program, or 'none', unlike '{}'", text);
  };
  return {check, "", ""};
}

CLI::Validator not_empty() {
  return {[](const std::string& text) { return std::string(text.empty() ? "must not be empty" : ""); }, "", ""};
}

void add_sandbox_option(CLI::App& app, Options& options) {
  app.add_flag_callback(
         "--no-sandbox", [&options] { options.sandbox = false; },
         "Keep all privileges and system calls, for who suspects that what was given up is missed")
      ->group("Privileges");
}

void add_log_options(CLI::App& app, Options& options) {
  app.add_option("--log-level", options.log_level, "How much to log to stderr")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->capture_default_str()
      ->group("Log");
  app.add_option("--log-format", options.log_format, "Lines of text, or one JSON object a line")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str()
      ->group("Log");
}

/// A list that is given one by one.
CLI::Option* add_list(CLI::App& app, const std::string& name, std::vector<std::string>& values,
                      const std::string& description) {
  return app.add_option(name, values, description)->expected(1)->take_all()->allow_extra_args(false);
}

void add_target_options(CLI::App& app, Options& options) {
  add_list(app, "--cgroup", options.cgroups,
           "Cgroup to watch, with all below it: a directory, or a path from the cgroup2 mount on\n"
           "(repeatable; snoop-find-cgroup finds a container's)")
      ->type_name("PATH")
      ->check(not_empty())
      ->group("Targets");
  app.add_flag("--all", options.all,
               "Every other cgroup that holds processes, each on its own. Without any target:\n"
               "the siblings of snoop's own cgroup, that is, the other containers of its pod")
      ->group("Targets");
  app.add_flag("--all-containers", options.all_containers,
               "Every container of this machine but snoop's own, also those that are started later")
      ->group("Targets");
  add_list(app, "--container", options.containers, "Container of this name or id, 12 digits or more of it (repeatable)")
      ->type_name("NAME|ID")
      ->group("Targets");
  add_list(app, "--pod", options.pods, "Containers of this pod (repeatable)")->type_name("NAME")->group("Targets");
}

void add_label_options(CLI::App& app, Options& options, const std::string& group, const std::string& namespace_text,
                       const std::string& label_text) {
  app.add_option("--namespace", options.namespace_name, namespace_text)->type_name("NAME")->group(group);
  const auto store_labels = [&options](const CLI::results_t& results) {
    for (const std::string& label : results) {
      const size_t equals = label.find('=');
      if (equals == 0 || equals == std::string::npos) {
        throw CLI::ValidationError("--label", "'" + label + "' is not of the form KEY=VALUE");
      }
      options.labels[label.substr(0, equals)] = label.substr(equals + 1);
    }
    return true;
  };
  app.add_option("--label", store_labels, label_text)
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false)
      ->group(group);
}

void add_metadata_options(CLI::App& app, Options& options) {
  app.add_option("--metadata-program", options.metadata_program,
                 "The program that asks runtimes for names and images; none: do not ask")
      ->check(program_or_none())
      ->type_name("PATH")
      ->default_str(kMetadataProgram)
      ->group("Names of containers");
  add_list(app, "--runtime-socket", options.runtime_sockets,
           "A runtime's socket, instead of the usual ones: [cri|containerd|docker|podman:]PATH; 'none' for none\n"
           "(repeatable)")
      ->check(CLI::Validator(wrong_with_socket, "", ""))
      ->type_name("SOCKET")
      ->group("Names of containers");
  app.add_option("--host-root", options.host_root,
                 "Where the host's files are mounted, if snoop runs in a container; the usual sockets are below")
      ->check(host_directory())
      ->type_name("PATH")
      ->default_str("/")
      ->group("Names of containers");
}

void add_capture_options(CLI::App& app, Options& options) {
  const auto store_size = [&options](const CLI::results_t& results) {
    uint64_t bytes = 0;
    std::string text = results.back();
    try {
      if (const std::string error = CLI::AsSizeValue(false)(text); !error.empty()) {
        throw CLI::ValidationError(error);
      }
    } catch (const CLI::ValidationError&) {
      throw CLI::ValidationError("--ring-size",
                                 "'" + results.back() + "' is no size: give bytes, or a number and K, M or G");
    }
    if (!CLI::detail::lexical_cast(text, bytes) || bytes > (1ULL << 30)) {
      throw CLI::ValidationError("--ring-size", "must be 1G or less");
    }
    options.ring_size_bytes = ring_size_at_least(bytes);
    return true;
  };
  app.add_option("--ring-size", store_size,
                 "Size of the ring buffer, rounded up to a power of two: larger takes longer bursts")
      ->type_name("SIZE")
      ->default_str("16M")
      ->group("Capture");
  app.add_option_function<std::string>(
         "--tier", [&options](const std::string& name) { options.tier = tier_named(name).value_or(Tier::kAuto); },
         "Hook that sees system calls: fexit, tracepoint, or the best that this kernel allows;\n"
         "'snoop check' lists them")
      ->check(CLI::IsMember({"auto", "fexit", "tracepoint"}))
      ->default_str("auto")
      ->type_name("TIER")
      ->group("Capture");
  app.add_option("--exclude", options.exclude,
                 "Leave out paths below PREFIX (repeatable; replaces the default; '' leaves out nothing)")
      ->type_name("PREFIX")
      ->check(absolute_or_empty())
      ->default_str("/proc/ /sys/ /dev/")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false)
      ->group("Capture");
}

void add_report_options(CLI::App& app, Options& options, const std::string& default_report) {
  app.add_option("--report", options.report, "Where the report goes; - is stdout, once, at the end")
      ->type_name("PATH")
      ->check(not_empty())
      ->default_str(default_report)
      ->group("Report");
  app.add_option("--max-files", options.max_files, "Files kept per container; what is beyond is counted as lost")
      ->check(whole_number(1, 100'000'000))
      ->capture_default_str()
      ->group("Report");
  app.add_option_function<std::string>(
         "--only", [&options](const std::string&) { options.only_image = true; },
         "image: leave out files that are known to be none of the image: written at run time, of\n"
         "volumes, made up by the kernel. What is not known stays")
      ->check(CLI::IsMember({"image"}))
      ->type_name("image")
      ->group("Report");
  app.add_option("--host-name", options.host_name,
                 "Name of this machine; in a container uname's is the container's [uname -n]")
      ->type_name("NAME")
      ->group("Report");
  app.add_option("--container-name", options.container_name, "Name of the container, where there is one target")
      ->group("Report");
  app.add_option("--image", options.image, "Image reference of the containers")->group("Report");
  app.add_option("--image-digest", options.image_digest, "Image digest of the containers (sha256:...)")
      ->group("Report");
  app.add_option("--pod-name", options.pod_name, "Name of the pod; --pod chooses one")->group("Report");
}

void add_service_options(CLI::App& app, Options& options, const std::string& default_addr) {
  options.metrics_addr = default_addr;
  const auto store_addr = [&options](const std::string& text) {
    if (const Result<ListenAddress> address = parse_listen_address(text); !address) {
      throw CLI::ValidationError("--metrics-addr", address.error().what);
    }
    options.metrics_addr = text;
    options.metrics_addr_given = true;
  };
  app.add_option_function<std::string>(
         "--metrics-addr", store_addr,
         "Serve /metrics, /healthz, /readyz, and to this machine /report and /containers, by HTTP at\n"
         "this address: ADDRESS:PORT, :PORT for all addresses, unix:/PATH, or off")
      ->type_name("ADDR")
      ->default_str(default_addr)
      ->group("Service");
  app.add_flag("--expose-report", options.expose_report, "Serve /report and /containers to other machines, too")
      ->group("Service");
}

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
        {line.run, Command::kRun},     {line.record, Command::kRecord},
        {line.trace, Command::kTrace}, {line.containers, Command::kContainers},
        {line.merge, Command::kMerge}, {line.diff, Command::kDiff},
        {line.check, Command::kCheck}, {line.version, Command::kVersion}};
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
