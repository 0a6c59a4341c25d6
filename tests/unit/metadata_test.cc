// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "metadata/container.h"
#include "metadata/docker.h"
#include "metadata/host.h"
#include "metadata/json.h"
#include "metadata/kubernetes.h"
#include "metadata/lines.h"
#include "metadata/oci_config.h"
#include "metadata/oci_source.h"
#include "metadata/options.h"
#include "metadata/store.h"

namespace snoop::metadata {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

const std::string kId(64, 'a');
const std::string kOtherId(64, 'b');
const std::string kDigest = "sha256:" + std::string(64, '1');
const std::string kOtherDigest = "sha256:" + std::string(64, '2');

Container container(const std::string& id, const std::string& cgroup = {}) {
  Container result;
  result.id = id;
  result.cgroup = cgroup;
  return result;
}

Ask ask(const std::string& cgroup, const std::string& id = {}) { return {.cgroup = cgroup, .id = id, .pid = 0}; }

TEST(Digests, AreWhatCanBePulled) {
  EXPECT_EQ(digest_part("registry/app@" + kDigest), kDigest);
  EXPECT_EQ(digest_part(kDigest), kDigest);
  EXPECT_EQ(digest_part("registry/app:1"), "");
  EXPECT_EQ(digest_part("sha256:12"), "");
  EXPECT_EQ(digest_part("app@sha256:" + std::string(64, 'G')), "");
  EXPECT_EQ(image_id_of(kDigest), kDigest);
  EXPECT_EQ(image_id_of(std::string(64, '1')), kDigest);
  EXPECT_EQ(image_id_of("app@" + kDigest), "") << "no id, but a digest";
  EXPECT_EQ(image_id_of("app:1"), "");

  // An image may have come from two repositories.
  const std::vector<std::string> both = {"mirror:5000/app@" + kOtherDigest, "docker.io/library/nginx@" + kDigest};
  EXPECT_EQ(choose_digest(both, "nginx:1.25"), kDigest);
  EXPECT_EQ(choose_digest(both, "docker.io/library/nginx"), kDigest);
  EXPECT_EQ(choose_digest(both, "mirror:5000/app:latest"), kOtherDigest);
  EXPECT_EQ(choose_digest(both, "retagged:1"), kOtherDigest) << "the first";
  EXPECT_EQ(choose_digest({"nginx:1"}, "nginx:1"), "");
}

TEST(Observable, ByTheRuntimesName) {
  for (const char* name : {"runsc", "gvisor", "io.containerd.runsc.v1", "kata-qemu", "io.containerd.kata.v2", "Kata",
                           "aws.firecracker", "krun"}) {
    EXPECT_NE(why_not_observable(name), "") << name;
  }
  for (const char* name : {"", "runc", "crun", "io.containerd.runc.v2", "youki"}) {
    EXPECT_EQ(why_not_observable(name), "") << name;
  }
}

TEST(FindCgroup, TakesWhatIsTheContainers) {
  const std::string hybrid = "5:memory:/docker/" + kId + "\n1:name=systemd:/other\n0::/docker/" + kId + "/init\n";
  EXPECT_EQ(find_cgroup(hybrid, kId, ""), "/docker/" + kId);
  EXPECT_EQ(find_cgroup(hybrid, kOtherId, ""), "") << "the process id is another's by now";
  EXPECT_EQ(find_cgroup("0::/mine/one/below\n", "x", "/mine/one"), "/mine/one");
  EXPECT_EQ(find_cgroup("0::/mine/oneandhalf\n", "x", "/mine/one"), "");
  EXPECT_EQ(find_cgroup("0::/user.slice/c1\n", "c1", ""), "/user.slice/c1");
  EXPECT_EQ(find_cgroup("0::/machine.slice/libpod-" + kId + ".scope/container\n", kId, "machine.slice:libpod:" + kId),
            "/machine.slice/libpod-" + kId + ".scope");
  // The one around is found within.
  EXPECT_EQ(find_cgroup("0::/docker/" + kOtherId + "/docker/" + kId + "\n", kOtherId, ""), "/docker/" + kOtherId);
  EXPECT_EQ(find_cgroup("0::/\n", kId, ""), "");
  EXPECT_EQ(find_cgroup("7:pids:/docker/" + kId + "\n0::/\n", kId, ""), "/docker/" + kId);
  EXPECT_EQ(find_cgroup("nonsense\n:\n\n::\n", kId, ""), "");
}

TEST(Json, HasLimits) {
  EXPECT_TRUE(Json::parse("[{\"a\": [1, null, \"\\u0000\"]}]"));
  EXPECT_FALSE(Json::parse(""));
  EXPECT_FALSE(Json::parse("[1"));
  EXPECT_FALSE(Json::parse(std::string(1'000'000, '[')));
  EXPECT_FALSE(Json::parse(std::string(100, '[') + std::string(100, ']')));
  EXPECT_TRUE(Json::parse(std::string(50, '[') + std::string(50, ']')));
  std::string many = "[0";
  for (int i = 0; i < 2'000'001; i++) {
    many += ",0";
  }
  EXPECT_FALSE(Json::parse(many + "]"));
}

TEST(Lines, AsksAreRead) {
  const std::optional<Ask> read = parse_ask(R"({"ask":{"cgroup":"/a","id":"x","pid":7}})");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->cgroup, "/a");
  EXPECT_EQ(read->id, "x");
  EXPECT_EQ(read->pid, 7);
  EXPECT_EQ(parse_ask(R"({"ask":{"cgroup":"\ufffd","cgroup_base64":"L/8="}})")->cgroup, "/\xff");
  EXPECT_EQ(parse_ask(R"({"ask":{"id":"x","pid":-1}})")->pid, 0);
  EXPECT_EQ(parse_ask(R"({"ask":{"id":"x","pid":99999999999}})")->pid, 0);
  for (const char* line : {"", "{}", "[]", R"({"ask":{}})", R"({"ask":[]})", R"({"ask":{"id":1}})", R"({"ask":)"}) {
    EXPECT_FALSE(parse_ask(line)) << line;
  }
}

TEST(Lines, TellOnlyWhatIsKnown) {
  EXPECT_EQ(container_line(container("x"), "oci"),
            R"({"container":{"id":"x","sandbox":false,"observable":true,"source":"oci","settled":[]}})"
            "\n");
  Container bytes = container("x\xff");
  bytes.labels["\xfe"] = "\n";
  bytes.command = {"\x80"};
  EXPECT_THAT(container_line(bytes, "oci"), AllOf(HasSubstr(R"("id_base64":"eP8=")"), HasSubstr("\\n")));
  EXPECT_EQ(source_line("docker", "/s", {SourceState::Kind::kTimedOut, "slow"}),
            R"({"source":{"name":"docker","endpoint":"/s","state":"timed_out","error":"slow"}})"
            "\n");
  EXPECT_EQ(unknown_line(ask("/a")), "{\"unknown\":{\"cgroup\":\"/a\"}}\n");
}

TEST(Lines, TellWhatIsSettled) {
  Container one = container("x");
  one.settled = {.name = true, .pod = false, .labels = true};
  EXPECT_THAT(container_line(one, "oci"), HasSubstr(R"("settled":["name","labels"])"));
}

TEST(OciConfigs, AreRead) {
  const std::optional<OciConfig> config = parse_oci_config(R"({
    "process": {"args": ["/app", "-x", 7]}, "linux": {"cgroupsPath": "/c"},
    "annotations": {"io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.container-type": "container",
                    "io.kubernetes.cri.sandbox-name": "pod", "io.kubernetes.cri.sandbox-namespace": "ns", "n": 1}})");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->cgroups_path, "/c");
  Container of;
  config->fill(of);
  EXPECT_THAT(of.command, ElementsAre("/app", "-x"));
  EXPECT_EQ(of.name, "app");
  EXPECT_EQ(of.pod, "pod");
  EXPECT_EQ(of.ns, "ns");
  EXPECT_FALSE(of.sandbox);
  EXPECT_TRUE(parse_oci_config("{}"));
  EXPECT_FALSE(parse_oci_config("7"));

  const std::optional<RuncState> state = parse_runc_state(
      R"({"id":"c1","init_process_pid":7,"config":{"labels":["a=b","bundle=/b"],"cgroups":{"path":"/mine/c1"}}})");
  ASSERT_TRUE(state);
  EXPECT_EQ(state->container.id, "c1");
  EXPECT_EQ(state->container.pid, 7);
  EXPECT_EQ(state->bundle, "/b");
  EXPECT_EQ(state->cgroups_path, "/mine/c1");
}

TEST(OciConfigs, OfCrio) {
  const std::vector<Container> found =
      parse_storage_containers(R"([
    {"id":"one","image":")" + std::string(64, '1') +
                               R"(","names":["k8s_app_web_shop_uid_2"],
     "metadata":"{\"pod-name\":\"web\",\"pod-id\":\"two\",\"image-name\":\"app:1\",\"metadata-name\":\"app\",)"
                               R"(\"uid\":\"u\",\"namespace\":\"shop\",\"attempt\":2}"},
    {"id":"two","names":["k8s_POD_web"],"metadata":"{\"pod-name\":\"web\",\"pod-id\":\"two\"}"},
    {"id":"three","metadata":"["}, {"names":["nobody"]}, 7])");
  ASSERT_THAT(found, SizeIs(3));
  EXPECT_EQ(found[0].runtime, "cri-o");
  EXPECT_EQ(found[0].name, "app");
  EXPECT_EQ(found[0].image, "app:1");
  EXPECT_EQ(found[0].image_id, kDigest);
  EXPECT_EQ(found[0].pod, "web");
  EXPECT_EQ(found[0].pod_uid, "u");
  EXPECT_EQ(found[0].ns, "shop");
  EXPECT_EQ(found[0].restart_count, 2);
  EXPECT_FALSE(found[0].sandbox);
  EXPECT_TRUE(found[1].sandbox);
  EXPECT_EQ(found[2].id, "three");
}

TEST(Answers, OfAnotherShape) {
  for (const char* text : {"{}", "[]", "7", R"({"Id":7,"Config":[],"State":{"Pid":-1},"Args":{},"Name":[]})",
                           R"({"status":{"containerStatuses":[7,{},{"containerID":"://"}]},"metadata":7})"}) {
    const std::optional<Json> json = Json::parse(text);
    ASSERT_TRUE(json) << text;
    EXPECT_EQ(docker_container(json->root()).pid, 0);
    EXPECT_EQ(podman_container(json->root()).id, "");
    EXPECT_EQ(event_container(text).id, "");
    (void)pod_containers(json->root());
    (void)parse_docker_config(text);
    (void)parse_runc_state(text);
    (void)parse_storage_containers(text);
  }
}

TEST(Stores, PutTogetherInOrderOfTrust) {
  Store store;
  Container files = container(kId, "/docker/" + kId);
  files.name = "from files";
  files.image = "image";
  EXPECT_THAT(store.put(Rank::kOci, "oci", "/", files), HasSubstr("from files"));
  EXPECT_EQ(store.put(Rank::kOci, "oci", "/", files), "") << "no news";
  Container api = container(kId);
  api.name = "from the api";
  EXPECT_THAT(store.put(Rank::kDocker, "docker", "/s", api),
              AllOf(HasSubstr("from the api"), HasSubstr(R"("image":"image")"), HasSubstr(R"("source":"docker")"),
                    Not(HasSubstr("from files"))));
  // The path tells the rest.
  const std::string pod = "/kubepods/burstable/pod57e67067-89e4-4001-bdd4-8632d39ea02b/crio-" + kOtherId;
  EXPECT_THAT(store.put(Rank::kOci, "oci", "/", container(kOtherId, pod)),
              AllOf(HasSubstr("cri-o"), HasSubstr("57e67067")));
}

TEST(Stores, RememberWhatIsGone) {
  Store store;
  Container running = container(kId, "/docker/" + kId);
  running.state = "running";
  running.pid = 7;
  (void)store.replace(Rank::kDocker, "docker", "/s", {running});
  EXPECT_THAT(store.find(ask("/docker/" + kId)), HasSubstr(R"("pid":7)"));
  EXPECT_EQ(store.replace(Rank::kDocker, "docker", "/another", {}), "") << "of another socket";
  EXPECT_THAT(store.replace(Rank::kDocker, "docker", "/s", {}), AllOf(HasSubstr("removed"), Not(HasSubstr("pid"))));
  EXPECT_THAT(store.find(ask("/docker/" + kId)), HasSubstr("removed"));
  EXPECT_EQ(store.replace(Rank::kDocker, "docker", "/s", {}), "");
}

TEST(Stores, NewsTellLess) {
  Store store;
  Container known = container(kId);
  known.image = "image";
  known.pid = 7;
  known.state = "running";
  (void)store.put(Rank::kDocker, "docker", "/s", known);
  Container news = container(kId);
  news.state = "exited";
  EXPECT_THAT(store.put(Rank::kDocker, "docker", "/s", news, true),
              AllOf(HasSubstr("exited"), HasSubstr("image"), Not(HasSubstr("pid"))));
}

TEST(Stores, AreSettledByWhoeverKnows) {
  Store store;
  EXPECT_THAT(store.put(Rank::kOci, "oci", "/", container(kId)), HasSubstr(R"("settled":[])"));
  Container known = container(kId);
  known.settled = kAllSettled;
  EXPECT_THAT(store.put(Rank::kPodman, "podman", "/s", known), HasSubstr(R"("settled":["name","pod","labels"])"));
  const auto stored =
      parse_storage_containers(R"([{"id":")" + kId + R"(","names":["web"],"metadata":"{}"},{"id":"x"}])");
  ASSERT_THAT(stored, SizeIs(2));
  EXPECT_EQ(stored[0].settled, (Settled{.name = true, .pod = false, .labels = false}));
  EXPECT_EQ(stored[1].settled, Settled());
}

TEST(Stores, FindByCgroupFirst) {
  Store store;
  Container one = container("c1", "/default/c1");
  one.scope = "containerd/default";
  one.image = "one";
  Container other = container("c1", "/other/c1");
  other.scope = "containerd/other";
  other.image = "two";
  (void)store.put(Rank::kContainerd, "containerd", "/s", one);
  (void)store.put(Rank::kContainerd, "containerd", "/s", other);
  EXPECT_EQ(store.size(), 2);
  EXPECT_THAT(store.find(ask("/default/c1", "c1")), HasSubstr("one"));
  EXPECT_THAT(store.find(ask("/other/c1", "c1")), HasSubstr("two"));
  EXPECT_THAT(store.find(ask("/other/c1/below")), HasSubstr("two"));
  EXPECT_EQ(store.find(ask("", "c1")), "") << "there are two";
  EXPECT_EQ(store.find(ask("/third/c1", "c1")), "");
  EXPECT_EQ(store.find(ask("/")), "");
}

TEST(Stores, BelieveNoClaims) {
  Store store;
  (void)store.put(Rank::kDocker, "docker", "/s", container(kId, "/docker/" + kId));
  EXPECT_NE(store.find(ask("/docker/" + kId + "/below", kId)), "");
  EXPECT_NE(store.find(ask("/" + kId, kId)), "") << "the same, seen from within a cgroup namespace";
  EXPECT_EQ(store.find(ask("/liar/docker/" + kId, kId)), "");
  EXPECT_EQ(store.find(ask("/docker/" + kId + "/docker/" + kOtherId, kOtherId)), "") << "another one within";
  // Not known where it is: there is nothing to compare.
  (void)store.put(Rank::kDocker, "docker", "/s", container(kOtherId));
  EXPECT_NE(store.find(ask("/docker/" + kOtherId, kOtherId)), "");
}

TEST(Stores, AreBounded) {
  Store store(100);
  for (int i = 0; i < 1000; i++) {
    (void)store.put(Rank::kOci, "oci", "/", container("c" + std::to_string(i), "/c/" + std::to_string(i)));
    EXPECT_LE(store.size(), 101);
  }
  EXPECT_NE(store.find(ask("/c/999")), "");
  EXPECT_EQ(store.find(ask("/c/0")), "");
}

TEST(Containers, AreLimited) {
  Container large = container("x");
  large.name = std::string(1 << 20, 'n');
  large.image = "image";
  large.command = {std::string(1 << 20, 'c')};
  for (int i = 0; i < 10'000; i++) {
    large.labels["label" + std::to_string(i)] = std::string(100, 'v');
  }
  large.limit();
  EXPECT_EQ(large.name, "");
  EXPECT_EQ(large.image, "image");
  EXPECT_THAT(large.command, IsEmpty());
  EXPECT_LE(large.labels.size(), 512);
}

TEST(Options, Sockets) {
  using Kind = RuntimeSocket::Kind;
  const auto kinds = [](const std::string& text) {
    std::vector<Kind> result;
    for (const RuntimeSocket& socket : parse_socket(text)) {
      result.push_back(socket.kind);
    }
    return result;
  };
  EXPECT_THAT(kinds("/run/containerd/containerd.sock"), ElementsAre(Kind::kCri, Kind::kContainerd));
  EXPECT_THAT(kinds("/run/docker.sock"), ElementsAre(Kind::kDocker));
  EXPECT_THAT(kinds("/run/podman/podman.sock"), ElementsAre(Kind::kPodman));
  EXPECT_THAT(kinds("/run/crio/crio.sock"), ElementsAre(Kind::kCri));
  EXPECT_THAT(kinds("/run/cri-dockerd.sock"), ElementsAre(Kind::kCri));
  EXPECT_THAT(kinds("podman:/run/docker.sock"), ElementsAre(Kind::kPodman));
  EXPECT_EQ(parse_socket("docker:/a:b").front().path, "/a:b");
  EXPECT_TRUE(parse_socket("/tmp/x.sock").front().is_guess);
  EXPECT_FALSE(parse_socket("/run/crio/crio.sock").front().is_guess);
  EXPECT_FALSE(parse_socket("cri:/tmp/x.sock").front().is_guess);
  for (const char* text : {"", ":", "docker.sock", "docker:", "docker:x", "nothing:/x"}) {
    EXPECT_THAT(parse_socket(text), IsEmpty()) << text;
  }
}

}  // namespace
}  // namespace snoop::metadata
