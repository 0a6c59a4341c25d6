# SPDX-License-Identifier: Apache-2.0
"""Real container runtimes of a test's own: each with all its files below a directory that stands for the host's root,
so that what is looked for at the usual places is found there. What was started is ended by its process id."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from cri import Cri
from world import enter_command

DEADLINE = 30.0


def wait_for(condition, what, deadline=DEADLINE):
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline:g} s in vain for: {what}")
        time.sleep(0.01)


def end(process):
    """Ends what was started, and waits for it."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run(*argv, **options):
    done = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                          check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{argv} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}")
    return done.stdout.decode().strip()


def remove_cgroups(*names):
    """The empty ones with these names that runtimes leave at the top of each hierarchy."""
    for name in names:
        for top in [*pathlib.Path("/sys/fs/cgroup").glob(f"*/{name}"), pathlib.Path("/sys/fs/cgroup") / name]:
            for directory, _, _ in os.walk(top, topdown=False):
                try:
                    os.rmdir(directory)
                except OSError:
                    pass  # of others, or in use


def cgroup_of(pid):
    """In the hierarchy of cgroup2, or the first of version 1."""
    lines = pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next((line[3:] for line in lines if line.startswith("0::")), lines[0].split(":", 2)[2])


class Runtime:
    """What each has: `root` stands for the host's root."""

    # Programs without which it cannot be started.
    PROGRAMS = ()
    CGROUPS = ()

    def __init__(self):
        missing = [name for name in self.PROGRAMS if not shutil.which(name)]
        if missing or os.geteuid() != 0:
            raise unittest.SkipTest(f"not installed: {' '.join(missing)}" if missing else "needs root")
        # Short: the path of a socket has 107 bytes.
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="sn-", dir="/tmp"))
        self.process = None

    def start(self, argv, socket, own_mounts=True, inside=None, **options):
        """With a mount namespace of its own its mounts end with it. `inside`: a cgroup that is all it sees of them."""
        self.log = open(self.root / "log", "wb")
        prefix = ["unshare", "-m", "--propagation", "private"] if own_mounts else []
        if inside:
            prefix = enter_command([])
            options["preexec_fn"] = lambda: (inside / "cgroup.procs").write_text(str(os.getpid()))
        self.process = subprocess.Popen([*prefix, *map(str, argv)],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, **options)

        def is_up():
            if self.process.poll() is not None:
                text = (self.root / "log").read_text(errors="replace")[-1500:]
                self.close()
                raise unittest.SkipTest(f"{argv[0]} cannot be started here: {text}")
            return socket.is_socket()

        wait_for(is_up, f"{socket}")

    def remove_containers(self):
        """Through the runtime, while it runs."""

    def close(self):
        try:
            if self.process and self.process.poll() is None:
                self.remove_containers()
        finally:
            self.remove_rest()

    def remove_rest(self):
        if self.process:
            end(self.process)
            self.log.close()
        # A shim that outlived its container's end.
        for file in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if str(self.root).encode() in file.read_bytes() and int(file.parent.name) != os.getpid():
                    os.kill(int(file.parent.name), signal.SIGKILL)
            except OSError:
                pass
        for line in reversed(pathlib.Path("/proc/self/mounts").read_text().splitlines()):
            mount_point = line.split()[1]
            if mount_point.startswith(str(self.root) + "/"):
                subprocess.run(["umount", "-l", mount_point], check=False)
        shutil.rmtree(self.root, ignore_errors=True)
        remove_cgroups(*self.CGROUPS)


class Containerd(Runtime):
    PROGRAMS = ("containerd", "ctr", "runc")
    CGROUPS = ("default", "other", "kubepods")

    def __init__(self, image, inside=None):
        super().__init__()
        state = self.root / "run/containerd"
        self.socket = state / "containerd.sock"
        for name in ("cni", "bin"):
            (self.root / name).mkdir()
        # With the host's network no plug-in is called, but without one a pod is refused.
        (self.root / "cni/10-none.conflist").write_text(
            '{"cniVersion":"0.4.0","name":"none","plugins":[{"type":"none"}]}')
        handlers = "".join(f"""
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{name}]
        runtime_type = "io.containerd.runc.v2"
        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{name}.options]
          SystemdCgroup = false""" for name in ("runc", "kata"))
        (self.root / "config.toml").write_text(f"""
version = 2
root = "{self.root}/var/lib/containerd"
state = "{state}"
oom_score = 0
[grpc]
  address = "{self.socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    snapshotter = "overlayfs"{handlers}
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{self.root}/bin"
    conf_dir = "{self.root}/cni"
""")
        self.start(["containerd", "-c", self.root / "config.toml"], self.socket, inside=inside)
        self.cri = Cri(self.socket)
        wait_for(self._is_ready, "CRI")

    def _is_ready(self):
        try:
            return self.cri.call("ListPodSandbox") is not None
        except Exception:  # pylint: disable=broad-except  # not yet
            return False

    def ctr(self, *words, namespace="default"):
        return run("ctr", "-a", self.socket, "-n", namespace, *words)

    def remove_containers(self):
        self.cri.remove_pods()
        self.cri.close()
        for namespace in ("default", "other"):
            for line in self.ctr("tasks", "ls", "-q", namespace=namespace).split():
                subprocess.run(["ctr", "-a", self.socket, "-n", namespace, "tasks", "rm", "-f", line], check=False,
                               capture_output=True)


class Docker(Runtime):
    PROGRAMS = ("dockerd", "docker", "containerd", "runc")
    CGROUPS = ("docker",)

    def __init__(self):
        super().__init__()
        self.socket = self.root / "run/docker.sock"
        self.socket.parent.mkdir()
        # Without bridge, rules and forwarding: the machine's own network is not touched.
        self.start(["dockerd", "--data-root", self.root / "var/lib/docker", "--exec-root", self.root / "run/docker",
                    "-p", self.root / "pid", "-H", f"unix://{self.socket}", "--iptables=false", "--ip6tables=false",
                    "--ip-forward=false", "--ip-masq=false", "--bridge=none", "--oom-score-adjust", "0",
                    "--exec-opt", "native.cgroupdriver=cgroupfs", "--default-ulimit", "nofile=1024:4096",
                    "--add-runtime", "runsc=/usr/sbin/runc"], self.socket)
        wait_for(lambda: subprocess.run([*self.command(), "version"], capture_output=True, check=False).returncode == 0,
                 "dockerd")

    def command(self):
        return ["docker", "-H", f"unix://{self.socket}"]

    def docker(self, *words):
        return run(*self.command(), *words)

    def remove_containers(self):
        ids = self.docker("ps", "-aq").split()
        if ids:
            self.docker("rm", "-f", *ids)


class Podman(Runtime):
    PROGRAMS = ("podman", "conmon", "runc")
    CGROUPS = ("libpod_parent",)

    def __init__(self):
        super().__init__()
        for name in ("run/podman", "tmp", "tmpdir"):
            (self.root / name).mkdir(parents=True)
        self.socket = self.root / "run/podman/podman.sock"
        (self.root / "containers.conf").write_text(
            '[containers]\ndefault_ulimits = ["nofile=1024:4096","nproc=4096:8192"]\n')
        (self.root / "policy.json").write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
        self.environment = {**os.environ, "TMPDIR": str(self.root / "tmp"),
                            "CONTAINERS_CONF": str(self.root / "containers.conf")}
        self.start([*self.command(), "system", "service", "--time", "0", f"unix://{self.socket}"], self.socket,
                   own_mounts=False, env=self.environment)

    def command(self):
        return ["podman", "--root", self.root / "var/lib/containers/storage", "--runroot",
                self.root / "run/containers/storage", "--tmpdir", self.root / "tmpdir", "--storage-driver", "overlay",
                "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", "runc"]

    def podman(self, *words):
        # conmon stays, and would keep the pipe open.
        done = subprocess.run([str(word) for word in [*self.command(), *words]], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=self.log, timeout=60, check=False, env=self.environment)
        if done.returncode != 0:
            raise AssertionError(f"podman {words} ended with {done.returncode}: "
                                 f"{(self.root / 'log').read_text(errors='replace')[-1500:]}")
        return done.stdout.decode().strip()

    def remove_containers(self):
        self.podman("pod", "rm", "-fa", "-t", "0")
        self.podman("rm", "-fa", "-t", "0")


class Runc(Runtime):
    """At its usual place, /run/runc: nothing else tells where it is."""

    PROGRAMS = ("runc", "busybox")

    def __init__(self, name):
        super().__init__()
        self.name = name
        self.ids = []
        self.CGROUPS = (name,)
        (self.root / "rootfs/bin").mkdir(parents=True)
        (self.root / "rootfs/proc").mkdir()
        shutil.copy("/bin/busybox", self.root / "rootfs/bin/sleep")

    def run(self, name, annotations):
        bundle = self.root / name
        bundle.mkdir()
        namespaces = [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")]
        (bundle / "config.json").write_text(json.dumps({
            "ociVersion": "1.0.2", "annotations": annotations, "root": {"path": str(self.root / "rootfs")},
            "process": {"user": {"uid": 0, "gid": 0}, "args": ["/bin/sleep", "600"], "cwd": "/", "env": ["PATH=/bin"]},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "linux": {"namespaces": namespaces, "cgroupsPath": f"/{self.name}/{name}"}}))
        container = f"{self.name}-{name}"
        self.ids.append(container)
        with open(self.root / "log", "ab") as log:
            subprocess.run(["runc", "run", "-d", "--bundle", bundle, container], stdin=subprocess.DEVNULL, stdout=log,
                           stderr=log, check=True, timeout=30)
        return container

    def remove_rest(self):
        for container in self.ids:
            subprocess.run(["runc", "delete", "-f", container], check=False, capture_output=True)
        super().remove_rest()
