#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""snoop and real containers: each file goes to the right one, which has its name, image and digest, and those that are
asked for are found, from their first process on."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import world  # noqa: E402

if __name__ == "__main__":
    world.enter()

import harness  # noqa: E402  # finds the cgroups of this world
from registry import Registry  # noqa: E402
from runtimes import Containerd, Docker, Podman, Runc, wait_for  # noqa: E402

SLEEP = ("/bin/sleep", "600")
REGISTRY = None


def setUpModule():
    global REGISTRY  # pylint: disable=global-statement
    REGISTRY = Registry()


def tearDownModule():
    REGISTRY.close()


def uses(name, then="exec sleep 600"):
    """A command that looks at a file of this name, and goes on."""
    return ("/bin/sh", "-c", f"cat /etc/x-{name}; {then}")


def looked_at(container):
    """Names of the files that commands of uses() looked at."""
    paths = [harness.unbytes(file, "path").decode() for file in container["files"]]
    return {path.removeprefix("/etc/x-") for path in paths if path.startswith("/etc/x-")}


class Case(harness.Case):
    # The arguments with which snoop finds the runtimes.
    def start_recording(self, *arguments, sockets=(), targets=("--all-containers",), **options):
        words = [word for socket in (sockets or self.sockets()) for word in ("--runtime-socket", socket)]
        return self.recorder(*targets, *words, *arguments, "--log-level", "debug", **options)

    def sockets(self):
        return ("none",)

    def wait_for_container(self, recorder, what=(), **expected):
        """The one with these members that has looked at these files."""

        def fits():
            found = [container for container in recorder.fresh_report().containers
                     if all(container.get(name) == value for name, value in expected.items()) and
                     set(what) <= looked_at(container)]
            return found[0] if found else None

        try:
            return recorder.wait_for(fits, f"a container that has {expected} and looked at {what}")
        except AssertionError as error:
            there = [{name: value for name, value in container.items()
                      if name not in ("files", "discovery", "losses", "loss_windows", "completeness")} |
                     {"looked at": sorted(looked_at(container))} for container in recorder.report().containers]
            raise AssertionError(f"{error}\nthere are: {json.dumps(there, indent=1)}"
                                 f"\nsources: {recorder.report()['capture'].get('metadata_sources')}") from None

    def check(self, container, **expected):
        for name, value in expected.items():
            self.assertEqual(container.get(name), value, f"{name} of {container['name']}")


class OfDocker(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.docker = Docker()
        cls.addClassCleanup(cls.docker.close)
        cls.docker.docker("pull", REGISTRY.image)

    def sockets(self):
        return (f"docker:{self.docker.socket}",)

    def start(self, *words, image=None, command=SLEEP, is_kept=False):
        container = self.docker.docker("run", "-d", "--network", "none", *words, image or REGISTRY.image, *command)
        if not is_kept:
            self.addCleanup(lambda: subprocess.run([*self.docker.command(), "rm", "-f", container], check=False,
                                                   capture_output=True))
        return container

    def look(self, container, name):
        self.docker.docker("exec", container, "/bin/sh", "-c", f"cat /etc/x-{name}; true")

    def test_two_of_one_image(self):
        before = self.start("--name", "before", command=uses("before", "sleep 1; cat /etc/x-again; exec sleep 600"))
        recorder = self.start_recording()
        after = self.start("--name", "after", "--label", "a=b", command=uses("after"))
        image = {"image": REGISTRY.image, "image_digest": REGISTRY.digest, "image_id": REGISTRY.image_id,
                 "runtime": "docker", "metadata_source": "docker"}
        first = self.wait_for_container(recorder, id=before, name="before", **image)
        second = self.wait_for_container(recorder, ["after"], id=after, name="after", **image)
        self.check(second, cgroup_path=f"/docker/{after}", restart_count=0, command=list(uses("after")))
        self.assertEqual(second["labels"]["a"], "b")
        self.assertNotIn("sandbox", second)
        self.assertNotIn("after", looked_at(first))
        self.assertEqual(looked_at(second), {"after"})
        report = recorder.final_report()
        self.assertTrue(report["complete"], report["losses"])
        self.assertIn({"name": "docker", "endpoint": str(self.docker.socket), "state": "answered"},
                      report["capture"]["metadata_sources"])
        # Its first process: what its runtime needed to become it is not its own, but the program is.
        [shell] = [file for file in second["files"] if file["path"] == "/bin/sh"]
        self.assertIn("exec", shell["access"])

    def test_short_lived_and_restarted(self):
        recorder = self.start_recording()
        for number in range(3):
            self.docker.docker("run", "--rm", "--network", "none", "--name", f"short-{number}", REGISTRY.image,
                               *uses(f"short-{number}", "true"))
        again = self.start("--name", "again", command=uses("again", "cat /etc/x-again-$(cat /tmp/count); echo 2 > /tmp/count"))
        self.wait_for_container(recorder, ["again"], name="again", id=again)
        recorder.wait_for(lambda: "ended_at" in self.wait_for_container(recorder, name="again"), "its end")
        self.docker.docker("start", again)
        container = self.wait_for_container(recorder, ["again-2"], name="again", id=again)
        self.assertEqual(len(container["observed"]), 2, "the same container, watched twice")
        report = recorder.final_report()
        for number in range(3):
            [short] = [one for one in report.containers if one["name"] == f"short-{number}"]
            self.assertEqual(looked_at(short), {f"short-{number}"})
            self.check(short, image=REGISTRY.image, image_digest=REGISTRY.digest)
            self.assertIn("ended_at", short)
        self.assertEqual(len(report.containers), 4)

    def test_restart_of_snoop(self):
        """It goes on with the same container, although it knows its image only later."""
        first = self.start("--name", "first", command=uses("first", "exec sleep 600"))
        recorder = self.start_recording(targets=("--container", first))
        self.look(first, "one")
        self.wait_for_container(recorder, ["one"], id=first, image=REGISTRY.image)
        recorder.stop(signal.SIGKILL)
        # Meanwhile it is another cgroup with the same path.
        self.docker.docker("restart", "-t", "0", first)
        recorder = self.start_recording("--metadata-program", "none", targets=("--container", first), sockets=("none",))
        self.look(first, "two")
        container = self.wait_for_container(recorder, ["one", "two"], id=first)
        self.check(container, image=REGISTRY.image, image_digest=REGISTRY.digest, name="first")
        self.assertEqual(len(recorder.final_report().containers), 1)

    def test_selection(self):
        self.start("--name", "old", "--label", "tier=front", command=uses("old"))
        recorders = {
            "name": self.start_recording(targets=("--container", "wanted"), report=self.scratch / "name.json"),
            "label": self.start_recording("--label", "tier=front", "--label", "app=shop", report=self.scratch / "label.json"),
            "unknown": self.start_recording("--metadata-program", "none", targets=("--container", "wanted"),
                                            report=self.scratch / "unknown.json"),
        }
        wanted = self.start("--name", "wanted", "--label", "app=shop", command=uses("wanted"))
        other = self.start("--name", "other", "--label", "tier=front", "--label", "app=shop", command=uses("other"))
        expected = {"name": wanted, "label": other}
        for kind, container in expected.items():
            recorder = recorders[kind]
            self.wait_for_container(recorder, id=container, image=REGISTRY.image)
            recorder.wait_for(lambda: "undecided_containers" not in recorder.fresh_report()["capture"], "all to be decided")  # pylint: disable=cell-var-from-loop
            self.assertEqual([one["id"] for one in recorder.report().containers], [container])
            recorder.wait_for_log("is not asked for", 2)
        # Those that are not wanted are watched no longer; new ones are, whatever they are called.
        self.docker.docker("rename", "other", "something")
        late = self.start("--name", "late", "--label", "tier=front", "--label", "app=shop", command=uses("late"))
        self.wait_for_container(recorders["label"], ["late"], id=late)
        self.look("old", "unseen")
        for kind, recorder in recorders.items():
            report = recorder.final_report()
            seen = {name for one in report.containers for name in looked_at(one)}
            self.assertEqual("unseen" in seen, kind == "unknown", kind)
        self.check(json.loads(recorders["unknown"].report_path.read_text())["capture"] | {"name": "capture"},
                   undecided_containers=4)
        self.assertEqual([one["undecided"] for one in recorders["unknown"].report().containers], [True] * 4)

    def test_by_id_without_a_runtime(self):
        recorder = self.start_recording("--metadata-program", "none", targets=("--container", "f" * 64))
        container = self.start("--name", "one", command=uses("one"))
        self.assertEqual(recorder.final_report().containers, [])
        recorder = self.start_recording("--metadata-program", "none", "--fresh", targets=("--container", container[:12]))
        self.look(container, "two")
        found = self.wait_for_container(recorder, ["two"], id=container)
        self.check(found, name=container[:12], runtime="docker", image=None, metadata_source=None)
        self.assertNotIn("metadata_sources", recorder.report()["capture"])

    def test_containers_within_a_container(self):
        """A container's own cgroups are part of it, and what it calls them is no proof."""
        victim = self.start("--name", "victim", command=uses("victim"))
        recorder = self.start_recording()
        # Its own id is not known to it, but that of the other one.
        script = ("while read -r own; do case $own in 0::*) break; esac; done < /proc/self/cgroup; own=/all${own#0::}; "
                  "cat /etc/x-before; "
                  f"for part in part docker/{victim}; do busybox mkdir -p $own/$part; echo 0 > $own/$part/cgroup.procs; "
                  "cat /etc/x-${part%/*}; done; sleep 600")
        liar = self.start("--name", "liar", "--cgroupns", "host", "-v", f"{harness.CGROUP2}:/all:rw",
                          command=("/bin/sh", "-c", script))
        container = self.wait_for_container(recorder, ["before", "part"], id=liar, name="liar")
        self.assertTrue((harness.CGROUP2 / "docker" / liar / "part").exists())
        self.assertEqual(looked_at(container) & {"docker", "victim"}, set())
        lie = self.wait_for_container(recorder, ["docker"], id=victim, cgroup_path=f"/docker/{liar}/docker/{victim}")
        self.check(lie, image=None, metadata_source=None, name=victim[:12])
        self.check(self.wait_for_container(recorder, id=victim, name="victim"), image=REGISTRY.image)
        self.assertTrue(recorder.final_report()["complete"])

    def test_list(self):
        container = self.start("--name", "listed")
        stopped = self.start("--name", "stopped", command=("/bin/true",))
        unseen = self.start("--name", "unseen", "--runtime", "runsc")  # runc by that name
        socket = self.sockets()[0]
        done = harness.snoop("containers", "--format", "json", "--runtime-socket", socket)
        self.assertEqual(done.returncode, 0, done.stderr)
        found = json.loads(done.stdout)
        by_id = {one["id"]: one for one in found["containers"]}
        self.check(by_id[container], name="listed", image=REGISTRY.image, image_digest=REGISTRY.digest, state="running",
                   observable=True, cgroup_path=f"/docker/{container}", runtime="docker")
        self.check(by_id[stopped], name="stopped", state="exited")
        self.check(by_id[unseen], observable=False)
        self.assertIn("gVisor", by_id[unseen]["not_observable"])
        self.assertIn("answered", [source["state"] for source in found["sources"]])
        table = harness.snoop("containers", "--runtime-socket", socket).stdout.decode()
        [line] = [line for line in table.splitlines() if " listed " in line]
        for part in ("docker", container[:12], REGISTRY.image, "running", "yes", f"/docker/{container}"):
            self.assertIn(part, line)
        # Nobody to ask, or nobody who answers.
        done = harness.snoop("containers", "--metadata-program", "none")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(container[:12], done.stdout.decode())
        # Who is nobody sees what cgroups are called.
        done = harness.snoop("containers", "--runtime-socket", socket, user=65534, group=65534, extra_groups=[])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(container[:12], done.stdout.decode())
        self.assertIn("refused", done.stderr.decode())
        # gVisor's files are not its container's.
        recorder = self.start_recording()
        self.assertIn("gVisor", self.wait_for_container(recorder, name="unseen")["not_observable"])

    def test_metadata_program_that_dies(self):
        recorder = self.start_recording()
        # -x: not the launcher, which is a child, too.
        helper = wait_for(lambda: subprocess.run(["pgrep", "-P", str(recorder.pid), "-x", "snoop-metadata"],
                                                 capture_output=True, check=False).stdout.split(), "snoop-metadata")
        self.assertEqual(os.getsid(int(helper[0])), int(helper[0]), "^C is not for it")
        os.kill(int(helper[0]), signal.SIGKILL)
        recorder.wait_for_log("starting it again")
        late = self.start("--name", "late", command=uses("late"))
        self.wait_for_container(recorder, ["late"], id=late, name="late", image=REGISTRY.image)
        self.assertEqual(recorder.stop(), 0)

    def test_trace(self):
        trace = self.background("trace", "--container", "traced", "--runtime-socket", self.sockets()[0], "--format", "json",
                                stdout=subprocess.PIPE)
        trace.wait_for_log("tracing")
        self.start("--name", "other", command=uses("other"))
        self.start("--name", "traced", command=uses("traced"))
        lines = []
        while not lines or lines[-1]["path"] != "/etc/x-traced":
            lines.append(json.loads(trace.process.stdout.readline()))
        self.assertEqual({line["container"] for line in lines}, {"traced"})
        self.assertEqual(trace.stop(), 0)


class OfPodman(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.podman = Podman()
        cls.addClassCleanup(cls.podman.close)
        cls.podman.podman("pull", "-q", "--tls-verify=false", "--signature-policy", cls.podman.root / "policy.json",
                          REGISTRY.image)

    def sockets(self):
        return (f"podman:{self.podman.socket}",)

    def test_pod(self):
        podman = self.podman.podman
        pods = {}
        for name in ("shop", "other"):
            pods[name] = podman("pod", "create", "--name", name, "--label", f"tier={name}", "--share", "ipc",
                                "--infra-image", REGISTRY.image, "--infra-command", "/bin/sleep 600")
        everything = self.start_recording(report=self.scratch / "all.json")
        shop = self.start_recording(targets=("--pod", "shop"), report=self.scratch / "shop.json")
        members = {}
        for pod in ("shop", "other"):
            for name in ("web", "log"):
                members[pod, name] = podman("run", "-d", "--pod", pod, "--network", "none", "--name", f"{pod}-{name}",
                                            REGISTRY.image, *uses(f"{pod}-{name}"))
        for (pod, name), member in members.items():
            container = self.wait_for_container(everything, [f"{pod}-{name}"], id=member, name=f"{pod}-{name}",
                                                image=REGISTRY.image, image_digest=REGISTRY.digest, pod_name=pod,
                                                pod_uid=pods[pod])
            self.assertEqual(looked_at(container), {f"{pod}-{name}"})
            self.assertEqual(container["labels"]["tier"], pod)
        self.assertTrue([one for one in everything.report().containers if one.get("sandbox") and one["pod_name"] == "shop"])
        self.wait_for_container(shop, ["shop-web"], name="shop-web")
        shop.wait_for(lambda: "undecided_containers" not in shop.fresh_report()["capture"], "all to be decided")
        names = {one["name"] for one in shop.report().containers if not one.get("sandbox")}
        self.assertEqual(names, {"shop-web", "shop-log"})
        # One of them once more, and one that is gone at once.
        podman("restart", "-t", "0", "shop-web")
        again = self.wait_for_container(shop, id=members["shop", "web"])
        shop.wait_for(lambda: len(self.wait_for_container(shop, id=members["shop", "web"])["observed"]) == 2, "its restart")
        self.check(again, name="shop-web")
        podman("run", "--rm", "--network", "none", "--name", "short", REGISTRY.image, *uses("short", "true"))
        # Gone before it can be looked at: podman's news tell its name and its image's.
        short = self.wait_for_container(everything, ["short"], name="short", image=REGISTRY.image)
        self.assertEqual(looked_at(short), {"short"})
        self.assertTrue(everything.final_report()["complete"])

    def test_its_runtime_answers_late(self):
        """What runc's files say of it has no name: that is no reason to let go of it."""
        socket = self.scratch / "late.sock"
        recorder = self.start_recording(targets=("--container", "late"), sockets=(f"podman:{socket}",))
        wanted = self.podman.podman("run", "-d", "--network", "none", "--name", "late", REGISTRY.image, *uses("late"))
        self.podman.podman("run", "-d", "--network", "none", "--name", "early", REGISTRY.image, *uses("early"))
        recorder.wait_for_log("it is in the report, as undecided")
        recorder.wait_for_log("there is no container 'late' yet")
        for name in ("late", "early"):
            self.check(self.wait_for_container(recorder, [name]), undecided=True)
        self.assertGreaterEqual(recorder.report()["capture"]["undecided_containers"], 2)
        socket.symlink_to(self.podman.socket)
        container = self.wait_for_container(recorder, ["late"], id=wanted, name="late")
        self.check(container, undecided=None)
        recorder.wait_for_log("is not asked for")
        report = recorder.final_report()
        self.assertEqual([one["id"] for one in report.containers], [wanted])
        self.assertNotIn("undecided_containers", report["capture"])

    def test_without_its_socket(self):
        """Its files say what it is called, but not which labels it has."""
        recorder = self.start_recording("--host-root", self.podman.root, targets=("--container", "filed"), sockets=("none",))
        label = self.start_recording("--host-root", self.podman.root, "--label", "a=b", sockets=("none",),
                                     report=self.scratch / "label.json")
        wanted = self.podman.podman("run", "-d", "--network", "none", "--name", "filed", REGISTRY.image, *uses("filed"))
        self.podman.podman("run", "-d", "--network", "none", "--name", "unlike", REGISTRY.image, *uses("unlike"))
        self.wait_for_container(recorder, ["filed"], id=wanted, name="filed", runtime="podman", undecided=None)
        recorder.wait_for_log("is not asked for")
        self.assertEqual([one["id"] for one in recorder.final_report().containers], [wanted])
        report = label.final_report()
        self.assertEqual({name for one in report.containers if one["undecided"] for name in looked_at(one)} & {"filed", "unlike"},
                         {"filed", "unlike"})

    def test_short_ones(self):
        """What ended before anybody could say what it is called is in the report all the same."""
        recorder = self.start_recording("--host-root", self.podman.root, targets=("--container", "job"), sockets=("none",))
        for number in range(5):
            self.podman.podman("run", "--rm", "--network", "none", "--name", "job", REGISTRY.image, *uses(number, "true"))
        report = recorder.final_report()
        self.assertEqual({name for one in report.containers for name in looked_at(one)}, set("01234"))
        undecided = [one for one in report.containers if "undecided" in one]
        self.assertEqual(report["capture"].get("undecided_containers", 0), len(undecided))


class OfContainerd(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.containerd = Containerd(REGISTRY.image)
        cls.addClassCleanup(cls.containerd.close)
        for namespace in ("default", "other"):
            cls.containerd.ctr("images", "pull", "--plain-http", REGISTRY.image, namespace=namespace)
        cls.containerd.cri.pull(REGISTRY.image)

    def sockets(self):
        return (f"containerd:{self.containerd.socket}",)

    def ctr_run(self, name, *command, namespace="default"):
        self.containerd.ctr("run", "-d", REGISTRY.image, name, *(command or SLEEP), namespace=namespace)
        self.addCleanup(lambda: self.ctr_remove(name, namespace))

    def ctr_remove(self, name, namespace="default"):
        for words in (("tasks", "rm", "-f", name), ("containers", "rm", name)):
            subprocess.run(["ctr", "-a", self.containerd.socket, "-n", namespace, *words], check=False, capture_output=True)

    def test_ctr(self):
        recorder = self.start_recording()
        self.ctr_run("one", *uses("one"))
        # The same name in another namespace is another container.
        self.ctr_run("one", *uses("namesake"), namespace="other")
        image = {"image": REGISTRY.image, "image_digest": REGISTRY.digest}
        one = self.wait_for_container(recorder, ["one"], name="one", cgroup_path="/default/one", runtime="containerd", **image)
        namesake = self.wait_for_container(recorder, ["namesake"], cgroup_path="/other/one", **image)
        self.assertEqual(looked_at(one), {"one"})
        self.assertEqual(looked_at(namesake), {"namesake"})
        # The name is free again: what has it then is another one, which may be of another image.
        self.ctr_remove("one")
        self.ctr_run("one", *uses("third"))
        self.wait_for_container(recorder, ["third"], cgroup_path="/default/one", **image)
        report = recorder.final_report()
        self.assertEqual(sorted(map(sorted, (looked_at(container) for container in report.containers))),
                         [["namesake"], ["one"], ["third"]])
        self.assertTrue(report["complete"], report["losses"])

    def test_kubernetes(self):
        cri = self.containerd.cri
        everything = self.start_recording(report=self.scratch / "all.json")
        shop = self.start_recording("--namespace", "shop", "--label", "app=web", report=self.scratch / "shop.json")
        pods = {}
        members = {}
        for namespace in ("shop", "bank"):
            uid = f"5f0e-{namespace}"
            pods[namespace] = cri.pod("web-1", uid, namespace, {"app": "web"})
            for name in ("app", "sidecar"):
                members[namespace, name] = cri.run(pods[namespace], name, REGISTRY.image, uses(f"{namespace}-{name}"))
        for (namespace, name), member in members.items():
            container = self.wait_for_container(
                everything, [f"{namespace}-{name}"], id=member, name=name, namespace=namespace, pod_name="web-1",
                pod_uid=f"5f0e-{namespace}", image=REGISTRY.image, image_digest=REGISTRY.digest, restart_count=0,
                cgroup_path=f"/kubepods/besteffort/pod5f0e-{namespace}/{member}")
            self.assertEqual(looked_at(container), {f"{namespace}-{name}"})
        self.wait_for_container(everything, id=pods["shop"][0], sandbox=True, namespace="shop")
        cri.stop(members["shop", "app"])
        again = cri.run(pods["shop"], "app", REGISTRY.image, uses("again"), attempt=1)
        self.wait_for_container(shop, ["again"], id=again, name="app", restart_count=1, namespace="shop")
        shop.wait_for(lambda: "undecided_containers" not in shop.fresh_report()["capture"], "all to be decided")
        names = sorted(sorted(looked_at(one)) for one in shop.report().containers if not one.get("sandbox"))
        self.assertEqual(names, [["again"], ["shop-app"], ["shop-sidecar"]])
        self.assertEqual({one["namespace"] for one in shop.report().containers}, {"shop"})
        self.assertNotIn("namespace", shop.report().json, "it chose, and is said of each")
        report = everything.final_report()
        self.assertTrue(report["complete"], report["losses"])
        # Without a selection, names all the same: of a cgroup that was named.
        named = self.recorder("--cgroup", f"/kubepods/besteffort/pod5f0e-shop/{again}", "--runtime-socket",
                              self.sockets()[0], report=self.scratch / "named.json")
        self.wait_for_container(named, id=again, name="app", pod_name="web-1", image_digest=REGISTRY.digest)

    def test_lists_without_its_socket(self):
        recorder = self.start_recording("--host-root", str(self.containerd.root), sockets=("none",))
        self.ctr_run("files", *uses("files"))
        self.wait_for_container(recorder, ["files"], name="files", metadata_source="oci")


class OfRunc(Case):
    """Its cgroups are called as it is told to: nothing tells that they are containers until it says so."""

    def test_any_path(self):
        runc = Runc(f"snoop-own-{os.getpid()}")
        self.addCleanup(runc.close)
        runc.run("before", {"io.kubernetes.cri.image-name": "registry/one:1"})
        recorder = self.start_recording()
        runc.run("after", {"io.kubernetes.cri.image-name": "registry/two:2"})
        cgroup = self.cgroup("nothing")
        self.worker(cgroup)
        after = self.wait_for_container(recorder, cgroup_path=f"/{runc.name}/after", image="registry/two:2", runtime="runc")
        self.assertIn("/bin/sleep", [file["path"] for file in after["files"]], "from its first process on")
        self.wait_for_container(recorder, cgroup_path=f"/{runc.name}/before", image="registry/one:1")
        # What nobody calls a container is let go of.
        recorder.wait_for(lambda: "undecided_containers" not in recorder.fresh_report()["capture"], "all to be decided")
        report = recorder.final_report()
        self.assertEqual([one["cgroup_path"] for one in report.containers],
                         [f"/{runc.name}/after", f"/{runc.name}/before"])


class SameName(Case):
    def test_two_runtimes(self):
        docker = Docker()
        self.addCleanup(docker.close)
        podman = Podman()
        self.addCleanup(podman.close)
        docker.docker("pull", REGISTRY.image)
        podman.podman("pull", "-q", "--tls-verify=false", "--signature-policy", podman.root / "policy.json", REGISTRY.image)
        recorder = self.start_recording(sockets=(f"docker:{docker.socket}", f"podman:{podman.socket}"))
        one = docker.docker("run", "-d", "--network", "none", "--name", "web", REGISTRY.image, *uses("docker"))
        other = podman.podman("run", "-d", "--network", "none", "--name", "web", REGISTRY.image, *uses("podman"))
        for container, runtime in ((one, "docker"), (other, "podman")):
            found = self.wait_for_container(recorder, [runtime], id=container, name="web", runtime=runtime,
                                            image_digest=REGISTRY.digest)
            self.assertEqual(looked_at(found), {runtime})


class ByPath(Case):
    """Cgroups that are called as a runtime calls them, and no runtime: what can happen between two looks of snoop."""

    def start_recording(self, *arguments, **options):
        return super().start_recording("--metadata-program", "none", *arguments, **options)

    def top(self, digit, parent=None):
        if parent is None and not (harness.CGROUP2 / "docker").exists():
            (harness.CGROUP2 / "docker").mkdir()
            self.addCleanup(lambda: harness.remove_cgroup(harness.CGROUP2 / "docker"))
        parent = parent.directory if parent else harness.CGROUP2 / "docker"
        cgroup = harness.Cgroup.__new__(harness.Cgroup)
        cgroup.directory = parent / f"{digit:064x}"
        cgroup.directory.mkdir()
        return cgroup

    def test_cgroups_within_a_container_at_once(self):
        """Its first process makes cgroups and goes from one to the next, long before snoop can know of them."""
        recorder = self.start_recording()
        cgroup = self.top(1)
        script = ("for i in $(seq 300); do mkdir $0/part-$i $0/part-$i/deep; echo 0 > $0/part-$i/deep/cgroup.procs; "
                  "[ -e /etc/x-$i ]; done; echo 0 > $0/cgroup.procs; rmdir $0/part-*/deep $0/part-*")
        cgroup.run(["/bin/sh", "-c", script, str(cgroup.directory)])
        self.wait_for_container(recorder, ["300"], cgroup_path=cgroup.path)
        report = recorder.final_report()
        self.assertEqual(looked_at(report.container()), {str(number) for number in range(1, 301)})
        self.assertTrue(report["complete"], report["losses"])
        self.assertGreater(report["total_events"], 900)

    def test_many_at_once_and_gone(self):
        recorder = self.start_recording()
        script = ("for i in $(seq 0 199); do d=$(printf %s/docker/%064x $0 $i); mkdir $d; "
                  "(echo 0 > $d/cgroup.procs; [ -e /etc/x-$i ]); rmdir $d; done")
        self.top(999).directory.rmdir()
        subprocess.run(["/bin/sh", "-c", script, str(harness.CGROUP2)], check=True)
        report = recorder.final_report()
        self.assertTrue(report["complete"], report["losses"])
        found = {one["id"]: looked_at(one) for one in report.containers if int(one["id"], 16) != 999}
        self.assertEqual(found, {f"{number:064x}": {str(number)} for number in range(200)})

    def test_undecided(self):
        """What is called as a container is in doubt, other cgroups are not, and what is kept of it has a limit."""
        recorder = self.start_recording(targets=("--container", "wanted"))
        self.cgroup("plain").run(["/bin/sh", "-c", "[ -e /etc/x-plain ]; true"])
        self.top(999).run(["/bin/sh", "-c", "[ -e /etc/x-999 ]; true"])
        report = recorder.fresh_report()
        self.assertEqual(report["capture"]["undecided_containers"], 1)
        [container] = recorder.wait_for(lambda: recorder.fresh_report().containers, "the undecided one")
        self.assertTrue(container["undecided"])
        self.assertEqual(looked_at(container), {"999"})
        recorder.wait_for_log("nobody has said whether")
        script = ("for i in $(seq 1100); do d=$(printf %s/docker/%064x $0 $i); mkdir $d; "
                  "(echo 0 > $d/cgroup.procs; [ -e /etc/x-$i ]); rmdir $d; done")
        (harness.CGROUP2 / "docker" / f"{999:064x}").rmdir()
        subprocess.run(["/bin/sh", "-c", script, str(harness.CGROUP2)], check=True)
        report = recorder.final_report()
        kept = len(report.containers)
        self.assertTrue(900 <= kept <= 1000, kept)
        self.assertEqual(report["capture"]["undecided_containers"], kept)
        self.assertFalse(report["complete"])
        self.assertGreaterEqual(report["losses"]["targets_over_limit"], 1100 - kept)
        self.assertIn(f"; of {kept} more nobody has said whether they are asked for", recorder.log)

    def test_a_flood_of_cgroups(self):
        """More than there are targets for: they are the container's all the same, and the others' lists are whole."""
        recorder = self.start_recording()
        flood, other = self.top(1), self.top(2)
        script = ("for i in $(seq 2500); do mkdir $0/p$i; done; for i in 1 1250 2500; do echo 0 > $0/p$i/cgroup.procs; "
                  "[ -e /etc/x-$i ]; done; echo 0 > $0/cgroup.procs")
        worker = self.worker(other)
        flood.run(["/bin/sh", "-c", script, str(flood.directory)])
        files = self.make_files(50)
        self.assertEqual(worker.open(files), 50)
        late = self.top(3)
        self.worker(late).open(files[:1])
        report = recorder.fresh_report()
        self.assertEqual(looked_at(report.container(flood)), {"1", "1250", "2500"})
        self.assertLessEqual(set(files), report.opened(other))
        # One that came when no target was left may be found a little later.
        recorder.wait_for(lambda: recorder.fresh_report() and late.id in
                          {one["cgroup_id"] for one in recorder.report().containers}, "the late container")
        subprocess.run(["/bin/sh", "-c", f"rmdir {flood.directory}/p*"], check=True)

    def test_a_record_that_is_lost(self):
        """Without the word of its cgroup, an access says where it comes from."""
        recorder = self.start_recording("--ring-size", "4096")
        loud = self.top(1)
        files = self.make_files(3000)
        # While nobody empties the ring.
        recorder.send(signal.SIGSTOP)
        self.worker(loud).open(files)
        quiet = [self.top(number) for number in range(2, 30)]
        workers = [self.worker(cgroup) for cgroup in quiet]
        recorder.send(signal.SIGCONT)
        for number, worker in enumerate(workers):
            worker.open(files[number:number + 1])
        recorder.wait_for_log("since its record was lost")
        for number, (cgroup, worker) in enumerate(zip(quiet, workers)):

            def is_there():
                # What is lost is not remembered: the next use brings it in.
                worker.open(files[number:number + 1])  # pylint: disable=cell-var-from-loop
                return {harness.unbytes(file, "path") for container in recorder.fresh_report()["containers"]
                        if container["cgroup_path"] == cgroup.path  # pylint: disable=cell-var-from-loop
                        for file in container["files"]} & set(files)

            self.assertEqual(recorder.wait_for(is_there, f"the file of {cgroup.path}"), {files[number]})
            self.assertEqual(recorder.report().container(cgroup)["cgroup_path"], cgroup.path)

    def test_its_own_container_is_left_out(self):
        own, other = self.top(1), self.top(2)
        recorder = self.start_recording(popen=lambda argv, **options: own.popen(argv, **options))
        inner = self.top(3, own)
        for cgroup, name in ((own, "own"), (other, "other"), (inner, "inner"), (self.cgroup("part", own), "part")):
            cgroup.run(["/bin/sh", "-c", f"[ -e /etc/x-{name} ]; true"])
        report = recorder.final_report()
        self.assertEqual({one["cgroup_path"]: looked_at(one) for one in report.containers},
                         {other.path: {"other"}, inner.path: {"inner"}})

    def test_ten_thousand_directories(self):
        cgroup = self.top(1)
        inside = self.cgroup("tree")
        subprocess.run(["/bin/sh", "-c", "for i in $(seq 100); do mkdir $0/$i; (cd $0/$i; mkdir $(seq 100)); done",
                        str(inside.directory)], check=True)
        began = time.monotonic()
        recorder = self.start_recording()
        print(f"ready after {time.monotonic() - began:.1f} s", file=sys.stderr)
        [file] = self.make_files(1)
        self.worker(cgroup).open([file])
        self.assertIn(file, recorder.final_report().opened(cgroup))
        subprocess.run(["/bin/sh", "-c", "rmdir $0/*/*/ $0/*/", str(inside.directory)], check=True)


class Nested(Case):
    """As in kind: a container in which a runtime makes containers, in a cgroup namespace of its own."""

    def test_node(self):
        node = "4" * 64
        top = harness.CGROUP2 / "docker" / node
        top.mkdir(parents=True)
        self.addCleanup(lambda: harness.remove_cgroup(harness.CGROUP2 / "docker"))
        containerd = Containerd(REGISTRY.image, inside=top)
        self.addCleanup(containerd.close)
        containerd.ctr("images", "pull", "--plain-http", REGISTRY.image)
        containerd.cri.pull(REGISTRY.image)
        recorder = self.start_recording(sockets=(f"containerd:{containerd.socket}",))
        pod = containerd.cri.pod("web-1", "5f0e-nested", "shop", {"app": "web"})
        app = containerd.cri.run(pod, "app", REGISTRY.image, uses("app"))
        containerd.ctr("run", "-d", REGISTRY.image, "ctr", *uses("ctr"))
        path = f"/docker/{node}"
        container = self.wait_for_container(recorder, ["app"], id=app, name="app", pod_name="web-1",
                                            image_digest=REGISTRY.digest,
                                            cgroup_path=f"{path}/kubepods/besteffort/pod5f0e-nested/{app}")
        self.assertEqual(looked_at(container), {"app"})
        other = self.wait_for_container(recorder, ["ctr"], name="ctr", cgroup_path=f"{path}/default/ctr")
        self.assertEqual(looked_at(other), {"ctr"})
        around = self.wait_for_container(recorder, id=node, cgroup_path=path)
        self.assertEqual(looked_at(around) & {"app", "ctr"}, set())
        self.assertTrue(recorder.final_report()["complete"])


if __name__ == "__main__":
    harness.main()
