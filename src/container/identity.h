// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace snoop {

/// 64 hexadecimal digits: no other container has it. All else is a name that is free again when the container is gone.
[[nodiscard]] inline bool is_unique_id(std::string_view id) {
  return id.size() == 64 && id.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// What of a container is known for good: who would know it has said it, or said nothing of it. Where that is not so, a
/// runtime that answers late may say more.
struct Settled {
  bool name = false;
  /// And the pod's namespace.
  bool pod = false;
  bool labels = false;

  Settled& operator|=(const Settled& other) {
    name = name || other.name;
    pod = pod || other.pod;
    labels = labels || other.labels;
    return *this;
  }
  bool operator==(const Settled&) const = default;
};
inline constexpr Settled kAllSettled = {.name = true, .pod = true, .labels = true};

/// Who a container is beside its name and image. Empty: not known, or there is none.
struct Identity {
  /// As ContainerName has it.
  std::string runtime;
  /// As the runtime has it, in full.
  std::string id;
  /// Digest of the image's configuration, by which nothing can be pulled.
  std::string image_id;
  std::string pod_name;
  std::string pod_uid;
  std::string namespace_name;
  /// Of the pod; without one, of the container.
  std::map<std::string, std::string> labels;
  std::optional<uint64_t> restart_count;
  /// What it was told to run, with arguments.
  std::vector<std::string> command;
  /// Holds a pod's namespaces and does nothing else ("pause").
  bool is_sandbox = false;
  /// Why what it uses is not seen from here, or not all of it; empty: it is.
  std::string not_observable;
  /// Who told; empty: nothing but the path of its cgroup is known.
  std::string source;
  Settled settled;
};

/// What somebody who knows tells of a container.
struct KnownContainer {
  Identity identity;
  std::string name;
  std::string image;
  std::string image_digest;
  /// As the one who tells sees the hierarchy; empty: not told.
  std::string cgroup_path;
  pid_t pid = 0;
  std::string state;
};

/// Somebody who may know, and whether that one answers.
struct MetadataSource {
  std::string name;
  /// Where it listens, or where its files are.
  std::string endpoint;
  /// "answered", "missing", "refused", "timed_out", "failed", "untried".
  std::string state;
  /// Why not, in words.
  std::string error;
};

}  // namespace snoop
