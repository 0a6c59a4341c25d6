// SPDX-License-Identifier: Apache-2.0
#include "metadata/grpc_sources.h"

#include <optional>
#include <string>
#include <utility>

#include "messages.pb.h"
#include "metadata/json.h"
#include "metadata/oci_config.h"

namespace snoop::metadata {

namespace {

using Kind = SourceState::Kind;

/// Names of containerd's namespaces with a meaning.
constexpr std::string_view kKubernetesNamespace = "k8s.io";
constexpr std::string_view kDockerNamespace = "moby";

template <typename Entries>
std::map<std::string, std::string> map_of(const Entries& entries) {
  std::map<std::string, std::string> map;
  for (const auto& entry : entries) {
    map[entry.key()] = entry.value();
  }
  return map;
}

std::string cri_state(int state) {
  switch (state) {
    case 0:
      return "created";
    case 1:
      return "running";
    case 2:
      return "exited";
    default:
      return {};
  }
}

std::string task_state(int status) {
  switch (status) {
    case 1:
      return "created";
    case 2:
      return "running";
    case 3:
      return "exited";
    case 4:
    case 5:
      return "paused";
    default:
      return {};
  }
}

/// "info" of a verbose answer: JSON that containerd and CRI-O write alike.
template <typename Entries>
void fill_info(Container& container, std::string& cgroups_path, const Entries& info) {
  for (const auto& entry : info) {
    const std::optional<Json> json = entry.key() == "info" ? Json::parse(entry.value()) : std::nullopt;
    if (!json) {
      continue;
    }
    const rapidjson::Value& pid = member(json->root(), "pid");
    container.pid = pid.IsInt() && pid.GetInt() > 0 ? pid.GetInt() : 0;
    const OciConfig config = oci_config_of(member(json->root(), "runtimeSpec"));
    config.fill(container);
    cgroups_path = config.cgroups_path;
    if (container.why_not_observable.empty()) {
      container.why_not_observable = why_not_observable(text_of(member(json->root(), "runtimeType")));
    }
  }
}

}  // namespace

// --- CRI ---

CriSource::CriSource(const std::string& socket, const Host& host, std::chrono::milliseconds timeout)
    : Source("cri", socket), host_(host), grpc_(socket, timeout, kMaxAnswer), events_(socket, timeout, kMaxAnswer) {}

SourceState CriSource::list(std::vector<Container>& found) {
  SourceState state = read_runtime();
  if (state.kind == Kind::kAnswered) {
    state = read_images();
  }
  return state.kind == Kind::kAnswered ? list_all({}, found) : state;
}

SourceState CriSource::look_up(const Ask& ask, std::vector<Container>& found) {
  return ask.id.empty() ? SourceState{Kind::kAnswered} : list_all(ask.id, found);
}

SourceState CriSource::read_runtime() {
  wire::CriVersion version;
  const GrpcClient::Outcome outcome = grpc_.call("/runtime.v1.RuntimeService/Version", wire::Nothing(), version);
  if (outcome.state.kind != Kind::kAnswered) {
    return outcome.state;
  }
  if (!outcome.is_ok) {
    return {Kind::kFailed, "it does not speak CRI's runtime.v1"};
  }
  runtime_ = version.runtime_name();
  return outcome.state;
}

SourceState CriSource::read_images() {
  wire::CriImages images;
  const GrpcClient::Outcome outcome = grpc_.call("/runtime.v1.ImageService/ListImages", wire::Nothing(), images);
  if (outcome.is_ok) {
    repo_digests_.clear();
    for (const wire::CriImage& image : images.images()) {
      repo_digests_[image.id()] = {image.repo_digests().begin(), image.repo_digests().end()};
    }
  }
  return outcome.state;
}

/// All, or the one with this id; the pods are asked for anyway.
SourceState CriSource::list_all(const std::string& id, std::vector<Container>& found) {
  wire::CriContainersRequest request;
  if (!id.empty()) {
    request.mutable_filter()->set_id(id);
  }
  wire::CriContainers containers;
  GrpcClient::Outcome outcome = grpc_.call("/runtime.v1.RuntimeService/ListContainers", request, containers);
  if (outcome.state.kind != Kind::kAnswered) {
    return outcome.state;
  }
  wire::CriPods pods;
  outcome = grpc_.call("/runtime.v1.RuntimeService/ListPodSandbox", wire::Nothing(), pods);
  if (outcome.state.kind != Kind::kAnswered) {
    return outcome.state;
  }
  std::map<std::string, const wire::CriPod*> pod_of;
  for (const wire::CriPod& pod : pods.items()) {
    pod_of[pod.id()] = &pod;
  }
  const auto fill_pod = [this](Container& container, const wire::CriPod& pod) {
    container.runtime = runtime_;
    container.pod = pod.metadata().name();
    container.pod_uid = pod.metadata().uid();
    container.ns = pod.metadata().namespace_();
    const std::map<std::string, std::string> labels = map_of(pod.labels());
    container.labels.insert(labels.begin(), labels.end());
    container.settled = kAllSettled;
    container.why_not_observable = why_not_observable(pod.runtime_handler());
  };

  for (const wire::CriPod& pod : pods.items()) {
    if ((!id.empty() && pod.id() != id) || found.size() >= kMaxContainers) {
      continue;
    }
    Container container;
    container.id = pod.id();
    fill_pod(container, pod);
    container.sandbox = true;
    container.state = pod.state() == 0 ? "running" : "exited";
    SourceState state = fill_status(container);
    if (state.kind != Kind::kAnswered) {
      return state;
    }
    found.push_back(std::move(container));
  }
  for (const wire::CriContainer& item : containers.containers()) {
    if ((!id.empty() && item.id() != id) || found.size() >= kMaxContainers) {
      continue;
    }
    Container container;
    container.id = item.id();
    container.labels = map_of(item.labels());
    if (const auto pod = pod_of.find(item.pod_sandbox_id()); pod != pod_of.end()) {
      fill_pod(container, *pod->second);
    }
    container.runtime = runtime_;
    container.name = item.metadata().name();
    container.settled.name = true;
    container.restart_count = item.metadata().attempt();
    container.image = item.image().image();
    container.image_id = image_id_of(item.image_ref());
    container.image_digest = container.image_id.empty() ? digest_part(item.image_ref()) : std::string();
    container.state = cri_state(item.state());
    fill_from_labels(container, container.labels);
    SourceState state = fill_status(container);
    if (state.kind != Kind::kAnswered) {
      return state;
    }
    found.push_back(std::move(container));
  }
  return {Kind::kAnswered};
}

SourceState CriSource::fill_status(Container& container) {
  wire::CriStatusRequest request;
  request.set_id(container.id);
  request.set_verbose(true);
  std::string cgroups_path;
  if (container.sandbox) {
    wire::CriPodStatusResponse response;
    const auto outcome = grpc_.call("/runtime.v1.RuntimeService/PodSandboxStatus", request, response);
    if (!outcome.is_ok) {
      return outcome.state;
    }
    fill_info(container, cgroups_path, response.info());
    // Its image is of no interest, and its command is the same everywhere.
    container.name.clear();
  } else {
    wire::CriContainerStatusResponse response;
    const auto outcome = grpc_.call("/runtime.v1.RuntimeService/ContainerStatus", request, response);
    if (!outcome.is_ok) {
      return outcome.state;
    }
    const wire::CriContainerStatus& status = response.status();
    container.state = cri_state(status.state());
    // The reference; the list has an id there with some.
    if (!status.image().image().empty() && image_id_of(status.image().image()).empty()) {
      container.image = status.image().image();
    }
    if (container.image_id.empty()) {
      container.image_id = image_id_of(status.image_id().empty() ? status.image_ref() : status.image_id());
    }
    if (container.image_digest.empty() && status.image_ref().find('@') != std::string::npos) {
      container.image_digest = digest_part(status.image_ref());
    }
    fill_info(container, cgroups_path, response.info());
    if (container.state != "running") {
      container.pid = 0;
    }
    fill_image(container);
  }
  container.cgroup = host_.cgroup_of(container.id, container.pid, cgroups_path);
  return {Kind::kAnswered};
}

void CriSource::fill_image(Container& container) {
  if (!container.image_digest.empty() || container.image_id.empty()) {
    return;
  }
  auto image = repo_digests_.find(container.image_id);
  if (image == repo_digests_.end()) {
    image = repo_digests_.find(container.image_id.substr(container.image_id.find(':') + 1));  // CRI-O's ids
  }
  if (image == repo_digests_.end()) {
    (void)read_images();
    image = repo_digests_.find(container.image_id);
  }
  if (image != repo_digests_.end()) {
    container.image_digest = choose_digest(image->second, container.image);
  }
}

SourceState CriSource::follow(const Watcher& watcher) {
  wire::CriEvent event;
  // Connected is what sends something: others refuse, and only after a while.
  bool is_first = true;
  const GrpcClient::Outcome outcome = events_.follow(
      "/runtime.v1.RuntimeService/GetContainerEvents", wire::Nothing(), event, [] {},
      [&] {
        if (is_first) {
          is_first = false;
          watcher.connected();
        }
        Container container;
        container.id = event.container_id();
        watcher.changed(container);
      });
  return outcome.is_unknown_method ? SourceState() : outcome.state;
}

// --- containerd ---

ContainerdSource::ContainerdSource(const std::string& socket, const Host& host, std::chrono::milliseconds timeout)
    : Source("containerd", socket),
      host_(host),
      grpc_(socket, timeout, kMaxAnswer),
      events_(socket, timeout, kMaxAnswer) {}

namespace {

/// `created_at`: in seconds.
Container container_of(const wire::CtrContainer& item, const std::string& ns, OciConfig& config) {
  Container container;
  container.id = item.id();
  container.scope = "containerd/" + ns;
  container.runtime = ns == kDockerNamespace ? "docker" : "containerd";
  container.image = item.image();
  container.labels = map_of(item.labels());
  container.why_not_observable = why_not_observable(item.runtime().name());
  config = parse_oci_config(item.spec().value()).value_or(OciConfig());
  container.command = config.command;
  // Elsewhere labels are those of the image, which can say anything.
  if (ns == kKubernetesNamespace && container.labels.contains("io.cri-containerd.kind")) {
    fill_from_labels(container, container.labels);
    config.fill(container);
    // Those of the pod are CRI's to tell.
    container.settled = {.name = true, .pod = true, .labels = false};
  } else if (const auto name = container.labels.find("nerdctl/name"); name != container.labels.end()) {
    container.name = name->second;
    container.settled = kAllSettled;
  } else if (!is_unique_id(container.id)) {
    container.name = container.id;
    container.settled = kAllSettled;
  }
  return container;
}

}  // namespace

SourceState ContainerdSource::namespaces(std::vector<std::string>& names) {
  wire::CtrNamespaces answer;
  const auto outcome = grpc_.call("/containerd.services.namespaces.v1.Namespaces/List", wire::Nothing(), answer);
  if (outcome.state.kind == Kind::kAnswered && !outcome.is_ok) {
    return {Kind::kFailed, "this is not containerd"};
  }
  for (const wire::CtrNamespace& item : answer.namespaces()) {
    if (names.size() < 256) {
      names.push_back(item.name());
    }
  }
  return outcome.state;
}

SourceState ContainerdSource::list(std::vector<Container>& found) {
  std::vector<std::string> names;
  SourceState state = namespaces(names);
  if (state.kind != Kind::kAnswered) {
    return state;
  }
  for (const std::string& ns : names) {
    wire::CtrContainers containers;
    auto outcome = grpc_.call("/containerd.services.containers.v1.Containers/List", wire::Nothing(), containers, ns);
    if (outcome.state.kind != Kind::kAnswered) {
      return outcome.state;
    }
    wire::CtrTasks tasks;
    outcome = grpc_.call("/containerd.services.tasks.v1.Tasks/List", wire::Nothing(), tasks, ns);
    if (outcome.state.kind != Kind::kAnswered) {
      return outcome.state;
    }
    std::map<std::string, const wire::CtrProcess*> task_of;
    for (const wire::CtrProcess& task : tasks.tasks()) {
      task_of[task.container_id().empty() ? task.id() : task.container_id()] = &task;
    }
    for (const wire::CtrContainer& item : containers.containers()) {
      if (found.size() >= kMaxContainers) {
        break;
      }
      OciConfig config;
      Container container = container_of(item, ns, config);
      container.state = "created";
      if (const auto task = task_of.find(item.id()); task != task_of.end()) {
        container.state = task_state(task->second->status());
        container.pid = container.state == "exited" ? 0 : static_cast<pid_t>(task->second->pid());
      }
      container.cgroup = host_.cgroup_of(container.id, container.pid, config.cgroups_path);
      outcome.state = fill_digest(container, ns, item.created_at().seconds());
      if (outcome.state.kind != Kind::kAnswered) {
        return outcome.state;
      }
      found.push_back(std::move(container));
    }
  }
  return state;
}

SourceState ContainerdSource::look_up(const Ask& ask, std::vector<Container>& found) {
  if (ask.id.empty()) {
    return {Kind::kAnswered};
  }
  std::vector<std::string> names;
  SourceState state = namespaces(names);
  for (const std::string& ns : names) {
    wire::CtrContainerRequest request;
    request.set_id(ask.id);
    wire::CtrContainerResponse response;
    auto outcome = grpc_.call("/containerd.services.containers.v1.Containers/Get", request, response, ns);
    if (outcome.state.kind != Kind::kAnswered) {
      return outcome.state;
    }
    if (!outcome.is_ok) {
      continue;
    }
    OciConfig config;
    Container container = container_of(response.container(), ns, config);
    container.state = "created";
    wire::CtrTaskRequest task_request;
    task_request.set_container_id(ask.id);
    wire::CtrTaskResponse task;
    outcome = grpc_.call("/containerd.services.tasks.v1.Tasks/Get", task_request, task, ns);
    if (outcome.is_ok) {
      container.state = task_state(task.process().status());
      container.pid = container.state == "exited" ? 0 : static_cast<pid_t>(task.process().pid());
    }
    container.cgroup = host_.cgroup_of(container.id, container.pid, config.cgroups_path);
    state = fill_digest(container, ns, response.container().created_at().seconds());
    if (state.kind != Kind::kAnswered) {
      return state;
    }
    found.push_back(std::move(container));
  }
  return state;
}

/// An image is known by its name, and by its configuration's digest to Kubernetes. A name may have been given to
/// another image since.
SourceState ContainerdSource::fill_digest(Container& container, const std::string& ns, int64_t created_at) {
  if (container.image.empty() || container.sandbox) {
    return {Kind::kAnswered};
  }
  wire::CtrImageRequest request;
  request.set_name(container.image);
  wire::CtrImageResponse response;
  const auto outcome = grpc_.call("/containerd.services.images.v1.Images/Get", request, response, ns);
  if (outcome.is_ok && response.image().updated_at().seconds() <= created_at) {
    container.image_digest = digest_part(response.image().target().digest());
  }
  return outcome.state;
}

SourceState ContainerdSource::follow(const Watcher& watcher) {
  wire::CtrSubscribeRequest request;
  request.add_filters(R"(topic~="^/tasks/(start|exit|paused|resumed)$")");
  request.add_filters(R"(topic~="^/containers/(create|update)$")");
  wire::CtrEnvelope envelope;
  const GrpcClient::Outcome outcome =
      events_.follow("/containerd.services.events.v1.Events/Subscribe", request, envelope, watcher.connected, [&] {
        Container container;
        const std::string& topic = envelope.topic();
        if (topic == "/containers/create") {
          wire::CtrCreateEvent event;
          if (!event.ParseFromString(envelope.event().value())) {
            return;
          }
          container.id = event.id();
          container.image = event.image();
          container.why_not_observable = why_not_observable(event.runtime().name());
          container.state = "created";
        } else {
          wire::CtrEvent event;
          if (!event.ParseFromString(envelope.event().value())) {
            return;
          }
          if (topic == "/tasks/exit" && event.process() != event.id()) {
            return;  // of an exec
          }
          container.id = event.id();
          container.state = topic == "/tasks/exit"            ? "exited"
                            : topic == "/tasks/paused"        ? "paused"
                            : topic.substr(0, 7) == "/tasks/" ? "running"
                                                              : "";
        }
        container.scope = "containerd/" + envelope.namespace_();
        container.runtime = envelope.namespace_() == kDockerNamespace ? "docker" : "containerd";
        watcher.changed(container);
      });
  return outcome.state;
}

}  // namespace snoop::metadata
