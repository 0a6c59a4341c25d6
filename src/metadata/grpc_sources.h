// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "metadata/container.h"
#include "metadata/grpc_client.h"
#include "metadata/host.h"
#include "metadata/source.h"

namespace snoop::metadata {

/// The kubelet's interface to a runtime: containerd's, CRI-O's, cri-dockerd's.
class CriSource : public Source {
 public:
  CriSource(const std::string& socket, const Host& host, std::chrono::milliseconds timeout);

  [[nodiscard]] Rank rank() const override { return Rank::kCri; }
  SourceState list(std::vector<Container>& found) override;
  SourceState look_up(const Ask& ask, std::vector<Container>& found) override;
  SourceState follow(const Watcher& watcher) override;
  [[nodiscard]] std::chrono::milliseconds relist_every() const override { return std::chrono::seconds(30); }

 private:
  SourceState list_all(const std::string& id, std::vector<Container>& found);
  SourceState read_runtime();
  SourceState read_images();
  void fill_image(Container& container);
  /// What is only in the status: process, command, image.
  SourceState fill_status(Container& container);

  const Host& host_;
  GrpcClient grpc_;
  /// Of its own for the other thread.
  GrpcClient events_;
  std::string runtime_;
  /// By their ids.
  std::map<std::string, std::vector<std::string>> repo_digests_;
};

/// containerd's own interface: ctr's and nerdctl's containers, and what CRI does not tell of those of Kubernetes.
class ContainerdSource : public Source {
 public:
  ContainerdSource(const std::string& socket, const Host& host, std::chrono::milliseconds timeout);

  [[nodiscard]] Rank rank() const override { return Rank::kContainerd; }
  SourceState list(std::vector<Container>& found) override;
  SourceState look_up(const Ask& ask, std::vector<Container>& found) override;
  SourceState follow(const Watcher& watcher) override;

 private:
  SourceState namespaces(std::vector<std::string>& names);
  SourceState fill_digest(Container& container, const std::string& ns, int64_t created_at);

  const Host& host_;
  GrpcClient grpc_;
  GrpcClient events_;
};

}  // namespace snoop::metadata
