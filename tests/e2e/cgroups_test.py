#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Cgroups that come and go, processes that move, and hierarchies of version 1."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

import harness

# Mounts a file system, uses it as a root directory for a while, and unmounts it again.
CHROOT = r"""
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
top = sys.argv[1].encode()
assert libc.unshare(0x20000) == 0 and libc.mount(None, b"/", None, 0x44000, None) == 0
assert libc.mount(b"none", top, b"tmpfs", 0, None) == 0
outside = os.open("/", os.O_RDONLY)
os.chroot(top)
os.chdir("/")
open("/file", "w").close()
os.symlink("file", "/link")
os.stat("/link")
print("ready", flush=True)
sys.stdin.readline()
os.fchdir(outside)
os.chroot(".")
os.close(outside)
print("ready", flush=True)
sys.stdin.readline()
sys.exit(ctypes.get_errno() if libc.umount(top) else 0)
"""

# Opens a file, says so, and waits.
HOLDER = "import os, sys; held = os.open(sys.argv[1], os.O_RDONLY); print('ready', flush=True); sys.stdin.read()"


def version1_mounts():
    fields = [line.split() for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    return {option: pathlib.Path(field[1]) for field in fields if field[2] == "cgroup"
            for option in field[3].split(",") if os.access(f"{field[1]}/cgroup.procs", os.W_OK)}


class Version1Cgroup(harness.Cgroup):
    """In one hierarchy of version 1; its processes stay where they are in all others."""

    def __init__(self, mount, name="", parent=None):
        self.mount = mount
        if parent is None:
            harness.Cgroup._count += 1
            name = f"snoop-e2e-{os.getpid()}-{harness.Cgroup._count}{name}"
        self.directory = (parent.directory if parent else mount) / name
        self.directory.mkdir()

    @property
    def path(self):
        return "/" + str(self.directory.relative_to(self.mount))


class Case(harness.Case):
    def holder(self, path, **options):
        """A process of no target that has a file open."""
        process = subprocess.Popen(["/usr/bin/python3", "-I", "-S", "-c", HOLDER, path], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, env=harness.environment(), **options)

        def end():
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()

        self.addCleanup(end)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return process.pid

    def with_baseline(self):
        env = harness.environment()
        del env["SNOOP_NO_BASELINE"]
        return env


class Moved(Case):
    """A process that comes into a target with what it has open and mapped."""

    arguments = []

    def record(self, cgroup, *arguments):
        return self.recorder("--cgroup", cgroup.path, *self.arguments, *arguments, env=self.with_baseline())

    def test_brings_its_files(self):
        cgroup = self.cgroup()
        held, other = self.make_files(2)
        recorder = self.record(cgroup)
        pid = self.holder(held)
        self.holder(other)
        self.assertNotIn(held, recorder.fresh_report().files())
        (cgroup.directory / "cgroup.procs").write_text(str(pid))
        files = recorder.fresh_report().files()
        self.assertEqual(files[held]["access"], ["baseline"])
        self.assertIn(os.fsencode(os.path.realpath("/usr/bin/python3")), files, "what it runs")
        self.assertTrue([path for path in files if b"/libc.so" in path], "what it has mapped")
        self.assertNotIn(other, files)
        self.assertEqual(recorder.stop(), 0, recorder.log)

    def test_without_asking_for_a_report(self):
        cgroup = self.cgroup()
        [held] = self.make_files(1)
        recorder = self.recorder("--cgroup", cgroup.path, *self.arguments, env=self.with_baseline(), interval="200ms")
        (cgroup.directory / "cgroup.procs").write_text(str(self.holder(held)))
        recorder.wait_for(lambda: held in recorder.report().files(), "the file that the process brings along")

    def test_is_left_out_where_no_baseline_is_wanted(self):
        cgroup = self.cgroup()
        [held] = self.make_files(1)
        recorder = self.record(cgroup, "--no-baseline")
        (cgroup.directory / "cgroup.procs").write_text(str(self.holder(held)))
        self.assertEqual(recorder.fresh_report().files(), {})

    def test_was_there_before(self):
        cgroup = self.cgroup()
        inner = self.cgroup("inner", cgroup)
        held, below = self.make_files(2)
        (cgroup.directory / "cgroup.procs").write_text(str(self.holder(held)))
        (inner.directory / "cgroup.procs").write_text(str(self.holder(below)))
        recorder = self.record(cgroup)
        files = recorder.report().files()
        self.assertEqual(files[held]["access"], ["baseline"])
        self.assertEqual(files[below]["access"], ["baseline"])


    def test_other_pid_namespace(self):
        """Neither iterators nor /proc show what is outside: the report says so."""
        if subprocess.run(["unshare", "--pid", "--fork", "true"], check=False).returncode != 0:
            self.skipTest("no pid namespace can be made")
        cgroup = self.cgroup()
        [held] = self.make_files(1)
        (cgroup.directory / "cgroup.procs").write_text(str(self.holder(held)))
        prefix = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        recorder = self.recorder("--cgroup", cgroup.path, *self.arguments, env=self.with_baseline(),
                                 popen=lambda argv, **options: subprocess.Popen([*prefix, *argv], **options))
        report = recorder.report()
        self.assertNotIn(held, report.files())
        self.assertTrue([text for text in report["capture"]["not_seen"] if "pid namespace" in text])


class CgroupNamespace(Case):
    """As in a Kubernetes pod that has the node's /sys/fs/cgroup: /proc/self/cgroup says "/", and the tree is the node's."""

    def record(self, *arguments):
        """The tree that snoop sees is that of the cgroup `node`."""
        node = self.cgroup("node")
        pod = self.cgroup("pod", node)
        self.own, self.app = self.cgroup("snoop", pod), self.cgroup("app", pod)
        mount = harness.CGROUP2
        script = f'mount -t tmpfs none {mount} && mount -t cgroup2 none {mount} && ' \
                 f'echo 0 >{mount}/pod/snoop/cgroup.procs && exec unshare --cgroup "$0" "$@"'
        prefix = ["unshare", "--cgroup", "--mount", "sh", "-c", script]
        if node.popen([*prefix, "true"]).wait() != 0:
            self.skipTest("no cgroup namespace can be made")
        return self.recorder(*arguments, popen=lambda argv, **options: node.popen([*prefix, *argv], **options))

    def test_siblings(self):
        recorder = self.record()
        [path] = self.make_files(1)
        self.app.run(["/bin/sh", "-c", f"exec 3<'{os.fsdecode(path)}'"])
        report = recorder.final_report()
        self.assertEqual([container["cgroup_path"] for container in report.containers], ["/pod/app"])
        self.assertIn(path, report.opened())

    def test_all(self):
        recorder = self.record("--all")
        [path] = self.make_files(1)
        # What shares snoop's cgroup is as little looked at as snoop.
        self.own.run(["/bin/true"])
        self.app.run(["/bin/sh", "-c", f"exec 3<'{os.fsdecode(path)}'"])
        report = recorder.final_report()
        self.assertEqual([container["cgroup_path"] for container in report.containers], ["/pod/app"])
        self.assertIn(path, report.opened())


class MovedWithoutIterators(Moved):
    """The same where the kernel has no iterators over tasks: by /proc."""

    arguments = ["--no-iterators"]

    def test_says_what_it_cannot_see(self):
        recorder = self.record(self.cgroup())
        self.assertTrue([text for text in recorder.report()["capture"]["not_seen"] if "descriptors" in text])

    def test_what_a_chroot_stood_on_can_be_unmounted(self):
        cgroup = self.cgroup()
        recorder = self.recorder("--cgroup", cgroup.path)
        (self.scratch / "top").mkdir()
        process = cgroup.popen(["/usr/bin/python3", "-I", "-S", "-c", CHROOT, self.scratch / "top"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2):
            self.assertEqual(process.stdout.readline(), b"ready\n")
            # All that it did until now has been looked at.
            self.assertIn("symlink", recorder.fresh_report().files(cgroup)[b"/link"]["access"])
            process.stdin.write(b"go on\n")
            process.stdin.flush()
        process.communicate(timeout=harness.DEADLINE)
        self.assertEqual(process.returncode, 0, os.strerror(process.returncode))

    def test_paths_are_those_of_the_process(self):
        root = self.scratch / "root"
        (root / "etc").mkdir(parents=True)
        inside = root / "etc" / "inside"
        inside.write_text("")
        [outside] = self.make_files(1)
        cgroup = self.cgroup()
        program = "import os, sys; os.chroot(sys.argv[2]); os.chdir('/'); a = os.open('/etc/inside', 0); " \
                  "print('ready', flush=True); sys.stdin.read()"
        process = cgroup.popen(["/usr/bin/python3", "-I", "-S", "-c", program, outside, root], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.communicate)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        files = self.record(cgroup).report().files()
        self.assertIn(b"/etc/inside", files)
        self.assertNotIn(os.fsencode(inside), files)


class ManyOverTime(Case):
    """More targets, one after the other, than there can be at a time."""

    def entries(self, recorder):
        """How many cgroups the kernel side of a snoop knows."""
        for file in pathlib.Path(f"/proc/{recorder.pid}/fdinfo").iterdir():
            found = re.search(r"^map_id:\s*(\d+)$", file.read_text(), re.MULTILINE)
            if not found:
                continue
            show = json.loads(subprocess.run(["/usr/sbin/bpftool", "-j", "map", "show", "id", found[1]],
                                             capture_output=True, check=True).stdout)
            if show.get("name") == "cgroups":
                dump = subprocess.run(["/usr/sbin/bpftool", "-j", "map", "dump", "id", found[1]], capture_output=True,
                                      check=True)
                return len(json.loads(dump.stdout))
        raise AssertionError("snoop has no map of cgroups")

    def in_a_namespace(self, top):
        """Arguments that run snoop where only the cgroups below `top` can be seen, itself in top/self."""
        mount = harness.CGROUP2
        script = f'mount -t tmpfs none {mount} && mount -t cgroup2 none {mount} && ' \
                 f'mkdir -p {mount}/self && echo 0 >{mount}/self/cgroup.procs && exec "$0" "$@"'
        prefix = ["unshare", "--cgroup", "--mount", "sh", "-c", script]
        probe = top.popen([*prefix, "cat", "/proc/self/cgroup"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, errors = probe.communicate(timeout=harness.DEADLINE)
        if probe.returncode != 0 or b"0::/self\n" not in output:
            self.skipTest(f"no cgroup namespace can be made: {errors.decode().strip()}")
        return prefix

    def check(self, *arguments):
        if not shutil.which("bpftool", path="/usr/sbin:/usr/bin"):
            self.skipTest("bpftool is not installed")
        top = self.cgroup("machine")
        prefix = self.in_a_namespace(top)
        recorder = self.recorder(*arguments, popen=lambda argv, **options: top.popen([*prefix, *argv], **options))
        before = self.entries(recorder)
        used = {}
        for batch, path in enumerate(self.make_files(24)):
            # Each batch fits into what is set aside.
            for number in range(200):
                directory = top.directory / f"c{batch}-{number}"
                directory.mkdir()
                if number == 77:
                    cgroup = harness.Cgroup(f"user-{batch}", top)
                    cgroup.run(["/bin/sh", "-c", f"exec 3<'{os.fsdecode(path)}'"])
                    used[cgroup.id] = path
                    cgroup.remove()
                directory.rmdir()
            recorder.refresh()
        self.assertEqual(self.entries(recorder), before)
        report = recorder.final_report()
        self.assertTrue(report["complete"], report["losses"])
        for container in report.containers:
            if container["cgroup_id"] in used:
                paths = {harness.unbytes(file, "path") for file in container["files"]}
                self.assertIn(used.pop(container["cgroup_id"]), paths)
                self.assertGreater(container["total_events"], 0)
                self.assertLess(container["total_events"], 200, "not those of the slot's former target")
        self.assertEqual(used, {}, "every container stays in the report after its end")
        return report

    def test_all(self):
        report = self.check("--all")
        self.assertEqual(len(report.containers), 24, "what used nothing is left out")

    def test_siblings(self):
        report = self.check()
        self.assertGreater(len(report.containers), 4096)

    def test_named_one_ends(self):
        cgroup, other = self.cgroup(), self.cgroup()
        paths = self.make_files(2)
        worker = self.worker(cgroup)
        recorder = self.recorder("--cgroup", cgroup.path, "--cgroup", other.path)
        worker.open(paths)
        cgroup_id = cgroup.id
        worker.close()
        cgroup.remove()
        recorder.wait_for(lambda: self.entries(recorder) == 1, "its entry to go")
        self.worker(other).open(paths[:1])
        report = recorder.final_report()
        [ended] = [container for container in report.containers if container["cgroup_id"] == cgroup_id]
        self.assertEqual({harness.unbytes(file, "path") for file in ended["files"]}, set(paths))
        self.assertGreaterEqual(ended["total_events"], 2)
        self.assertIn(paths[0], report.files(other))


class Version1(Case):
    """A container that has its own cgroup in a hierarchy of version 1 only."""

    def setUp(self):
        super().setUp()
        mounts = version1_mounts()
        self.controller = next((name for name in ("pids", "freezer", "devices", "blkio") if name in mounts), None)
        if self.controller is None:
            self.skipTest("no version 1 hierarchy with a usual controller that this user may write to")
        self.mount = mounts[self.controller]

    def version1(self, name="", parent=None):
        cgroup = Version1Cgroup(self.mount, name, parent)
        self.addCleanup(lambda: cgroup.directory.exists() and cgroup.remove())
        return cgroup

    def test_is_traced_by_that_one(self):
        cgroup, other = self.version1(), self.version1()
        worker, stranger = self.worker(cgroup), self.worker(other)
        lists = [self.make_files(3, prefix=f"list-{number}") for number in range(3)]
        recorder = self.recorder("--cgroup", cgroup.directory)
        worker.open(lists[0])
        stranger.open(lists[2])
        # Born later, nested; and removed.
        child = self.version1("child", cgroup)
        nested = self.version1("nested", child)
        late = self.worker(nested)
        late.open(lists[1])
        late.close()
        nested.remove()
        child.remove()
        report = recorder.final_report()
        self.assertEqual(report["capture"]["hierarchy"], self.controller)
        container = report.container()
        self.assertEqual((container["cgroup_id"], container["cgroup_path"]), (cgroup.id, cgroup.path))
        self.assertLessEqual(set(lists[0] + lists[1]), set(report.files()))
        self.assertFalse(set(lists[2]) & set(report.files()))
        self.assertTrue(report["complete"])

    def test_its_end(self):
        cgroup = self.version1()
        paths = self.make_files(2)
        worker = self.worker(cgroup)
        recorder = self.recorder("--cgroup", cgroup.directory)
        worker.open(paths)
        worker.close()
        cgroup.remove()
        self.assertEqual(set(recorder.fresh_report().files()), set(paths))
        self.assertEqual(set(recorder.final_report().files()), set(paths))

    def test_baseline(self):
        for arguments in ([], ["--no-iterators"]):
            with self.subTest(arguments=arguments):
                cgroup = self.version1()
                held, moved = self.make_files(2)
                (cgroup.directory / "cgroup.procs").write_text(str(self.holder(held)))
                recorder = self.recorder("--cgroup", cgroup.directory, *arguments, env=self.with_baseline(),
                                         report=self.scratch / f"report{len(arguments)}.json")
                self.assertIn(held, recorder.report().files())
                (cgroup.directory / "cgroup.procs").write_text(str(self.holder(moved)))
                self.assertIn(moved, recorder.fresh_report().files())
                self.assertEqual(recorder.stop(), 0)

    def refused(self, *directories):
        arguments = [word for directory in directories for word in ("--cgroup", directory)]
        result = harness.snoop("record", *arguments, "--report", self.scratch / "report.json")
        self.assertEqual(result.returncode, 1)
        return result.stderr.decode()

    def test_one_hierarchy_at_a_time(self):
        log = self.refused(self.version1().directory, self.cgroup().directory)
        self.assertIn("different cgroup hierarchies", log)
        self.assertIn("one snoop for each", log)

    def test_hierarchy_without_a_controller(self):
        mount = version1_mounts().get("name=systemd")
        if mount is None:
            self.skipTest("no named hierarchy")
        self.assertIn("without a controller", self.refused(mount))

    def test_check_names_the_layout(self):
        output = harness.snoop("check").stdout.decode()
        self.assertRegex(output, r"cgroups +(hybrid|pure version 1)")
        self.assertRegex(output, r"hierarchy +\w+, mounted at /")


class PureVersion1(Case):
    """As on a machine without cgroup2: it is not mounted where snoop runs."""

    def setUp(self):
        super().setUp()
        mounts = version1_mounts()
        self.controller = next((name for name in ("memory", "pids", "cpu", "devices", "freezer", "blkio")
                                if name in mounts), None)
        if self.controller is None:
            self.skipTest("no version 1 hierarchy with a usual controller that this user may write to")
        # snoop's own, so that what it makes stands below a cgroup of this test.
        self.top = Version1Cgroup(mounts[self.controller])
        self.addCleanup(self.top.remove)
        self.prefix = ["unshare", "--mount", "sh", "-c", f'umount {harness.CGROUP2} && exec "$0" "$@"']

    def snoop(self, *arguments):
        process = self.top.popen([*self.prefix, harness.SNOOP, *map(str, arguments)], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
        output, errors = process.communicate(timeout=2 * harness.DEADLINE)
        return process.returncode, output.decode(), errors.decode()

    def test_check(self):
        code, output, _ = self.snoop("check")
        self.assertEqual(code, 0, output)
        self.assertRegex(output, r"cgroups +pure version 1")
        self.assertRegex(output, rf"hierarchy +{self.controller}, mounted at /")

    def test_run(self):
        [path] = self.make_files(1)
        code, _, errors = self.snoop("run", "--report", self.scratch / "report.json", "--", "cat", os.fsdecode(path))
        self.assertEqual(code, 0, errors)
        report = harness.Report((self.scratch / "report.json").read_bytes())
        self.assertEqual(report["capture"]["hierarchy"], self.controller)
        self.assertIn(path, report.files())
        self.assertTrue(report["complete"])
        self.assertTrue(report.container()["cgroup_path"].startswith(self.top.path + "/snoop-run-"))
        self.assertEqual([entry for entry in self.top.directory.iterdir() if entry.is_dir()], [])

    def test_siblings(self):
        pod = Version1Cgroup(self.top.mount, "pod", self.top)
        own, app = (Version1Cgroup(self.top.mount, name, pod) for name in ("self", "app"))
        worker = self.worker(app)
        early, late = self.make_files(2)
        recorder = self.recorder(popen=lambda argv, **options: own.popen([*self.prefix, *argv], **options))
        worker.open([early])
        born = Version1Cgroup(self.top.mount, "late", pod)
        self.worker(born).open([late])
        report = recorder.final_report()
        self.assertEqual([container["name"] for container in report.containers], ["app", "late"])
        self.assertIn(early, report.files(app))
        self.assertIn(late, report.files(born))


if __name__ == "__main__":
    harness.main()
