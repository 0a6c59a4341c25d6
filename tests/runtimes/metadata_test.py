# SPDX-License-Identifier: Apache-2.0
"""snoop-metadata with the real runtimes: who a container is, asked for and unasked."""

import http.server
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

from registry import Registry, root_file_system
from runtimes import Containerd, Docker, Podman, Runc, cgroup_of, run, wait_for

PROGRAM = os.environ.get("SNOOP_METADATA") or str(
    pathlib.Path(__file__).resolve().parents[2] / "build" / "dev" / "snoop-metadata")
NOBODY = "0" * 64
SLEEP = ("/bin/sleep", "600")


class Metadata:
    """The program, and what it has told so far."""

    def __init__(self, *arguments, environment=None):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KUBERNETES_")}
        self.process = subprocess.Popen([PROGRAM, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env={**kept, **(environment or {})})
        self.lines = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def ask(self, **ask):
        self.process.stdin.write(json.dumps({"ask": ask}).encode() + b"\n")
        self.process.stdin.flush()

    def told(self, kind):
        return [line[kind] for line in list(self.lines) if kind in line]

    def wait_listed(self):
        return wait_for(lambda: self.told("listed"), "the first listing")

    def wait_container(self, what, **expected):
        """The first that was told with these members; what was told instead stands in the failure."""

        def fits():
            return next((container for container in self.told("container")
                         if all(container.get(name) == value for name, value in expected.items())), None)

        try:
            return wait_for(fits, what, 15)
        except AssertionError as error:
            raise AssertionError(f"{error}: {expected}\ntold: " + "\n".join(map(json.dumps, self.lines[-30:]))) from None

    def answer(self, kind="container", **ask):
        """What comes next about who is asked for; others may be told of at any time."""
        before = len(self.lines)

        def fits(line):
            told = line.get(kind)
            return told and (told["id"] == ask["id"] if "id" in ask else ask["cgroup"].startswith(told.get("cgroup", "-")))

        self.ask(**ask)
        return wait_for(lambda: next((line[kind] for line in list(self.lines)[before:] if fits(line)), None),
                        f"a {kind} for {ask}")

    def source(self, name):
        states = [source for source in self.told("source") if source["name"] == name]
        return states[-1] if states else {}

    def resident_bytes(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
        return 0

    def close(self):
        """By the end of its input; it must be well until then."""
        self.process.stdin.close()
        status = self.process.wait(10)
        self.reader.join(10)
        self.process.stdout.close()
        return status


class Case(unittest.TestCase):
    def metadata(self, *arguments, **options):
        metadata = Metadata(*arguments, **options)

        def close():
            self.assertEqual(metadata.close(), 0, "how snoop-metadata ended")

        self.addCleanup(close)
        return metadata

    def check(self, container, **expected):
        for name, value in expected.items():
            self.assertEqual(container.get(name), value, f"{name} of {container}")


REGISTRY = None


def setUpModule():
    global REGISTRY  # pylint: disable=global-statement
    REGISTRY = Registry()


def tearDownModule():
    REGISTRY.close()


class OfContainerd(Case):
    @classmethod
    def setUpClass(cls):
        cls.containerd = Containerd(REGISTRY.image)
        cls.addClassCleanup(cls.containerd.close)
        cls.containerd.ctr("images", "pull", "--plain-http", REGISTRY.image)
        cls.containerd.ctr("images", "pull", "--plain-http", REGISTRY.image, namespace="other")
        cls.containerd.cri.pull(REGISTRY.image)

    def run_ctr(self, name, *command, namespace="default"):
        self.containerd.ctr("run", "-d", REGISTRY.image, name, *(command or SLEEP), namespace=namespace)
        if command:
            return

        def remove():
            self.containerd.ctr("tasks", "rm", "-f", name, namespace=namespace)
            self.containerd.ctr("containers", "rm", name, namespace=namespace)

        self.addCleanup(remove)

    def test_ctr(self):
        self.run_ctr("before")
        metadata = self.metadata("--runtime-socket", f"containerd:{self.containerd.socket}", "--host-root",
                                 self.containerd.root)
        metadata.wait_listed()
        before = metadata.wait_container("what ran before", id="before", state="running", source="containerd")
        self.check(before, runtime="containerd", name="before", image=REGISTRY.image, image_digest=REGISTRY.digest,
                   cgroup="/default/before", command=list(SLEEP), source="containerd", sandbox=False, observable=True)
        self.assertNotIn("pod", before)
        self.run_ctr("after")
        metadata.wait_container("what came later, unasked", id="after", state="running", cgroup="/default/after",
                                image_digest=REGISTRY.digest)
        # The same name in another namespace is another container.
        self.run_ctr("before", namespace="other")
        metadata.wait_container("the namesake", id="before", cgroup="/other/before", state="running")
        self.check(metadata.answer(cgroup="/default/before", id="before"), pid=before["pid"])
        self.check(metadata.answer(cgroup="/other/before/below"), cgroup="/other/before")
        namesake = wait_for(lambda: metadata.answer(cgroup="/other/before").get("pid"), "the namesake's process")
        self.assertNotEqual(namesake, before["pid"])
        # Gone before anybody could ask.
        self.containerd.ctr("run", "--rm", REGISTRY.image, "short", "/bin/true")
        self.check(metadata.wait_container("the short-lived one", id="short"), image=REGISTRY.image)
        # Not there (yet).
        self.check(metadata.answer("unknown", cgroup="/default/late", id="late"), id="late")
        self.run_ctr("late")
        metadata.wait_container("what was asked for too early", id="late")

    def test_image_that_was_moved(self):
        """The name of a container's image may be another image's by now: no digest is better than a wrong one."""
        self.run_ctr("old")
        time.sleep(1.1)  # times have seconds
        self.containerd.ctr("images", "label", REGISTRY.image, "moved=1")
        metadata = self.metadata("--runtime-socket", f"containerd:{self.containerd.socket}", "--list", "--host-root",
                                 self.containerd.root)
        metadata.wait_listed()
        self.assertNotIn("image_digest", metadata.wait_container("the old one", id="old"))

    def test_kubernetes(self):
        cri = self.containerd.cri
        pod = cri.pod("web-1", "5f0e-uid-1", "shop", {"app": "web"})
        first = cri.run(pod, "app", REGISTRY.image, SLEEP)
        metadata = self.metadata("--runtime-socket", f"containerd:{self.containerd.socket}", "--host-root",
                                 self.containerd.root)
        metadata.wait_listed()
        self.check(metadata.wait_container("the container", id=first, state="running", source="cri"),
                   runtime="containerd", name="app", image=REGISTRY.image, image_digest=REGISTRY.digest,
                   image_id=REGISTRY.image_id, pod="web-1", pod_uid="5f0e-uid-1", namespace="shop", restart_count=0,
                   command=list(SLEEP), sandbox=False, cgroup=f"/kubepods/besteffort/pod5f0e-uid-1/{first}")
        self.assertEqual(metadata.answer(id=first)["labels"]["app"], "web", "the pod's labels")
        self.check(metadata.wait_container("the sandbox", id=pod[0]), sandbox=True, pod="web-1")
        # A second one of the same image in the same pod, and the first once more after its end.
        second = cri.run(pod, "sidecar", REGISTRY.image, SLEEP)
        self.check(metadata.wait_container("the second", id=second, state="running", source="cri"), name="sidecar",
                   restart_count=0)
        cri.stop(first)
        again = cri.run(pod, "app", REGISTRY.image, SLEEP, attempt=1)
        self.check(metadata.wait_container("the restarted one", id=again, state="running", source="cri"), name="app",
                   restart_count=1)
        metadata.wait_container("the end of the first", id=first, state="exited")
        # Nobody calls a container "kata" who does not mean a virtual machine.
        kata = cri.pod("vm-1", "5f0e-uid-2", "shop", {}, handler="kata")
        inside = cri.run(kata, "app", REGISTRY.image, SLEEP)
        metadata.wait_container("the one in a virtual machine", id=inside, source="cri", observable=False)
        # Without its socket the files tell most.
        files = self.metadata("--runtime-socket", "none", "--host-root", self.containerd.root)
        files.wait_listed()
        self.check(files.wait_container("the container's bundle", id=second), source="oci", runtime="containerd",
                   name="sidecar", image=REGISTRY.image, pod="web-1", namespace="shop", pod_uid="5f0e-uid-1",
                   command=list(SLEEP), cgroup=f"/kubepods/besteffort/pod5f0e-uid-1/{second}", sandbox=False)
        self.check(files.wait_container("the sandbox's bundle", id=pod[0]), sandbox=True)
        third = cri.run(pod, "third", REGISTRY.image, SLEEP)
        self.check(files.answer(id=third), name="third")

    def test_claims(self):
        """A container that may make cgroups calls one as it likes."""
        cri = self.containerd.cri
        pod = cri.pod("victim", "5f0e-uid-3", "shop", {})
        victim = cri.run(pod, "app", REGISTRY.image, SLEEP)
        metadata = self.metadata("--runtime-socket", f"containerd:{self.containerd.socket}")
        metadata.wait_listed()
        metadata.wait_container("the victim", id=victim, state="running")
        for claim in (f"/default/liar/docker/{victim}", f"/anything/cri-containerd-{victim}.scope"):
            self.check(metadata.answer("unknown", cgroup=claim, id=victim), id=victim)
        # Its own cgroup, as a cgroup namespace shows it, and below it.
        own = f"/kubepods/besteffort/pod5f0e-uid-3/{victim}"
        for cgroup in (own, f"{own}/init.scope", f"/pod5f0e-uid-3/{victim}"):
            self.check(metadata.answer(cgroup=cgroup, id=victim), name="app")


class OfDocker(Case):
    @classmethod
    def setUpClass(cls):
        cls.docker = Docker()
        cls.addClassCleanup(cls.docker.close)
        cls.docker.docker("pull", REGISTRY.image)

    def start(self, *words, image=None, command=SLEEP):
        return self.docker.docker("run", "-d", "--network", "none", *words, image or REGISTRY.image, *command)

    def test_docker(self):
        first = self.start("--name", "first", "--label", "a=b", "--label", "io.kubernetes.pod.name=liar")
        arguments = ("--runtime-socket", f"docker:{self.docker.socket}", "--host-root", self.docker.root)
        metadata = self.metadata(*arguments)
        metadata.wait_listed()
        told = metadata.wait_container("the first", id=first, state="running", source="docker")
        self.check(told, runtime="docker", name="first", image=REGISTRY.image, image_digest=REGISTRY.digest,
                   image_id=REGISTRY.image_id, restart_count=0, command=list(SLEEP), sandbox=False, observable=True)
        self.assertEqual(told["cgroup"], cgroup_of(told["pid"]))
        self.assertEqual((told["labels"]["a"], told["labels"]["of"]), ("b", "image"))
        self.assertNotIn("pod", told, "a label says that; it is no label of the kubelet's")
        second = self.start("--name", "second")
        metadata.wait_container("the second, unasked", id=second, state="running", name="second",
                                image_digest=REGISTRY.digest)
        short = self.start("--rm", "--name", "short", command=["/bin/true"])
        self.check(metadata.wait_container("the short-lived one", id=short), name="short", image=REGISTRY.image)
        failing = self.start("--name", "failing", "--restart", "on-failure:1", command=["/bin/false"])
        metadata.wait_container("the restarted one", id=failing, restart_count=1)
        self.docker.docker("rename", "second", "other")
        metadata.wait_container("the new name", id=second, name="other")
        unseen = self.start("--runtime", "runsc")  # runc by that name: what it is called is what counts
        metadata.wait_container("gVisor's", id=unseen, state="running", observable=False)
        # An image that is in no registry has an id only.
        (self.docker.root / "local.tar").write_bytes(root_file_system())
        local_id = self.docker.docker("import", self.docker.root / "local.tar", "lab/local:1")
        local = self.start(image="lab/local:1")
        told = metadata.wait_container("the local image's", id=local, state="running", image_id=local_id)
        self.check(told, image="lab/local:1", image_id=local_id)
        self.assertNotIn("image_digest", told)
        self.docker.docker("rm", "-f", second)
        metadata.wait_container("the end of the second", id=second, state="exited")
        # Without its socket.
        files = self.metadata("--runtime-socket", "none", "--host-root", self.docker.root)
        files.wait_listed()
        self.check(files.wait_container("the first in Docker's files", id=first), source="oci", runtime="docker",
                   name="first", image=REGISTRY.image, image_digest=REGISTRY.digest, state="running",
                   cgroup=f"/docker/{first}")


    def test_hangs_for_a_while(self):
        container = self.start()
        metadata = self.metadata("--runtime-socket", f"docker:{self.docker.socket}", "--timeout", "0.5", "--host-root",
                                 self.docker.root)
        metadata.wait_container("the container", id=container, source="docker", state="running")
        self.docker.process.send_signal(signal.SIGSTOP)
        try:
            self.check(metadata.answer(id=container), id=container)  # what was known is still told
            self.check(metadata.answer("unknown", id=NOBODY), id=NOBODY)
            wait_for(lambda: metadata.source("docker")["state"] == "timed_out", "that Docker hangs")
        finally:
            self.docker.process.send_signal(signal.SIGCONT)
        wait_for(lambda: metadata.source("docker")["state"] == "answered", "that Docker is back")
        later = self.start()
        metadata.wait_container("one that came afterwards", id=later, source="docker", state="running")


class OfPodman(Case):
    @classmethod
    def setUpClass(cls):
        cls.podman = Podman()
        cls.addClassCleanup(cls.podman.close)
        cls.podman.podman("pull", "-q", "--tls-verify=false", "--signature-policy", cls.podman.root / "policy.json",
                          REGISTRY.image)

    def test_podman(self):
        podman = self.podman.podman
        first = podman("run", "-d", "--network", "none", "--name", "first", "--label", "a=b", REGISTRY.image, *SLEEP)
        # Its network is shared, so that it is none: with one of each container's own podman makes a bridge for the pod.
        pod = podman("pod", "create", "--name", "shop", "--label", "tier=front", "--share", "ipc,net", "--network",
                     "none", "--infra-image", REGISTRY.image, "--infra-command", "/bin/sleep 600")
        arguments = ("--runtime-socket", f"podman:{self.podman.socket}", "--host-root", self.podman.root)
        metadata = self.metadata(*arguments)
        metadata.wait_listed()
        told = metadata.wait_container("the first", id=first, state="running", source="podman")
        self.check(told, runtime="podman", name="first", image=REGISTRY.image, image_digest=REGISTRY.digest,
                   image_id=REGISTRY.image_id, restart_count=0, command=list(SLEEP), sandbox=False)
        self.assertEqual(told["cgroup"], cgroup_of(told["pid"]))
        self.assertEqual(told["labels"]["a"], "b")
        # A pod with two of the same image, unasked.
        members = [podman("run", "-d", "--pod", "shop", "--name", name, REGISTRY.image, *SLEEP)
                   for name in ("web", "log")]
        for member, name in zip(members, ("web", "log")):
            told = metadata.wait_container(name, id=member, state="running", pod="shop")
            self.check(told, name=name, pod_uid=pod, image_digest=REGISTRY.digest, sandbox=False)
            self.assertEqual(told["labels"]["tier"], "front", "the pod's labels")
        self.assertTrue([told for told in metadata.told("container") if told["sandbox"] and told["pod"] == "shop"])
        short = podman("run", "--rm", "--network", "none", "--name", "short", REGISTRY.image, "/bin/sh", "-c",
                       "cat /proc/self/cgroup")
        self.check(metadata.wait_container("the short-lived one", name="short"), image=REGISTRY.image)
        self.assertIn(next(told for told in metadata.told("container") if told.get("name") == "short")["id"], short)
        podman("restart", "-t", "0", "first")
        metadata.wait_container("the first once more", id=first, state="running",
                                pid=int(podman("inspect", "-f", "{{.State.Pid}}", "first")))
        # Without its service, which runs on few machines.
        files = self.metadata("--runtime-socket", "none", "--host-root", self.podman.root)
        files.wait_listed()
        self.check(files.wait_container("the first in the storage's files", id=first), source="oci", runtime="podman",
                   name="first", image=REGISTRY.image, image_digest=REGISTRY.digest, state="running",
                   cgroup=f"/libpod_parent/libpod-{first}", command=list(SLEEP))


class OfRunc(Case):
    def test_runc(self):
        runc = Runc(f"snoop-who-{os.getpid()}")
        self.addCleanup(runc.close)
        one = runc.run("one", {"io.kubernetes.cri.image-name": "registry/one:1"})
        metadata = self.metadata("--runtime-socket", "none")
        metadata.wait_listed()
        self.check(metadata.wait_container("the first", id=one), runtime="runc", name=one, state="running",
                   image="registry/one:1", cgroup=f"/{runc.name}/one", command=list(SLEEP), source="oci")
        # Its path tells nothing, so it is asked for by its path.
        two = runc.run("two", {})
        self.check(metadata.answer(cgroup=f"/{runc.name}/two"), id=two, cgroup=f"/{runc.name}/two")
        self.check(metadata.answer("unknown", cgroup=f"/{runc.name}/three"), cgroup=f"/{runc.name}/three")


class Impostor:
    """Listens at a unix socket, and does `serve` with each connection."""

    def __init__(self, path, serve):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen(64)
        self.serve = serve
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                self.serve(connection)
            except OSError:
                pass  # it had enough

    def close(self):
        self.socket.close()


def hang(connection):
    while connection.recv(65536):
        pass


def speak(head, body=b"", endless=b""):
    """Answers what is no HTTP, or too much of it."""

    def serve(connection):
        connection.recv(65536)
        connection.sendall(head + body)
        while endless:
            connection.sendall(endless)

    return serve


def http_head(rest=b""):
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + rest + b"\r\n"


def answer(body):
    return speak(http_head(b"Content-Length: %d\r\n" % len(body)), body)


class Faults(Case):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="sn-", dir="/tmp")
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)

    def impostor(self, name, serve):
        impostor = Impostor(self.root / name, serve)
        self.addCleanup(impostor.close)
        return impostor

    def bundle(self, name, text):
        directory = self.root / "run/containerd/io.containerd.runtime.v2.task/default" / name
        directory.mkdir(parents=True)
        (directory / "config.json").write_text(text)
        return directory

    def good_bundle(self, name="good"):
        return self.bundle(name, json.dumps({"process": {"args": ["good"]}, "linux": {"cgroupsPath": f"/default/{name}"}}))

    def test_sockets_that_harm(self):
        servers = {
            "hangs": hang,
            "random": speak(os.urandom(1 << 16)),
            "says-nothing": lambda connection: None,
            "endless-line": speak(b"HTTP/1.1 200 OK\r\nX: ", endless=b"x" * (1 << 20)),
            "endless-headers": speak(b"HTTP/1.1 200 OK\r\n", endless=b"X: y\r\n" * 100000),
            "endless-body": speak(http_head(), endless=b" " * (1 << 20)),
            "terabyte": speak(http_head(b"Content-Length: 1099511627776\r\n"), endless=b"[" * (1 << 20)),
            "deep": answer(b'{"Id":' + b"[" * 1_000_000),
            "many": answer(b"[" + b"[]," * 3_000_000 + b"[]]"),
            "another-type": answer(b'{"Id": 7, "Components": "text", "Actor": []}'),
            "null": answer(b"null"),
            "redirect": speak(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
            "http2": speak(b"\0\0\0\4\0\0\0\0\0", endless=b"\0\0\1\0\5\0\0\0\1x"),
        }
        arguments = []
        for name, serve in servers.items():
            self.impostor(name, serve)
            for kind in ("docker", "podman", "containerd"):
                arguments += ["--runtime-socket", f"{kind}:{self.root}/{name}"]
        self.good_bundle()
        begin = time.monotonic()
        metadata = self.metadata("--timeout", "1", "--host-root", self.root, *arguments)
        self.check(metadata.answer(cgroup="/default/good", id="good"), command=["good"])
        self.assertLess(time.monotonic() - begin, 5, "others must not wait for those that hang")
        metadata.wait_listed()
        states = {(source["name"], pathlib.Path(source["endpoint"]).name): source for source in metadata.told("source")
                  if source["endpoint"].startswith(str(self.root)) and source["name"] != "oci"}
        self.assertEqual(len(states), 4 * len(servers))
        for (name, server), source in states.items():
            self.assertIn(source["state"], ("failed", "timed_out"), (name, server))
            self.assertTrue(source["error"])
        for name in ("docker", "podman", "cri", "containerd"):
            self.assertEqual(states[name, "hangs"]["state"], "timed_out")
        self.assertEqual(metadata.told("container")[0]["id"], "good")
        self.check(metadata.answer("unknown", id=NOBODY), id=NOBODY)
        if os.environ.get("SNOOP_VERBOSE"):
            print(f"at most {metadata.resident_bytes() >> 20} MiB resident")
        self.assertLess(metadata.resident_bytes(), 1 << 30)

    def test_socket_that_comes_later(self):
        metadata = self.metadata("--runtime-socket", f"docker:{self.root}/later")
        metadata.wait_listed()
        self.assertEqual(metadata.source("docker")["state"], "missing")
        # As of a Docker without containers; then nobody listens there any more; then somebody does.
        impostor = self.impostor("later", answer(b"[]"))
        wait_for(lambda: metadata.source("docker")["state"] == "answered", "the late socket")
        impostor.close()
        os.unlink(self.root / "later")
        closed = socket.socket(socket.AF_UNIX)
        closed.bind(f"{self.root}/later")
        closed.close()
        metadata.ask(id=NOBODY)
        wait_for(lambda: metadata.source("docker")["state"] == "refused", "that nobody listens")

    def test_nothing_there(self):
        metadata = self.metadata("--host-root", self.root)
        metadata.wait_listed()
        self.assertEqual({source["state"] for source in metadata.told("source")}, {"missing"})
        self.assertEqual(len(metadata.told("source")), 13)
        self.check(metadata.answer("unknown", cgroup="/x", id="x"), id="x", cgroup="/x")

    def test_files_that_harm(self):
        self.good_bundle()
        (self.good_bundle("pipe") / "config.json").unlink()
        os.mkfifo(self.root / "run/containerd/io.containerd.runtime.v2.task/default/pipe/config.json")
        outside = self.good_bundle("outside") / "config.json"
        outside.unlink()
        outside.symlink_to("/etc/passwd")
        self.bundle("deep", "[" * 1_000_000)
        self.bundle("huge", '{"process": {"args": ["' + "x" * (9 << 20) + '"]}}')
        self.bundle("null", "null")
        self.bundle("types", '{"process": [], "linux": 7, "annotations": {"io.kubernetes.pod.name": {}}}')
        self.bundle("long", json.dumps({"annotations": {"io.kubernetes.pod.name": "x" * 100_000}}))
        self.bundle("latin", '{"annotations": {"io.kubernetes.pod.name": "caf\udce9"}}'.encode(
            errors="surrogateescape").decode("latin-1"))
        metadata = self.metadata("--runtime-socket", "none", "--host-root", self.root)
        metadata.wait_listed()
        told = {container["id"]: container for container in metadata.told("container")}
        self.assertEqual(set(told), {"good", "types", "long", "latin"})
        self.assertNotIn("pod", told["long"])

    def test_input_that_harms(self):
        self.good_bundle()
        metadata = self.metadata("--runtime-socket", "none", "--host-root", self.root)
        for line in (b"\xff\xfe\n", b"{}\n", b'{"ask":[]}\n', b'{"ask":{"id":7}}\n', b"[" * 50_000 + b"\n",
                     b"x" * 500_000 + b"\n", b'{"ask":{"id":"../../../etc","cgroup":"x"}}\n',
                     b'{"ask":{"id":"\\u0000"}}\n'):
            metadata.process.stdin.write(line)
        self.check(metadata.answer(id="good"), id="good")

    def test_list(self):
        self.good_bundle()
        done = run(PROGRAM, "--list", "--runtime-socket", "none", "--host-root", self.root)
        self.assertEqual(json.loads(done.splitlines()[-1]), {"listed": True})
        self.assertIn('"id":"good"', done)

    def test_wrong_options(self):
        for argument in ("docker.sock", "hello:/x", ""):
            done = subprocess.run([PROGRAM, "--runtime-socket", argument], capture_output=True, check=False,
                                  stdin=subprocess.DEVNULL)
            self.assertEqual(done.returncode, 2)
            self.assertIn(b"--runtime-socket", done.stderr)

    def test_reader_that_stops(self):
        """A reader that is gone ends it, also while it has much to say."""
        self.good_bundle()
        metadata = Metadata("--runtime-socket", "none", "--host-root", self.root)
        metadata.wait_listed()
        metadata.process.send_signal(signal.SIGSTOP)
        metadata.process.send_signal(signal.SIGCONT)
        self.assertEqual(metadata.close(), 0)


POD = {
    "kind": "Pod",
    "metadata": {"name": "web-0", "namespace": "shop", "uid": "1-2-3", "labels": {"app": "web"}},
    "spec": {"containers": [{"name": "app", "command": ["/app"], "args": ["--fast"]}, {"name": "snoop"}],
             "initContainers": [{"name": "setup"}]},
    "status": {
        "containerStatuses": [
            {"name": "app", "containerID": "containerd://" + "a" * 64, "image": "docker.io/library/app:1",
             "imageID": "docker.io/library/app@sha256:" + "1" * 64, "restartCount": 3, "state": {"running": {}}},
            {"name": "snoop", "containerID": "", "image": "snoop", "imageID": "", "restartCount": 0}],
        "initContainerStatuses": [
            {"name": "setup", "containerID": "containerd://" + "b" * 64, "image": "docker.io/library/app:1",
             "imageID": "sha256:" + "2" * 64, "restartCount": 0, "state": {"terminated": {}}}]}}


class OfKubernetes(Case):
    """The API is played by a server of the test's own, over TLS: no kube-apiserver is packaged."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="sn-", dir="/tmp")
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)
        self.authority("ca")
        key, request, certificate = self.root / "key", self.root / "request", self.root / "certificate"
        run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", "/CN=kubernetes")
        (self.root / "names").write_text("subjectAltName=IP:127.0.0.1")
        run("openssl", "x509", "-req", "-in", request, "-CA", self.root / "ca.crt", "-CAkey", self.root / "ca.key",
            "-CAcreateserial", "-out", certificate, "-days", "2", "-extfile", self.root / "names")
        (self.root / "token").write_text("the-token\n")
        (self.root / "namespace").write_text("shop")
        self.requests = []
        self.status = 200
        test = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                test.requests.append((self.path, self.headers["Authorization"]))
                self.send_response(test.status)
                body = json.dumps(POD).encode()
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

        def close():
            self.server.shutdown()
            self.server.server_close()

        self.addCleanup(close)

    def authority(self, name):
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.root / f"{name}.key", "-out",
            self.root / f"{name}.crt", "-days", "2", "-subj", f"/CN={name}")

    def ask_api(self, host="127.0.0.1"):
        return self.metadata(
            "--runtime-socket", "none", "--host-root", self.root, "--service-account", self.root,
            environment={"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT_HTTPS": str(self.server.server_port),
                         "POD_NAME": "web-0"})

    def test_own_pod(self):
        metadata = self.ask_api()
        metadata.wait_listed()
        self.check(metadata.wait_container("the application", id="a" * 64), runtime="containerd", name="app",
                   image="docker.io/library/app:1", image_digest="sha256:" + "1" * 64, pod="web-0", pod_uid="1-2-3",
                   namespace="shop", labels={"app": "web"}, restart_count=3, command=["/app", "--fast"],
                   state="running", source="kubernetes")
        told = metadata.wait_container("the init container", id="b" * 64)
        self.check(told, image_id="sha256:" + "2" * 64, state="exited")
        self.assertNotIn("image_digest", told)
        self.assertEqual(self.requests[0], ("/api/v1/namespaces/shop/pods/web-0", "Bearer the-token"))
        self.check(metadata.answer(cgroup=f"/kubepods/burstable/pod1-2-3/{'a' * 64}", id="a" * 64), name="app")

    def test_refused(self):
        self.status = 403
        metadata = self.ask_api()
        metadata.wait_listed()
        self.assertEqual(metadata.source("kubernetes")["state"], "refused")

    def test_wrong_authority(self):
        self.authority("ca")
        metadata = self.ask_api()
        metadata.wait_listed()
        self.assertEqual(metadata.source("kubernetes")["state"], "failed")
        self.assertIn("certificate", metadata.source("kubernetes")["error"])
        self.assertEqual(self.requests, [])

    def test_wrong_name(self):
        metadata = self.ask_api(host="localhost")
        metadata.wait_listed()
        self.assertEqual(metadata.source("kubernetes")["state"], "failed")
        self.assertEqual(self.requests, [], "the token must not be sent")


if __name__ == "__main__":
    unittest.main()
