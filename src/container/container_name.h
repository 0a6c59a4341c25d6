// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace snoop {

/// What the path of a cgroup tells of the container that it belongs to.
struct ContainerName {
  enum class Kind {
    kContainer,
    /// A pod's own cgroup: its containers are below.
    kPod,
    /// Of a process that watches over a container (conmon, lxc's monitor) and is none of it.
    kMonitor,
    /// Holds a virtual machine (Kata, Firecracker, libvirt): what runs in there is not seen from here.
    kVirtualMachine,
  };
  Kind kind = Kind::kContainer;
  /// As the reports name it, such as "docker" or "cri-o"; empty where the path does not tell.
  std::string_view runtime;
  /// As the runtime names it; of a monitor, that of its container. Empty with kPod.
  std::string id;
  /// Kubernetes' uid with "-", or podman's pod id. Empty: in no pod that the path tells of.
  std::string pod_uid;
  /// Of Kubernetes: "guaranteed", "burstable", "besteffort"; empty where the path does not tell.
  std::string_view qos;
  /// The part of the path that leads to the container's top cgroup.
  std::string_view top;
  /// The part that leads to the top cgroup of the container around this one (kind, Docker in Docker), which may be
  /// within another one again; empty where there is none.
  std::string_view outer;
  bool is_top = true;
};

/// From the path of a cgroup, of cgroup2 or version 1, made by systemd or by the runtime itself; nothing where it is
/// not of a container. The path may be any bytes; `top` and `outer` are parts of it.
///
/// A path does not tell a pod's sandbox ("pause") from its other containers. And what stands below `outer` was named by
/// the container there: it can name itself as it likes, so that is a claim until a runtime says the same.
[[nodiscard]] std::optional<ContainerName> parse_container_name(std::string_view path);

}  // namespace snoop
