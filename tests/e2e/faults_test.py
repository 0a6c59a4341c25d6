#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What can go wrong around snoop: what it tells stays right, and says so where something was lost. Full disks, directories
that go away and a ring that is too small are in record_test.py, runs one after the other in resume_test.py."""

import os
import pathlib
import shutil
import signal
import subprocess
import time

import harness

# A wall clock that is set while snoop runs. To set the machine's own would disturb all else that runs there.
CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
  char text[32] = "";
  int fd, result = syscall(SYS_clock_gettime, clock, now);
  if (clock == CLOCK_REALTIME && (fd = open(getenv("CLOCK_OFFSET"), O_RDONLY | O_CLOEXEC)) >= 0) {
    (void)!read(fd, text, sizeof(text) - 1);
    close(fd);
    now->tv_sec += atol(text);
  }
  return result;
}
"""


class Clock(harness.Case):
    def setUp(self):
        super().setUp()
        if not shutil.which("cc"):
            self.skipTest("no compiler")
        (self.scratch / "clock.c").write_text(CLOCK)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", self.scratch / "clock.so", self.scratch / "clock.c"], check=True)
        self.set(0)

    def set(self, seconds):
        (self.scratch / "new-offset").write_text(str(seconds))
        (self.scratch / "new-offset").rename(self.scratch / "offset")

    def test_jumps(self):
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        paths = self.make_files(50)
        env = harness.environment(LD_PRELOAD=str(self.scratch / "clock.so"), CLOCK_OFFSET=str(self.scratch / "offset"),
                                  ASAN_OPTIONS="verify_asan_link_order=0")
        # Forth, back, and back to before it was started; by an hour and more.
        offsets = [0, 7200, 3600, -86_400, 100]
        recorder = self.recorder("--cgroup", cgroup.path, interval="100ms", env=env)
        for number, offset in enumerate(offsets):
            self.set(offset)
            worker.open(paths[:10 * (number + 1)])
            # harness.Report looks whether times contradict each other.
            report = recorder.fresh_report()
            self.assertEqual(set(report.files()), set(paths[:10 * (number + 1)]))
            self.assertAlmostEqual(harness.seconds(report["last_updated_at"]), time.time() + offset, delta=30)
            # Reports go on by the time that passes, not by what the clock shows.
            before = recorder.version()
            recorder.wait_for(lambda: recorder.version() != before, "the next report")
        self.assertEqual(report["total_events"], sum(10 * (number + 1) for number in range(5)))
        self.assertTrue(recorder.final_report()["complete"])
        # The next run begins before the last one ended, as the clock shows it.
        self.set(-3600)
        recorder = self.recorder("--cgroup", cgroup.path, env=env)
        report = recorder.final_report()
        self.assertEqual((report["runs"], set(report.files())), (2, set(paths)))


class Memory(harness.Case):
    """A limit by a memory cgroup: the kernel kills snoop, what it wrote last stays whole, and the next one goes on."""

    def setUp(self):
        super().setUp()
        self.memory = None
        for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
            fields = line.split()
            kind, _, options = fields[fields.index("-") + 1:]
            if kind == "cgroup" and "memory" in options.split(","):
                self.memory = (pathlib.Path(fields[4]), "memory.limit_in_bytes", "memory.oom_control")
            elif kind == "cgroup2" and "memory" in pathlib.Path(fields[4], "cgroup.controllers").read_text().split():
                self.memory = (pathlib.Path(fields[4]), "memory.max", "memory.events")
        if self.memory is None or not os.access(self.memory[0] / "cgroup.procs", os.W_OK):
            self.skipTest("no memory controller that can be used here")
        top, self.limit_file, self.events_file = self.memory
        self.limited = top / f"snoop-e2e-memory-{os.getpid()}"
        try:
            self.limited.mkdir()
            (self.limited / self.limit_file).write_text("4G")
        except OSError as error:
            self.skipTest(f"no limit can be set: {error}")
        finally:
            self.addCleanup(harness.remove_cgroup, self.limited)

    def in_limit(self, argv, **options):
        procs = os.open(self.limited / "cgroup.procs", os.O_WRONLY)
        try:
            return subprocess.Popen(argv, preexec_fn=lambda: os.write(procs, b"0"), **options)
        finally:
            os.close(procs)

    def flood(self, cgroup, count):
        cgroup.run(["/usr/bin/python3", "-I", "-S", "-c",
                    f"import os\nfor i in range({count}):\n  os.access('/flood/' + 'x' * 200 + str(i), 0)"])

    def test_is_reached(self):
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        paths = self.make_files(100)
        arguments = ("--cgroup", cgroup.path, "--ring-size", "1M", "--metadata-program", "none", "--metrics-addr", "off")
        recorder = self.recorder(*arguments, popen=self.in_limit)
        worker.open(paths)
        former = recorder.fresh_report()
        used = int(next(line.split()[1] for line in pathlib.Path(f"/proc/{recorder.pid}/status").read_text().splitlines()
                        if line.startswith("VmRSS:"))) * 1024
        charged = int((self.limited / self.limit_file.replace("limit_in_bytes", "usage_in_bytes").replace("max", "current"))
                      .read_text())
        (self.limited / self.limit_file).write_text(str(max(used, charged) + (12 << 20)))
        for _ in range(20):
            self.flood(cgroup, 50_000)
            if recorder.process.poll() is not None:
                break
        self.assertEqual(recorder.wait(), -signal.SIGKILL, recorder.log)
        self.assertEqual(set(recorder.report().files()), set(former.files()))
        # With a bound on what it keeps the same limit is enough for any number of files.
        (self.limited / self.limit_file).write_text(str(max(used, charged) + (40 << 20)))
        recorder = self.recorder(*arguments, "--max-files", "2000", popen=self.in_limit)
        self.flood(cgroup, 50_000)
        report = recorder.final_report()
        self.assertLessEqual(set(paths), set(report.files()))
        self.assertEqual((report["runs"], len(report.files())), (2, 2000))
        self.assertFalse(report["complete"])


class Missing(harness.Case):
    """What the kernel does not offer here."""

    def without(self, path, *arguments, **options):
        script = f'mount -t tmpfs none {path} && exec "$0" "$@"'
        return subprocess.run(["unshare", "--mount", "sh", "-c", script, harness.SNOOP, *map(str, arguments)],
                              capture_output=True, text=True, env=harness.environment(), timeout=harness.DEADLINE, **options)

    def test_btf(self):
        cgroup = self.cgroup()
        result = self.without("/sys/kernel/btf", "record", "--cgroup", cgroup.path, "--report", self.scratch / "r.json",
                              "--metrics-addr", "off")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertRegex(result.stderr, "(?m)^snoop: error: .*BTF")
        self.assertIn("snoop: error: hint: ", result.stderr)
        self.assertFalse((self.scratch / "r.json").exists())
        checked = self.without("/sys/kernel/btf", "check")
        self.assertEqual(checked.returncode, 1)
        self.assertRegex(checked.stdout, "(?m)^FAIL  BTF .*/sys/kernel/btf/vmlinux")
        self.assertIn("CONFIG_DEBUG_INFO_BTF", checked.stdout)

    def test_tracefs_is_not_needed(self):
        for path in ("/sys/kernel/tracing", "/sys/kernel/debug"):
            if os.path.isdir(path):
                checked = self.without(path, "check")
                self.assertEqual(checked.returncode, 0, checked.stdout)


class Two(harness.Case):
    def test_on_one_target(self):
        """Each has all of it, and neither sees the other's work."""
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        paths = self.make_files(300)
        recorders = [self.recorder("--cgroup", cgroup.path, report=self.scratch / name) for name in ("a.json", "b.json")]
        worker.open(paths, times=3)
        reports = [recorder.final_report() for recorder in recorders[:1]]
        worker.open(paths)
        reports.append(recorders[1].final_report())
        for report, times in zip(reports, (3, 4)):
            self.assertTrue(report["complete"])
            self.assertEqual(set(report.files()), set(paths))
            self.assertEqual({file["count"] for file in report.files().values()}, {times})
            self.assertEqual(report["total_events"], times * len(paths))


class OneReport(harness.Case):
    """Two that are to write to one place, and other things that are put there."""

    def setUp(self):
        super().setUp()
        self.cgroups = [self.cgroup("a"), self.cgroup("b")]
        self.workers = [self.worker(cgroup) for cgroup in self.cgroups]
        self.paths = self.make_files(10)

    def kept(self):
        return sorted(self.scratch.glob("report.json.kept-*"))

    def test_the_second_is_refused(self):
        recorder = self.recorder("--cgroup", self.cgroups[0].path)
        (self.scratch / "link").symlink_to(self.scratch)
        # Also by another way to the same directory.
        for code, command in ((1, ["record", "--cgroup", self.cgroups[1].path]), (125, ["run", "--", "/bin/true"])):
            result = harness.snoop(command[0], "--report", self.scratch / "link" / "report.json", *command[1:])
            self.assertEqual(result.returncode, code)
            self.assertIn(f"another snoop (pid {recorder.pid}) writes to {self.scratch}/link/report.json already",
                          result.stderr.decode())
            self.assertIn("hint: ", result.stderr.decode())
        self.workers[0].open(self.paths)
        self.assertEqual(set(recorder.final_report().files()), set(self.paths))
        self.assertEqual(sorted(path.name for path in self.scratch.iterdir() if "report" in path.name), ["report.json"])
        # The next one goes on from it, also after a kill.
        recorder = self.recorder("--cgroup", self.cgroups[1].path)
        recorder.send(signal.SIGKILL)
        recorder.wait()
        self.assertEqual(self.recorder("--cgroup", self.cgroups[1].path).final_report()["runs"], 3)

    def test_where_the_claim_is_not_seen(self):
        """As of another container with the same volume: what one writes is never overwritten by the other."""
        first = self.recorder("--cgroup", self.cgroups[0].path)
        second = self.recorder("--cgroup", self.cgroups[1].path,
                               popen=lambda argv, **options: subprocess.Popen(["unshare", "--net", *argv], **options))
        for worker, part in zip(self.workers, (self.paths[:5], self.paths[5:])):
            worker.open(part)
        second.final_report()
        first.final_report()
        self.assertIn("something else has written to", first.log)
        reports = [harness.Report(path.read_bytes()) for path in (self.scratch / "report.json", *self.kept())]
        seen = {harness.unbytes(file, "path") for report in reports for container in report.containers
                for file in container["files"]}
        self.assertEqual(seen, set(self.paths))

    def test_what_is_put_there(self):
        recorder = self.recorder("--cgroup", self.cgroups[0].path)
        recorder.report_path.unlink()
        recorder.report_path.write_text("mine")
        self.workers[0].open(self.paths)
        before = recorder.version()
        recorder.send(signal.SIGUSR1)
        # For a moment there is none.
        recorder.wait_for(lambda: recorder.version() not in (None, before), "a report")
        self.assertEqual(set(recorder.report().files()), set(self.paths))
        kept, = self.kept()
        self.assertEqual(kept.read_text(), "mine")
        self.assertIn(f"something else has written to {recorder.report_path}: that is kept as {kept}", recorder.log)
        # The disk is not filled with it: at some time its place is left to the other.
        for number in range(12):
            (self.scratch / "new").write_text(str(number))
            (self.scratch / "new").rename(recorder.report_path)
            recorder.send(signal.SIGUSR1)
            what = "was kept aside 10 times" if number >= 9 else f"as {kept}-{number + 2}"
            # And the report in its place: what comes between the two is not seen.
            written = lambda: any(path.read_bytes()[:1] == b"{" for path in self.scratch.glob("report.json"))
            recorder.wait_for(lambda: len(self.kept()) == min(number + 2, 10) and recorder.report_path.exists() and
                              (written() if number < 9 else "was kept aside 10 times" in recorder.log), what)
        self.assertEqual(recorder.report_path.read_text(), "11")
        recorder.report_path.unlink()
        self.assertEqual(set(recorder.final_report().files()), set(self.paths))


class Stopped(harness.Case):
    def test_under_load(self):
        """For seconds, with a ring that is full long before: what is lost is counted, no more and no less."""
        cgroup = self.cgroup()
        recorder = self.recorder("--cgroup", cgroup.path, "--ring-size", "256K", interval="100ms")
        count = 30_000
        load = cgroup.popen(["/usr/bin/python3", "-I", "-S", "-c",
                             "import os, sys, time\nsys.stdin.readline()\n"
                             f"for i in range({count}):\n"
                             "  os.access(f'/load/{i}', 0)\n"
                             f"  time.sleep(0.1) if i % ({count} // 30) == 0 else None\n"],
                            stdin=subprocess.PIPE)
        self.addCleanup(load.communicate)
        harness.wait_for(lambda: pathlib.Path(f"/proc/{load.pid}/wchan").exists(), "the load")
        time.sleep(0.3)
        recorder.fresh_report()
        recorder.send(signal.SIGSTOP)
        load.stdin.write(b"\n")
        load.stdin.flush()
        time.sleep(2)
        recorder.send(signal.SIGCONT)
        self.assertEqual(load.wait(harness.DEADLINE), 0)
        report = recorder.final_report()
        container = report.container()
        seen = sum(path.startswith(b"/load/") for path in report.files())
        lost = container["losses"]["ring_full"]
        self.assertGreater(lost, 0)
        self.assertGreater(seen, 0)
        self.assertEqual(seen + lost, count)
        self.assertEqual({cause: number for cause, number in container["losses"].items() if number}, {"ring_full": lost})
        self.assertFalse(report["complete"])
        # When it was: the seconds in which nobody read.
        self.assertEqual(sum(window["lost"] for window in container["loss_windows"]), lost)
        longest = max(harness.seconds(window["to"]) - harness.seconds(window["from"])
                      for window in container["loss_windows"])
        self.assertGreater(longest, 1.5)


class KilledAtTheStart(harness.Case):
    def test_at_any_point(self):
        """The report that is there stays, and is gone on from in the end."""
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        paths = self.make_files(20)
        recorder = self.recorder("--cgroup", cgroup.path)
        worker.open(paths)
        recorder.final_report()
        began = time.monotonic()
        self.recorder("--cgroup", cgroup.path).final_report()
        length = time.monotonic() - began
        steps = 12
        for step in range(steps):
            recorder = self.start_recorder("--cgroup", cgroup.path)
            time.sleep(length * step / steps)
            recorder.send(signal.SIGKILL)
            recorder.wait()
            self.assertEqual(set(recorder.report().files()), set(paths))
            recorder.close()
        recorder = self.recorder("--cgroup", cgroup.path)
        worker.open(paths)
        report = recorder.final_report()
        self.assertEqual(set(report.files()), set(paths))
        self.assertEqual([path.name for path in self.scratch.iterdir() if ".kept" in path.name], [])


if __name__ == "__main__":
    harness.main()
