// SPDX-License-Identifier: Apache-2.0
#include "metadata/docker.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "metadata/json.h"

namespace snoop::metadata {

namespace {

using Kind = SourceState::Kind;
using rapidjson::Value;

constexpr int kOk = 200;
constexpr int kNotFound = 404;

/// {"type":["container"]} and what a container's state hangs on.
constexpr std::string_view kEvents =
    R"({"type":["container"],"event":["create","init","start","died","die","restart","pause","unpause","rename"]})";

/// An answer's JSON; what is none is the state.
std::optional<Json> json_of(const HttpAnswer& answer, SourceState& state) {
  state = answer.state;
  if (state.kind != Kind::kAnswered) {
    return std::nullopt;
  }
  if (answer.status != kOk) {
    state = {Kind::kFailed, "status " + std::to_string(answer.status)};
    return std::nullopt;
  }
  std::optional<Json> json = Json::parse(answer.body);
  if (!json) {
    state = {Kind::kFailed, "the answer is no JSON"};
  }
  return json;
}

/// Of the containers in a list; none and a `state` that is not kAnswered: it is no list.
std::vector<std::string> ids_of(const HttpAnswer& answer, SourceState& state) {
  std::vector<std::string> ids;
  const std::optional<Json> json = json_of(answer, state);
  if (!json) {
    return ids;
  }
  if (!json->root().IsArray()) {
    state = {Kind::kFailed, "the answer is no list"};
    return ids;
  }
  for (const Value& item : json->root().GetArray()) {
    if (std::string id = text_of(member(item, "Id")); !id.empty()) {
      ids.push_back(std::move(id));
    }
  }
  return ids;
}

/// Docker's names begin with a slash.
std::string name_of(std::string name) {
  if (!name.empty() && name.front() == '/') {
    name.erase(0, 1);
  }
  return name;
}

std::string state_of(std::string status) {
  if (status == "restarting" || status == "dead" || status == "stopped" || status == "stopping") {
    return "exited";
  }
  return status == "initialized" || status == "configured" ? "created" : std::move(status);
}

std::vector<std::string> command_of(const Value& inspected) {
  std::vector<std::string> command = list_of(member(inspected, "Args"));
  if (std::string path = text_of(member(inspected, "Path")); !path.empty()) {
    command.insert(command.begin(), std::move(path));
  }
  return command;
}

pid_t pid_of(const Value& value) { return value.IsInt() && value.GetInt() > 0 ? value.GetInt() : 0; }

/// Of the answer to /version: that of Podman's API; empty where it is none.
std::string podman_version(const Value& version) {
  const Value& components = member(version, "Components");
  if (components.IsArray()) {
    for (const Value& component : components.GetArray()) {
      if (text_of(member(component, "Name")) == "Podman Engine") {
        return text_of(member(component, "Details", "APIVersion"));
      }
    }
  }
  return {};
}

/// What both write alike.
Container common_parts(const Value& inspected) {
  Container container;
  container.id = text_of(member(inspected, "Id"));
  container.name = name_of(text_of(member(inspected, "Name")));
  container.image_id = image_id_of(text_of(member(inspected, "Image")));
  container.labels = texts_of(member(inspected, "Config", "Labels"));
  container.restart_count = number_of(member(inspected, "RestartCount"));
  container.command = command_of(inspected);
  container.pid = pid_of(member(inspected, "State", "Pid"));
  container.state = state_of(text_of(member(inspected, "State", "Status")));
  container.settled = kAllSettled;
  return container;
}

}  // namespace

Container docker_container(const Value& inspected) {
  Container container = common_parts(inspected);
  container.runtime = "docker";
  container.image = text_of(member(inspected, "Config", "Image"));
  container.image_digest = digest_part(container.image) == container.image_id ? "" : digest_part(container.image);
  container.why_not_observable = why_not_observable(text_of(member(inspected, "HostConfig", "Runtime")));
  // Labels of an image can say anything; the kubelet's shim (cri-dockerd) sets its own over them.
  if (container.name.substr(0, 4) == "k8s_") {
    fill_from_labels(container, container.labels);
    if (std::string name = container.labels["io.kubernetes.container.name"]; !name.empty()) {
      container.name = std::move(name);
    }
  }
  return container;
}

Container podman_container(const Value& inspected) {
  Container container = common_parts(inspected);
  container.runtime = "podman";
  container.image = text_of(member(inspected, "ImageName"));
  container.image_digest = digest_part(text_of(member(inspected, "ImageDigest")));
  container.pod_uid = text_of(member(inspected, "Pod"));
  container.sandbox = member(inspected, "IsInfra").IsTrue();
  container.why_not_observable = why_not_observable(text_of(member(inspected, "OCIRuntime")));
  container.cgroup = text_of(member(inspected, "State", "CgroupPath"));
  return container;
}

Container event_container(std::string_view line) {
  Container container;
  const std::optional<Json> json = Json::parse(line);
  if (!json || text_of(member(json->root(), "Type")) != "container") {
    return container;
  }
  container.id = text_of(member(json->root(), "Actor", "ID"));
  const std::string action = text_of(member(json->root(), "Action"));
  if (action == "die" || action == "died") {
    container.state = "exited";
  } else if (action == "start" || action == "restart" || action == "unpause") {
    container.state = "running";
  } else if (action == "create" || action == "init") {
    container.state = "created";
  } else if (action == "pause") {
    container.state = "paused";
  }
  // The container's labels stand between, without a mark: taken as such only when it is asked for.
  const Value& attributes = member(json->root(), "Actor", "Attributes");
  container.name = text_of(member(attributes, "name"));
  container.image = text_of(member(attributes, "image"));
  container.settled.name = !container.name.empty();
  return container;
}

// --- Docker ---

DockerSource::DockerSource(const std::string& socket, const Host& host, std::chrono::milliseconds timeout)
    : Source("docker", socket), host_(host), http_({.socket = socket}, timeout, kMaxAnswer) {}

SourceState DockerSource::list(std::vector<Container>& found) {
  SourceState state;
  const std::optional<Json> version = json_of(http_.get("/version"), state);
  if (!version) {
    return state;
  }
  if (!podman_version(version->root()).empty()) {
    // The package podman-docker gives Podman's socket Docker's name.
    return {Kind::kFailed, "Podman is behind this socket: name it podman:PATH"};
  }
  for (const std::string& id : ids_of(http_.get("/containers/json?all=1"), state)) {
    if (found.size() >= kMaxContainers) {
      break;
    }
    state = inspect(id, found);
    if (state.kind != Kind::kAnswered) {
      return state;
    }
  }
  return state;
}

SourceState DockerSource::look_up(const Ask& ask, std::vector<Container>& found) {
  return is_unique_id(ask.id) ? inspect(ask.id, found) : SourceState{Kind::kAnswered};
}

SourceState DockerSource::inspect(const std::string& id, std::vector<Container>& found) {
  const HttpAnswer answer = http_.get("/containers/" + url_encoded(id) + "/json");
  if (answer.state.kind == Kind::kAnswered && answer.status == kNotFound) {
    return answer.state;  // gone meanwhile
  }
  SourceState state;
  const std::optional<Json> json = json_of(answer, state);
  if (!json) {
    return state;
  }
  Container container = docker_container(json->root());
  if (container.id != id) {
    return {Kind::kFailed, "the answer is about another container"};
  }
  container.cgroup = host_.cgroup_of(container.id, container.pid, {});
  find_digest(container);
  found.push_back(std::move(container));
  return state;
}

void DockerSource::find_digest(Container& container) {
  if (container.image_id.empty() || !container.image_digest.empty()) {
    return;
  }
  auto known = repo_digests_.find(container.image_id);
  if (known == repo_digests_.end()) {
    SourceState state;
    const std::optional<Json> json = json_of(http_.get("/images/" + url_encoded(container.image_id) + "/json"), state);
    if (!json) {
      return;
    }
    std::vector<std::string> digests = list_of(member(json->root(), "RepoDigests"));
    if (digests.empty()) {
      return;  // it may be pushed later
    }
    if (repo_digests_.size() >= kMaxContainers) {
      repo_digests_.clear();
    }
    known = repo_digests_.emplace(container.image_id, std::move(digests)).first;
  }
  container.image_digest = choose_digest(known->second, container.image);
}

SourceState DockerSource::follow(const Watcher& watcher) {
  return http_.follow("/events?filters=" + url_encoded(kEvents), watcher.connected, [&watcher](std::string_view line) {
    Container container = event_container(line);
    if (is_unique_id(container.id)) {
      container.runtime = "docker";
      watcher.changed(container);
    }
  });
}

// --- Podman ---

PodmanSource::PodmanSource(const std::string& socket, const Host& host, std::chrono::milliseconds timeout)
    : Source("podman", socket), host_(host), http_({.socket = socket}, timeout, kMaxAnswer) {}

/// Its API has paths with its version only.
SourceState PodmanSource::find_api(std::string& prefix) const {
  SourceState state;
  const std::optional<Json> json = json_of(http_.get("/version"), state);
  if (!json) {
    return state;
  }
  const std::string version = podman_version(json->root());
  if (version.empty()) {
    return {Kind::kFailed, "this is not Podman"};
  }
  prefix = "/v" + url_encoded(version) + "/libpod";
  return state;
}

SourceState PodmanSource::list(std::vector<Container>& found) {
  std::string prefix;
  SourceState state = find_api(prefix);
  if (state.kind != Kind::kAnswered) {
    return state;
  }
  state = read_pods(prefix);
  if (state.kind != Kind::kAnswered) {
    return state;
  }
  for (const std::string& id : ids_of(http_.get(prefix + "/containers/json?all=true"), state)) {
    if (found.size() >= kMaxContainers) {
      break;
    }
    state = inspect(prefix, id, found);
    if (state.kind != Kind::kAnswered) {
      return state;
    }
  }
  return state;
}

SourceState PodmanSource::read_pods(const std::string& prefix) {
  SourceState state;
  const std::optional<Json> json = json_of(http_.get(prefix + "/pods/json"), state);
  if (!json || !json->root().IsArray()) {
    return state;
  }
  pods_.clear();
  for (const Value& item : json->root().GetArray()) {
    pods_[text_of(member(item, "Id"))] = {.name = text_of(member(item, "Name")),
                                          .labels = texts_of(member(item, "Labels"))};
  }
  return state;
}

SourceState PodmanSource::look_up(const Ask& ask, std::vector<Container>& found) {
  std::string prefix;
  if (!is_unique_id(ask.id)) {
    return {Kind::kAnswered};
  }
  SourceState state = find_api(prefix);
  return state.kind == Kind::kAnswered ? inspect(prefix, ask.id, found) : state;
}

SourceState PodmanSource::inspect(const std::string& prefix, const std::string& id, std::vector<Container>& found) {
  const HttpAnswer answer = http_.get(prefix + "/containers/" + url_encoded(id) + "/json");
  if (answer.state.kind == Kind::kAnswered && answer.status == kNotFound) {
    return answer.state;
  }
  SourceState state;
  const std::optional<Json> json = json_of(answer, state);
  if (!json) {
    return state;
  }
  Container container = podman_container(json->root());
  if (container.id != id) {
    return {Kind::kFailed, "the answer is about another container"};
  }
  container.cgroup = host_.cgroup_of(container.id, container.pid, container.cgroup);
  if (!container.pod_uid.empty()) {
    auto pod = pods_.find(container.pod_uid);
    if (pod == pods_.end()) {
      state = read_pods(prefix);
      pod = pods_.find(container.pod_uid);
    }
    if (pod != pods_.end()) {
      container.pod = pod->second.name;
      container.labels.insert(pod->second.labels.begin(), pod->second.labels.end());
    } else {
      container.settled = {.name = true, .pod = false, .labels = false};
    }
  }
  found.push_back(std::move(container));
  return state;
}

SourceState PodmanSource::follow(const Watcher& watcher) {
  std::string prefix;
  SourceState state = find_api(prefix);
  if (state.kind != Kind::kAnswered) {
    return state;
  }
  return http_.follow(prefix + "/events?stream=true&filters=" + url_encoded(kEvents), watcher.connected,
                      [&watcher](std::string_view line) {
                        Container container = event_container(line);
                        if (is_unique_id(container.id)) {
                          container.runtime = "podman";
                          watcher.changed(container);
                        }
                      });
}

}  // namespace snoop::metadata
