#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""snoop trace: accesses as they happen."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import harness

LINE = re.compile(r"^(?P<pid>\d+) +(?P<container>\S+) +(?P<kinds>\S+) +(?P<result>\S+) +(?P<path>/.*)$")


class Trace(harness.Case):
    def setUp(self):
        super().setUp()
        self.cgroup_ = self.cgroup("traced")
        self.worker_ = self.worker(self.cgroup_)
        self.output = self.scratch / "output"

    def trace(self, *arguments, targets=None):
        """One that captures already."""
        names = [f"--cgroup={cgroup.path}" for cgroup in targets or [self.cgroup_]]
        with open(self.output, "wb") as output:
            started = self.background("trace", *names, *arguments, stdout=output)
        started.wait_for_log("tracing ")
        return started

    def end(self, started, number=signal.SIGINT):
        """What it has printed, as lines."""
        self.assertEqual(started.stop(number), 0, started.log)
        text = self.output.read_bytes()
        self.assertTrue(text == b"" or text.endswith(b"\n"), text[-200:])
        return text.decode().splitlines()

    def parse(self, lines):
        matches = [LINE.match(line) for line in lines]
        self.assertNotIn(None, matches, lines)
        return [match.groupdict() for match in matches]

    def test_text(self):
        path, = self.make_files(1)
        started = self.trace()
        self.worker_.open([path, path + b"-missing"])
        found, missing = self.parse(self.end(started))
        common = {"pid": str(self.worker_.process.pid), "container": self.cgroup_.name, "kinds": "open:read"}
        self.assertEqual(found, {**common, "result": "ok", "path": path.decode()})
        self.assertEqual(missing, {**common, "result": "ENOENT", "path": path.decode() + "-missing"})

    def test_kinds(self):
        started = self.trace()
        self.cgroup_.run(["/usr/bin/touch", self.scratch / "made"])
        self.cgroup_.run(["/bin/chmod", "600", self.scratch / "made"])
        self.cgroup_.run(["/bin/ls", self.scratch])
        lines = {(line["kinds"], line["path"]) for line in self.parse(self.end(started)) if line["result"] == "ok"}
        made = str(self.scratch / "made")
        self.assertLessEqual({("exec", "/usr/bin/touch"), ("interpreter", "/lib64/ld-linux-x86-64.so.2"),
                              ("change", made), ("stat", made), ("open:read+directory", str(self.scratch))}, lines)
        self.assertTrue({"open:write+create", "open:read+write+create"} &
                        {kinds for kinds, path in lines if path == made}, lines)

    def test_json(self):
        path, = self.make_files(1)
        os.symlink(path, self.scratch / "link")
        before = time.time()
        started = self.trace("--format", "json")
        self.worker_.open([path, os.fsencode(self.scratch / "link"), path + b"-missing"])
        lines = [json.loads(line) for line in self.end(started)]
        times = [harness.seconds(line.pop("time")) for line in lines]
        self.assertEqual(times, sorted(times))
        self.assertTrue(before - 0.002 <= times[0] and times[-1] <= time.time() + 0.002, (before, times))
        pid = self.worker_.process.pid
        common = {"pid": pid, "tid": pid, "container": self.cgroup_.name, "cgroup_id": self.cgroup_.id,
                  "access": ["open"], "open_modes": ["read"]}
        self.assertEqual(lines, [
            {**common, "result": "ok", "path": path.decode()},
            {**common, "result": "ok", "path": str(self.scratch / "link"), "resolved": path.decode()},
            {**common, "result": "ENOENT", "path": path.decode() + "-missing"},
        ])

    def test_as_they_happen(self):
        started = self.trace()
        for path in self.make_files(3):
            self.worker_.open([path])
            started.wait_for(lambda: path in self.output.read_bytes(), "the line of an access")

    def test_repeats(self):
        first, second = self.make_files(2)
        started = self.trace()
        self.worker_.open([first, second], times=4)
        self.assertEqual([line["path"] for line in self.parse(self.end(started))],
                         [first.decode(), second.decode()] * 4)

    def test_unique(self):
        first, second = self.make_files(2)
        started = self.trace("--unique")
        self.worker_.open([first, second], times=4)
        self.cgroup_.run(["/usr/bin/stat", first, second, first])
        lines = [(line["kinds"], line["path"]) for line in self.parse(self.end(started))]
        self.assertEqual(len(lines), len(set(lines)))
        for path in (first.decode(), second.decode()):
            self.assertEqual(sorted(kinds for kinds, other in lines if other == path), ["open:read", "stat"])

    def test_each_container_by_its_name(self):
        other = self.cgroup("other")
        worker = self.worker(other)
        first, second, third = self.make_files(3)
        started = self.trace(targets=[self.cgroup_, other])
        self.worker_.open([first])
        worker.open([second])
        self.worker(self.cgroup("third")).open([third])
        self.assertEqual([(line["container"], line["path"]) for line in self.parse(self.end(started))],
                         [(self.cgroup_.name, first.decode()), (other.name, second.decode())])

    def test_control_characters(self):
        """A name cannot do anything to the terminal, nor fake a line."""
        names = [b"new\nline", b"\x1b[31mred\x1b]0;title\x07", b"\xc2\x9b31m", b"not-utf8-\xff", b"tab\t", b"\x7f", b"back\\n",
                 b"caf\xc3\xa9"]
        paths = [os.fsencode(self.scratch) + b"/" + name for name in names]
        for path in paths:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT))
        for arguments in ([], ["--format", "json"]):
            with self.subTest(arguments=arguments):
                started = self.trace(*arguments)
                self.assertEqual(self.worker_.open(paths), len(paths))
                lines = self.end(started)
                self.assertEqual(len(lines), len(paths))
                for line in lines:
                    self.assertFalse(re.search(r"[\x00-\x1f\x7f\x80-\x9f]", line) and not arguments, repr(line))
                    self.assertFalse(re.search(r"[\x00-\x1f]", line), repr(line))
                if arguments:
                    self.assertEqual([harness.unbytes(json.loads(line), "path") for line in lines], paths)
                else:
                    shown = [line["path"].rpartition("/")[2] for line in self.parse(lines)]
                    self.assertEqual(shown, [r"new\nline", r"\x1b[31mred\x1b]0;title\x07", r"\xc2\x9b31m",
                                             r"not-utf8-\xff", r"tab\t", r"\x7f", r"back\\n", "caf\u00e9"])

    def test_exclude(self):
        path, = self.make_files(1)
        started = self.trace()
        self.worker_.open([b"/dev/null", path])
        self.assertEqual([line["path"] for line in self.parse(self.end(started))], [path.decode()])
        started = self.trace("--exclude", self.scratch)
        self.worker_.open([b"/dev/null", path])
        self.assertEqual([line["path"] for line in self.parse(self.end(started))], ["/dev/null"])

    def test_what_leads_out_of_what_is_excluded(self):
        """As in reports: busybox and runc start themselves by /proc/self/exe."""
        started = self.trace()
        self.worker_.open([b"/proc/self/exe", b"/proc/self/status"])
        self.cgroup_.run(["/usr/bin/python3", "-I", "-S", "-c",
                          "import os\nos.execv('/proc/self/exe', ['python3', '-I', '-S', '-c', ''])"])
        python = os.path.realpath("/usr/bin/python3")
        lines = [(line["kinds"], line["path"]) for line in self.parse(self.end(started))]
        self.assertEqual(lines[0], ("open:read", python))
        self.assertEqual(lines.count(("exec", python)), 1)
        self.assertEqual([path for _, path in lines if path.startswith("/proc/")], [])

    def test_head(self):
        """A reader that goes away is a normal end."""
        paths = self.make_files(50)
        started = self.background("trace", "--cgroup", self.cgroup_.path, stdout=subprocess.PIPE)
        started.wait_for_log("tracing ")
        head = subprocess.Popen(["head", "-n", "3"], stdin=started.process.stdout, stdout=subprocess.PIPE)
        started.process.stdout.close()
        self.worker_.start_open(paths, times=1000000)
        lines = head.communicate(timeout=harness.DEADLINE)[0].decode().splitlines()
        self.assertEqual([line["path"] for line in self.parse(lines)], [path.decode() for path in paths[:3]])
        self.assertEqual(started.wait(), 0, started.log)
        self.assertNotIn("error", started.log)

    def test_a_signal_ends_it_though_nobody_reads(self):
        paths = self.make_files(50)
        started = self.background("trace", "--cgroup", self.cgroup_.path, stdout=subprocess.PIPE)
        started.wait_for_log("tracing ")
        self.worker_.start_open(paths, times=1000000)
        # It sleeps in a write to a pipe that is full.
        stack = pathlib.Path(f"/proc/{started.pid}/wchan")
        started.wait_for(lambda: "pipe" in stack.read_text(), "a full pipe")
        self.assertEqual(started.stop(signal.SIGTERM), 0)

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "wb") as full:
            started = self.background("trace", "--cgroup", self.cgroup_.path, stdout=full)
            started.wait_for_log("tracing ")
            self.worker_.open(self.make_files(1))
            self.assertEqual(started.wait(), 1, started.log)
        self.assertIn("No space left on device", started.log)

    def test_a_signal_ends_it_in_an_endless_burst(self):
        started = self.trace("--ring-size", "256K")
        self.worker_.start_open(self.make_files(50), times=1000000)
        started.wait_for(lambda: self.output.stat().st_size > 1000000, "the burst")
        self.assertEqual(started.stop(signal.SIGINT), 0, started.log)

    def test_signals_end_it(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number.name):
                self.assertEqual(self.end(self.trace(), number), [])

    def test_missing_cgroup(self):
        result = harness.snoop("trace", "--cgroup", "snoop-e2e-missing")
        self.assertEqual((result.returncode, result.stdout), (1, b""))
        self.assertIn(b"there is no cgroup snoop-e2e-missing", result.stderr)


if __name__ == "__main__":
    harness.main()
