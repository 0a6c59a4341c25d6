// SPDX-License-Identifier: Apache-2.0
#include "container/runtime_socket.h"

#include <cstddef>
#include <map>

namespace snoop {

namespace {

using Kind = RuntimeSocket::Kind;

}  // namespace

std::vector<RuntimeSocket> parse_socket(const std::string& text) {
  static const std::map<std::string, std::vector<Kind>> kKinds = {
      {"cri", {Kind::kCri}},
      {"containerd", {Kind::kCri, Kind::kContainerd}},
      {"docker", {Kind::kDocker}},
      {"podman", {Kind::kPodman}},
  };
  std::string path = text;
  std::string kind;
  bool is_guess = false;
  if (const size_t colon = text.find(':'); colon != std::string::npos && text.front() != '/') {
    kind = text.substr(0, colon);
    path = text.substr(colon + 1);
  } else {
    const std::string file = text.substr(text.rfind('/') + 1);
    // By the usual names.
    kind = "cri";
    is_guess = file.find("crio") == std::string::npos;
    for (const char* name : {"cri-dockerd", "podman", "docker", "containerd"}) {
      if (file.find(name) != std::string::npos) {
        kind = std::string(name) == "cri-dockerd" ? "cri" : name;
        is_guess = false;
        break;
      }
    }
  }
  std::vector<RuntimeSocket> sockets;
  const auto found = kKinds.find(kind);
  if (found != kKinds.end() && !path.empty() && path.front() == '/') {
    for (const Kind each : found->second) {
      sockets.push_back({each, path, is_guess});
    }
  }
  return sockets;
}

std::string wrong_with_socket(const std::string& text) {
  return text == "none" || !parse_socket(text).empty()
             ? std::string()
             : "'" + text + "' is no socket: give [cri|containerd|docker|podman:]PATH, the path from / on";
}

}  // namespace snoop
