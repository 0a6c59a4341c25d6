// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rapidjson/document.h>

#include <chrono>
#include <string>
#include <vector>

#include "metadata/container.h"
#include "metadata/host.h"
#include "metadata/http_client.h"
#include "metadata/source.h"

namespace snoop::metadata {

struct KubernetesSettings {
  std::string host;
  std::string port;
  /// With "token", "ca.crt" and "namespace".
  std::string service_account;
  std::string ns;
  std::string pod;
};

/// What Kubernetes' API tells of our own pod, with our own service account.
class KubernetesSource : public Source {
 public:
  KubernetesSource(const KubernetesSettings& settings, std::chrono::milliseconds timeout);

  [[nodiscard]] Rank rank() const override { return Rank::kKubernetes; }
  SourceState list(std::vector<Container>& found) override;
  SourceState look_up(const Ask& ask, std::vector<Container>& found) override;
  [[nodiscard]] std::chrono::milliseconds relist_every() const override { return std::chrono::minutes(1); }

 private:
  Host files_;
  std::string token_file_;
  std::string target_;
  HttpClient http_;
  std::chrono::steady_clock::time_point last_;
};

/// The containers of a Pod object.
[[nodiscard]] std::vector<Container> pod_containers(const rapidjson::Value& pod);

}  // namespace snoop::metadata
