// SPDX-License-Identifier: Apache-2.0
#include "cli/naming.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "container/cgroup_path.h"
#include "container/container_name.h"

namespace snoop {

namespace {

/// As runtimes show ids.
constexpr size_t kShortId = 12;

void take(std::string& known, const std::string& told) {
  if (!told.empty()) {
    known = told;
  }
}

}  // namespace

Naming::Naming(const Options& options, Recorder& recorder, Handlers handlers)
    : options_(options), recorder_(recorder), handlers_(std::move(handlers)) {}

std::optional<Launcher> prepare_naming(const Options& options) {
  Launcher::Program program{.path = options.metadata_program, .arguments = options.metadata_arguments()};
  if (program.path == "none") {
    return std::nullopt;
  }
  if (program.path.empty()) {
    program.path = find_metadata_program();
  }
  if (program.path.empty()) {
    return std::nullopt;
  }
  Result<Launcher> launcher = Launcher::start(std::move(program));
  if (!launcher) {
    spdlog::warn("names and images of containers are not to be had: {}", printable(launcher.error().message()));
    return std::nullopt;
  }
  return std::move(*launcher);
}

void Naming::start(EventLoop& loop, std::optional<Launcher> launcher) {
  if (!launcher && options_.metadata_program.empty()) {
    spdlog::info("no snoop-metadata here: of containers there is nothing but what their cgroups are called");
  }
  if (!launcher) {
    return;
  }
  Result<std::unique_ptr<MetadataClient>> client =
      MetadataClient::start(loop, std::move(*launcher),
                            {.on_started =
                                 [this] {
                                   for (const Container& container : recorder_.containers()) {
                                     if (container.identity.source.empty()) {
                                       ask(container);
                                     }
                                   }
                                 },
                             .on_container = [this](const KnownContainer& known) { on_known(known); },
                             .on_listed = {},
                             .on_ended = {},
                             .while_forking = handlers_.while_forking});
  if (!client) {
    spdlog::warn("names and images of containers are not to be had: {}", printable(client.error().message()));
    return;
  }
  client_ = std::move(*client);
}

void Naming::on_added(Container& container) {
  const std::optional<ContainerName> name = parse_container_name(container.cgroup_path);
  if (name && name->kind == ContainerName::Kind::kContainer) {
    container.identity.runtime = name->runtime;
    container.identity.id = name->id;
    if (options_.container_name.empty() && names_itself(container.cgroup_path)) {
      container.name = is_unique_id(name->id) ? name->id.substr(0, kShortId) : name->id;
    }
  }
  if (name) {
    container.identity.pod_uid = name->pod_uid;
  }
  on_revived(container);
  ask(container);
}

void Naming::on_revived(const Container& container) {
  if (!container.identity.id.empty()) {
    by_id_.emplace(container.identity.id, container.target);
  }
  // A path may have a name of its own for what its runtime calls otherwise.
  if (!container.cgroup_path.empty() && !is_unique_id(container.identity.id)) {
    by_path_.emplace(container.cgroup_path, container.target);
  }
}

void Naming::forget(const Container& container) {
  const auto is_it = [&](const auto& one) { return one.second == container.target; };
  std::erase_if(by_id_, is_it);
  std::erase_if(by_path_, is_it);
}

/// With --all each cgroup of a container is in a list of its own: the others keep the names of their cgroups.
bool Naming::names_itself(std::string_view cgroup_path) const {
  const std::optional<ContainerName> name = options_.all ? parse_container_name(cgroup_path) : std::nullopt;
  const std::string_view last = last_component(cgroup_path);
  return !name || name->is_top || last == "container" || last == "payload";
}

void Naming::ask(const Container& container) {
  const bool is_worth_it =
      !container.identity.id.empty() || (!container.cgroup_path.empty() && may_be_container(container.cgroup_path));
  if (client_ != nullptr && is_worth_it) {
    client_->ask(container.cgroup_path, container.identity.id);
  }
}

void Naming::on_known(const KnownContainer& known, bool is_again) {
  std::vector<uint32_t> fitting;
  const auto consider = [&](uint32_t target) {
    const Container* container = recorder_.find(target);
    if (container != nullptr && container->target == target && is_told_of(known.cgroup_path, container->cgroup_path)) {
      fitting.push_back(target);
    }
  };
  const auto [first, last] = by_id_.equal_range(known.identity.id);
  std::for_each(first, last, [&](const auto& one) { consider(one.second); });
  if (!known.cgroup_path.empty()) {
    const auto [begin, end] = by_path_.equal_range(known.cgroup_path);
    std::for_each(begin, end, [&](const auto& one) { consider(one.second); });
  }
  std::sort(fitting.begin(), fitting.end());
  fitting.erase(std::unique(fitting.begin(), fitting.end()), fitting.end());
  // A name that is free again: what is told is of the one that has it now.
  const auto has_ended = [&](uint32_t target) { return recorder_.find(target)->ended_at != 0; };
  if (!is_unique_id(known.identity.id) && !std::all_of(fitting.begin(), fitting.end(), has_ended)) {
    std::erase_if(fitting, has_ended);
  } else if (!is_unique_id(known.identity.id)) {
    std::erase_if(fitting, [&](uint32_t target) { return !recorder_.find(target)->identity.source.empty(); });
  }
  if (fitting.empty() && !is_again && handlers_.on_other(known)) {
    on_known(known, true);
    return;
  }
  for (const uint32_t target : fitting) {
    // Handlers may have removed it meanwhile.
    if (Container* container = recorder_.find(target)) {
      apply(*container, known);
      handlers_.on_named(*container);
    }
  }
}

void Naming::apply(Container& container, const KnownContainer& known) const {
  Identity& identity = container.identity;
  take(identity.runtime, known.identity.runtime);
  take(identity.id, known.identity.id);
  take(identity.image_id, known.identity.image_id);
  take(identity.pod_name, options_.pod_name.empty() ? known.identity.pod_name : options_.pod_name);
  take(identity.pod_uid, known.identity.pod_uid);
  const bool is_namespace_said = !options_.namespace_name.empty() && !options_.selects();
  take(identity.namespace_name, is_namespace_said ? options_.namespace_name : known.identity.namespace_name);
  if (!known.identity.labels.empty()) {
    identity.labels = known.identity.labels;
  }
  if (known.identity.restart_count) {
    identity.restart_count = known.identity.restart_count;
  }
  if (!known.identity.command.empty()) {
    identity.command = known.identity.command;
  }
  identity.is_sandbox = identity.is_sandbox || known.identity.is_sandbox;
  take(identity.not_observable, known.identity.not_observable);
  take(identity.source, known.identity.source);
  identity.settled |= known.identity.settled;
  take(container.image, options_.image.empty() ? known.image : options_.image);
  take(container.image_digest, options_.image_digest.empty() ? known.image_digest : options_.image_digest);
  if (options_.container_name.empty() && names_itself(container.cgroup_path)) {
    take(container.name, known.name);
  }
}

std::vector<MetadataSource> Naming::sources() const {
  return client_ == nullptr ? std::vector<MetadataSource>() : client_->sources();
}

}  // namespace snoop
