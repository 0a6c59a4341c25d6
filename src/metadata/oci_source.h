// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "metadata/container.h"
#include "metadata/host.h"
#include "metadata/source.h"

namespace snoop::metadata {

/// What runtimes leave in files: OCI bundles and their states, and the lists that containers/storage (Podman, CRI-O)
/// and Docker keep for themselves.
class OciSource : public Source {
 public:
  explicit OciSource(const Host& host) : Source("oci", host.path("/")), host_(host) {}

  [[nodiscard]] Rank rank() const override { return Rank::kOci; }
  SourceState list(std::vector<Container>& found) override;
  SourceState look_up(const Ask& ask, std::vector<Container>& found) override;

 private:
  // Only the one with this id, where that is not empty.
  void read_all(const std::string& id, std::vector<Container>& found) const;
  void read_containerd(const std::string& id, std::vector<Container>& found) const;
  void read_runc(const std::string& id, std::vector<Container>& found) const;
  void read_crun(const std::string& id, std::vector<Container>& found) const;
  void read_docker(const std::string& id, std::vector<Container>& found) const;
  void read_storage(const std::string& id, std::vector<Container>& found) const;
  [[nodiscard]] bool is_kata(const std::string& id) const;

  const Host& host_;
  std::chrono::steady_clock::time_point last_list_;
};

/// What runc keeps of a container in state.json; `bundle` is where its configuration is.
struct RuncState {
  Container container;
  std::string cgroups_path;
  std::string bundle;
};
[[nodiscard]] std::optional<RuncState> parse_runc_state(std::string_view text);
/// Docker's config.v2.json.
[[nodiscard]] std::optional<Container> parse_docker_config(std::string_view text);
/// containers.json of containers/storage; image digests are in images.json.
[[nodiscard]] std::vector<Container> parse_storage_containers(std::string_view text);

}  // namespace snoop::metadata
