// SPDX-License-Identifier: Apache-2.0
#include "container/container_name.h"

#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <string>
#include <string_view>

namespace snoop {
namespace {

using Kind = ContainerName::Kind;

const std::string kId = "6d393320601b821561e43bd46f658284cb172cf297ecc3d3665be657870d32e2";
const std::string kOtherId = "45490e76e0878aaa4d9808f7d2eefba37f093c3efbba9838b6d8ab804d9bd814";
const std::string kUid = "57e67067-89e4-4001-bdd4-8632d39ea02b";
const std::string kSliceUid = "57e67067_89e4_4001_bdd4_8632d39ea02b";
const std::string kStaticUid = "a1b2c3d4e5f60718293a4b5c6d7e8f90";

/// What a path should tell; `top` and `outer` only where they are not the path and nothing.
struct Case {
  std::string path;
  Kind kind = Kind::kContainer;
  std::string runtime;
  std::string id;
  std::string pod_uid = {};
  std::string qos = {};
  std::string top = {};
  std::string outer = {};
};

const std::string kPods = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + kSliceUid + ".slice";
const std::string kNode = "/docker/" + kOtherId;

const Case kCases[] = {
    // Docker
    {"/docker/" + kId, Kind::kContainer, "docker", kId},
    {"/docker/" + kId + "/", Kind::kContainer, "docker", kId, "", "", "/docker/" + kId},
    {"/docker/" + kId + "/init", Kind::kContainer, "docker", kId, "", "", "/docker/" + kId},
    {"/system.slice/docker-" + kId + ".scope", Kind::kContainer, "docker", kId},
    {"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" + kId + ".scope", Kind::kContainer, "docker",
     kId},
    {"/mine/" + kId, Kind::kContainer, "", kId},  // --cgroup-parent
    {"/docker/buildkit/5cf82fwiumld3vcs5d5l5pzyv", Kind::kContainer, "buildkit", "5cf82fwiumld3vcs5d5l5pzyv"},
    {"/buildkit/5cf82fwiumld3vcs5d5l5pzyv", Kind::kContainer, "buildkit", "5cf82fwiumld3vcs5d5l5pzyv"},
    {"/ecs/7f8a1f0e-1c1c-4f0e-9d6f-0a8b7c6d5e4f/" + kId, Kind::kContainer, "", kId},
    {"/ecs/prod/0123456789abcdef0123456789abcdef/" + kId, Kind::kContainer, "", kId},
    {"/ecs/0123456789abcdef0123456789abcdef/0123456789abcdef0123456789abcdef-2918272543", Kind::kContainer, "",
     "0123456789abcdef0123456789abcdef-2918272543"},
    {"/ecstasks.slice/ecstasks-0123456789abcdef.slice/docker-" + kId + ".scope", Kind::kContainer, "docker", kId},

    // Kubernetes, the runtime's own cgroups
    {"/kubepods/besteffort/pod" + kUid + "/" + kId, Kind::kContainer, "", kId, kUid, "besteffort"},
    {"/kubepods/burstable/pod" + kUid + "/" + kId, Kind::kContainer, "", kId, kUid, "burstable"},
    {"/kubepods/pod" + kUid + "/" + kId, Kind::kContainer, "", kId, kUid, "guaranteed"},
    {"/kubepods/burstable/pod" + kStaticUid + "/" + kId + "/sub", Kind::kContainer, "", kId, kStaticUid, "burstable",
     "/kubepods/burstable/pod" + kStaticUid + "/" + kId},
    {"/kubepods/besteffort/podtest-uid/" + kId, Kind::kContainer, "", kId, "test-uid", "besteffort"},
    {"/kubepods/besteffort/pod" + kUid, Kind::kPod, "", "", kUid, "besteffort"},
    {"/kubepods/besteffort/pod" + kUid + "/crio-" + kId, Kind::kContainer, "cri-o", kId, kUid, "besteffort"},
    {"/kubepods/besteffort/pod" + kUid + "/crio-conmon-" + kId, Kind::kMonitor, "cri-o", kId, kUid, "besteffort"},
    // Kubernetes, systemd's
    {kPods, Kind::kPod, "", "", kUid, "burstable"},
    {kPods + "/cri-containerd-" + kId + ".scope", Kind::kContainer, "containerd", kId, kUid, "burstable"},
    {kPods + "/docker-" + kId + ".scope", Kind::kContainer, "docker", kId, kUid, "burstable"},
    {kPods + "/crio-" + kId + ".scope", Kind::kContainer, "cri-o", kId, kUid, "burstable"},
    {kPods + "/crio-" + kId + ".scope/container", Kind::kContainer, "cri-o", kId, kUid, "burstable",
     kPods + "/crio-" + kId + ".scope"},
    {kPods + "/crio-conmon-" + kId + ".scope", Kind::kMonitor, "cri-o", kId, kUid, "burstable"},
    {"/kubepods.slice/kubepods-pod" + kSliceUid + ".slice/cri-containerd-" + kId + ".scope", Kind::kContainer,
     "containerd", kId, kUid, "guaranteed"},
    {"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + kStaticUid + ".slice/crio-" + kId + ".scope",
     Kind::kContainer, "cri-o", kId, kStaticUid, "burstable"},
    {"/system.slice/crio-" + kId + ".scope", Kind::kContainer, "cri-o", kId},
    // Asked for with systemd's spelling, made without systemd
    {"/system.slice/containerd.service/kubepods-besteffort-pod" + kSliceUid + ".slice:cri-containerd:" + kId,
     Kind::kContainer, "containerd", kId, kUid, "besteffort"},
    {"/kubepods-burstable-pod" + kSliceUid + ".slice:crio:" + kId, Kind::kContainer, "cri-o", kId, kUid, "burstable"},
    {"/system.slice:docker:" + kId, Kind::kContainer, "docker", kId},
    // As a cgroup namespace shows it
    {"/../../pod" + kUid + "/" + kId, Kind::kContainer, "", kId, kUid},
    {"/../cri-containerd-" + kId + ".scope", Kind::kContainer, "containerd", kId},

    // containerd without CRI
    {"/default/c1", Kind::kContainer, "containerd", "c1"},
    {"/default/c1/below", Kind::kContainer, "containerd", "c1", "", "", "/default/c1"},
    {"/k8s.io/c1", Kind::kContainer, "containerd", "c1"},
    {"/system.slice/nerdctl-" + kId + ".scope", Kind::kContainer, "containerd", kId},

    // podman, buildah, and their runtimes
    {"/libpod_parent/libpod-" + kId, Kind::kContainer, "podman", kId},
    {"/libpod_parent/libpod-conmon-" + kId, Kind::kMonitor, "podman", kId},
    {"/libpod_parent/" + kOtherId, Kind::kPod, "podman", "", kOtherId},
    {"/libpod_parent/" + kOtherId + "/libpod-" + kId, Kind::kContainer, "podman", kId, kOtherId},
    {"/machine.slice/libpod-" + kId + ".scope", Kind::kContainer, "podman", kId},
    {"/machine.slice/libpod-" + kId + ".scope/container", Kind::kContainer, "podman", kId, "", "",
     "/machine.slice/libpod-" + kId + ".scope"},
    {"/machine.slice/libpod-conmon-" + kId + ".scope", Kind::kMonitor, "podman", kId},
    {"/machine.slice/machine-libpod_pod_" + kOtherId + ".slice/libpod-" + kId + ".scope/container", Kind::kContainer,
     "podman", kId, kOtherId, "", "/machine.slice/machine-libpod_pod_" + kOtherId + ".slice/libpod-" + kId + ".scope"},
    {"/user.slice/user-1000.slice/user@1000.service/user.slice/user-libpod_pod_" + kOtherId + ".slice/libpod-" + kId +
         ".scope",
     Kind::kContainer, "podman", kId, kOtherId},
    {"/system.slice/web.service/libpod-payload-" + kId, Kind::kContainer, "podman", kId},
    {"/system.slice/runc-mine.scope", Kind::kContainer, "runc", "mine"},
    {"/user.slice/user-0.slice/crun-mine.scope", Kind::kContainer, "crun", "mine"},
    {"/user.slice/crun-buildah-buildah123.scope", Kind::kContainer, "buildah", "buildah123"},

    // System containers and virtual machines
    {"/lxc/web", Kind::kContainer, "lxc", "web"},
    {"/lxc/101/ns/system.slice/cron.service", Kind::kContainer, "lxc", "101", "", "", "/lxc/101"},
    {"/lxc.payload.web", Kind::kContainer, "lxc", "web"},
    {"/lxc.payload/web", Kind::kContainer, "lxc", "web"},
    {"/lxc.monitor.web", Kind::kMonitor, "lxc", "web"},
    {"/lxc.payload.web/system.slice/cron.service", Kind::kContainer, "lxc", "web", "", "", "/lxc.payload.web"},
    {"/machine.slice/machine-debian.scope", Kind::kContainer, "systemd-nspawn", "debian"},
    {R"(/machine.slice/machine-my\x2ddebian.scope/payload)", Kind::kContainer, "systemd-nspawn", "my-debian", "", "",
     R"(/machine.slice/machine-my\x2ddebian.scope)"},
    {"/machine.slice/systemd-nspawn@web.service/payload/init.scope", Kind::kContainer, "systemd-nspawn", "web", "", "",
     "/machine.slice/systemd-nspawn@web.service"},
    {R"(/machine.slice/machine-qemu\x2d6\x2dvm1.scope/libvirt/vcpu0)", Kind::kVirtualMachine, "libvirt", "6-vm1", "",
     "", R"(/machine.slice/machine-qemu\x2d6\x2dvm1.scope)"},
    {R"(/machine.slice/machine-lxc\x2d4711\x2dweb.scope)", Kind::kContainer, "libvirt", "4711-web"},
    {"/kata_overhead/" + kId, Kind::kVirtualMachine, "kata", kId},
    {"/kata_overhead/kubepods/burstable/pod" + kUid + "/" + kId, Kind::kVirtualMachine, "kata", kId, kUid, "burstable"},
    {"/kubepods/burstable/pod" + kUid + "/kata_" + kId, Kind::kVirtualMachine, "kata", kId, kUid, "burstable"},
    {"/vc/" + kId, Kind::kVirtualMachine, "kata", kId},
    {"/firecracker/vm1", Kind::kVirtualMachine, "firecracker", "vm1"},

    // Others
    {"/system.slice/garden.service/garden/good/2f57368b-0eda-4e52-64d8-af5c", Kind::kContainer, "garden",
     "2f57368b-0eda-4e52-64d8-af5c"},
    {"/garden/" + kUid, Kind::kContainer, "garden", kUid},
    {"/mesos/" + kUid, Kind::kContainer, "mesos", kUid},
    {"/nomad.slice/share.slice/" + kUid + ".web.scope", Kind::kContainer, "nomad", kUid + ".web"},
    {"/nomad.slice/docker-" + kId + ".scope", Kind::kContainer, "docker", kId},

    // One in another
    {kNode + "/docker/" + kId, Kind::kContainer, "docker", kId, "", "", "", kNode},
    {kNode + "/kubelet/kubepods/besteffort/pod" + kUid + "/" + kId, Kind::kContainer, "", kId, kUid, "besteffort", "",
     kNode},
    {kNode + "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod" +
         kSliceUid + ".slice/cri-containerd-" + kId + ".scope",
     Kind::kContainer, "containerd", kId, kUid, "besteffort", "", kNode},
    {kNode + "/kubelet/kubepods/besteffort/pod" + kUid, Kind::kPod, "", "", kUid, "besteffort", "", kNode},
    {kNode + "/default/c1", Kind::kContainer, "containerd", "c1", "", "", "", kNode},
    {kPods + "/cri-containerd-" + kOtherId + ".scope/docker/" + kId, Kind::kContainer, "docker", kId, "", "", "",
     kPods + "/cri-containerd-" + kOtherId + ".scope"},
    {"/machine.slice/libpod-" + kOtherId + ".scope/container/default/c1", Kind::kContainer, "containerd", "c1", "", "",
     "", "/machine.slice/libpod-" + kOtherId + ".scope"},
    {"/lxc.payload.web/system.slice/docker-" + kId + ".scope", Kind::kContainer, "docker", kId, "", "", "",
     "/lxc.payload.web"},
};

TEST(ContainerName, Spellings) {
  for (const Case& test : kCases) {
    SCOPED_TRACE(test.path);
    const std::optional<ContainerName> name = parse_container_name(test.path);
    ASSERT_TRUE(name);
    EXPECT_EQ(name->kind, test.kind);
    EXPECT_EQ(name->runtime, test.runtime);
    EXPECT_EQ(name->id, test.id);
    EXPECT_EQ(name->pod_uid, test.pod_uid);
    EXPECT_EQ(name->qos, test.qos);
    EXPECT_EQ(name->top, test.top.empty() ? test.path : test.top);
    EXPECT_EQ(name->outer, test.outer);
    EXPECT_EQ(name->is_top, test.path.substr(name->top.size()).find_first_not_of('/') == std::string::npos);
  }
}

TEST(ContainerName, OfOtherCgroups) {
  for (const std::string& path : {
           std::string(),
           std::string("/"),
           std::string("//"),
           std::string("relative"),
           std::string("/init.scope"),
           std::string("/system.slice/docker.service"),
           std::string("/system.slice/docker-desktop.scope"),
           std::string("/system.slice/containerd.service"),
           std::string("/docker"),
           std::string("/docker/short"),
           std::string("/default"),
           std::string("/mine/default/c1"),
           std::string("/system.slice/lxc/web"),
           std::string("/system.slice/lxc.service"),
           std::string("/kubepods"),
           std::string("/kubepods.slice/kubepods-burstable.slice"),
           std::string("/mykubepods-podx.slice"),
           std::string("/libpod_parent/conmon"),
           std::string("/machine.slice"),
           std::string("/machine.slice/machine-.scope"),
           std::string("/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox-123.scope"),
           std::string("/podman"),
           std::string("/podcast"),
           "/docker/" + kId.substr(1),
           "/docker/" + kId + "0",
           "/docker/" + std::string(64, 'G'),
           std::string("/a:b"),
           std::string("/:::"),
       }) {
    EXPECT_FALSE(parse_container_name(path)) << path;
  }
}

TEST(ContainerName, TakesAnyBytes) {
  EXPECT_EQ(parse_container_name("/default/\xff\x01")->id, "\xff\x01");
  EXPECT_EQ(parse_container_name(R"(/machine-\x2.scope)")->id, R"(\x2)");
  EXPECT_EQ(parse_container_name(R"(/machine-\xzz.scope)")->id, R"(\xzz)");
  EXPECT_FALSE(parse_container_name("/default/" + std::string(300, 'a')));
  EXPECT_FALSE(parse_container_name(std::string(1 << 20, '/')));

  // Parts of spellings, put together at random.
  const std::string parts[] = {"/",     "docker",  "-",   kId,      ".scope",   "kubepods",    ".slice",         "pod",
                               kUid,    "default", "..",  "libpod", "_parent",  "crio-",       "conmon-",        ":",
                               "\\x2d", "machine", "lxc", "garden", "payload.", "-besteffort", std::string(1, 0)};
  std::mt19937 random(1);
  for (int i = 0; i < 20000; i++) {
    std::string path;
    for (auto n = random() % 20; n > 0; n--) {
      path += parts[random() % std::size(parts)];
    }
    const std::optional<ContainerName> name = parse_container_name(path);
    if (name) {
      EXPECT_EQ(name->top, path.substr(0, name->top.size()));
      EXPECT_LT(name->outer.size(), name->top.size());
      EXPECT_EQ(name->id.empty(), name->kind == Kind::kPod);
    }
  }
}

}  // namespace
}  // namespace snoop
