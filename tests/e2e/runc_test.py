#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Containers made by runc, on an overlay as runtimes make it: short-lived ones, links, where files come from."""

import json
import os
import shutil
import subprocess
import unittest

import harness


class Image:
    """A lower layer that the containers of a test share."""

    def __init__(self, directory):
        self.lower = directory / "lower"
        for name in ("bin", "etc", "real", "data", "proc", "dev"):
            (self.lower / name).mkdir(parents=True)
        shutil.copy("/bin/busybox", self.lower / "bin/busybox")
        for applet in ("sh", "cat", "stat", "true"):
            os.symlink("busybox", self.lower / "bin" / applet)
        (self.lower / "real/file").write_text("file\n")
        (self.lower / "etc/changed").write_text("changed\n")
        (self.lower / "etc/asked").write_text("asked\n")
        os.symlink("/real", self.lower / "etc/link")
        os.symlink("nowhere", self.lower / "etc/dangling")
        self.volume = directory / "volume"
        self.volume.mkdir()
        (self.volume / "inside").write_text("inside\n")


class Container:
    def __init__(self, image, directory, cgroup, name):
        self.directory = directory / name
        self.name, self.cgroup = f"{cgroup.name}-{name}", cgroup
        for part in ("upper", "work", "merged"):
            (self.directory / part).mkdir(parents=True)
        self.merged = self.directory / "merged"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={image.lower},"
                        f"upperdir={self.directory}/upper,workdir={self.directory}/work", self.merged], check=True)
        self.volume = image.volume

    def run(self, script):
        namespaces = [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")]
        config = {
            "ociVersion": "1.0.2",
            "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "args": ["/bin/sh", "-c", script], "cwd": "/",
                        "env": ["PATH=/bin"], "noNewPrivileges": True},
            "root": {"path": str(self.merged), "readonly": False},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                       {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
                       {"destination": "/data", "type": "bind", "source": str(self.volume), "options": ["bind", "rw"]}],
            "linux": {"namespaces": namespaces, "cgroupsPath": f"{self.cgroup.path}/{self.name}"},
        }
        (self.directory / "config.json").write_text(json.dumps(config))
        done = subprocess.run(["runc", "--root", self.directory / "state", "run", "--bundle", self.directory, self.name],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=harness.DEADLINE)
        if done.returncode != 0:
            raise AssertionError(f"runc ended with {done.returncode}: {done.stderr!r}")
        return done.stdout

    def close(self):
        subprocess.run(["umount", self.merged], check=False)


def remove_version_1(name):
    """runc makes a cgroup in each hierarchy of version 1, and on a hybrid machine leaves their parents."""
    for parent in harness.CGROUP2.parent.glob(f"*/{name}"):
        if parent.parent != harness.CGROUP2:
            for directory, _, _ in os.walk(parent, topdown=False):
                try:
                    os.rmdir(directory)
                except OSError:
                    pass


@unittest.skipUnless(shutil.which("runc") and os.path.exists("/bin/busybox"), "runc or busybox is not installed")
class Runc(harness.Case):

    def setUp(self):
        super().setUp()
        self.image = Image(self.scratch)
        self.parent = self.cgroup("runc")
        self.addCleanup(remove_version_1, self.parent.name)

    def container(self, name):
        container = Container(self.image, self.scratch, self.parent, name)
        self.addCleanup(container.close)
        return container

    def test_links_and_origins(self):
        container = self.container("one")
        recorder = self.recorder("--cgroup", self.parent.directory, "--exclude", "")
        # It stays until the reader, slow under sanitizers, has its root: of one that was gone before, links are not known.
        output = container.run("/bin/cat /etc/link/file /data/inside; stat -L -c %n /etc/asked; stat -c %n /etc/link;"
                               "echo more >> /etc/changed; echo new > /made; cat /etc/dangling; stat -c %n /made; sleep 0.5")
        self.assertIn(b"inside", output)
        report = recorder.final_report()
        files = report.files()
        self.assertTrue(report["complete"], report["losses"])

        def origin(path):
            return files[path]["origin"], files[path].get("mount")

        self.assertEqual(files[b"/etc/link"]["access"], ["stat", "symlink"])
        self.assertEqual(files[b"/etc/link/file"]["resolved"], "/real/file")
        self.assertIn("symlink", files[b"/bin/cat"]["access"])
        self.assertEqual(files[b"/bin/cat"]["resolved"], "/bin/busybox")
        self.assertEqual(files[b"/etc/dangling"]["missing"], ["open"])
        self.assertIn("symlink", files[b"/etc/dangling"]["access"])
        self.assertEqual(origin(b"/etc/link/file"), ("image", None))
        self.assertEqual(origin(b"/etc/asked"), ("image", None), "only asked about")
        self.assertEqual(origin(b"/etc/link"), ("image", None), "a link")
        self.assertEqual(origin(b"/bin/cat"), ("image", None))
        self.assertEqual(origin(b"/etc/changed"), ("image", None), "changed, but the image has it")
        self.assertEqual(origin(b"/made"), ("written", None))
        self.assertEqual(origin(b"/data/inside"), ("volume", "/data"))

    def test_only_image(self):
        container = self.container("one")
        recorder = self.recorder("--cgroup", self.parent.directory, "--only", "image")
        container.run("cat /real/file /data/inside; echo new > /made")
        report = recorder.final_report()
        files = report.files()
        self.assertEqual(report["capture"]["only"], "image")
        self.assertIn(b"/real/file", files)
        self.assertNotIn(b"/data/inside", files)
        self.assertNotIn(b"/made", files)

    def test_short_lived_ones_and_nothing_stays_busy(self):
        recorder = self.recorder("--cgroup", self.parent.directory)
        for number in range(10):
            os.symlink("file", self.image.lower / f"real/link-{number}")
        containers = [self.container(f"short-{number}") for number in range(10)]
        for number, container in enumerate(containers):
            container.run(f"cat /real/link-{number}")
            # The overlay can go as soon as its container has.
            subprocess.run(["umount", container.merged], check=True)
        report = recorder.final_report()
        self.assertTrue(report["complete"], report["losses"])
        files = report.files()
        for number in range(10):
            entry = files[b"/real/link-%d" % number]
            self.assertEqual(entry["resolved"], "/real/file")
            self.assertEqual(entry["origin"], "image")
            # On a busy machine the root may be gone before snoop has its turn; then the report says so.
            if "unresolved" not in report.container():
                self.assertEqual(entry["access"], ["open", "symlink"])


if __name__ == "__main__":
    harness.main()
