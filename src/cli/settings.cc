// SPDX-License-Identifier: Apache-2.0
#include "cli/settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <iterator>
#include <map>
#include <optional>
#include <set>

#include "base/text.h"
#include "cli/config_file.h"
#include "cli/mistake.h"

namespace snoop {

namespace {

/// Ways to say what to watch are one choice: by cgroups, all, or by containers. 0: none of them.
int target_kind(std::string_view option) {
  static const std::map<std::string_view, int> kKinds = {
      {"cgroup", 1}, {"all", 2}, {"all-containers", 3}, {"container", 3}, {"pod", 3}};
  const auto found = kKinds.find(option);
  return found == kKinds.end() ? 0 : found->second;
}

Form form_of(const CLI::Option& option) {
  if (option.get_expected_min() == 0) {
    return Form::kSwitch;
  }
  if (option.get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll) {
    return Form::kList;
  }
  return option.get_type_name().starts_with("UINT") ? Form::kNumber : Form::kText;
}

/// What can be set elsewhere than on the command line.
std::vector<const CLI::Option*> options_of(const CLI::App& command) {
  std::vector<const CLI::Option*> options = command.get_options();
  std::erase_if(options, [](const CLI::Option* option) {
    return option->get_lnames().empty() || option->get_lnames().front() == "help" || !option->get_configurable();
  });
  return options;
}

/// Whether the option is among the arguments: "--name" or "--name=...".
bool is_given(const std::vector<std::string>& arguments, const std::string& name) {
  const std::string flag = "--" + name;
  return std::any_of(arguments.begin(), arguments.end(), [&](const std::string& argument) {
    return argument == flag || argument.compare(0, flag.size() + 1, flag + "=") == 0;
  });
}

/// What a lower place than the command line says.
struct Given {
  std::vector<std::string> values;
  Place place = Place::kDefault;
  std::string where;
};

std::optional<Given> from_environment(const std::string& name, Form form) {
  const std::string variable = environment_name(name);
  const char* value = std::getenv(variable.c_str());
  if (value == nullptr || *value == '\0') {
    return std::nullopt;
  }
  Given given = {{value}, Place::kEnvironment, variable};
  if (form == Form::kList) {
    given.values = CLI::detail::split(value, ',');
  }
  return given;
}

std::optional<Given> from_file(const ConfigFile* file, const std::string& command, const std::string& name, Form form) {
  const ConfigFile::Value* value = file == nullptr ? nullptr : file->find(command, name);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (value->is_list && form != Form::kList) {
    throw CLI::ValidationError(fmt::format("{}: '{}' is one value, not a list", value->where, name));
  }
  Given given = {value->values, Place::kFile, value->where};
  // Nothing is something else than the default.
  if (given.values.empty()) {
    given.values.emplace_back();
  }
  return given;
}

bool is_switched_off(const Given& given, Form form) {
  static const std::set<std::string> kOff = {"false", "off", "no", "0"};
  return form == Form::kSwitch && kOff.contains(given.values.front());
}

/// "--name=value": a switch takes what CLI11 takes for true or false.
void check_switch(const std::string& name, const std::string& value) {
  try {
    static_cast<void>(CLI::detail::to_flag_value(value));
  } catch (const std::invalid_argument&) {
    throw CLI::ValidationError("--" + name, fmt::format("must be true or false, not '{}'", value));
  }
}

void check_names(const ConfigFile& file, const CLI::App& app) {
  for (const ConfigFile::Name& name : file.names()) {
    const std::vector<const CLI::App*> sections = app.get_subcommands([&](const CLI::App* command) {
      return command->get_name() == name.section && command->get_name() != "config" && !options_of(*command).empty();
    });
    if (sections.empty()) {
      throw CLI::ConfigError(
          fmt::format("{}: there is no section [{}]: run, record, trace, containers, merge, diff, packages or check",
                      name.where, name.section),
          CLI::ExitCodes::ConfigError);
    }
    const std::vector<const CLI::Option*> options = options_of(*sections.front());
    if (!name.key.empty() && std::none_of(options.begin(), options.end(), [&](const CLI::Option* option) {
          return option->get_lnames().front() == name.key;
        })) {
      throw CLI::ConfigError(fmt::format("{}: 'snoop {}' has no option '{}'", name.where, name.section, name.key),
                             CLI::ExitCodes::ConfigError);
    }
  }
}

/// The value of --config, or of its variable; empty: there is none.
std::string config_path(const std::vector<std::string>& arguments, std::string& where) {
  for (size_t i = 0; i < arguments.size(); i++) {
    if (arguments[i] == "--config" && i + 1 < arguments.size()) {
      return arguments[i + 1];
    }
    if (arguments[i].starts_with("--config=")) {
      return arguments[i].substr(arguments[i].find('=') + 1);
    }
  }
  const char* variable = std::getenv("SNOOP_CONFIG");
  where = " (SNOOP_CONFIG)";
  return variable == nullptr ? "" : variable;
}

std::optional<ConfigFile> read_config(const std::vector<std::string>& arguments, const CLI::App& app) {
  std::string where;
  const std::string path = config_path(arguments, where);
  if (path.empty()) {
    return std::nullopt;
  }
  Result<ConfigFile> file = ConfigFile::read(path);
  if (!file) {
    throw CLI::FileError(file.error().message() + where, CLI::ExitCodes::FileError);
  }
  check_names(*file, app);
  return std::move(*file);
}

}  // namespace

std::string environment_name(std::string_view option) {
  std::string name = "SNOOP_";
  for (const char c : option.substr(option.find_first_not_of('-'))) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

size_t command_among(const std::vector<std::string>& arguments, const CLI::App& app, size_t from) {
  for (size_t i = from; i < arguments.size(); i++) {
    // The name of the file, not of a command.
    const bool is_file = i > 0 && arguments[i - 1] == "--config";
    const auto is_it = [&](const CLI::App* command) { return command->get_name() == arguments[i]; };
    if (!is_file && !app.get_subcommands(is_it).empty()) {
      return i;
    }
  }
  return arguments.size();
}

void add_settings(std::vector<std::string>& arguments, const CLI::App& app, std::vector<Setting>& added) {
  const size_t at = command_among(arguments, app);
  if (at == arguments.size()) {
    return;
  }
  const std::optional<ConfigFile> file = read_config(arguments, app);
  const std::string& name_of_command = arguments[at];
  const CLI::App& command = *app.get_subcommand(name_of_command);

  std::map<std::string, Given> found;
  // The choice of the highest place that makes one.
  Place targets_from = Place::kDefault;
  std::set<int> target_kinds;
  const auto choose_targets = [&](const std::string& option, Place place) {
    if (target_kind(option) != 0 && place >= targets_from) {
      if (place > targets_from) {
        target_kinds.clear();
      }
      targets_from = place;
      target_kinds.insert(target_kind(option));
    }
  };
  for (const CLI::Option* option : options_of(command)) {
    const std::string& name = option->get_lnames().front();
    const Form form = form_of(*option);
    if (is_given(arguments, name)) {
      choose_targets(name, Place::kFlag);
      continue;
    }
    std::optional<Given> given = from_environment(name, form);
    if (!given) {
      given = from_file(file ? &*file : nullptr, name_of_command, name, form);
    }
    if (given && !is_switched_off(*given, form)) {
      choose_targets(name, given->place);
    }
    if (given) {
      found.emplace(name, std::move(*given));
    }
  }
  std::vector<std::string> more;
  for (const CLI::Option* option : options_of(command)) {
    const std::string& name = option->get_lnames().front();
    const auto given = found.find(name);
    const bool is_silenced = given != found.end() && target_kind(name) != 0 && given->second.place < targets_from &&
                             !target_kinds.contains(target_kind(name));
    if (given == found.end() || is_silenced) {
      continue;
    }
    added.push_back({name, form_of(*option), {}, given->second.place, given->second.where});
    for (const std::string& value : given->second.values) {
      if (form_of(*option) == Form::kSwitch) {
        check_switch(name, value);
      }
      more.push_back(fmt::format("--{}={}", name, value));
    }
  }
  for (const CLI::Option* option : options_of(command)) {
    const std::string start = "--" + option->get_lnames().front() + "=";
    for (const std::string& argument : arguments) {
      if (form_of(*option) == Form::kSwitch && argument.starts_with(start)) {
        check_switch(option->get_lnames().front(), argument.substr(start.size()));
      }
    }
  }
  arguments.insert(arguments.begin() + static_cast<std::ptrdiff_t>(at) + 1, more.begin(), more.end());
}

std::vector<Setting> settings_of(const CLI::App& command, const std::vector<Setting>& added) {
  std::vector<Setting> settings;
  for (const CLI::Option* option : options_of(command)) {
    Setting setting;
    setting.name = option->get_lnames().front();
    setting.form = form_of(*option);
    setting.values = option->results();
    if (setting.form == Form::kSwitch) {
      const bool is_on = !setting.values.empty() && CLI::detail::to_flag_value(setting.values.back()) > 0;
      setting.values = {is_on ? "true" : "false"};
    }
    const auto found =
        std::find_if(added.begin(), added.end(), [&](const Setting& one) { return one.name == setting.name; });
    if (found != added.end()) {
      setting.place = found->place;
      setting.where = found->where;
    } else if (option->count() > 0) {
      setting.place = Place::kFlag;
    } else if (const std::string standard = option->get_default_str(); !standard.empty()) {
      setting.values =
          setting.form == Form::kList ? CLI::detail::split(standard, ' ') : std::vector<std::string>{standard};
    }
    // For tests only, unless they are used.
    if (!option->get_group().empty() || setting.place != Place::kDefault) {
      settings.push_back(std::move(setting));
    }
  }
  return settings;
}

std::vector<std::string> unknown_variables(const CLI::App& app) {
  // Of snoop-metadata, of tests, and of Kubernetes, which sets them for a service that is called snoop.
  static constexpr std::string_view kOthers[] = {"METADATA_", "TEST_", "SERVICE_", "PORT"};
  constexpr std::string_view kPrefix = "SNOOP_";
  std::vector<std::string> known = {"CONFIG"};
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    for (const CLI::Option* option : options_of(*command)) {
      known.push_back(environment_name(option->get_lnames().front()).substr(kPrefix.size()));
    }
  }
  std::vector<std::string> unknown;
  for (char** variable = environ; *variable != nullptr; variable++) {
    const std::string_view text = *variable;
    if (!text.starts_with(kPrefix)) {
      continue;
    }
    const std::string_view name = text.substr(0, text.find('=')).substr(kPrefix.size());
    const bool is_other = std::any_of(std::begin(kOthers), std::end(kOthers),
                                      [&](std::string_view other) { return name.starts_with(other); });
    if (!is_other && std::find(known.begin(), known.end(), name) == known.end()) {
      const std::string meant = nearest(name, known);
      unknown.push_back(
          fmt::format("the variable {}{} sets nothing: {}", kPrefix, name,
                      meant.empty() ? "no option has that name" : fmt::format("did you mean {}{}?", kPrefix, meant)));
    }
  }
  return unknown;
}

std::string settings_text(std::string_view command, const std::vector<Setting>& settings) {
  constexpr size_t kCommentColumn = 40;
  std::string text = fmt::format("[{}]\n", command);
  for (const Setting& setting : settings) {
    std::string line;
    std::string comment;
    if (!std::all_of(setting.values.begin(), setting.values.end(), is_utf8)) {
      line = fmt::format("# {} = {}", setting.name, printable(fmt::format("{}", fmt::join(setting.values, " "))));
      comment = "not UTF-8, so no value for a file; ";
    } else if (setting.values.empty()) {
      line = fmt::format("# {} = {}", setting.name, setting.form == Form::kList ? "[]" : "\"\"");
    } else if (setting.form == Form::kList) {
      std::vector<std::string> quoted;
      std::transform(setting.values.begin(), setting.values.end(), std::back_inserter(quoted), toml_text);
      line = fmt::format("{} = [{}]", setting.name, fmt::join(quoted, ", "));
    } else {
      const bool is_bare = setting.form == Form::kSwitch || setting.form == Form::kNumber;
      line = fmt::format("{} = {}", setting.name, is_bare ? setting.values.front() : toml_text(setting.values.front()));
    }
    switch (setting.place) {
      case Place::kDefault:
        comment += setting.values.empty() ? "not set" : "default";
        break;
      case Place::kFile:
        comment += "file " + printable(setting.where);
        break;
      case Place::kEnvironment:
        comment += "environment " + setting.where;
        break;
      case Place::kFlag:
        comment += "flag";
        break;
    }
    text += fmt::format("{:<{}} # {}\n", line, kCommentColumn, comment);
  }
  return text;
}

}  // namespace snoop
