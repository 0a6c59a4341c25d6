// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "container/identity.h"

namespace snoop::metadata {

/// What the sources tell of one container. All text is bytes of others; what is empty is not known.
struct Container {
  std::string id;
  /// Where `id` is a name that others may have too (ctr, runc): whose name. Empty with ids that are unique.
  std::string scope;
  std::string runtime;
  std::string name;
  /// As it was asked for.
  std::string image;
  /// The digest of its configuration, by which nothing can be pulled.
  std::string image_id;
  /// Of the manifest, by which a registry knows it.
  std::string image_digest;
  std::string pod;
  std::string pod_uid;
  /// Of Kubernetes.
  std::string ns;
  /// Its pod's and its own.
  std::map<std::string, std::string> labels;
  std::optional<uint64_t> restart_count;
  std::vector<std::string> command;
  std::string cgroup;
  pid_t pid = 0;
  /// "created", "running", "paused", "exited", "removed".
  std::string state;
  /// It only holds a pod's namespaces ("pause").
  bool sandbox = false;
  std::string why_not_observable;
  /// By the one who tells this.
  Settled settled;

  /// Takes from another what this one does not know.
  void fill_from(const Container& other);
  /// Leaves out what is longer than anything real.
  void limit();
};

/// Why what a runtime (or its handler, or its class) runs is not seen from here; empty where it is.
[[nodiscard]] std::string why_not_observable(std::string_view runtime);

/// "name@sha256:..." or "sha256:..." to "sha256:..."; empty where it is none.
[[nodiscard]] std::string digest_part(std::string_view reference);
/// The one of an image's repository digests (NAME@DIGEST) that belongs to the name it was asked for by.
[[nodiscard]] std::string choose_digest(const std::vector<std::string>& repo_digests, std::string_view image);
/// An image's id with "sha256:" in front.
[[nodiscard]] std::string image_id_of(std::string_view text);

/// What Kubernetes' runtimes write beside a container: its labels, or the annotations of its OCI configuration.
void fill_from_labels(Container& container, const std::map<std::string, std::string>& labels);

}  // namespace snoop::metadata
