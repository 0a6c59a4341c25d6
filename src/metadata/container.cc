// SPDX-License-Identifier: Apache-2.0
#include "metadata/container.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>

namespace snoop::metadata {

namespace {

constexpr size_t kMaxText = 4096;
constexpr size_t kMaxLabels = 512;
constexpr size_t kMaxLabelBytes = 256UL << 10;
constexpr size_t kMaxCommandBytes = 64UL << 10;
constexpr size_t kMaxArguments = 1024;
constexpr std::string_view kDigestStart = "sha256:";
constexpr size_t kDigestDigits = 64;

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

template <typename T>
void fill(T& own, const T& other) {
  if (own == T()) {
    own = other;
  }
}

/// "docker.io/library/nginx:1" to "docker.io/library/nginx".
std::string_view repository_of(std::string_view image) {
  image = image.substr(0, image.find('@'));
  const size_t colon = image.rfind(':');
  if (colon != std::string_view::npos && image.find('/', colon) == std::string_view::npos) {
    image = image.substr(0, colon);
  }
  return image;
}

/// Whether two names are of one repository; Docker leaves its own registry's name out.
bool same_repository(std::string_view one, std::string_view other) {
  for (const std::string_view registry : {"docker.io/", "library/"}) {
    for (std::string_view* name : {&one, &other}) {
      if (name->substr(0, registry.size()) == registry) {
        name->remove_prefix(registry.size());
      }
    }
  }
  return one == other;
}

}  // namespace

void Container::fill_from(const Container& other) {
  fill(runtime, other.runtime);
  fill(name, other.name);
  fill(image, other.image);
  fill(image_id, other.image_id);
  fill(image_digest, other.image_digest);
  fill(pod, other.pod);
  fill(pod_uid, other.pod_uid);
  fill(ns, other.ns);
  labels.insert(other.labels.begin(), other.labels.end());
  fill(restart_count, other.restart_count);
  fill(command, other.command);
  fill(cgroup, other.cgroup);
  fill(pid, other.pid);
  fill(state, other.state);
  fill(why_not_observable, other.why_not_observable);
  sandbox = sandbox || other.sandbox;
  settled |= other.settled;
}

void Container::limit() {
  for (std::string* text : {&id, &scope, &runtime, &name, &image, &image_id, &image_digest, &pod, &pod_uid, &ns,
                            &cgroup, &state, &why_not_observable}) {
    if (text->size() > kMaxText) {
      text->clear();
    }
  }
  size_t bytes = 0;
  size_t count = 0;
  for (auto label = labels.begin(); label != labels.end();) {
    const size_t size = label->first.size() + label->second.size();
    if (count < kMaxLabels && bytes + size <= kMaxLabelBytes) {
      count++;
      bytes += size;
      ++label;
    } else {
      label = labels.erase(label);
    }
  }
  bytes = 0;
  for (const std::string& argument : command) {
    bytes += argument.size();
  }
  if (bytes > kMaxCommandBytes || command.size() > kMaxArguments) {
    command.clear();
  }
}

std::string why_not_observable(std::string_view runtime) {
  std::string lower(runtime);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto has = [&lower](std::string_view part) { return lower.find(part) != std::string::npos; };
  if (has("runsc") || has("gvisor")) {
    return "gVisor: its files are opened by a kernel in user space";
  }
  if (has("kata") || has("firecracker") || has("krun") || has("cloud-hypervisor") || has("kuasar")) {
    return "a virtual machine: its kernel is another one";
  }
  return {};
}

std::string digest_part(std::string_view reference) {
  const size_t at = reference.rfind('@');
  const std::string_view digest = at == std::string_view::npos ? reference : reference.substr(at + 1);
  const bool is_digest = digest.substr(0, kDigestStart.size()) == kDigestStart &&
                         digest.size() == kDigestStart.size() + kDigestDigits &&
                         is_hex(digest.substr(kDigestStart.size()));
  return is_digest ? std::string(digest) : std::string();
}

std::string choose_digest(const std::vector<std::string>& repo_digests, std::string_view image) {
  const std::string_view repository = repository_of(image);
  std::string chosen;
  for (const std::string& candidate : repo_digests) {
    if (candidate.find('@') == std::string::npos) {
      continue;
    }
    std::string digest = digest_part(candidate);
    if (!digest.empty() && same_repository(repository_of(candidate), repository)) {
      return digest;
    }
    if (chosen.empty()) {
      chosen = std::move(digest);
    }
  }
  return chosen;
}

std::string image_id_of(std::string_view text) {
  if (text.size() == kDigestDigits && is_hex(text)) {
    return std::string(kDigestStart) + std::string(text);
  }
  return text.find('@') == std::string_view::npos ? digest_part(text) : std::string();
}

void fill_from_labels(Container& container, const std::map<std::string, std::string>& labels) {
  const auto take = [&labels](std::string& text, std::initializer_list<const char*> keys) {
    for (const char* key : keys) {
      if (const auto found = labels.find(key); text.empty() && found != labels.end()) {
        text = found->second;
      }
    }
  };
  // The kubelet's; containerd's; CRI-O's.
  take(container.name, {"io.kubernetes.container.name", "io.kubernetes.cri.container-name"});
  take(container.pod, {"io.kubernetes.pod.name", "io.kubernetes.cri.sandbox-name"});
  take(container.ns, {"io.kubernetes.pod.namespace", "io.kubernetes.cri.sandbox-namespace"});
  take(container.pod_uid, {"io.kubernetes.pod.uid", "io.kubernetes.cri.sandbox-uid"});
  take(container.image, {"io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"});
  std::string type;
  take(type, {"io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType", "io.cri-containerd.kind",
              "io.kubernetes.docker.type"});
  container.labels.erase("io.cri-containerd.kind");
  if (type == "sandbox" || type == "podsandbox") {
    container.sandbox = true;
    // What stands for the container's name there is the kubelet's filler.
    container.name.clear();
  }
  std::string handler;
  take(handler, {"io.kubernetes.cri-o.RuntimeHandler"});
  if (container.why_not_observable.empty()) {
    container.why_not_observable = why_not_observable(handler);
  }
  std::string restarts;
  take(restarts, {"annotation.io.kubernetes.container.restartCount", "io.kubernetes.container.restartCount"});
  uint64_t count = 0;
  if (!container.restart_count && !restarts.empty() &&
      std::from_chars(restarts.data(), restarts.data() + restarts.size(), count).ec == std::errc()) {
    container.restart_count = count;
  }
}

}  // namespace snoop::metadata
