// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "container/runtime_socket.h"
#include "metadata/kubernetes.h"

namespace snoop::metadata {

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
}  // namespace snoop::metadata
