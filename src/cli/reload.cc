// SPDX-License-Identifier: Apache-2.0
#include "cli/reload.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "base/text.h"
#include "cli/session.h"

namespace snoop {

namespace {

struct Change {
  std::string_view name;
  void (*take)(Options& now, Options& next);
};

/// What can be changed in flight. All else was given to the kernel or decides which list a
/// file belongs to, or, as the report's place, is not to be left half way.
constexpr Change kChanges[] = {
    {"interval", [](Options& now, Options& next) { now.interval = next.interval; }},
    {"exclude", [](Options& now, Options& next) { now.exclude = std::move(next.exclude); }},
    {"max-files", [](Options& now, Options& next) { now.max_files = next.max_files; }},
    {"log-level", [](Options& now, Options& next) { now.log_level = std::move(next.log_level); }},
    {"log-format", [](Options& now, Options& next) { now.log_format = std::move(next.log_format); }},
};

/// Whether one of the former is not among the next; says so.
bool is_lifted(const std::vector<std::string>& former, const std::vector<std::string>& next) {
  bool lifted = false;
  for (const std::string& prefix : former) {
    if (std::find(next.begin(), next.end(), prefix) == next.end()) {
      spdlog::warn("SIGHUP: what was used below {} until now, and is not used again, stays left out",
                   printable(prefix));
      lifted = true;
    }
  }
  return lifted;
}

}  // namespace

bool reload(Options& options, Recorder& recorder) {
  ParsedArguments again = read_arguments(options.command_line);
  if (again.exit_now) {
    spdlog::error("SIGHUP: the configuration stays as it was: {}", printable(again.mistake));
    return false;
  }
  std::vector<std::string> changed;
  bool lifted = false;
  for (Setting& next : again.options.settings) {
    const auto now = std::find_if(options.settings.begin(), options.settings.end(),
                                  [&](const Setting& setting) { return setting.name == next.name; });
    if (now == options.settings.end() || now->values == next.values) {
      continue;
    }
    const Change* change = std::find_if(std::begin(kChanges), std::end(kChanges),
                                        [&](const Change& one) { return one.name == next.name; });
    if (change == std::end(kChanges)) {
      spdlog::warn("SIGHUP: {} cannot be changed while snoop runs: it stays until the next start", next.name);
      continue;
    }
    if (next.name == "exclude") {
      lifted = is_lifted(options.exclude, again.options.exclude);
    }
    change->take(options, again.options);
    changed.push_back(printable(fmt::format("{} = {}", next.name, fmt::join(next.values, " "))));
    *now = std::move(next);
  }
  recorder.set_options({.exclude = options.exclude, .max_files = options.max_files});
  set_up_logging(options);
  if (changed.empty()) {
    spdlog::info("SIGHUP: no setting has changed");
  } else {
    spdlog::info("SIGHUP: from now on {}", fmt::join(changed, ", "));
  }
  return lifted;
}

ControllingTerminal::ControllingTerminal() : fd_(::open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)) {}

bool ControllingTerminal::has_hung_up() const {
  pollfd terminal = {.fd = fd_.get(), .events = POLLIN, .revents = 0};
  return fd_ && ::poll(&terminal, 1, 0) > 0 && (terminal.revents & (POLLHUP | POLLERR)) != 0;
}

}  // namespace snoop
