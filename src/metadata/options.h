// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "metadata/kubernetes.h"

namespace snoop::metadata {

/// A runtime's socket, and what is spoken there.
struct RuntimeSocket {
  enum class Kind { kCri, kContainerd, kDocker, kPodman };
  Kind kind = Kind::kCri;
  std::string path;
};

struct Options {
  std::vector<RuntimeSocket> sockets;
  std::string host_root = "/";
  std::chrono::milliseconds timeout{5000};
  bool list_only = false;
  /// Within a cluster.
  std::optional<KubernetesSettings> kubernetes;

  /// Where there is nothing to do but end, with this status.
  std::optional<int> exit_status;
};

[[nodiscard]] Options parse_options(int argc, char** argv);

/// [KIND:]PATH; containerd's socket speaks CRI, too. Empty where KIND is none.
[[nodiscard]] std::vector<RuntimeSocket> parse_socket(const std::string& text);

}  // namespace snoop::metadata
