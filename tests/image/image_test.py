#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The image: built by podman, and run as the DaemonSet and the sidecar run it, beside another container that it watches."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import yaml

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(SOURCE / "tests" / "e2e"), str(SOURCE / "tests" / "deploy")]
import debian_root  # noqa: E402
import harness  # noqa: E402

BUILD = pathlib.Path(os.environ.get("BUILD_DIR") or SOURCE / "build" / "release")
# Without: the stage that compiles is left out, and what is in BUILD_DIR is taken; it needs the network and minutes.
WHOLE = bool(os.environ.get("SNOOP_IMAGE_WHOLE"))
BASE = "docker.io/library/debian:12-slim"

# Root may have no CAP_SYS_RESOURCE, and so no higher limits than it has.
CONTAINERS_CONF = '[containers]\ndefault_ulimits = ["nofile=1024:4096", "nproc=4096:8192"]\n'


def pod_of(file):
    documents = [document for document in yaml.safe_load_all((SOURCE / "deploy/kubernetes" / file).read_text()) if document]
    [spec] = [document["spec"] for document in documents if document["kind"] in ("DaemonSet", "Pod")]
    return spec.get("template", {}).get("spec", spec)


class Image(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for program in ("podman", "runc"):
            if not shutil.which(program):
                raise unittest.SkipTest(f"{program} is not installed")
        cls.work = pathlib.Path(tempfile.mkdtemp(prefix="snoop-image-"))
        cls.addClassCleanup(cls.clean)
        (cls.work / "tmp").mkdir()
        (cls.work / "containers.conf").write_text(CONTAINERS_CONF)
        cls.podman("import", debian_root.archive(BUILD), BASE)
        cls.build()

    @classmethod
    def clean(cls):
        cls.podman("rm", "--all", "--force", "--time=0")
        cls.podman("pod", "rm", "--all", "--force", "--time=0")
        subprocess.run(["umount", cls.work / "storage/overlay"], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(cls.work)

    @classmethod
    def podman_command(cls):
        return ["podman", f"--root={cls.work}/storage", f"--runroot={cls.work}/run", f"--tmpdir={cls.work}/state",
                "--storage-driver=overlay", "--cgroup-manager=cgroupfs", "--events-backend=file", "--runtime=runc"]

    @classmethod
    def podman_environment(cls):
        return {**os.environ, "TMPDIR": str(cls.work / "tmp"), "CONTAINERS_CONF": str(cls.work / "containers.conf")}

    @classmethod
    def podman(cls, *arguments):
        done = subprocess.run([*cls.podman_command(), *map(str, arguments)], check=False, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cls.podman_environment())
        if done.returncode != 0:
            raise AssertionError(f"podman {arguments} ended with {done.returncode}:\n{done.stderr}{done.stdout}")
        return done.stdout.strip()

    @classmethod
    def build(cls):
        """No registry is asked: what is not here is a failure."""
        begin = time.monotonic()
        arguments = ["build", "--pull=never", "--network=host", "--tag=snoop"]
        if not WHOLE:
            installed = cls.work / "installed"
            subprocess.run(["cmake", "--install", BUILD, "--prefix", "/usr", "--strip"], check=True,
                           stdout=subprocess.DEVNULL, env={**os.environ, "DESTDIR": str(installed)})
            subprocess.run([SOURCE / "scripts/image-root.sh", installed, cls.work / "made/image"], check=True)
            arguments.append(f"--build-context=build={cls.work}/made")
        cls.podman(*arguments, SOURCE)
        cls.info = json.loads(cls.podman("image", "inspect", "snoop"))[0]
        print(f"image built in {time.monotonic() - begin:.0f} s, {cls.info['Size'] / 1e6:.1f} MB", flush=True)

    def setUp(self):
        super().setUp()
        # What is watched is below it: for the containers it is all that there is of cgroups.
        self.machine = self.cgroup("image")
        self.addCleanup(self.remove_others)

    def remove_others(self):
        """podman makes the parent of a container in each hierarchy of version 1, and leaves it."""
        for mount in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
            directory = pathlib.Path(mount.split()[4]) / self.machine.name
            if " - cgroup " in mount and directory.exists():
                harness.remove_cgroup(directory)

    def container(self, name, *arguments, parent=None):
        self.podman("run", "--detach", "--log-driver=k8s-file", f"--name={name}",
                    f"--cgroup-parent={parent or self.machine.path}", "--cgroupns=private", "--network=none", *arguments)
        self.addCleanup(self.podman, "rm", "--force", "--time=0", name)
        return json.loads(self.podman("container", "inspect", name))[0]

    def app(self, *arguments, **options):
        """Another container: does what it is told by files that appear in /told."""
        (self.scratch / "told").mkdir(exist_ok=True)
        script = 'while :; do for file in /told/*; do [ -e "$file" ] && cat $(cat "$file") && rm "$file"; done >/dev/null 2>&1; ' \
                 'sleep 0.1; done'
        return self.container("app", f"--volume={self.scratch}/told:/told", *arguments, BASE, "sh", "-c", script, **options)

    def tell(self, path):
        (self.scratch / "part").write_text(path)
        (self.scratch / "part").rename(self.scratch / "told" / "order")
        harness.wait_for(lambda: not (self.scratch / "told" / "order").exists(), "the other container to read")

    def as_in(self, snoop):
        """Arguments of podman for what the container of a manifest has."""
        context = snoop["securityContext"]
        for mount in snoop["volumeMounts"]:
            if mount["mountPath"] == "/data":
                (self.scratch / "data").mkdir()
                yield f"--volume={self.scratch}/data:/data"
            elif mount["mountPath"] == "/sys/fs/cgroup":
                yield f"--volume={self.machine.directory}:/sys/fs/cgroup:ro"
            elif mount["mountPath"] == "/host/run":
                (self.scratch / "run").mkdir()
                yield f"--volume={self.scratch}/run:/host/run:ro,rslave"
        for entry in snoop["env"]:
            yield f"--env={entry['name']}={entry.get('value', 'from-the-pod')}"
        yield f"--user={context['runAsUser']}"
        yield from (f"--cap-drop={name}" for name in context["capabilities"]["drop"])
        yield from (f"--cap-add={name}" for name in context["capabilities"]["add"])
        assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
        # podman's read-only has writable /tmp, /run and others: Kubernetes' has not.
        yield from ("--read-only", "--read-only-tmpfs=false", "--security-opt=no-new-privileges")
        # As the profiles of runtimes of today allow with CAP_BPF; that of Debian 12's podman does not.
        yield "--security-opt=seccomp=unconfined"

    def serve_podman(self):
        """podman's socket, where that of the machine is for snoop."""
        (self.scratch / "run/podman").mkdir()
        socket = self.scratch / "run/podman/podman.sock"
        service = subprocess.Popen([*self.podman_command(), "system", "service", "--time=0", f"unix://{socket}"],
                                   env=self.podman_environment(), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (service.kill(), service.wait()))
        harness.wait_for(socket.exists, "podman's socket")

    def log_of(self, name):
        return self.podman("logs", name)

    def report_when(self, condition, name="snoop"):
        file = self.scratch / "data" / "report.json"

        def look():
            state = json.loads(self.podman("container", "inspect", name))[0]["State"]
            if state["Status"] != "running":
                raise AssertionError(f"{name} ended with {state['ExitCode']}: {self.log_of(name)}")
            if not file.exists():
                return None
            self.podman("kill", "--signal=USR1", name)
            report = harness.Report(file.read_bytes())
            return report if condition(report) else None

        return harness.wait_for(look, f"the report; log: {self.log_of(name)}")

    def stop(self, name="snoop"):
        self.podman("stop", "--time=20", name)
        state = json.loads(self.podman("container", "inspect", name))[0]["State"]
        self.assertEqual(state["ExitCode"], 0, self.log_of(name))
        return harness.Report((self.scratch / "data" / "report.json").read_bytes())

    def check(self, report, app):
        [container] = [container for container in report.containers if app["Id"] in container["cgroup_path"]]
        files = {harness.unbytes(file, "path"): file for file in container["files"]}
        self.assertEqual(files[b"/etc/debian_version"]["access"], ["open"])
        self.assertTrue(report["complete"])
        return container, files

    def test_what_is_in_it(self):
        config = self.info["Config"]
        self.assertEqual(config["Entrypoint"], ["/usr/bin/snoop"])
        labels = {name.rpartition(".")[2]: value for name, value in config["Labels"].items()}
        self.assertEqual((labels["title"], labels["version"]), ("snoop", "0.1.0"))
        # 23.6 MB on Debian 12: 9 of snoop and its libraries, C's and C++'s among them, and 14 of gRPC and OpenSSL, which
        # snoop-metadata asks runtimes and Kubernetes with.
        self.assertLess(self.info["Size"], 26e6)
        mount = pathlib.Path(self.podman("image", "mount", "snoop"))
        try:
            programs = {str(file.relative_to(mount)) for file in mount.rglob("*")
                        if file.is_file() and file.stat().st_mode & 0o111 and ".so" not in file.name}
            self.assertLessEqual(programs, {"usr/bin/snoop", "usr/libexec/snoop/snoop-metadata"})
            self.assertTrue((mount / "var/lib/dpkg/status.d/libc6").exists())
        finally:
            self.podman("image", "unmount", "snoop")

    def test_as_daemonset(self):
        pod = pod_of("daemonset/base/daemonset.yaml")
        [snoop] = pod["containers"]
        self.assertTrue(pod["hostPID"])
        before = self.app()
        arguments = list(self.as_in(snoop))
        self.serve_podman()
        self.container("snoop", *arguments, "--pid=host", "snoop", *snoop["args"])
        self.report_when(lambda report: True)
        self.tell("/etc/debian_version")
        self.report_when(lambda report: report["total_events"] > 0 and
                         any("image" in container for container in report.containers))
        report = self.stop()
        container, files = self.check(report, before)
        # The root directory was reached: links are known, and where files come from.
        self.assertEqual(files[b"/lib"]["resolved"], "/usr/lib")
        self.assertEqual(files[b"/etc/debian_version"]["origin"], "image")
        self.assertEqual(report["host"]["hostname"], "from-the-pod")
        # And its name and image, by the runtime's socket.
        self.assertEqual((container["name"], container["image"]), ("app", BASE))
        # snoop's own container is not in it.
        self.assertEqual(len(report.containers), 1)

    def sidecar(self, *shared):
        """The pod of the sidecar: snoop first, then the app beside it in the same parent."""
        pod = pod_of("sidecar/sidecar.yaml")
        [snoop] = pod["initContainers"]
        self.cgroup("pod", self.machine)
        parent = f"{self.machine.path}/pod"
        self.container("snoop", *self.as_in(snoop), "snoop", *snoop["args"], parent=parent)
        self.report_when(lambda report: True)
        app = self.app(*shared, parent=parent)
        self.tell("/etc/debian_version")
        self.report_when(lambda report: report["total_events"] > 0)
        report = self.stop()
        self.assertEqual((report["pod_name"], report["namespace"]), ("from-the-pod", "from-the-pod"))
        return self.check(report, app)

    def test_as_sidecar(self):
        container, files = self.sidecar("--pid=container:snoop")
        self.assertEqual(files[b"/lib"]["resolved"], "/usr/lib")
        self.assertEqual(files[b"/etc/debian_version"]["origin"], "image")
        # Seen from its first program on.
        self.assertIn("exec", files[b"/usr/bin/sh"]["access"] if b"/usr/bin/sh" in files else files[b"/bin/sh"]["access"])

    def test_as_sidecar_without_its_processes(self):
        """Without shareProcessNamespace: all files, but not what a root directory tells."""
        container, files = self.sidecar()
        self.assertIn("unresolved", container)
        self.assertNotIn(b"/lib", files)

    def test_as_another_user(self):
        """podman gives capabilities to any user's processes."""
        [snoop] = pod_of("daemonset/base/daemonset.yaml")["containers"]
        app = self.app()
        arguments = [argument for argument in self.as_in(snoop) if not argument.startswith("--user=")]
        (self.scratch / "data").chmod(0o777)
        self.scratch.chmod(0o755)
        self.container("snoop", *arguments, "--user=65532", "--pid=host", "snoop", *snoop["args"])
        self.report_when(lambda report: True)
        self.tell("/etc/debian_version")
        self.report_when(lambda report: report["total_events"] > 0)
        container, files = self.check(self.stop(), app)
        self.assertEqual(files[b"/lib"]["resolved"], "/usr/lib")


if __name__ == "__main__":
    harness.main()
