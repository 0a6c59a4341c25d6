#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Starting and stopping leaves nothing behind: no BPF program, map, cgroup, process or file."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import unittest

import harness

BPFTOOL = shutil.which("bpftool", path="/usr/sbin:/sbin:/usr/bin:/bin")


@unittest.skipUnless(BPFTOOL, "bpftool is not installed")
class Leaks(harness.Case):
    def setUp(self):
        super().setUp()
        # Other snoops may run on this machine: only what these ones have loaded counts.
        self.loaded = {"prog": set(), "map": set(), "link": set()}
        self.temporary = self.scratch / "tmp"
        self.temporary.mkdir()
        self.reports = self.scratch / "reports"
        self.reports.mkdir()
        self.environment = harness.environment(TMPDIR=str(self.temporary))
        self.pids = []

    def note_what_is_loaded(self, pid):
        """The BPF objects that a process holds."""
        self.pids.append(pid)
        for entry in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
            try:
                text = entry.read_text()
            except FileNotFoundError:  # closed meanwhile
                continue
            for kind, number in re.findall(r"^(prog|map|link)_id:\s*(\d+)$", text, re.MULTILINE):
                self.loaded[kind].add(int(number))

    def still_loaded(self):
        left = {}
        for kind, ids in self.loaded.items():
            listed = json.loads(subprocess.run([BPFTOOL, kind, "list", "-j"], check=True, capture_output=True).stdout)
            left[kind] = ids & {entry["id"] for entry in listed}
        return left

    def assert_nothing_left(self):
        self.assertGreater(len(self.loaded["prog"]), 3 * len(self.pids))
        self.assertGreater(len(self.loaded["map"]), 3 * len(self.pids))
        # The kernel frees them a moment after their last user (RCU).
        harness.wait_for(lambda: not any(self.still_loaded().values()), "all BPF objects to be gone")
        for pid in self.pids:
            self.assertEqual(list(harness.CGROUP2.rglob(f"snoop-run-{pid}")), [])
            self.assertFalse(os.path.exists(f"/proc/{pid}"))
        self.assertEqual(os.listdir(self.temporary), [])
        self.assertLessEqual(set(os.listdir(self.reports)), {"report.json"})

    def record(self, cgroup, number, interval="1h"):
        recorder = self.recorder("--cgroup", cgroup.path, report=self.reports / "report.json", interval=interval,
                                 env=self.environment, cwd=self.temporary)
        self.note_what_is_loaded(recorder.pid)
        code = recorder.stop(number)
        self.assertEqual(code, -signal.SIGKILL if number == signal.SIGKILL else 0, recorder.log)
        recorder.close()

    def run_(self, number):
        ready = self.scratch / "ready"
        started = self.background("run", "--report", self.reports / "report.json", "--grace", "0", "--", "/bin/sh", "-c",
                                  f"sleep 300 & touch {ready}; wait", env=self.environment, cwd=self.temporary)
        started.wait_for(ready.exists, "the command")
        self.note_what_is_loaded(started.pid)
        self.assertEqual(started.stop(number), 128 + number, started.log)
        started.close()
        ready.unlink()

    def test_fifty_times(self):
        cgroup = self.cgroup()
        self.worker(cgroup)
        for attempt in range(34):
            self.record(cgroup, (signal.SIGTERM, signal.SIGINT)[attempt % 2])
        for _ in range(12):
            self.run_(signal.SIGTERM)
        for _ in range(4):
            self.record(cgroup, signal.SIGKILL)
        # A report that a killed one did not finish is gone with the next.
        (self.reports / ".report.json.tmp").write_text("half a rep")
        self.record(cgroup, signal.SIGTERM)
        self.assert_nothing_left()
        self.assertEqual([path for path in cgroup.directory.iterdir() if path.is_dir()], [])

    def test_failed_starts(self):
        before = set(harness.CGROUP2.rglob("snoop-run-*"))
        for arguments in (["record", "--cgroup", "snoop-e2e-missing"], ["run", "--", "/no/such/file"],
                          ["run", "--", self.garbage()], ["run", "--report", "/no/such/directory/x", "--", "/bin/true"],
                          ["trace", "--cgroup", "snoop-e2e-missing"]):
            result = harness.snoop(*arguments, env=self.environment, cwd=self.temporary)
            self.assertNotEqual(result.returncode, 0)
        self.assertEqual(os.listdir(self.temporary), [])
        # Those of others come and go; one made here would stay.
        harness.wait_for(lambda: not (set(harness.CGROUP2.rglob("snoop-run-*")) - before - self.of_running()),
                         "no cgroup of a failed start")

    def garbage(self):
        path = self.scratch / "garbage"
        path.write_bytes(b"\0" * 100)
        path.chmod(0o755)
        return path

    @staticmethod
    def of_running():
        return {path for path in harness.CGROUP2.rglob("snoop-run-*")
                if os.path.exists(f"/proc/{path.name.rpartition('-')[2]}")}


if __name__ == "__main__":
    harness.main()
