#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""scripts/find-cgroup.sh on this machine's processes, cgroups and, where it is installed, podman."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "find-cgroup.sh"
CONTAINER_ID = "5a" * 32
NO_PROCESS = str(2**22 + 1)  # above the highest pid_max


def mounts_of(fs_type):
    fields = [line.split() for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    return [pathlib.Path(field[1]) for field in fields if field[2] == fs_type]


def remove_cgroups(name):
    """Ends what is in the cgroups called name, in every hierarchy, and removes them."""
    deadline = time.monotonic() + 5
    for mount in mounts_of("cgroup2") + mounts_of("cgroup"):
        top = mount / name
        while top.exists():
            for directory, _, _ in os.walk(top, topdown=False):
                try:
                    for pid in pathlib.Path(directory, "cgroup.procs").read_text().split():
                        os.kill(int(pid), signal.SIGKILL)
                    os.rmdir(directory)
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)


def writable_cgroup2():
    for mount in mounts_of("cgroup2"):
        if os.access(mount / "cgroup.procs", os.W_OK):
            return mount
    return None


CGROUP2 = writable_cgroup2()


class Case(unittest.TestCase):
    def setUp(self):
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="snoop-find-cgroup-"))
        self.addCleanup(shutil.rmtree, self.scratch)
        self.path = os.environ["PATH"]

    def find(self, *args):
        return subprocess.run([SCRIPT, *args], env={**os.environ, "PATH": self.path}, text=True, timeout=15,
                              stdin=subprocess.DEVNULL, capture_output=True)

    def assert_found(self, result, directory):
        self.assertEqual((result.returncode, result.stdout), (0, f"{directory}\n"), result.stderr)

    def assert_refused(self, result, code, reason):
        self.assertEqual((result.returncode, result.stdout), (code, ""), result.stderr)
        self.assertIn(reason, result.stderr)

    def process(self):
        child = subprocess.Popen(["sleep", "60"])
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        return child.pid

    def process_in(self, *below):
        """A process in a new cgroup of this test, with the directories below: (pid, the test's directory)."""
        if CGROUP2 is None:
            self.skipTest("no cgroup2 mount that this user may write to")
        name = f"snoop-find-cgroup-{os.getpid()}"
        directory = CGROUP2.joinpath(name, *below)
        self.addCleanup(remove_cgroups, name)
        directory.mkdir(parents=True)
        pid = self.process()
        (directory / "cgroup.procs").write_text(str(pid))
        return str(pid), CGROUP2 / name

    def only_runtimes(self, **answers):
        """Leaves these runtimes in PATH, each a stand-in that gives its answer, and no others."""
        for tool in ("sh", "cat", "find", "grep", "sed", "sort", "awk"):
            os.symlink(shutil.which(tool), self.scratch / tool)
        for name, answer in answers.items():
            program = self.scratch / name
            program.write_text(f"#!/bin/sh\n{answer}\n")
            program.chmod(0o755)
        self.path = str(self.scratch)


class Usage(Case):
    def test_help_has_examples(self):
        result = self.find("--help")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("snoop record --cgroup", result.stdout)

    def test_wrong_usage(self):
        for args in ([], ["docker"], ["a", "b"], ["docker", "web", "more"], ["--unknown"], [""], ["../web"],
                     ["docker", "--all"], ["docker", 'x" || "y']):
            with self.subTest(args=args):
                self.assert_refused(self.find(*args), 2, "--help")


class Processes(Case):
    def test_own_cgroup(self):
        pid, directory = self.process_in("a b")
        self.assert_found(self.find(pid), directory / "a b")

    def test_container_of_a_process_below_it(self):
        pid, directory = self.process_in(f"libpod-{CONTAINER_ID}.scope", "container")
        self.assert_found(self.find(pid), directory / f"libpod-{CONTAINER_ID}.scope")

    def test_innermost_container(self):
        pid, directory = self.process_in(f"libpod-{'b1' * 32}", "container", "docker", CONTAINER_ID)
        self.assert_found(self.find(pid), directory / f"libpod-{'b1' * 32}" / "container" / "docker" / CONTAINER_ID)

    def test_missing_process(self):
        self.assert_refused(self.find(NO_PROCESS), 1, "does not exist")

    def test_process_without_cgroup2_of_its_own(self):
        if CGROUP2 is None:
            self.skipTest("no cgroup2 mount that this user may write to")
        if (CGROUP2 / "cgroup.type").exists():
            self.skipTest(f"{CGROUP2} is not the root of the cgroup2 hierarchy")
        pid = str(self.process())
        (CGROUP2 / "cgroup.procs").write_text(pid)
        for mount in mounts_of("cgroup"):
            (mount / "cgroup.procs").write_text(pid)
        self.assert_refused(self.find(pid), 1, "no cgroup of its own")

    def process_in_version1(self, *below):
        """A process that is in a cgroup of its own in one hierarchy of version 1 only."""
        mounts = mounts_of("cgroup")
        chosen = [mount for mount in mounts if mount.name in ("pids", "devices", "freezer", "blkio")]
        if not chosen or not os.access(chosen[0] / "cgroup.procs", os.W_OK) or \
                CGROUP2 is not None and (CGROUP2 / "cgroup.type").exists():
            self.skipTest("no version 1 hierarchy with a usual controller that this user may write to")
        name = f"snoop-find-cgroup-{os.getpid()}"
        directory = chosen[0].joinpath(name, *below)
        self.addCleanup(remove_cgroups, name)
        directory.mkdir(parents=True)
        pid = self.process()
        for mount in mounts + ([CGROUP2] if CGROUP2 else []):
            (mount / "cgroup.procs").write_text(str(pid))
        (directory / "cgroup.procs").write_text(str(pid))
        return str(pid), chosen[0] / name

    def test_version1_alone(self):
        pid, directory = self.process_in_version1("a b")
        self.assert_found(self.find(pid), directory / "a b")

    def test_version1_container(self):
        pid, directory = self.process_in_version1("docker", CONTAINER_ID, "below")
        self.assert_found(self.find(pid), directory / "docker" / CONTAINER_ID)
        self.only_runtimes(docker=f"echo {pid} {CONTAINER_ID}")
        self.assert_found(self.find("docker", "web"), directory / "docker" / CONTAINER_ID)

    def test_process_outside_the_cgroup_namespace(self):
        pid, directory = self.process_in("outside")
        inside = directory / "inside"
        inside.mkdir()
        # The tmpfs hides the old mount: the kernel refuses a second cgroup2 right on top of the first.
        script = f'echo $$ >"{inside}/cgroup.procs" && exec unshare --cgroup --mount sh -c ' \
                 f"'mount -t tmpfs none {CGROUP2} && mount -t cgroup2 none {CGROUP2} && exec {SCRIPT} {pid}'"
        result = subprocess.run(["sh", "-c", script], text=True, timeout=15, capture_output=True)
        if "unshare" in result.stderr or "mount:" in result.stderr:
            self.skipTest(f"no cgroup namespace can be made: {result.stderr.strip()}")
        self.assert_refused(result, 1, "outside this cgroup namespace")

    def test_bind_mounted_cgroup_below_a_namespace(self):
        """A mount whose root is above the namespace's root: /proc says /../outside, mountinfo says /.. ."""
        pid, directory = self.process_in("outside")
        inside = directory / "inside"
        inside.mkdir()
        script = f'echo $$ >"{inside}/cgroup.procs" && exec unshare --cgroup {SCRIPT} {pid}'
        result = subprocess.run(["sh", "-c", script], text=True, timeout=15, capture_output=True)
        if "unshare" in result.stderr:
            self.skipTest(f"no cgroup namespace can be made: {result.stderr.strip()}")
        self.assert_found(result, directory / "outside")


class Runtimes(Case):
    """What is made of a runtime's answer; the runtimes are stand-ins."""

    def test_container_by_name(self):
        pid, directory = self.process_in(CONTAINER_ID, "init.scope")
        self.only_runtimes(docker=f"echo {pid} {CONTAINER_ID}")
        self.assert_found(self.find("docker", "web"), directory / CONTAINER_ID)
        self.assert_found(self.find("web"), directory / CONTAINER_ID)

    def test_one_container_known_to_two_runtimes(self):
        pid, directory = self.process_in(f"docker-{CONTAINER_ID}.scope")
        answer = f"echo {pid} {CONTAINER_ID}"
        self.only_runtimes(docker=answer, podman=answer)
        self.assert_found(self.find("web"), directory / f"docker-{CONTAINER_ID}.scope")

    def test_two_containers_of_one_name(self):
        first, _ = self.process_in(CONTAINER_ID)
        other_id = "c7" * 32
        second = self.process()
        other = CGROUP2 / f"snoop-find-cgroup-{os.getpid()}" / other_id
        other.mkdir()
        (other / "cgroup.procs").write_text(str(second))
        self.only_runtimes(docker=f"echo {first} {CONTAINER_ID}", podman=f"echo {second} {other_id}")
        result = self.find("web")
        self.assert_refused(result, 1, "several containers")
        self.assertIn(f"docker {CONTAINER_ID}", result.stderr)
        self.assertIn(f"podman {other_id}", result.stderr)

    def test_process_is_in_another_cgroup(self):
        pid, _ = self.process_in("shared")
        self.only_runtimes(podman=f"echo {pid} {CONTAINER_ID}")
        self.assert_refused(self.find("podman", "web"), 1, "not a cgroup of its own")

    def test_not_running(self):
        self.only_runtimes(docker=f"echo 0 {CONTAINER_ID}")
        self.assert_refused(self.find("docker", "web"), 1, "not running")

    def test_not_found(self):
        self.only_runtimes(docker="echo 'Error: No such container: web' >&2; exit 1")
        self.assert_refused(self.find("docker", "web"), 1, "No such container")
        self.assert_refused(self.find("web"), 1, "No such container")

    def test_not_installed(self):
        self.only_runtimes()
        self.assert_refused(self.find("crictl", "web"), 1, "crictl is not installed")
        self.assert_refused(self.find("web"), 1, "no container runtime is installed")

    def test_crictl_takes_names_and_ids(self):
        pid, directory = self.process_in(f"cri-containerd-{CONTAINER_ID}.scope")
        self.only_runtimes(crictl='case "$*" in\n'
                                  f"  'ps --quiet --name ^web$') echo {CONTAINER_ID} ;;\n"
                                  f"  inspect*) printf '{pid} {CONTAINER_ID}' ;;\n"
                                  "esac")
        for name in ("web", CONTAINER_ID[:12]):
            with self.subTest(name=name):
                self.assert_found(self.find("crictl", name), directory / f"cri-containerd-{CONTAINER_ID}.scope")


class Podman(Case):
    NAME = f"snoop-test-{os.getpid()}"

    def setUp(self):
        super().setUp()
        if shutil.which("podman") is None:
            self.skipTest("podman is not installed")
        if os.geteuid() != 0 or CGROUP2 is None:
            self.skipTest("needs root and a cgroup2 mount that it may write to")
        runtime = shutil.which("runc") or shutil.which("crun")
        if runtime is None:
            self.skipTest("neither runc nor crun is installed")

        # A root file system of links into the host's /usr, which is mounted read-only.
        root = self.scratch / "rootfs"
        for name in ("dev", "etc", "proc", "run", "sys", "tmp", "usr"):
            (root / name).mkdir(parents=True)
        for name in ("bin", "lib", "lib64"):
            os.symlink(f"usr/{name}", root / name)

        conf = self.scratch / "containers.conf"
        conf.write_text('[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n')
        store = self.scratch / "store"
        self.only_here = [f"--root={store}", f"--runroot={store}-run", f"--tmpdir={store}-tmp", "--storage-driver=vfs",
                          "--cgroup-manager=cgroupfs", "--events-backend=file", f"--runtime={runtime}"]
        wrapper = self.scratch / "podman"
        wrapper.write_text(f'#!/bin/sh\nCONTAINERS_CONF={conf} exec {shutil.which("podman")} {" ".join(self.only_here)} "$@"\n')
        wrapper.chmod(0o755)
        self.path = f"{self.scratch}:{self.path}"
        self.rootfs = root

    def podman(self, *args):
        return subprocess.run([self.scratch / "podman", *args], text=True, timeout=15, capture_output=True)

    def start(self):
        self.addCleanup(remove_cgroups, self.NAME)
        self.addCleanup(self.podman, "rm", "--force", "--time=0", self.NAME)
        result = self.podman("run", "--detach", f"--name={self.NAME}", "--network=none", f"--cgroup-parent=/{self.NAME}",
                             "--volume=/usr:/usr:ro", "--rootfs", str(self.rootfs), "sleep", "60")
        if result.returncode != 0:
            self.skipTest(f"podman cannot start a container here: {result.stderr.strip()}")
        return result.stdout.strip()

    def test_container(self):
        container = self.start()
        pid = self.podman("inspect", "--format={{.State.Pid}}", self.NAME).stdout.strip()
        result = self.find("podman", self.NAME)
        self.assertEqual(result.returncode, 0, result.stderr)
        directory = pathlib.Path(result.stdout.rstrip("\n"))
        self.assertIn(container, directory.name)
        self.assertIn(pid, (directory / "cgroup.procs").read_text().split())
        for args in (["podman", container[:12]], [container], [pid]):
            with self.subTest(args=args):
                self.assert_found(self.find(*args), directory)
        self.assert_refused(self.find("podman", f"{self.NAME}-other"), 1, "no such container")


if __name__ == "__main__":
    unittest.main(verbosity=2 if sys.stdout.isatty() else 1)
