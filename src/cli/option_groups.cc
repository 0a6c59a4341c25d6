// SPDX-License-Identifier: Apache-2.0
#include "cli/option_groups.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <map>

#include "container/runtime_socket.h"
#include "probe/probe.h"
#include "service/listener.h"

namespace snoop {

namespace {

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

/// A list that is given one by one.
CLI::Option* add_list(CLI::App& app, const std::string& name, std::vector<std::string>& values,
                      const std::string& description) {
  return app.add_option(name, values, description)->expected(1)->take_all()->allow_extra_args(false);
}

}  // namespace

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

}  // namespace snoop
