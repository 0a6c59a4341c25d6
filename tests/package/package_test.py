#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Debian package, in a minimal Debian: installed, used, started as its unit does, removed, purged."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(SOURCE / "tests" / "e2e"), str(SOURCE / "tests" / "deploy")]
import debian_root  # noqa: E402
import harness  # noqa: E402
from unit import Unit  # noqa: E402

BUILD = pathlib.Path(os.environ.get("BUILD_DIR") or SOURCE / "build" / "release")
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive",
               **{name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}}

# The file systems of a machine, in a mount namespace: they are gone with it. As cgroups those of the test alone, or all.
ENTER = r"""
set -e
for name in proc sys dev; do mount --rbind /$name $ROOT/$name; done
if [ -n "$OWN_CGROUPS" ]; then
  mount -t tmpfs none $ROOT/sys/fs/cgroup && mount -t cgroup2 none $ROOT/sys/fs/cgroup
fi
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
        """With the unit's capabilities, system calls, umask and nothing writable but its state directory."""
        unit = Unit((self.root / "usr/lib/systemd/system/snoop.service").read_text())
        self.assertEqual((unit["ProtectSystem"], unit["StateDirectory"]), ("strict", "snoop"))
        machine = self.cgroup("machine")
        service, app = self.cgroup("snoop.service", machine), self.cgroup("app", machine)
        state = self.root / "var/lib/snoop"
        state.mkdir(mode=int(unit["StateDirectoryMode"], 8))
        # Binds of the root directory that is bound itself come after it.
        script = ENTER.replace("set -e\n", "set -e\nmount --bind $ROOT $ROOT\n").replace(
            'exec "$@"', 'mount --bind $ROOT/var/lib/snoop $ROOT/var/lib/snoop && mount -o remount,ro,bind $ROOT && '
                         'echo 0 >$SERVICE && exec "$@"')
        launch = [sys.executable, "-B", "-c", "import os, sys; sys.path.insert(0, sys.argv[1]); import unit; "
                  "unit.Unit(open(sys.argv[2]).read()).start(sys.argv[3])",
                  SOURCE / "tests/package", self.root / "usr/lib/systemd/system/snoop.service", self.root]
        environment = {**ENVIRONMENT, "ROOT": str(self.root), "OWN_CGROUPS": "yes",
                       "SERVICE": f"{self.root}/sys/fs/cgroup/{service.name}/cgroup.procs"}
        app_procs = app.directory / "cgroup.procs"
        report_file = state / "report.json"

        for run in (1, 2):
            with open(self.scratch / "log", "w+") as log:
                process = machine.popen(["unshare", "--cgroup", "--mount", "sh", "-c", script, "sh", *map(str, launch)],
                                        env=environment, stdout=log, stderr=subprocess.STDOUT, cwd="/")
                self.addCleanup(process.kill)

                def started():
                    if process.poll() is not None:
                        log.seek(0)
                        raise AssertionError(f"it ended with {process.returncode}:\n{log.read()}")
                    return report_file.exists() and harness.Report(report_file.read_bytes())["runs"] == run

                harness.wait_for(started, "the first report")
                status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
                self.assertIn("CapEff:\t000000c000080004\n", status)
                self.assertIn("NoNewPrivs:\t1\nSeccomp:\t2\n", status)
                # As a runtime does: in its root directory before its exec.
                with subprocess.Popen(["/bin/sh", "-c", "cat /etc/hostname; read line"], env=ENVIRONMENT, cwd=self.root,
                               preexec_fn=lambda: (app_procs.write_text("0"), os.chroot("."), os.chdir("/")),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE) as held:
                    held.stdout.readline()
                    # Its root directory can be looked at as long as it lives.
                    before = report_file.stat().st_ino
                    process.send_signal(signal.SIGUSR1)
                    harness.wait_for(lambda: report_file.stat().st_ino != before, "a report after SIGUSR1")
                    held.stdin.close()
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(harness.DEADLINE), 0)
            report = harness.Report(report_file.read_bytes())
            self.assertTrue(report["final"] and report["complete"])
            self.assertEqual([container["cgroup_path"] for container in report.containers], [f"/{app.name}"])
            self.assertIn(b"/etc/hostname", report.opened())
            self.assertNotIn("unresolved", report.container(), "the root directory could be opened")
            self.assertIn(b"/usr/bin/cat", report.files())
        self.assertEqual(report_file.stat().st_mode & 0o777, 0o640)
        self.assertEqual([file.name for file in state.iterdir()], ["report.json"])

    def test_4_remove(self):
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
