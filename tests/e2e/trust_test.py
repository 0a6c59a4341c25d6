#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A container cannot lie to snoop, nor harm it or what it tells of others."""

import os
import pathlib
import re
import signal
import subprocess
import time

import harness

# What a terminal would act upon, a line of its own that looks like snoop's, and bytes that are no text.
NASTY = b"\x1b]0;title\x07\x1b[2J\nsnoop: error: forged\r\x9b31m\xff\xe2\x80\xae"


def controls_in(text):
    """Bytes of some output that are neither printable nor the end of a line."""
    return re.findall(rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]", text)


class Printed(harness.Case):
    def test_nothing_reaches_the_terminal(self):
        top = self.cgroup()
        # A cgroup's name may have anything but a slash and a newline.
        name = os.fsdecode(NASTY.replace(b"\n", b""))
        cgroup = harness.Cgroup(name, top)
        worker = self.worker(cgroup)
        path = bytes(self.scratch) + b"/" + NASTY
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT))
        recorder = self.recorder("--cgroup", top.path, "--cgroup", cgroup.directory, "--log-level", "debug")
        trace = open(self.scratch / "trace", "wb")
        self.addCleanup(trace.close)
        tracer = self.background("trace", "--cgroup", cgroup.directory, "--log-level", "debug", stdout=trace)
        tracer.wait_for_log("tracing 1 cgroup")
        worker.open([path])
        tracer.wait_for(lambda: b"forged" in (self.scratch / "trace").read_bytes(), "the line")
        for started in (recorder, tracer):
            self.assertEqual(started.stop(), 0)
            log = pathlib.Path(started.log_file.name).read_bytes()
            self.assertEqual(controls_in(log), [])
            self.assertFalse(any(line.startswith(b"snoop: error") for line in log.splitlines()), log)
        lines = (self.scratch / "trace").read_bytes()
        self.assertEqual(controls_in(lines), [])
        self.assertNotIn(b"\xff", lines)
        self.assertIn(rb"\xe2\x80\xae", lines)  # what turns the direction of the text around
        report = recorder.report()
        self.assertIn(path, report.files(cgroup))
        self.assertEqual(harness.unbytes(report.container(cgroup), "cgroup_path"), os.fsencode(cgroup.path))
        shown = subprocess.run([harness.SOURCE_DIR / "scripts" / "show-report.py", recorder.report_path], check=True,
                               capture_output=True).stdout
        self.assertEqual(controls_in(shown), [])

    def test_errors(self):
        """What snoop was told to watch, by somebody who may have been told by a container."""
        for arguments in (["record", "--cgroup", NASTY, "--report", self.scratch / "report.json"],
                          ["record", "--cgroup", "x", "--report", bytes(self.scratch) + b"/" + NASTY + b"/r"],
                          ["run", "--report", self.scratch / "r.json", "--", b"/no/" + NASTY],
                          ["record", "--interval", NASTY], ["record", NASTY], [NASTY]):
            result = subprocess.run([harness.SNOOP, *arguments], capture_output=True, stdin=subprocess.DEVNULL,
                                    env=harness.environment(), timeout=harness.DEADLINE)
            self.assertNotEqual(result.returncode, 0)
            self.assertEqual(controls_in(result.stderr), [], arguments)
            self.assertNotIn(b"\xff", result.stderr)


class Links(harness.Case):
    def test_stay_in_the_root(self):
        """A container's links lead to what it has there itself, wherever their text points."""
        (self.scratch / "secret").write_text("outside")
        secret = str(self.scratch / "secret")
        script = f"""mount -t tmpfs snoop-e2e /mnt && cd /mnt && mkdir -p bin in .{self.scratch} && cp /bin/busybox bin/ &&
            ln -s {secret} absolute && ln -s ../../../../../..{secret} in/up && ln -s /proc/1/root{secret} magic &&
            ln -s /../../in/up twice && echo inside >.{secret} &&
            exec chroot . /bin/busybox sh -c 'while read -r path; do read -r x <$path; echo "$x"; done'"""
        cgroup = self.cgroup()
        recorder = self.recorder("--cgroup", cgroup.path)
        process = cgroup.popen(["unshare", "--mount", "--propagation=private", "sh", "-c", script],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(process.communicate)

        def read(path):
            process.stdin.write(path.encode() + b"\n")
            process.stdin.flush()
            return process.stdout.readline()

        for path in ("absolute", "in/up", "twice"):
            self.assertEqual(read("/" + path), b"inside\n")
        read("/magic")
        files = recorder.final_report().files()
        for path in (b"/absolute", b"/in/up", b"/twice"):
            self.assertEqual((files[path]["resolved"], files[path]["access"]), (secret, ["open", "symlink"]), path)
        # There is no /proc in this root: nothing was looked up in snoop's own.
        self.assertFalse(files[b"/magic"]["found"] and "resolved" in files[b"/magic"] and
                         "open" in files[b"/magic"]["access"] and files[b"/magic"].get("succeeded", True))
        # The entries are of the file inside: on a mount of its own, not where snoop's own secret is.
        self.assertEqual({files[path]["origin"] for path in (b"/absolute", b"/in/up")}, {files[b"/twice"]["origin"]})


class Floods(harness.Case):
    def test_files_of_one_container(self):
        """The bound holds, the rest is counted, and the list of another container is whole."""
        bound, flood = 20_000, 60_000
        loud, quiet = self.cgroup("loud"), self.cgroup("quiet")
        recorder = self.recorder("--cgroup", loud.path, "--cgroup", quiet.path, "--max-files", bound, "--ring-size", "64M")
        flooding = loud.popen(["/usr/bin/python3", "-I", "-S", "-c",
                               "import os, sys\nfor i in range(int(sys.argv[1])):\n  os.access(f'/flood/{i}', 0)",
                               str(flood)])
        worker = self.worker(quiet)
        paths = self.make_files(400)
        for start in range(0, len(paths), 20):
            worker.open(paths[start:start + 20])
            time.sleep(0.01)
        self.assertEqual(flooding.wait(harness.DEADLINE), 0)
        report = recorder.final_report()
        container = report.container(loud)
        self.assertEqual(container["unique_files"], bound)
        of_flood = sum(path.startswith(b"/flood/") for path in report.files(loud))
        self.assertEqual(of_flood + container["losses"]["files_over_limit"], flood)
        self.assertEqual({cause: lost for cause, lost in container["losses"].items() if lost},
                         {"files_over_limit": container["losses"]["files_over_limit"]})
        self.assertEqual(sum(report.container(quiet)["losses"].values()), 0)
        self.assertLessEqual(set(paths), report.opened(quiet))
        self.assertFalse(report["complete"])


class ManyCgroups(harness.Case):
    """More cgroups than there can be targets (4,096 at a time, of which 1,024 wait for new ones)."""

    COUNT = 10_000
    TARGETS, WAITING = 4096, 1024

    def setUp(self):
        super().setUp()
        self.top = self.cgroup("machine")
        self.prefix = harness.in_a_cgroup_namespace()
        probe = self.top.popen([*self.prefix, "cat", "/proc/self/cgroup"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, errors = probe.communicate(timeout=harness.DEADLINE)
        if probe.returncode != 0 or b"0::/self\n" not in output:
            self.skipTest(f"no cgroup namespace can be made: {errors.decode().strip()}")

    def make_many(self, name):
        parent = harness.Cgroup(name, self.top)
        for number in range(self.COUNT):
            os.mkdir(parent.directory / str(number))
        return parent

    def record(self, *arguments):
        return self.start_recorder(*arguments, popen=lambda argv, **options: self.top.popen([*self.prefix, *argv],
                                                                                            **options))

    def test_at_the_start(self):
        early = harness.Cgroup("early", self.top)
        many = self.make_many("many")
        began = time.monotonic()
        recorder = self.record("--all").wait_until_ready()
        self.assertLess(time.monotonic() - began, 20)
        paths = self.make_files(30)
        self.worker(early).open(paths[:10])
        # One that found no target is in the list of the cgroup above it.
        last = self.worker(self.existing(many, self.COUNT - 1))
        last.open(paths[10:20])
        late = self.worker(harness.Cgroup("late", self.top))
        late.open(paths[20:])
        report = recorder.final_report()
        # The root, self, early, many and those in it; self is not watched, late takes one that waits.
        self.assertEqual(report["losses"]["targets_over_limit"],
                         self.COUNT + 3 - (self.TARGETS - self.WAITING))
        self.assertFalse(report["complete"])
        files = {harness.unbytes(container, "cgroup_path"): {harness.unbytes(file, "path") for file in container["files"]}
                 for container in report.containers}
        self.assertLessEqual(set(paths[:10]), files[b"/early"])
        self.assertLessEqual(set(paths[20:]), files[b"/late"])
        self.assertEqual(sum(set(paths[10:20]) <= found for found in files.values()), 1)

    def existing(self, parent, number):
        cgroup = harness.Cgroup.__new__(harness.Cgroup)
        cgroup.directory = parent.directory / str(number)
        return cgroup

    def test_while_it_runs(self):
        early = harness.Cgroup("early", self.top)
        worker = self.worker(early)
        paths = self.make_files(30)
        recorder = self.record("--all").wait_until_ready()
        worker.open(paths[:10])
        self.make_many("many")
        worker.open(paths[10:20])
        report = recorder.fresh_report()
        over = report["losses"]["targets_over_limit"]
        self.assertGreaterEqual(over, self.COUNT - self.TARGETS)
        self.assertLess(over, self.COUNT)
        self.assertLessEqual(set(paths[:20]), set(report.files(early)))
        self.assertEqual(sum(report.container(early)["losses"].values()), 0)
        # What is free again is used again.
        harness.remove_cgroup(self.top.directory / "many")
        recorder.fresh_report()
        new = self.worker(harness.Cgroup("new", self.top))
        new.open(paths[20:])
        report = recorder.final_report()
        self.assertLessEqual(set(paths[20:]), {harness.unbytes(file, "path") for container in report.containers
                                               if container["cgroup_path"] == "/new" for file in container["files"]})

    def test_below_one_target(self):
        many = self.make_many("many")
        recorder = self.recorder("--cgroup", many.directory)
        worker = self.worker(self.existing(many, self.COUNT - 1))
        paths = self.make_files(10)
        worker.open(paths)
        report = recorder.final_report()
        self.assertEqual(report["losses"]["targets_over_limit"], 0)
        self.assertLessEqual(set(paths), set(report.files(many)))


class Vanishing(harness.Case):
    def test_processes_that_end_while_they_are_looked_at(self):
        """By iterators, and by /proc."""
        cgroup = self.cgroup()
        churn = [cgroup.popen(["sh", "-c", "while :; do /bin/true; /bin/cat /dev/null & done"]) for _ in range(2)]
        env = harness.environment()
        del env["SNOOP_NO_BASELINE"]
        for arguments in ([], ["--no-iterators"]):
            for _ in range(3):
                recorder = self.recorder("--cgroup", cgroup.path, "--fresh", "--exclude", "", *arguments, env=env)
                recorder.final_report()
                self.assertNotIn("snoop: error", recorder.log)
        for process in churn:
            process.kill()
            process.wait()


class PlantedReports(harness.Case):
    """The report's directory can be written by a container."""

    def setUp(self):
        super().setUp()
        self.target = self.cgroup()
        self.report = self.scratch / "volume" / "report.json"
        self.report.parent.mkdir()
        self.victim = self.scratch / "victim"
        self.victim.write_text("untouched")

    def record(self):
        recorder = self.recorder("--cgroup", self.target.path, report=self.report)
        report = recorder.final_report()
        self.assertEqual(self.victim.read_text(), "untouched")
        self.assertTrue(self.report.is_file() and not self.report.is_symlink())
        return report, recorder.log

    def kept(self):
        return [path for path in self.report.parent.iterdir() if ".kept-" in path.name]

    def test_links(self):
        for plant in (self.report.symlink_to, self.report.hardlink_to):
            with self.subTest(plant=plant.__name__):
                plant(self.victim)
                self.record()
                for path in (self.report, *self.kept()):
                    path.unlink()
        self.report.symlink_to(self.scratch / "nowhere")
        self.record()
        self.assertFalse((self.scratch / "nowhere").exists())

    def test_links_that_come_back(self):
        """Another one before each report, at both places."""
        recorder = self.recorder("--cgroup", self.target.path, report=self.report)
        for _ in range(5):
            for name in ("report.json", ".report.json.tmp"):
                place = self.report.parent / name
                place.unlink(missing_ok=True)
                place.symlink_to(self.victim)
            recorder.send(signal.SIGUSR1)
            recorder.wait_for(lambda: not self.report.is_symlink() and self.report.exists(), "the report")
        recorder.final_report()
        self.assertEqual(self.victim.read_text(), "untouched")
        self.assertEqual([path.name for path in self.report.parent.iterdir()], ["report.json"])

    def test_at_the_temporary_name(self):
        temporary = self.report.parent / ".report.json.tmp"
        for plant in (lambda: temporary.symlink_to(self.victim), lambda: temporary.hardlink_to(self.victim),
                      lambda: os.mkfifo(temporary), lambda: (temporary / "full").mkdir(parents=True)):
            plant()
            self.record()

    def test_no_file_at_its_place(self):
        for plant in (lambda: os.mkfifo(self.report), lambda: self.report.mkdir()):
            plant()
            recorder = self.start_recorder("--cgroup", self.target.path, report=self.report,
                                           env=harness.environment(TMPDIR=str(self.scratch)))
            recorder.wait_for_log("cannot write")
            self.assertEqual(recorder.stop(), 1)
            self.assertIn(f"the report is in {self.scratch}/snoop-report-{recorder.pid}.json instead", recorder.log)
            (self.report.rmdir if self.report.is_dir() else self.report.unlink)()

    def test_a_huge_one(self):
        self.report.write_bytes(b'{"schema_version":1,')
        os.truncate(self.report, (1 << 30) + 1)
        began = time.monotonic()
        _, log = self.record()
        self.assertIn("it is larger than 1024 MiB; kept as ", log)
        self.assertLess(time.monotonic() - began, 10)

    def test_an_endless_one(self):
        """Valid as far as it goes: it is read, and takes no memory for what it does not say."""
        self.report.write_bytes(b'{"schema_version": 1, "x": [' + b"[" * 100 + b" " * (50 << 20))
        _, log = self.record()
        self.assertIn("not going on from", log)


if __name__ == "__main__":
    harness.main()
