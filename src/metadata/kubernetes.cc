// SPDX-License-Identifier: Apache-2.0
#include "metadata/kubernetes.h"

#include <optional>
#include <string>
#include <string_view>

#include "metadata/json.h"

namespace snoop::metadata {

namespace {

using Kind = SourceState::Kind;
using rapidjson::Value;

constexpr size_t kMaxPods = 16UL << 20;
constexpr size_t kMaxToken = 64UL << 10;
constexpr std::chrono::seconds kAtMostEach(1);
constexpr int kOk = 200;
constexpr int kUnauthorized = 401;
constexpr int kForbidden = 403;

std::string trimmed(std::string text) {
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  return text;
}

std::string state_of(const Value& state) {
  if (member(state, "running").IsObject()) {
    return "running";
  }
  if (member(state, "terminated").IsObject()) {
    return "exited";
  }
  return member(state, "waiting").IsObject() ? "created" : std::string();
}

/// The item of a list with this name.
const Value& named(const Value& list, const std::string& name) {
  if (list.IsArray()) {
    for (const Value& item : list.GetArray()) {
      if (text_of(member(item, "name")) == name) {
        return item;
      }
    }
  }
  return member(list, "");
}

}  // namespace

std::vector<Container> pod_containers(const Value& pod) {
  std::vector<Container> containers;
  const Value& spec = member(pod, "spec");
  struct Lists {
    const char* spec;
    const char* status;
  };
  for (const Lists& lists : {Lists{"containers", "containerStatuses"}, Lists{"initContainers", "initContainerStatuses"},
                             Lists{"ephemeralContainers", "ephemeralContainerStatuses"}}) {
    const Value& statuses = member(pod, "status", lists.status);
    if (!statuses.IsArray()) {
      continue;
    }
    for (const Value& status : statuses.GetArray()) {
      // "containerd://ID"; empty before it was made.
      const std::string url = text_of(member(status, "containerID"));
      const size_t at = url.find("://");
      if (at == std::string::npos) {
        continue;
      }
      Container container;
      container.id = url.substr(at + 3);
      container.runtime = url.substr(0, at);
      container.name = text_of(member(status, "name"));
      container.settled = kAllSettled;
      container.image = text_of(member(status, "image"));
      const std::string image_id = text_of(member(status, "imageID"));
      container.image_id = image_id_of(image_id);
      container.image_digest = container.image_id.empty() ? digest_part(image_id) : std::string();
      container.pod = text_of(member(pod, "metadata", "name"));
      container.pod_uid = text_of(member(pod, "metadata", "uid"));
      container.ns = text_of(member(pod, "metadata", "namespace"));
      container.labels = texts_of(member(pod, "metadata", "labels"));
      container.restart_count = number_of(member(status, "restartCount"));
      container.state = state_of(member(status, "state"));
      container.why_not_observable = why_not_observable(text_of(member(spec, "runtimeClassName")));
      const Value& own = named(member(spec, lists.spec), container.name);
      container.command = list_of(member(own, "command"));
      // Without a command the image's stands in front of the arguments, and the API does not tell it.
      if (!container.command.empty()) {
        const std::vector<std::string> arguments = list_of(member(own, "args"));
        container.command.insert(container.command.end(), arguments.begin(), arguments.end());
      }
      containers.push_back(std::move(container));
    }
  }
  return containers;
}

KubernetesSource::KubernetesSource(const KubernetesSettings& settings, std::chrono::milliseconds timeout)
    : Source("kubernetes", "https://" + settings.host + ":" + settings.port),
      files_("/"),
      token_file_(settings.service_account + "/token"),
      target_("/api/v1/namespaces/" + url_encoded(settings.ns) + "/pods/" + url_encoded(settings.pod)),
      http_({.socket = {},
             .host = settings.host,
             .port = settings.port,
             .authority_file = settings.service_account + "/ca.crt"},
            timeout, kMaxPods) {}

SourceState KubernetesSource::list(std::vector<Container>& found) {
  // Read each time: the kubelet renews it.
  const std::optional<std::string> token = files_.read(token_file_, kMaxToken);
  if (!token) {
    return {Kind::kMissing};
  }
  last_ = std::chrono::steady_clock::now();
  const HttpAnswer answer =
      http_.get(target_, {{"Authorization", "Bearer " + trimmed(*token)}, {"Accept", "application/json"}});
  if (answer.state.kind != Kind::kAnswered) {
    return answer.state;
  }
  if (answer.status == kUnauthorized || answer.status == kForbidden) {
    return {Kind::kRefused,
            "status " + std::to_string(answer.status) + ": the service account needs the right to get its own pod"};
  }
  if (answer.status != kOk) {
    return {Kind::kFailed, "status " + std::to_string(answer.status)};
  }
  const std::optional<Json> json = Json::parse(answer.body);
  if (!json || text_of(member(json->root(), "kind")) != "Pod") {
    return {Kind::kFailed, "the answer is no pod"};
  }
  found = pod_containers(json->root());
  return {Kind::kAnswered};
}

SourceState KubernetesSource::look_up(const Ask&, std::vector<Container>& found) {
  if (std::chrono::steady_clock::now() - last_ < kAtMostEach) {
    return {Kind::kAnswered};
  }
  return list(found);
}

}  // namespace snoop::metadata
