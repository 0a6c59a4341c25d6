// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rapidjson/document.h>

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "metadata/container.h"
#include "metadata/host.h"
#include "metadata/http_client.h"
#include "metadata/source.h"

namespace snoop::metadata {

/// Docker's HTTP API at a unix socket.
class DockerSource : public Source {
 public:
  DockerSource(const std::string& socket, const Host& host, std::chrono::milliseconds timeout);

  [[nodiscard]] Rank rank() const override { return Rank::kDocker; }
  SourceState list(std::vector<Container>& found) override;
  SourceState look_up(const Ask& ask, std::vector<Container>& found) override;
  SourceState follow(const Watcher& watcher) override;

 private:
  SourceState inspect(const std::string& id, std::vector<Container>& found);
  /// Fills in the digest of an image that is known by its id.
  void find_digest(Container& container);

  const Host& host_;
  HttpClient http_;
  /// By image id; what a container's image is does not change.
  std::map<std::string, std::vector<std::string>> repo_digests_;
};

/// Podman's own API: Docker's, which it has too, tells nothing of pods.
class PodmanSource : public Source {
 public:
  PodmanSource(const std::string& socket, const Host& host, std::chrono::milliseconds timeout);

  [[nodiscard]] Rank rank() const override { return Rank::kPodman; }
  SourceState list(std::vector<Container>& found) override;
  SourceState look_up(const Ask& ask, std::vector<Container>& found) override;
  SourceState follow(const Watcher& watcher) override;

 private:
  SourceState find_api(std::string& prefix) const;
  SourceState inspect(const std::string& prefix, const std::string& id, std::vector<Container>& found);
  SourceState read_pods(const std::string& prefix);

  struct Pod {
    std::string name;
    std::map<std::string, std::string> labels;
  };

  const Host& host_;
  HttpClient http_;
  std::map<std::string, Pod> pods_;
};

/// From the answers about one container.
[[nodiscard]] Container docker_container(const rapidjson::Value& inspected);
[[nodiscard]] Container podman_container(const rapidjson::Value& inspected);
/// From a line of the event streams of both; without an id: of something else.
[[nodiscard]] Container event_container(std::string_view line);

}  // namespace snoop::metadata
