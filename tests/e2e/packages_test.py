#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""snoop packages: this machine's own packages and a small image of busybox, each with a report of a real run."""

import json
import os
import pathlib
import shutil
import subprocess
import time
import unittest

import harness

DPKG = pathlib.Path("/var/lib/dpkg")
BUSYBOX = "/bin/busybox"


class Case(harness.Case):
    def packages(self, *arguments, code=0, **options):
        result = harness.snoop("packages", *arguments, **options)
        self.assertEqual(result.returncode, code, result.stderr)
        return result

    def attributed(self, *arguments):
        """The JSON object, and its packages by name."""
        answer = json.loads(self.packages("--format=json", *arguments).stdout)
        return answer, {package["name"]: package for package in answer["packages"]}


@unittest.skipUnless((DPKG / "status").exists(), "dpkg has installed nothing here")
class Debian(Case):
    def record(self):
        cgroup = self.cgroup("debian")
        recorder = self.recorder("--cgroup", cgroup.path, "--container-name", "debian")
        cgroup.run(["/bin/ls", "-l", "/etc"])
        cgroup.run(["/usr/bin/perl", "-MPOSIX", "-e", "print 1"])
        return recorder.final_report(), recorder.report_path

    @staticmethod
    def canonical(path):
        above, name = os.path.split(path)
        return os.path.join(os.path.realpath(above), name)

    def used_places(self, report):
        """All names, and all links on the way to them, of what was found."""
        places = set()
        for path, file in report.files().items():
            if file["found"]:
                for name in (os.fsdecode(path), file.get("resolved")):
                    if name:
                        places.update((self.canonical(name), os.path.realpath(name)))
        return {place for place in places if not os.path.isdir(place) or os.path.islink(place)}

    def lists(self):
        """The places of each package, read in another way than snoop does."""
        diverted = {}
        lines = (DPKG / "diversions").read_text().splitlines() if (DPKG / "diversions").exists() else []
        for at in range(0, len(lines), 3):
            diverted[lines[at]] = lines[at + 2]
        listed = {}
        for file in (DPKG / "info").glob("*.list"):
            name = file.name[:-len(".list")].partition(":")[0]
            listed.setdefault(name, set()).update(line for line in file.read_text().splitlines()[1:]
                                                  if diverted.get(line, name) == name)
        # /lib is empty in the list of one package, and has files in that of another.
        directories = {os.path.dirname(path) for paths in listed.values() for path in paths}
        return {name: {self.canonical(path) for path in paths - directories} for name, paths in listed.items()}

    def test_own_packages(self):
        report, path = self.record()
        start = time.monotonic()
        answer, packages = self.attributed(path, "--root", "/", "--files")
        print(f"{len(packages)} packages in {time.monotonic() - start:.2f} s", flush=True)
        for name in ("coreutils", "perl-base", "libc6"):
            self.assertEqual(packages[name]["state"], "used", packages[name])
        self.assertRegex(packages["coreutils"]["purl"], r"^pkg:deb/[a-z]+/coreutils@[0-9a-zA-Z.:~%+-]+\?arch=\w+$")
        self.assertIn({"path": "/usr/bin/ls"}, packages["coreutils"]["used_paths"])
        self.assertEqual(packages["perl-base"]["used_files"], len(packages["perl-base"]["used_paths"]))
        self.assertGreater(answer["summary"]["not_seen"], 0)
        installed = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\n"], check=True,
                                   capture_output=True, text=True).stdout.splitlines()
        self.assertEqual(answer["summary"]["packages"], sum(line.startswith("ii ") for line in installed))
        self.assertTrue(any("less than 10 minutes" in caveat for caveat in answer["caveats"]), answer["caveats"])

        # Nothing of which a file was used is said not to be used.
        used = self.used_places(report)
        for name, places in self.lists().items():
            if name in packages and packages[name]["state"] in ("not_seen", "no_files"):
                self.assertFalse(places & used, f"{name} is {packages[name]['state']}")

    def test_same_bytes_and_table(self):
        _, path = self.record()
        first = self.packages(path, "--root", "/", "--files").stdout
        self.assertEqual(first, self.packages("-", "--root", "/", "--files", input=path.read_bytes(), stdin=None).stdout)
        table = first.decode()
        self.assertRegex(table, r"(?m)^used +perl-base +\S+ +\S+ +[1-9]\d*/\d+ +/")
        self.assertRegex(table, r"(?m)^not_seen ")
        self.assertRegex(table, r"(?m)^# debian: watched for \d+s, nothing lost\.$")


@unittest.skipUnless(os.access(BUSYBOX, os.X_OK), f"there is no {BUSYBOX}")
class Alpine(Case):
    def setUp(self):
        super().setUp()
        self.image = self.scratch / "image"
        for directory in ("bin", "usr/bin", "lib/apk/db", "etc"):
            (self.image / directory).mkdir(parents=True)
        shutil.copy(BUSYBOX, self.image / "bin" / "busybox")
        for applet in ("ls", "sleep"):
            (self.image / "bin" / applet).symlink_to("/bin/busybox")
        (self.image / "usr/bin/curl").write_text("")
        (self.image / "etc/os-release").write_text('ID="alpine"\n')
        (self.image / "lib/apk/db/installed").write_text(
            "P:busybox\nV:1.36.1-r5\nA:x86_64\nF:bin\nR:busybox\n\nP:curl\nV:8.5.0-r0\nA:x86_64\nF:usr/bin\nR:curl\n\n")

    def test_applets_and_a_running_container(self):
        cgroup, other = self.cgroup("alpine"), self.cgroup("other")
        recorder = self.recorder("--cgroup", cgroup.path, "--cgroup", other.path)
        cgroup.run(["chroot", self.image, "/bin/ls", "/"])
        other.run(["/bin/true"])
        sleeper = cgroup.popen(["chroot", self.image, "/bin/sleep", "600"])
        self.addCleanup(sleeper.wait)
        self.addCleanup(sleeper.kill)
        root = pathlib.Path(f"/proc/{sleeper.pid}/root")
        harness.wait_for(lambda: os.path.realpath(root) == str(self.image), "the chroot")
        recorder.final_report()

        report = recorder.report_path
        refused = self.packages(report, "--root", root, code=1)
        self.assertEqual(refused.stdout, b"")
        for text in (cgroup.name, other.name, "--container"):
            self.assertIn(text.encode(), refused.stderr)
        for directory in (root, self.image):
            _, packages = self.attributed(report, "--root", directory, "--container", cgroup.name)
            self.assertEqual({name: package["state"] for name, package in packages.items()},
                             {"busybox": "used", "curl": "not_seen"})
            self.assertEqual(packages["busybox"]["purl"], "pkg:apk/alpine/busybox@1.36.1-r5?arch=x86_64")

    def test_what_cannot_be_attributed(self):
        self.assertEqual(harness.snoop("run", "--report", self.scratch / "report.json", "--", "/bin/true").returncode, 0)
        report = self.scratch / "report.json"
        (self.image / "lib/apk/db/installed").unlink()
        for prepare, text in ((lambda: None, "there is no package database"),
                              (lambda: (self.image / "var/lib/rpm").mkdir(parents=True), "there is no package database"),
                              (lambda: (self.image / "var/lib/rpm/rpmdb.sqlite").touch(), "cannot read")):
            prepare()
            result = self.packages(report, "--root", self.image, code=1)
            self.assertEqual(result.stdout, b"")
            self.assertIn(text.encode(), result.stderr)
        for arguments, text in (((report, "--root", self.scratch / "none"), "No such file"),
                                ((report, "--root", report), "Not a directory"),
                                ((self.scratch / "none", "--root", "/"), "No such file"),
                                ((report, "--root", "/", "--container", "dog"), "'dog'")):
            self.assertIn(text.encode(), self.packages(*arguments, code=1).stderr)
        for arguments in ((), (report,), ("--root", "/")):
            self.packages(*arguments, code=2)


if __name__ == "__main__":
    harness.main()
