#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""With exactly the capabilities that docs/privileges.md names everything works; each one less costs what it says, and is
told. And what snoop gives up once it captures."""

import os
import pathlib
import platform
import shutil
import signal
import subprocess
import tempfile
import unittest

import harness

NUMBERS = {"dac_override": 1, "dac_read_search": 2, "sys_ptrace": 19, "sys_admin": 21, "perfmon": 38, "bpf": 39,
           "checkpoint_restore": 40}
DOCUMENTED = ("bpf", "perfmon", "sys_ptrace", "dac_read_search")
KERNEL = tuple(int(part) for part in platform.release().split(".")[:2])


def with_capabilities(capabilities, user=65534):
    """What stands in front of a command that shall have these capabilities and no others."""
    exactly = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", f"--bounding-set={exactly}",
            f"--inh-caps={exactly}", *([f"--ambient-caps={exactly}"] if user else [])]


def capabilities_of(pid, kind="CapEff"):
    fields = dict(line.split(":\t") for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    mask = int(fields[kind], 16)
    return {name for name, number in NUMBERS.items() if mask >> number & 1} if kind != "CapBnd" else mask


def status(pid, key):
    return next(line.split()[1] for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                if line.startswith(key + ":"))


class Case(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not shutil.which("setpriv"):
            raise unittest.SkipTest("no setpriv")
        # Where nobody can run it.
        cls.programs = tempfile.TemporaryDirectory(prefix="snoop-e2e-")
        cls.addClassCleanup(cls.programs.cleanup)
        os.chmod(cls.programs.name, 0o755)
        cls.program = shutil.copy(harness.SNOOP, cls.programs.name)

    def setUp(self):
        super().setUp()
        self.scratch.chmod(0o777)
        self.target = self.cgroup()

    def start(self, capabilities, *arguments, user=65534, report=None, **options):
        """A record with these capabilities."""
        prefix = with_capabilities(capabilities, user) if capabilities is not None else []
        return self.start_recorder(
            "--cgroup", self.target.path, "--metrics-addr", "off", "--metadata-program", "none", *arguments, report=report,
            popen=lambda argv, **more: subprocess.Popen([*prefix, self.program, *argv[1:]], **more), **options)

    def check(self, capabilities):
        return subprocess.run([*with_capabilities(capabilities), self.program, "check"], capture_output=True, text=True,
                              env=harness.environment(), timeout=harness.DEADLINE)


class Container:
    """A process of another user with a root directory of its own, on a mount that nobody else has. It reads what only it
    may: a link in a directory that only its owner may search."""

    def __init__(self, cgroup):
        script = ("mount -t tmpfs snoop-e2e /mnt && cd /mnt && mkdir -p bin private && cp /bin/busybox bin/ && "
                  "touch private/file && ln -s file private/link && chown -R 1000 private && chmod 700 private && "
                  "exec chroot --userspec=1000:1000 . /bin/busybox sh -c "
                  "'while read -r path; do read -r x < $path; echo done; done'")
        self.process = cgroup.popen(["unshare", "--mount", "--propagation=private", "sh", "-c", script],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.read("/bin/busybox")

    def read(self, path):
        self.process.stdin.write(path.encode() + b"\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"done\n"

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Needed(Case):
    def recorded(self, capabilities):
        """The report about a container, and the log."""
        recorder = self.start(capabilities).wait_until_ready()
        container = Container(self.target)
        self.addCleanup(container.close)
        container.read("/private/link")
        report = recorder.final_report()
        container.close()
        return report, recorder.log

    def link(self, report):
        return report.files()[b"/private/link"]

    def test_exactly_what_is_documented(self):
        report, log = self.recorded(DOCUMENTED)
        self.assertNotIn("without CAP_", log)
        self.assertTrue(report["complete"])
        self.assertNotIn("unresolved", report.container())
        self.assertIn("symlink", self.link(report)["access"])
        self.assertEqual(self.link(report)["resolved"], "/private/file")
        checked = self.check(DOCUMENTED)
        self.assertEqual(checked.returncode, 0, checked.stdout)
        self.assertIn("ok    privileges   CAP_BPF and CAP_PERFMON", checked.stdout)
        self.assertNotIn("without CAP_", checked.stdout)

    def test_sys_admin_in_place_of_two(self):
        recorder = self.start(("sys_admin",)).wait_until_ready()
        self.assertEqual(recorder.stop(), 0)
        self.assertIn("ok    privileges   CAP_SYS_ADMIN", self.check(("sys_admin",)).stdout)

    def test_without_those_of_bpf(self):
        for missing in ("bpf", "perfmon"):
            with self.subTest(missing=missing):
                some = [name for name in DOCUMENTED if name != missing]
                checked = self.check(some)
                self.assertEqual(checked.returncode, 1)
                self.assertIn(f"FAIL  privileges   no CAP_{missing.upper()}, nor CAP_SYS_ADMIN", checked.stdout)
                recorder = self.start(some)
                self.assertEqual(recorder.wait(), 1)
                self.assertIn("hint: snoop needs root, or CAP_BPF and CAP_PERFMON", recorder.log)

    def test_without_sys_ptrace(self):
        some = [name for name in DOCUMENTED if name != "sys_ptrace"]
        report, log = self.recorded(some)
        self.assertIn("snoop: info: without CAP_SYS_PTRACE the root directories of containers cannot be opened", log)
        self.assertIn("CAP_SYS_PTRACE", report.container()["unresolved"])
        self.assertNotIn("symlink", self.link(report)["access"])
        checked = self.check(some)
        self.assertEqual(checked.returncode, 0)
        self.assertIn("note  privileges   without CAP_SYS_PTRACE", checked.stdout)

    def test_without_dac_read_search(self):
        some = [name for name in DOCUMENTED if name != "dac_read_search"]
        report, log = self.recorded(some)
        self.assertIn("snoop: info: without CAP_DAC_READ_SEARCH directories that only their owner may search", log)
        self.assertIn("links and origins below directories that only their owner may search",
                      report["capture"]["not_seen"])
        self.assertNotIn("symlink", self.link(report)["access"])
        checked = self.check(some)
        self.assertEqual(checked.returncode, 0)
        self.assertIn("note  privileges   without CAP_DAC_READ_SEARCH", checked.stdout)

    def mapped(self, capabilities, deleted):
        """Whether a baseline by /proc has a file that is mapped and not open; and which capabilities are kept."""
        file = self.scratch / "mapped"
        file.write_bytes(b"x" * 4096)
        process = self.target.popen(["/usr/bin/python3", "-I", "-S", "-c", "import ctypes, os, sys\n"
                                     "fd = os.open(sys.argv[1], os.O_RDONLY); map = ctypes.CDLL(None).mmap\n"
                                     "map.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]\n"
                                     "map(None, 4096, 1, 2, fd, 0); os.close(fd); print(flush=True); sys.stdin.read()",
                                     str(file)],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"\n")
        env = harness.environment()
        del env["SNOOP_NO_BASELINE"]
        if deleted:
            file.unlink()
        recorder = self.start(capabilities, "--fresh", "--no-iterators", "--exclude", "/usr", env=env).wait_until_ready()
        kept = capabilities_of(recorder.pid)
        files = recorder.final_report().files()
        process.communicate()
        return os.fsencode(file) in files, kept

    def test_checkpoint_restore_where_there_are_no_iterators(self):
        there, kept = self.mapped((*DOCUMENTED, "checkpoint_restore"), deleted=True)
        self.assertTrue(there)
        self.assertIn("checkpoint_restore", kept)
        there, kept = self.mapped(DOCUMENTED, deleted=True)
        self.assertFalse(there)
        self.assertNotIn("checkpoint_restore", kept)
        self.assertTrue(self.mapped(DOCUMENTED, deleted=False)[0])

    def test_dac_override_for_a_report_in_anothers_directory(self):
        directory = self.scratch / "theirs"
        directory.mkdir(mode=0o755)
        os.chown(directory, 1000, 1000)
        root = self.start((*DOCUMENTED, "dac_override"), user=0, report=directory / "report.json").wait_until_ready()
        self.assertIn("dac_override", capabilities_of(root.pid))
        root.fresh_report()
        self.assertEqual(root.stop(), 0)
        other = self.start(DOCUMENTED, user=0, report=directory / "other.json",
                           env=harness.environment(TMPDIR=str(self.scratch)))
        other.wait_for_log("other.json: Permission denied")
        self.assertEqual(other.stop(), 1)


class GivenUp(Case):
    """What the process has when it captures."""

    def assert_confined(self, pid):
        self.assertEqual((status(pid, "NoNewPrivs"), status(pid, "Seccomp")), ("1", "2"))
        for kind in ("CapEff", "CapPrm"):
            self.assertLessEqual(capabilities_of(pid, kind), set(DOCUMENTED))
            if KERNEL >= (6, 0):
                self.assertEqual(capabilities_of(pid, kind), {"sys_ptrace", "dac_read_search"})
        self.assertEqual((capabilities_of(pid, "CapInh"), capabilities_of(pid, "CapAmb")), (set(), set()))

    def test_by_root(self):
        recorder = self.start(None).wait_until_ready()
        self.assert_confined(recorder.pid)
        self.assertEqual(bin(capabilities_of(recorder.pid, "CapBnd")).count("1"), len(capabilities_of(recorder.pid)))
        self.assertEqual(recorder.stop(), 0)

    def test_by_another_user(self):
        recorder = self.start(DOCUMENTED).wait_until_ready()
        self.assert_confined(recorder.pid)
        self.assertEqual(recorder.stop(), 0)

    def test_by_trace(self):
        tracer = self.background("trace", "--cgroup", self.target.path, "--metadata-program", "none",
                                 stdout=subprocess.DEVNULL)
        tracer.wait_for_log("tracing 1 cgroup")
        self.assert_confined(tracer.pid)
        self.assertEqual(tracer.stop(), 0)

    def test_not_on_demand(self):
        recorder = self.start(None, "--no-sandbox").wait_until_ready()
        self.assertEqual((status(recorder.pid, "NoNewPrivs"), status(recorder.pid, "Seccomp")), ("0", "0"))
        self.assertEqual(capabilities_of(recorder.pid), capabilities_of("self"))
        self.assertEqual(recorder.stop(), 0)

    def test_program_that_is_started_again(self):
        """By the launcher: snoop itself can start nothing any more."""
        program = self.scratch / "metadata"
        program.write_text("#!/bin/sh\necho '{\"listed\":true}'\nexec cat\n")
        program.chmod(0o755)
        recorder = self.start_recorder("--cgroup", self.target.path, "--metrics-addr", "off", "--metadata-program",
                                       program).wait_until_ready()

        def children():
            return {int(pid): pathlib.Path(f"/proc/{pid}/comm").read_text().strip() for pid in
                    pathlib.Path(f"/proc/{recorder.pid}/task/{recorder.pid}/children").read_text().split()}

        self.assertEqual(sorted(harness.wait_for(lambda: "cat" in children().values() and children().values(),
                                                 "the program")), ["cat", "snoop-launcher"])
        for pid in children():
            self.assertEqual((capabilities_of(pid), status(pid, "NoNewPrivs")), (set(), "1"))
        first = next(pid for pid, name in children().items() if name == "cat")
        os.kill(first, signal.SIGKILL)
        recorder.wait_for_log("starting it again in 1 s")
        recorder.wait_for(lambda: "cat" in children().values(), "the next one")
        self.assertNotIn(first, children())
        others = list(children())
        recorder.send(signal.SIGKILL)
        recorder.wait()

        def ended(pid):
            try:
                return status(pid, "State") == "Z"
            except FileNotFoundError:
                return True

        for pid in others:
            harness.wait_for(lambda pid=pid: ended(pid), "the children of a killed snoop to end")


if __name__ == "__main__":
    harness.main()
