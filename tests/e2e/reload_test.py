#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SIGHUP: what can be changed while snoop runs is, the rest is named, and what is wrong changes nothing."""

import json
import os
import pty
import signal

import harness


class Reload(harness.Case):
    def setUp(self):
        super().setUp()
        self.config = self.scratch / "snoop.toml"
        self.target = self.cgroup()
        self.files = self.make_files(5)
        self.left_out = self.make_files(3, directory=self.scratch / "left-out")

    def start(self, text, *arguments):
        self.config.write_text(text)
        return self.recorder("--cgroup", self.target.path, "--config", self.config, interval="1h", *arguments)

    def hup(self, recorder, text, said):
        """Writes another configuration, and waits for the answer."""
        self.config.write_text(text)
        before = recorder.version()
        recorder.send(signal.SIGHUP)
        recorder.wait_for_log(said)
        recorder.wait_for(lambda: recorder.version() != before, "the report that comes with it")

    def test_changes(self):
        recorder = self.start('[record]\nmax-files = 100\nlog-level = "info"\n')
        worker = self.worker(self.target)
        count = len(recorder.fresh_report().files())
        worker.open(self.files[:2])
        self.hup(recorder, f'[record]\nexclude = ["{self.scratch}/left-out"]\nmax-files = {count + 3}\n'
                 'log-level = "debug"\nlog-format = "json"\n', "SIGHUP: from now on")
        line = next(json.loads(line) for line in recorder.log.splitlines() if line.startswith("{") and "SIGHUP" in line)
        self.assertIn(f"max-files = {count + 3}", line["message"])
        for name in ("exclude", "log-level", "log-format"):
            self.assertIn(f"{name} = ", line["message"])
        recorder.wait_for_log('"level":"debug"')
        worker.open(self.left_out + self.files)
        report = recorder.final_report()
        self.assertEqual(len(report.files()), count + 3)
        self.assertEqual({path for path in report.files() if path.startswith(bytes(self.scratch))}, {*self.files[:3]})
        self.assertEqual(report["losses"]["files_over_limit"], 2)

    def test_interval(self):
        report = self.scratch / "report.json"
        self.config.write_text('[record]\ninterval = "1h"\n')
        started = self.background("record", "--cgroup", self.target.path, "--report", report, "--config",
                                  self.config)
        started.wait_for(report.exists, "the first report")
        self.config.write_text('[record]\ninterval = "100ms"\n')
        started.send(signal.SIGHUP)
        started.wait_for_log("SIGHUP: from now on interval = 100ms")
        for _ in range(3):
            before = report.stat().st_mtime_ns
            started.wait_for(lambda: report.stat().st_mtime_ns != before, "a report of the interval")
        self.assertEqual(started.stop(), 0)

    def test_flags_beat_the_file_then_too(self):
        self.hup(self.start(""), '[record]\ninterval = "100ms"\n', "SIGHUP: no setting has changed")

    def test_what_cannot_be_changed_is_named(self):
        recorder = self.start("")
        self.hup(recorder, '[record]\nring-size = "1M"\nimage = "x"\nlog-level = "debug"\n',
                 "SIGHUP: from now on log-level = debug")
        for name in ("ring-size", "image"):
            self.assertIn(f"snoop: warning: SIGHUP: {name} cannot be changed while snoop runs", recorder.log)
        self.assertNotIn("image", recorder.final_report().container())

    def test_wrong(self):
        recorder = self.start('[record]\nmax-files = 50\n')
        for text, said in (("[record\n", "this is no TOML"), ("[record]\nx = 1\n", "no option 'x'"),
                           ('[record]\nmax-files = 0\nlog-level = "off"\n', "from 1 to 100000000, not '0'")):
            self.hup(recorder, text, said)
            # The last error: what runtimes answer is told whenever they do.
            errors = [line for line in recorder.log.splitlines() if line.startswith("snoop: error:")]
            self.assertIn("snoop: error: SIGHUP: the configuration stays as it was", errors[-1])
            self.assertIn("line ", errors[-1])
        self.config.unlink()
        recorder.send(signal.SIGHUP)
        recorder.wait_for_log("snoop.toml: cannot be read: No such file or directory")
        self.assertEqual(recorder.stop(), 0)

    def test_lifted_exclusion(self):
        left_out = self.scratch / "left-out"
        recorder = self.start(f'[record]\nexclude = ["{left_out}", "/b"]\n')
        worker = self.worker(self.target)
        worker.open(self.left_out + self.files)
        self.assertEqual(self.left_out[0] in recorder.fresh_report().files(), False)
        self.hup(recorder, '[record]\nexclude = ["/b", "/c"]\n', "SIGHUP: from now on exclude = /b /c")
        self.assertIn(f"what was used below {left_out} until now, and is not used again, stays left out", recorder.log)
        self.assertNotIn("below /b", recorder.log)
        # In the very same way as before.
        worker.open(self.left_out[:2] + self.files)
        report = recorder.final_report()
        self.assertEqual({path for path in report.files() if path.startswith(bytes(left_out) + b"/")},
                         {*self.left_out[:2]})
        self.assertEqual({report.files()[path]["count"] for path in self.files}, {2})

    def test_terminal_that_goes_away(self):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(harness.SNOOP, [harness.SNOOP, "record", "--cgroup", self.target.path, "--report",
                                      str(self.scratch / "report.json")], harness.environment())
        try:
            harness.wait_for((self.scratch / "report.json").exists, "the first report")
            os.kill(pid, signal.SIGHUP)
            before = b""
            while b"SIGHUP: no setting has changed" not in before:
                before += os.read(terminal, 4096)
        finally:
            os.close(terminal)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        self.assertTrue(harness.Report((self.scratch / "report.json").read_bytes())["final"])


if __name__ == "__main__":
    harness.main()
