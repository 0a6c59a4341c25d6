// SPDX-License-Identifier: Apache-2.0
#include "cli/mistake.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <numeric>

#include "base/text.h"

namespace snoop {

namespace {

/// Letters to add, take away or change to make one of the other.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < a.size(); i++) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); j++) {
      const size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = std::exchange(row[j + 1], std::min({changed, row[j] + 1, row[j + 1] + 1}));
    }
  }
  return row.back();
}

/// "--interval: ..." to "--interval (SNOOP_INTERVAL): ..." where it is not from the command line.
std::string with_place(const std::string& what, const std::vector<Setting>& added) {
  for (const Setting& setting : added) {
    const std::string start = "--" + setting.name + ":";
    if (what.starts_with(start)) {
      return fmt::format("--{} ({}):{}", setting.name, setting.where, what.substr(start.size()));
    }
  }
  return what;
}

/// Of CLI11's "--report: At Most 1 required but received 2" and "--cgroup: 1 required PATH missing".
std::string in_plain_words(const CLI::ParseError& error) {
  std::string what = error.what();
  const std::string option = what.substr(0, what.find(':'));
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) == nullptr || !option.starts_with("--")) {
    return what;
  }
  if (const size_t received = what.find(" but received "); received != std::string::npos) {
    return fmt::format("{}: takes one value, and was given {} times", option, what.substr(what.rfind(' ') + 1));
  }
  return what.ends_with(" missing") ? option + ": its value is missing" : what;
}

std::vector<std::string> names_of_options(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      names.push_back("--" + name);
    }
  }
  return names;
}

std::string or_did_you_mean(const std::string& name) {
  return name.empty() ? std::string() : fmt::format(": did you mean '{}'?", name);
}

}  // namespace

std::string nearest(std::string_view name, const std::vector<std::string>& known) {
  const auto found = std::min_element(known.begin(), known.end(), [&](const std::string& a, const std::string& b) {
    return distance(name, a) < distance(name, b);
  });
  // Two letters that changed places are two; a short name is near to too many.
  const bool is_near = found != known.end() && distance(name, *found) <= 2 && distance(name, *found) * 3 <= name.size();
  return is_near ? *found : std::string();
}

std::pair<std::string, std::string> describe_mistake(const CLI::App& app, const std::vector<std::string>& arguments,
                                                     const std::vector<Setting>& added, const CLI::ParseError& error) {
  const std::vector<const CLI::App*> commands =
      app.get_subcommands([](const CLI::App* command) { return command->parsed(); });
  const size_t at = command_among(arguments, app);
  const std::string command = at == arguments.size() ? "snoop" : "snoop " + arguments[at];
  std::vector<std::string> unknown = app.remaining(true);
  // CLI11 keeps them in the order in which it gave up on them.
  const auto place = [&](const std::string& argument) {
    return std::find(arguments.begin(), arguments.end(), argument);
  };
  std::sort(unknown.begin(), unknown.end(),
            [&](const std::string& a, const std::string& b) { return place(a) < place(b); });
  std::string what = with_place(in_plain_words(error), added);
  if (commands.empty() && !unknown.empty() && unknown.front().starts_with("-")) {
    what = fmt::format("unexpected argument '{}', and no command", unknown.front());
  } else if (commands.empty() && !unknown.empty()) {
    what = fmt::format(
        "there is no command '{}': run, record, trace, containers, merge, diff, packages, check, config or version",
        unknown.front());
  } else if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr && !unknown.empty()) {
    what = fmt::format("unexpected argument '{}'", unknown.front());
    if (!commands.empty() && place(unknown.front()) < place(commands.front()->get_name())) {
      what += fmt::format(": options stand behind the command, as in: {} {} ...", command, unknown.front());
    } else if (command == "snoop run" && !unknown.front().starts_with("-")) {
      what += fmt::format(": the command stands behind '--', as in: snoop run -- {}", unknown.front());
    } else if (!commands.empty()) {
      const std::string name = unknown.front().substr(0, unknown.front().find('='));
      what += or_did_you_mean(nearest(name, names_of_options(*commands.front())));
    }
  }
  return {printable(what), fmt::format("'{} --help' tells what there is", command)};
}

}  // namespace snoop
