#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Debian package, in a minimal Debian: installed, used, run by systemd, removed, purged."""

import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(SOURCE / "tests" / "e2e"), str(SOURCE / "tests" / "deploy")]
import debian_root  # noqa: E402
import harness  # noqa: E402
from machine import Machine  # noqa: E402

BUILD = pathlib.Path(os.environ.get("BUILD_DIR") or SOURCE / "build" / "release")
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive",
               **{name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}}

# The file systems of a machine, in a mount namespace: they are gone with it.
ENTER = r"""
set -e
for name in proc sys dev; do mount --rbind /$name $ROOT/$name; done
exec "$@"
"""


class Package(harness.Case):
    """One test after the other, in one root directory."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        [cls.package] = (BUILD / "package").glob("*.deb")
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="snoop-package-"))
        cls.addClassCleanup(shutil.rmtree, cls.root)
        subprocess.run(["tar", "-xf", debian_root.archive(BUILD), "-C", cls.root, "--exclude=./dev/*"], check=True)
        shutil.copy(cls.package, cls.root / "snoop.deb")
        # As root of an ordinary machine has it, whatever umask and resolver this one has.
        if pathlib.Path("/etc/resolv.conf").exists():
            shutil.copy("/etc/resolv.conf", cls.root / "etc/resolv.conf")

    @classmethod
    def command(cls, *arguments):
        return ["unshare", "--mount", "sh", "-c", ENTER, "sh", "chroot", str(cls.root), *map(str, arguments)]

    @classmethod
    def inside(cls, *arguments, code=0):
        """Runs a program in the root directory; what it printed."""
        done = subprocess.run(cls.command(*arguments), check=False, text=True, stdin=subprocess.DEVNULL, cwd="/",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**ENVIRONMENT, "ROOT": str(cls.root)})
        if done.returncode != code:
            raise AssertionError(f"{arguments} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    @classmethod
    def everything(cls):
        """All that is there, but for dpkg's own records."""
        left_out = ("var/lib/dpkg", "var/cache", "var/log", "var/lib/apt", "tmp", "proc", "sys", "dev")
        found = set()
        for directory, names, files in os.walk(cls.root):
            inside = pathlib.Path(directory).relative_to(cls.root)
            names[:] = [name for name in names if str(inside / name) not in left_out]
            found |= {str(inside / name) for name in names + files}
        return found

    def test_1_install(self):
        depends = subprocess.run(["dpkg-deb", "-f", self.package, "Depends"], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout.strip()
        self.inside("apt-get", "update", "-q")
        self.inside("apt-get", "satisfy", "-y", "-q", "--no-install-recommends", depends)
        # Beside it, for the service.
        self.inside("apt-get", "install", "-y", "-q", "--no-install-recommends", "systemd", "podman", "runc")
        type(self).before = self.everything()
        # All that it needs is there.
        self.inside("dpkg", "--install", "/snoop.deb")
        self.assertIn("install ok installed", self.inside("dpkg-query", "-W", "-f", "${Status}", "snoop"))
        self.assertEqual(self.inside("dpkg", "--verify", "snoop"), "")
        self.assertEqual(self.inside("ldd", "/usr/bin/snoop").count("not found"), 0)

    def test_2_use(self):
        version = self.inside("dpkg-query", "-W", "-f", "${Version}", "snoop").rpartition("-")[0]
        self.assertTrue(self.inside("snoop", "version").startswith(f"snoop {version}\n"))
        self.assertIn("snoop can run here.", self.inside("snoop", "check"))
        self.inside("snoop", "run", "--report", "/tmp/report.json", "--", "cat", "/etc/hostname")
        report = harness.Report((self.root / "tmp/report.json").read_bytes())
        self.assertIn(b"/etc/hostname", report.opened())
        self.assertTrue(report["complete"])
        self.assertIn("/etc/hostname", self.inside("snoop-show-report", "/tmp/report.json"))
        self.assertIn("snoop record --cgroup", self.inside("snoop-find-cgroup", "--help"))
        self.inside("snoop", "--config", "/etc/snoop/snoop.toml", "version")

    def test_3_the_service(self):
        """Under a systemd of its own: started, asked for all that a service is asked for, upgraded, removed."""
        machine = Machine(self.root, self.scratch / "machine")
        self.addCleanup(machine.stop)
        shutil.copy(self.package, machine.path("tmp/snoop.deb"))
        with tarfile.open(machine.path("tmp/box.tar"), "w") as image:
            image.add("/bin/busybox")
            image.add("/etc/passwd")
        report_file = machine.path("var/lib/snoop/report.json")

        def show(name):
            return machine.run("systemctl", "show", "--value", f"--property={name}", "snoop")

        def report_after(action):
            before = report_file.stat().st_ino
            action()
            harness.wait_for(lambda: report_file.stat().st_ino != before, "a report")
            return harness.Report(report_file.read_bytes())

        def log(*arguments):
            return machine.run("journalctl", "--no-pager", "--output=cat", "--unit=snoop", *arguments)

        # A runtime: its socket is there, its daemon starts when snoop-metadata asks.
        machine.run("systemctl", "start", "podman.socket")
        machine.run("systemctl", "start", "snoop")
        self.assertEqual(show("ActiveState"), "active")
        pid = show("MainPID")
        [outer] = [one for one in self.inside_of(machine) if self.status_of(one)["NSpid"].split()[-1] == pid]
        status = self.status_of(outer)
        # SYS_PTRACE and DAC_READ_SEARCH; the unit's filter of system calls, and snoop's own.
        self.assertEqual((status["CapEff"], status["CapBnd"]), ("0000000000080004", "000000c000080004"))
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"], int(status["Seccomp_filters"]) > 1), ("1", "2", True))
        harness.wait_for(lambda: "names by podman (/run/podman/podman.sock): answered" in log(), "podman's answer")

        # A container, from its first program on.
        machine.run("podman", "import", "--quiet", "/tmp/box.tar", "localhost/box:1")
        machine.run("podman", "--cgroup-manager=cgroupfs", "--runtime=runc", "run", "--detach", "--name=web", "--network=none",
                    "localhost/box:1", "/bin/busybox", "sh", "-c", "/bin/busybox cat /etc/passwd; exec /bin/busybox sleep 1000")

        def named():
            report = report_after(lambda: machine.run("systemctl", "kill", "--signal=USR1", "snoop"))
            return [container for container in report.containers
                    if container["name"] == "web" and container.get("image") == "localhost/box:1"] and report

        report = harness.wait_for(named, "the container's name")
        [container] = report.containers
        files = report.files()
        self.assertIn("exec", files[b"/bin/busybox"]["access"])
        self.assertEqual((files[b"/etc/passwd"]["access"], files[b"/etc/passwd"]["origin"]), (["open"], "image"))
        self.assertNotIn("unresolved", container, "its root directory could be opened")
        self.assertEqual(container["metadata_source"], "podman")
        self.assertTrue(report["complete"])
        self.assertEqual(report_file.stat().st_mode & 0o777, 0o640)
        self.assertEqual([file.name for file in report_file.parent.iterdir()], ["report.json"])

        # As many processes and as much memory as the unit allows, if this machine counts them.
        tasks, memory = show("TasksCurrent"), show("MemoryCurrent")
        if tasks != "[not set]":
            self.assertLess(2 * int(tasks), int(show("TasksMax")))
        if memory != "[not set]":
            self.assertLess(int(memory), 100 << 20)
        print(f"tasks: {tasks}, memory: {memory}", flush=True)

        # Settings that can be taken over are.
        settings = machine.path("etc/snoop/snoop.toml")
        settings.write_text(settings.read_text() + 'interval = "7s"\n')
        report_after(lambda: machine.run("systemctl", "reload", "snoop"))
        self.assertRegex(log(), r"(?m)SIGHUP: .*interval")

        # The watchdog: it is alive; and where it is not, it is started again.
        machine.path("run/systemd/system/snoop.service.d").mkdir(parents=True)
        machine.path("run/systemd/system/snoop.service.d/quick.conf").write_text("[Service]\nWatchdogSec=2s\nRestartSec=100ms\n")
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "snoop")
        self.assertEqual(harness.Report(report_file.read_bytes())["runs"], 2)
        first = show("WatchdogTimestampMonotonic")
        harness.wait_for(lambda: int(show("WatchdogTimestampMonotonic")) > int(first) + 3_000_000, "four signs of life")
        self.assertEqual(show("NRestarts"), "0")
        errors = [line for line in log("--priority=info").splitlines() if ": warning: " in line or ": error: " in line]
        self.assertEqual(errors + log("--priority=warning").replace("-- No entries --", "").splitlines(), [])
        machine.run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", "snoop")
        harness.wait_for(lambda: show("NRestarts") == "1" and show("ActiveState") == "active", "another start")

        # An upgrade goes on from the report, a stop writes the last one.
        machine.run("dpkg", "--install", "/tmp/snoop.deb")
        self.assertEqual(show("ActiveState"), "active")
        self.assertEqual(harness.Report(report_file.read_bytes())["runs"], 4)
        machine.run("systemctl", "stop", "snoop")
        self.assertEqual((show("Result"), show("ExecMainStatus"), show("ActiveState")), ("success", "0", "inactive"))
        report = harness.Report(report_file.read_bytes())
        self.assertTrue(report["final"])
        self.assertEqual([one["name"] for one in report.containers], ["web"])
        self.assertIn(b"/etc/passwd", report.files())
        # Removed while it runs, it is stopped.
        machine.run("systemctl", "start", "snoop")
        machine.run("dpkg", "--remove", "snoop")
        self.assertEqual(show("ActiveState"), "inactive")
        self.assertTrue(report_file.exists())

    @staticmethod
    def inside_of(machine):
        """Processes of its service, by their ids here."""
        return {pid for cgroup in machine.cgroups for file in cgroup.glob("system.slice/snoop.service/cgroup.procs")
                for pid in file.read_text().split()}

    @staticmethod
    def status_of(pid):
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def test_4_remove(self):
        (self.root / "var/lib/snoop").mkdir()
        (self.root / "var/lib/snoop/report.json").touch()
        if shutil.which("systemctl"):
            subprocess.run(["systemctl", f"--root={self.root}", "--quiet", "enable", "snoop.service"], check=True)
            self.assertTrue((self.root / "etc/systemd/system/multi-user.target.wants/snoop.service").is_symlink())
        self.inside("dpkg", "--remove", "snoop")
        left = self.everything() - self.before
        self.assertFalse([path for path in left if path.startswith("usr/")])
        self.assertLessEqual({"etc/snoop/snoop.toml", "var/lib/snoop/report.json"}, left)
        # Installed again, it is enabled as before.
        self.inside("dpkg", "--install", "/snoop.deb")
        self.assertFalse((self.root / "etc/systemd/system/snoop.service").is_symlink(), "masked")

    def test_5_purge(self):
        self.inside("dpkg", "--purge", "snoop")
        self.assertEqual(self.everything() ^ self.before, set())

    def test_6_lintian(self):
        if not shutil.which("lintian"):
            self.skipTest("lintian is not installed")
        done = subprocess.run(["lintian", "--allow-root", "--fail-on=error,warning", self.package], check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    harness.main()
