// SPDX-License-Identifier: Apache-2.0
#include "metadata/oci_source.h"

#include <fmt/format.h>

#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "metadata/json.h"
#include "metadata/oci_config.h"

namespace snoop::metadata {

namespace {

using Kind = SourceState::Kind;
using rapidjson::Value;

constexpr size_t kMaxNames = 10'000;
constexpr size_t kMaxState = 8UL << 20;
/// Of all containers together.
constexpr size_t kMaxStorage = 64UL << 20;
constexpr std::chrono::seconds kListAtMostEach(1);

const std::string kContainerd = "/run/containerd/io.containerd.runtime.v2.task";
const std::string kRunc = "/run/runc";
const std::string kCrun = "/run/crun";
const std::string kDocker = "/var/lib/docker";
const std::string kStorage = "/var/lib/containers/storage";
const std::string kStorageRun = "/run/containers/storage";
constexpr std::string_view kDockerNamespace = "moby";

/// Ids become parts of paths.
bool is_name(const std::string& id) {
  return !id.empty() && id.size() <= 255 && id != "." && id != ".." && id.find('/') == std::string::npos &&
         id.find('\0') == std::string::npos;
}

std::vector<std::string> names_or(const Host& host, const std::string& directory, const std::string& id) {
  return id.empty() ? host.names(directory, kMaxNames) : std::vector<std::string>{id};
}

pid_t pid_of(const Value& value) { return value.IsInt() && value.GetInt() > 0 ? value.GetInt() : 0; }

pid_t pid_in(const std::optional<std::string>& text) {
  pid_t pid = 0;
  return text && std::from_chars(text->data(), text->data() + text->size(), pid).ec == std::errc() ? pid : 0;
}

/// Digests by an image's id, of containers/storage.
std::map<std::string, std::string> storage_digests(const Host& host, const std::string& directory) {
  std::map<std::string, std::string> digests;
  const std::optional<std::string> text = host.read(directory + "/images.json", kMaxStorage);
  const std::optional<Json> json = text ? Json::parse(*text) : std::nullopt;
  if (json && json->root().IsArray()) {
    for (const Value& image : json->root().GetArray()) {
      digests[image_id_of(text_of(member(image, "id")))] = digest_part(text_of(member(image, "digest")));
    }
  }
  return digests;
}

}  // namespace

std::optional<RuncState> parse_runc_state(std::string_view text) {
  const std::optional<Json> json = Json::parse(text);
  if (!json || !json->root().IsObject()) {
    return std::nullopt;
  }
  RuncState state;
  state.container.id = text_of(member(json->root(), "id"));
  state.container.pid = pid_of(member(json->root(), "init_process_pid"));
  state.cgroups_path = text_of(member(json->root(), "config", "cgroups", "path"));
  for (const std::string& label : list_of(member(json->root(), "config", "labels"))) {
    constexpr std::string_view kBundle = "bundle=";
    if (label.substr(0, kBundle.size()) == kBundle) {
      state.bundle = label.substr(kBundle.size());
    }
  }
  return state;
}

std::optional<Container> parse_docker_config(std::string_view text) {
  const std::optional<Json> json = Json::parse(text);
  if (!json || !json->root().IsObject()) {
    return std::nullopt;
  }
  const Value& root = json->root();
  Container container;
  container.id = text_of(member(root, "ID"));
  container.runtime = "docker";
  container.name = text_of(member(root, "Name"));
  if (!container.name.empty() && container.name.front() == '/') {
    container.name.erase(0, 1);
  }
  // What the kubelet's shim calls so is another's to tell.
  if (!container.name.empty() && !container.name.starts_with("k8s_")) {
    container.settled = kAllSettled;
  }
  container.image = text_of(member(root, "Config", "Image"));
  container.image_id = image_id_of(text_of(member(root, "Image")));
  container.labels = texts_of(member(root, "Config", "Labels"));
  container.restart_count = number_of(member(root, "RestartCount"));
  container.command = list_of(member(root, "Args"));
  container.command.insert(container.command.begin(), text_of(member(root, "Path")));
  const bool is_running = member(root, "State", "Running").IsTrue();
  container.state = is_running ? "running" : "exited";
  container.pid = is_running ? pid_of(member(root, "State", "Pid")) : 0;
  return container;
}

std::vector<Container> parse_storage_containers(std::string_view text) {
  std::vector<Container> containers;
  const std::optional<Json> json = Json::parse(text);
  if (!json || !json->root().IsArray()) {
    return containers;
  }
  for (const Value& item : json->root().GetArray()) {
    Container container;
    container.id = text_of(member(item, "id"));
    container.image_id = image_id_of(text_of(member(item, "image")));
    const std::vector<std::string> names = list_of(member(item, "names"));
    // JSON within a text: Podman's or CRI-O's own words.
    const std::optional<Json> own = Json::parse(text_of(member(item, "metadata")));
    if (own) {
      const Value& metadata = own->root();
      container.image = text_of(member(metadata, "image-name"));
      container.pod = text_of(member(metadata, "pod-name"));
      container.name = text_of(member(metadata, "metadata-name"));
      container.pod_uid = text_of(member(metadata, "uid"));
      container.ns = text_of(member(metadata, "namespace"));
      container.restart_count = number_of(member(metadata, "attempt"));
      // CRI-O's sandboxes, which have their pod's id.
      container.sandbox = member(metadata, "pod").IsTrue() ||
                          (!container.id.empty() && text_of(member(metadata, "pod-id")) == container.id);
      if (!text_of(member(metadata, "pod-id")).empty()) {
        container.runtime = "cri-o";
      }
      if (container.name.empty()) {
        container.name = text_of(member(metadata, "name"));
      }
    }
    if (container.name.empty() && !names.empty()) {
      container.name = names.front();
    }
    // Podman's pods, and anybody's labels, stand elsewhere.
    container.settled = {.name = !container.name.empty(), .pod = !container.pod.empty(), .labels = false};
    if (!container.id.empty()) {
      containers.push_back(std::move(container));
    }
  }
  return containers;
}

SourceState OciSource::list(std::vector<Container>& found) {
  last_list_ = std::chrono::steady_clock::now();
  read_all({}, found);
  return {found.empty() ? Kind::kMissing : Kind::kAnswered};
}

/// Those who know most first: of one container there may be a bundle, a state and an entry in a list.
void OciSource::read_all(const std::string& id, std::vector<Container>& found) const {
  std::vector<Container> all;
  if (id.empty() || is_unique_id(id)) {
    read_docker(id, all);
    read_storage(id, all);
  }
  read_containerd(id, all);
  read_runc(id, all);
  read_crun(id, all);
  std::map<std::string, size_t> places;
  for (Container& container : all) {
    const auto [place, is_new] = places.try_emplace(container.id, found.size());
    if (is_new || !is_unique_id(container.id)) {
      found.push_back(std::move(container));
    } else {
      found[place->second].fill_from(container);
    }
  }
}

SourceState OciSource::look_up(const Ask& ask, std::vector<Container>& found) {
  if (ask.id.empty()) {
    // By its cgroup: one of them may be in there.
    if (std::chrono::steady_clock::now() - last_list_ < kListAtMostEach) {
      return {Kind::kAnswered};
    }
    return list(found);
  }
  if (!is_name(ask.id)) {
    return {Kind::kAnswered};
  }
  read_all(ask.id, found);
  return {Kind::kAnswered};
}

bool OciSource::is_kata(const std::string& id) const {
  return host_.exists("/run/kata/" + id) || host_.exists("/run/vc/sbs/" + id);
}

/// io.containerd.runtime.v2.task/NAMESPACE/ID, as long as its process lives.
void OciSource::read_containerd(const std::string& id, std::vector<Container>& found) const {
  for (const std::string& ns : host_.names(kContainerd, kMaxNames)) {
    const std::string directory = fmt::format("{}/{}", kContainerd, ns);
    for (const std::string& name : names_or(host_, directory, id)) {
      const std::string bundle = fmt::format("{}/{}", directory, name);
      const std::optional<std::string> text = host_.read(bundle + "/config.json", kMaxOciConfig);
      const std::optional<OciConfig> config = text ? parse_oci_config(*text) : std::nullopt;
      if (!config) {
        continue;
      }
      Container container;
      container.id = name;
      container.scope = "containerd/" + ns;
      container.runtime = ns == kDockerNamespace ? "docker" : "containerd";
      config->fill(container);
      container.pid = pid_in(host_.read(bundle + "/init.pid", kMaxState));
      container.state = container.pid > 0 ? "running" : "created";
      if (is_kata(name)) {
        container.why_not_observable = why_not_observable("kata");
      }
      if (!is_unique_id(name)) {
        container.name = name;
      }
      container.settled = {.name = !container.name.empty(), .pod = !container.pod.empty(), .labels = false};
      container.cgroup = host_.cgroup_of(name, container.pid, config->cgroups_path);
      found.push_back(std::move(container));
    }
  }
}

void OciSource::read_runc(const std::string& id, std::vector<Container>& found) const {
  for (const std::string& name : names_or(host_, kRunc, id)) {
    const std::optional<std::string> text = host_.read(fmt::format("{}/{}/state.json", kRunc, name), kMaxState);
    std::optional<RuncState> state = text ? parse_runc_state(*text) : std::nullopt;
    if (!state || state->container.id != name) {
      continue;
    }
    Container container = std::move(state->container);
    container.scope = kRunc;
    container.state = "running";
    const std::optional<std::string> config_text =
        state->bundle.empty() ? std::nullopt : host_.read(state->bundle + "/config.json", kMaxOciConfig);
    if (const std::optional<OciConfig> config = config_text ? parse_oci_config(*config_text) : std::nullopt) {
      config->fill(container);
    }
    // Podman's have unique ids, and Podman's or storage's own words.
    if (!is_unique_id(name)) {
      container.runtime = "runc";
      container.name = name;
      container.settled = kAllSettled;
    }
    container.cgroup = host_.cgroup_of(name, container.pid, state->cgroups_path);
    found.push_back(std::move(container));
  }
}

void OciSource::read_crun(const std::string& id, std::vector<Container>& found) const {
  for (const std::string& name : names_or(host_, kCrun, id)) {
    const std::optional<std::string> text = host_.read(fmt::format("{}/{}/status", kCrun, name), kMaxState);
    const std::optional<Json> json = text ? Json::parse(*text) : std::nullopt;
    if (!json || !json->root().IsObject()) {
      continue;
    }
    Container container;
    container.id = name;
    container.scope = kCrun;
    container.state = "running";
    container.pid = pid_of(member(json->root(), "pid"));
    const std::string bundle = text_of(member(json->root(), "bundle"));
    const std::optional<std::string> config_text =
        bundle.empty() ? std::nullopt : host_.read(bundle + "/config.json", kMaxOciConfig);
    if (const std::optional<OciConfig> config = config_text ? parse_oci_config(*config_text) : std::nullopt) {
      config->fill(container);
    }
    if (!is_unique_id(name)) {
      container.runtime = "crun";
      container.name = name;
      container.settled = kAllSettled;
    }
    container.cgroup = host_.cgroup_of(name, container.pid, text_of(member(json->root(), "cgroup-path")));
    found.push_back(std::move(container));
  }
}

void OciSource::read_docker(const std::string& id, std::vector<Container>& found) const {
  const std::string directory = kDocker + "/containers";
  std::vector<Container> containers;
  for (const std::string& name : names_or(host_, directory, id)) {
    const std::optional<std::string> text = host_.read(fmt::format("{}/{}/config.v2.json", directory, name), kMaxState);
    std::optional<Container> container = text ? parse_docker_config(*text) : std::nullopt;
    if (container && container->id == name) {
      container->cgroup = host_.cgroup_of(name, container->pid, {});
      containers.push_back(std::move(*container));
    }
  }
  if (containers.empty()) {
    return;
  }
  // {"Repositories": {"nginx": {"nginx:1": "sha256:ID", "nginx@sha256:DIGEST": "sha256:ID"}}}
  std::map<std::string, std::vector<std::string>> references;
  for (const std::string& driver : host_.names(kDocker + "/image", kMaxNames)) {
    const std::optional<std::string> text =
        host_.read(fmt::format("{}/image/{}/repositories.json", kDocker, driver), kMaxStorage);
    const std::optional<Json> json = text ? Json::parse(*text) : std::nullopt;
    const Value* repositories = json ? &member(json->root(), "Repositories") : nullptr;
    if (repositories != nullptr && repositories->IsObject()) {
      for (const auto& repository : repositories->GetObject()) {
        for (const auto& [reference, image_id] : texts_of(repository.value)) {
          references[image_id].push_back(reference);
        }
      }
    }
  }
  for (Container& container : containers) {
    container.image_digest = choose_digest(references[container.image_id], container.image);
    found.push_back(std::move(container));
  }
}

void OciSource::read_storage(const std::string& id, std::vector<Container>& found) const {
  constexpr std::string_view kContainers = "-containers";
  for (const std::string& name : host_.names(kStorage, kMaxNames)) {
    if (name.size() <= kContainers.size() || name.substr(name.size() - kContainers.size()) != kContainers) {
      continue;
    }
    const std::string driver = name.substr(0, name.size() - kContainers.size());
    const std::string directory = fmt::format("{}/{}", kStorage, name);
    const std::string run = fmt::format("{}/{}", kStorageRun, name);
    std::map<std::string, std::string> digests;
    for (const char* file : {"/containers.json", "/volatile-containers.json"}) {
      const std::optional<std::string> text = host_.read(directory + file, kMaxStorage);
      if (!text) {
        continue;
      }
      for (Container& container : parse_storage_containers(*text)) {
        if ((!id.empty() && container.id != id) || !is_name(container.id)) {
          continue;
        }
        // CRI-O's configuration is below /run, Podman's beside the list.
        const std::string user_data = fmt::format("/{}/userdata", container.id);
        std::optional<std::string> config_text = host_.read(directory + user_data + "/config.json", kMaxOciConfig);
        if (!config_text) {
          config_text = host_.read(run + user_data + "/config.json", kMaxOciConfig);
        }
        const std::optional<OciConfig> config = config_text ? parse_oci_config(*config_text) : std::nullopt;
        std::string cgroups_path;
        if (config) {
          const auto manager = config->annotations.find("io.container.manager");
          if (manager != config->annotations.end() && container.runtime.empty()) {
            container.runtime = manager->second == "libpod" ? "podman" : manager->second;
          }
          config->fill(container);
          cgroups_path = config->cgroups_path;
        }
        container.pid = pid_in(host_.read(run + user_data + "/pidfile", kMaxState));
        // The file stays when the process has ended.
        if (container.pid > 0 && !host_.is_process(container.pid)) {
          container.pid = 0;
        }
        container.state = container.pid > 0 ? "running" : "";
        container.cgroup = host_.cgroup_of(container.id, container.pid, cgroups_path);
        if (digests.empty()) {
          digests = storage_digests(host_, fmt::format("{}/{}-images", kStorage, driver));
        }
        container.image_digest = digests[container.image_id];
        found.push_back(std::move(container));
      }
    }
  }
}

}  // namespace snoop::metadata
