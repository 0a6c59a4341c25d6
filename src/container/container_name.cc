// SPDX-License-Identifier: Apache-2.0
#include "container/container_name.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace snoop {

namespace {

using Kind = ContainerName::Kind;

/// What an id must look like, where the name around it is not enough to tell.
enum class Shape {
  kAny,
  /// 64 hexadecimal digits.
  kHex,
  /// 8-4-4-4 and 4 or 12 digits.
  kGuid,
  /// A name as systemd escapes it: \x2d for "-".
  kEscaped,
  /// A task of ECS on Fargate: its 32 digits, "-", a number.
  kFargate,
  /// A task of Nomad: GUID.NAME.
  kAllocation,
  /// Any, and the cgroup is at the top of the hierarchy, or right below the container around it.
  kAtTop,
};

/// A spelling: the cgroup is called `prefix`ID`suffix`, and its parent `parent` (empty: anything).
struct Spelling {
  std::string_view runtime;
  Kind kind;
  std::string_view parent;
  std::string_view prefix;
  std::string_view suffix;
  Shape shape;
};

/// The first that fits counts. With the systemd driver a runtime asks for SLICE:PREFIX:ID and gets
/// SLICE/PREFIX-ID.scope; with the other driver that same text, asked for by mistake, is the cgroup's name: it is read
/// as if it were the two.
constexpr Spelling kSpellings[] = {
    {"docker", Kind::kContainer, "", "docker-", ".scope", Shape::kHex},
    {"docker", Kind::kContainer, "docker", "", "", Shape::kHex},
    {"containerd", Kind::kContainer, "", "cri-containerd-", ".scope", Shape::kAny},
    {"containerd", Kind::kContainer, "", "nerdctl-", ".scope", Shape::kAny},
    {"containerd", Kind::kContainer, "default", "", "", Shape::kAtTop},  // ctr, nerdctl: the namespace and the id
    {"containerd", Kind::kContainer, "k8s.io", "", "", Shape::kAtTop},
    {"cri-o", Kind::kMonitor, "", "crio-conmon-", ".scope", Shape::kHex},
    {"cri-o", Kind::kMonitor, "", "crio-conmon-", "", Shape::kHex},
    {"cri-o", Kind::kContainer, "", "crio-", ".scope", Shape::kHex},
    {"cri-o", Kind::kContainer, "", "crio-", "", Shape::kHex},
    {"podman", Kind::kMonitor, "", "libpod-conmon-", ".scope", Shape::kHex},
    {"podman", Kind::kMonitor, "", "libpod-conmon-", "", Shape::kHex},
    {"podman", Kind::kContainer, "", "libpod-payload-", "", Shape::kHex},  // --cgroups=split, Quadlet
    {"podman", Kind::kContainer, "", "libpod-", ".scope", Shape::kHex},
    {"podman", Kind::kContainer, "", "libpod-", "", Shape::kHex},
    {"podman", Kind::kPod, "libpod_parent", "", "", Shape::kHex},
    {"podman", Kind::kPod, "", "machine-libpod_pod_", ".slice", Shape::kHex},
    {"podman", Kind::kPod, "", "user-libpod_pod_", ".slice", Shape::kHex},
    {"buildah", Kind::kContainer, "", "buildah-buildah", "", Shape::kAny},
    {"buildah", Kind::kContainer, "", "crun-buildah-", ".scope", Shape::kAny},
    {"buildah", Kind::kContainer, "", "runc-buildah-", ".scope", Shape::kAny},
    {"runc", Kind::kContainer, "", "runc-", ".scope", Shape::kAny},
    {"crun", Kind::kContainer, "", "crun-", ".scope", Shape::kAny},
    {"youki", Kind::kContainer, "", "youki-", ".scope", Shape::kAny},
    {"buildkit", Kind::kContainer, "buildkit", "", "", Shape::kAny},
    {"buildkit", Kind::kContainer, "", "buildkit-", ".scope", Shape::kAny},
    {"lxc", Kind::kMonitor, "", "lxc.monitor.", "", Shape::kAny},
    {"lxc", Kind::kMonitor, "lxc.monitor", "", "", Shape::kAny},
    {"lxc", Kind::kContainer, "", "lxc.payload.", "", Shape::kAny},
    {"lxc", Kind::kContainer, "", "lxc.payload-", "", Shape::kAny},
    {"lxc", Kind::kContainer, "lxc.payload", "", "", Shape::kAny},
    {"lxc", Kind::kContainer, "lxc", "", "", Shape::kAtTop},
    {"libvirt", Kind::kVirtualMachine, "", R"(machine-qemu\x2d)", ".scope", Shape::kEscaped},
    {"libvirt", Kind::kContainer, "", R"(machine-lxc\x2d)", ".scope", Shape::kEscaped},
    {"systemd-nspawn", Kind::kContainer, "", "machine-", ".scope", Shape::kEscaped},
    {"systemd-nspawn", Kind::kContainer, "", "systemd-nspawn@", ".service", Shape::kEscaped},
    {"kata", Kind::kVirtualMachine, "kata_overhead", "", "", Shape::kAny},
    {"kata", Kind::kVirtualMachine, "", "kata-", ".scope", Shape::kHex},
    {"kata", Kind::kVirtualMachine, "", "kata_", "", Shape::kHex},
    {"kata", Kind::kVirtualMachine, "vc", "", "", Shape::kAtTop},
    {"firecracker", Kind::kVirtualMachine, "firecracker", "", "", Shape::kAtTop},
    {"firecracker", Kind::kVirtualMachine, "firecracker-containerd", "", "", Shape::kAtTop},
    {"garden", Kind::kContainer, "garden", "", "", Shape::kGuid},
    {"garden", Kind::kContainer, "good", "", "", Shape::kGuid},  // garden/good, garden/bad: by their use of CPU
    {"garden", Kind::kContainer, "bad", "", "", Shape::kGuid},
    {"mesos", Kind::kContainer, "mesos", "", "", Shape::kGuid},
    {"nomad", Kind::kContainer, "nomad.slice", "", ".scope", Shape::kAllocation},
    {"nomad", Kind::kContainer, "share.slice", "", ".scope", Shape::kAllocation},
    {"nomad", Kind::kContainer, "reserve.slice", "", ".scope", Shape::kAllocation},
    {"apptainer", Kind::kContainer, "", "apptainer-", ".scope", Shape::kAny},
    {"", Kind::kContainer, "", "", "", Shape::kFargate},
    {"", Kind::kContainer, "", "", "", Shape::kHex},  // in a pod, or below a parent of the user's choice
};

/// The longest name that a file system takes.
constexpr size_t kMaxName = 255;
constexpr size_t kIdDigits = 64;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); }
bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return is_hex(c); });
}

bool is_id(std::string_view text) { return text.size() == kIdDigits && is_hex(text); }

/// Groups of hexadecimal digits with `dash` between them: 8-4-4-4-12, or 8-4-4-4-4 as Cloud Foundry has it.
bool is_guid(std::string_view text, char dash) {
  constexpr size_t kDashes[] = {8, 13, 18, 23};
  if (text.size() != 36 && text.size() != 28) {
    return false;
  }
  for (size_t at = 0; at < text.size(); at++) {
    const bool between = std::find(std::begin(kDashes), std::end(kDashes), at) != std::end(kDashes);
    if (between ? text[at] != dash : !is_hex(text[at])) {
      return false;
    }
  }
  return true;
}

int hex_value(char c) { return is_digit(c) ? c - '0' : c - 'a' + 10; }

/// Takes systemd's \xNN back. What no name has, such as a slash, is left as it stands: that is none of systemd's.
std::string unescaped(std::string_view text) {
  std::string name;
  while (!text.empty()) {
    const bool is_escaped = text.size() >= 4 && text.substr(0, 2) == R"(\x)" && is_hex(text.substr(2, 2));
    const auto byte = static_cast<unsigned char>(is_escaped ? (hex_value(text[2]) << 4) | hex_value(text[3]) : 0);
    if (byte > ' ' && byte != '/' && byte != 0x7F) {
      name += static_cast<char>(byte);
      text.remove_prefix(4);
    } else {
      name += text.front();
      text.remove_prefix(1);
    }
  }
  return name;
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (text.substr(0, prefix.size()) != prefix) {
    return false;
  }
  text.remove_prefix(prefix.size());
  return true;
}

bool take_suffix(std::string_view& text, std::string_view suffix) {
  if (text.size() < suffix.size() || text.substr(text.size() - suffix.size()) != suffix) {
    return false;
  }
  text.remove_suffix(suffix.size());
  return true;
}

bool is_fargate(std::string_view text) {
  constexpr size_t kTaskDigits = 32;
  return text.size() > kTaskDigits + 1 && is_hex(text.substr(0, kTaskDigits)) && text[kTaskDigits] == '-' &&
         std::all_of(text.begin() + kTaskDigits + 1, text.end(), is_digit);
}

/// Goes through a path from the root on; the innermost container is the last one found.
class Parser {
 public:
  explicit Parser(std::string_view path) : path_(path) {}

  std::optional<ContainerName> parse() {
    size_t at = 0;
    while (at < path_.size()) {
      const size_t end = std::min(path_.find('/', at), path_.size());
      take(path_.substr(at, end - at), path_.substr(0, end));
      at = end + 1;
    }
    if (found_) {
      found_->is_top = found_->top.size() == path_.find_last_not_of('/') + 1;
    }
    return std::move(found_);
  }

 private:
  /// A cgroup's name, and the path that leads to it.
  void take(std::string_view name, std::string_view to) {
    if (name.empty() || name == ".") {
      return;
    }
    // SLICE:PREFIX:ID, see kSpellings.
    const size_t first = name.find(':');
    const size_t second = first == std::string_view::npos ? first : name.find(':', first + 1);
    if (second != std::string_view::npos && name.size() <= kMaxName) {
      take_pod(name.substr(0, first), to);
      const std::string scope = std::string(name.substr(first + 1, second - first - 1)) + "-" +
                                std::string(name.substr(second + 1)) + ".scope";
      take_container("", scope, to);
    } else if (name.size() <= kMaxName) {
      if (!take_pod(name, to)) {
        take_container(parent_, name, to);
      }
    }
    in_overhead_ = in_overhead_ || name == "kata_overhead";
    parent_ = name;
    // What container runtimes and their init systems put between.
    depth_ += name == "container" || name == "payload" || name == "ns" || name == ".." ? 0 : 1;
  }

  /// Kubernetes: "kubepods", "burstable" and "podUID", or "kubepods-burstable-podUID.slice" in one. A root of
  /// the kubelet's own (kind has "kubelet") stands in front.
  bool take_pod(std::string_view name, std::string_view to) {
    std::string_view uid = name;
    if (take_suffix(uid, ".slice")) {
      const size_t at = uid.find("kubepods");
      if (at == std::string_view::npos || (at != 0 && uid[at - 1] != '-')) {
        return false;
      }
      uid.remove_prefix(at + std::string_view("kubepods").size());
      enter_pods();
      if (take_prefix(uid, "-besteffort")) {
        qos_ = "besteffort";
      } else if (take_prefix(uid, "-burstable")) {
        qos_ = "burstable";
      }
      if (take_prefix(uid, "-pod") && !uid.empty()) {
        found_pod(uid, to);
      }
      return true;
    }
    if (name == "kubepods") {
      enter_pods();
      return true;
    }
    if (in_pods_ && pod_uid_.empty() && (name == "besteffort" || name == "burstable")) {
      qos_ = name == "besteffort" ? "besteffort" : "burstable";
      return true;
    }
    // Seen from within a cgroup namespace, the path may begin with the pod.
    if (pod_uid_.empty() && take_prefix(uid, "pod") && !uid.empty() && (in_pods_ || is_pod_uid(uid))) {
      found_pod(uid, to);
      return true;
    }
    return false;
  }

  static bool is_pod_uid(std::string_view uid) {
    // Static pods have a hash without dashes.
    return is_guid(uid, '-') || is_guid(uid, '_') || (uid.size() == 32 && is_hex(uid));
  }

  void enter_pods() {
    in_pods_ = true;
    pod_uid_.clear();
    qos_ = "guaranteed";
  }

  void found_pod(std::string_view uid, std::string_view to) {
    pod_uid_ = uid;
    // The name of a slice has no "-" of its own.
    std::replace(pod_uid_.begin(), pod_uid_.end(), '_', '-');
    found(Kind::kPod, "", {}, to);
  }

  void take_container(std::string_view parent, std::string_view name, std::string_view to) {
    for (const Spelling& spelling : kSpellings) {
      std::string_view id = name;
      if ((!spelling.parent.empty() && spelling.parent != parent) || !take_prefix(id, spelling.prefix) ||
          !take_suffix(id, spelling.suffix) || id.empty() || !fits(id, spelling.shape)) {
        continue;
      }
      if (spelling.kind == Kind::kPod) {
        pod_uid_ = id;
        found(Kind::kPod, spelling.runtime, {}, to);
      } else {
        found(spelling.kind, spelling.runtime, spelling.shape == Shape::kEscaped ? unescaped(id) : std::string(id), to);
      }
      return;
    }
  }

  [[nodiscard]] bool fits(std::string_view id, Shape shape) const {
    switch (shape) {
      case Shape::kAny:
      case Shape::kEscaped:
        return true;
      case Shape::kHex:
        return is_id(id);
      case Shape::kGuid:
        return is_guid(id, '-');
      case Shape::kFargate:
        return is_fargate(id);
      case Shape::kAllocation:
        return id.size() > 36 && id[36] == '.' && is_guid(id.substr(0, 36), '-');
      case Shape::kAtTop:
        return depth_ == 1;
    }
    return false;
  }

  void found(Kind kind, std::string_view runtime, std::string id, std::string_view to) {
    if (in_overhead_ && kind == Kind::kContainer) {
      kind = Kind::kVirtualMachine;
      runtime = "kata";
    }
    // A pod's cgroup is around its containers, but no container.
    const bool within = found_ && found_->kind != Kind::kPod;
    const std::string_view outer = within ? found_->top : found_ ? found_->outer : std::string_view();
    found_ = ContainerName{.kind = kind,
                           .runtime = runtime,
                           .id = std::move(id),
                           .pod_uid = pod_uid_,
                           .qos = qos_,
                           .top = to,
                           .outer = outer};
    if (kind != Kind::kPod) {
      in_pods_ = false;
      in_overhead_ = false;
      pod_uid_.clear();
      qos_ = {};
      depth_ = -1;  // this cgroup itself will count
    }
  }

  std::string_view path_;
  std::optional<ContainerName> found_;
  std::string_view parent_;
  /// Cgroups above, within the container around.
  int depth_ = 0;
  bool in_pods_ = false;
  /// Below kata_overhead stands the same path once more, with what runs outside of the virtual machine.
  bool in_overhead_ = false;
  std::string pod_uid_;
  std::string_view qos_;
};

}  // namespace

std::optional<ContainerName> parse_container_name(std::string_view path) { return Parser(path).parse(); }

}  // namespace snoop
