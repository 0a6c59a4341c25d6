#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""snoop record: whose accesses are recorded, under which names, and when the report is written."""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import time
import unittest

import harness
from http_get import get, samples


class Writing(harness.Case):
    """When the report is written."""

    def test_exists_as_soon_as_capture_is_on(self):
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        recorder = self.recorder("--cgroup", cgroup.path)
        first = recorder.report()
        self.assertEqual((first["final"], first["total_events"], first["containers"][0]["files"]), (False, 0, []))
        paths = self.make_files(3)
        self.assertEqual(worker.open(paths), 3)
        report = recorder.final_report()
        self.assertEqual(report["final"], True)
        self.assertTrue(report["complete"])
        self.assertEqual(set(report.files()), set(paths))
        self.assertEqual(report["started_at"], first["started_at"])
        self.assertEqual([name for name in os.listdir(self.scratch) if "report" in name], ["report.json"])

    def test_every_interval(self):
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        recorder = self.recorder("--cgroup", cgroup.path, interval="200ms")
        began = time.monotonic()
        versions = {recorder.version()}
        for path in self.make_files(3):
            worker.open([path])
            recorder.wait_for(lambda: path in recorder.report().files(), "the file in a periodic report")
            versions.add(recorder.version())
        # An idle container gets its reports too.
        while len(versions) < 6:
            recorder.wait_for(lambda: recorder.version() not in versions, "a report without new accesses")
            versions.add(recorder.version())
        self.assertGreater(time.monotonic() - began, 0.6)
        self.assertFalse(recorder.report()["final"])
        self.assertEqual(recorder.stop(), 0, recorder.log)

    def test_at_sigusr1(self):
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        recorder = self.recorder("--cgroup", cgroup.path)
        for path in self.make_files(3):
            worker.open([path])
            report = recorder.fresh_report()
            self.assertIn(path, report.files())
            self.assertFalse(report["final"])

    def test_sigint_and_sigterm_end_it(self):
        cgroup = self.cgroup()
        for number in (signal.SIGINT, signal.SIGTERM):
            recorder = self.recorder("--cgroup", cgroup.path, report=self.scratch / number.name)
            self.assertEqual(recorder.stop(number), 0, recorder.log)
            self.assertTrue(recorder.report()["final"])
            self.assertIn(number.name, recorder.log)

    def test_sigterm_during_the_start(self):
        """At whatever moment: exit 0 and a final report, or none at all if it was too early for that."""
        cgroup = self.cgroup()
        for attempt in range(12):
            report = self.scratch / f"report-{attempt}.json"
            recorder = self.start_recorder("--cgroup", cgroup.path, report=report)
            time.sleep(attempt * 0.02)
            code = recorder.stop()
            if code == -signal.SIGTERM:
                self.assertFalse(report.exists())
            else:
                self.assertEqual(code, 0, recorder.log)
                self.assertTrue(recorder.report()["final"])

    def test_sigterm_in_the_middle_of_a_burst(self):
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        paths = self.make_files(1000)
        recorder = self.recorder("--cgroup", cgroup.path)
        worker.start_open(paths, times=300)
        recorder.wait_for(lambda: paths[10] in recorder.fresh_report().files(), "the burst")
        report = recorder.final_report()
        self.assertTrue(report["final"])
        self.assertTrue(report["complete"], report["losses"])
        self.assertEqual(set(report.files()), set(paths))
        self.assertGreater(report["total_events"], 1000)

    def test_what_was_there_before(self):
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        paths = self.make_files(2)
        with open(paths[0]):
            worker.open([paths[0]])  # and closed again: nothing is left of it
        recorder = self.recorder("--cgroup", cgroup.path, "--no-baseline=false")
        first = recorder.report()
        worker.open([paths[1]])
        report = recorder.final_report()
        libc = [path for path in first.files() if b"/libc.so" in path]
        self.assertEqual(len(libc), 1, "a library that is mapped is in the first report")
        self.assertEqual(first.files()[libc[0]]["access"], ["baseline"])
        self.assertIn(os.fsencode(os.path.realpath("/usr/bin/python3")), first.files())
        self.assertNotIn(paths[0], report.files())
        self.assertEqual(report.files()[paths[1]]["access"], ["open"])
        self.assertNotIn("before capture started", " ".join(report["capture"]["not_seen"]))

    def test_log_that_nobody_reads(self):
        cgroup = self.cgroup()
        path = self.scratch / "report.json"
        process = subprocess.Popen([harness.SNOOP, "record", "--cgroup", cgroup.path, "--report", path],
                                   env=harness.environment(), stderr=subprocess.PIPE)
        self.addCleanup(process.kill)
        self.assertIn(b"recording 1 cgroup", process.stderr.readline())
        process.stderr.close()
        harness.wait_for(path.exists, "the first report")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(harness.DEADLINE), 0)
        self.assertTrue(harness.Report(path.read_bytes())["final"])

    def test_counts_repeats(self):
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        paths = self.make_files(5)
        recorder = self.recorder("--cgroup", cgroup.path)
        self.assertEqual(worker.open(paths, times=7), 35)
        report = recorder.final_report()
        self.assertEqual((report["total_events"], report.container()["unique_files"]), (35, 5))

    def test_counts_each_file_for_itself(self):
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        recorder = self.recorder("--cgroup", cgroup.path)
        groups = [(times, self.make_files(300, prefix=f"opened-{times}-times")) for times in (1, 2, 3, 20)]
        for _ in range(2):
            # Enough files for some to share the places where calls are remembered: these take the long way.
            for times, paths in groups:
                worker.open(paths, times=times)
            recorder.send(signal.SIGUSR1)
        counts = {path: file["count"] for path, file in recorder.final_report().files().items()}
        self.assertEqual(counts, {path: 2 * times for times, paths in groups for path in paths})

    def test_to_stdout_at_the_end_only(self):
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        paths = self.make_files(2)
        started = self.background("record", "--cgroup", cgroup.path, "--report", "-", "--interval", "100ms",
                                  stdout=subprocess.PIPE)
        started.wait_for_log("recording 1 cgroup")
        worker.open(paths)
        started.send(signal.SIGUSR1)
        started.send(signal.SIGTERM)
        report = harness.Report(started.process.stdout.read())
        self.assertEqual(started.wait(), 0)
        self.assertEqual(set(report.files()), set(paths))

    def test_whole_after_sigkill_at_any_time(self):
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        paths = self.make_files(1500, prefix="a-name-that-makes-the-report-long" * 4)
        random.seed(7)
        worker.start_open(paths, times=1000000)
        for _ in range(5):
            recorder = self.recorder("--cgroup", cgroup.path, interval="100ms")
            recorder.wait_for(lambda: recorder.report_path.read_bytes().count(b'"path"') == len(paths), "a long report")
            end = time.monotonic() + random.uniform(0, 0.1)
            while time.monotonic() < end:
                recorder.send(signal.SIGUSR1)  # it does nothing but write
            self.assertEqual(recorder.stop(signal.SIGKILL), -signal.SIGKILL)
            report = recorder.report()
            self.assertEqual(len(report.files()), len(paths))
            self.assertFalse(report["final"])
        # What the last one may have left half-written is gone with the next report.
        self.recorder("--cgroup", cgroup.path).final_report()
        self.assertEqual(sorted(path for path in os.listdir(self.scratch) if "report" in path), ["report.json"])


class Log(harness.Case):
    def test_of_losses(self):
        """Each cause when it is first seen, and in the end with its sum."""
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        paths = self.make_files(30)
        recorder = self.recorder("--cgroup", cgroup.path, "--max-files", "5")
        for part in (paths[:10], paths[10:]):
            worker.open(part)
            recorder.fresh_report()
        recorder.wait_for_log("5 accesses lost so far (files_over_limit): more files than --max-files: give a larger one")
        recorder.final_report()
        self.assertEqual(recorder.log.count("warning: "), 2)
        self.assertIn("warning: 25 accesses lost (files_over_limit): ", recorder.log)

    def test_why_there_is_no_estimate(self):
        """The same as the report says, though the counts come with that."""
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        recorder = self.recorder("--cgroup", cgroup.path)
        worker.open(self.make_files(10), times=20)
        why = recorder.final_report().container()["completeness"]["why_not"]
        self.assertEqual(why, "observed for less than 10 minutes")
        self.assertIn(f"no estimate of what is unseen: {why}\n", recorder.log)


class BadPlaces(harness.Case):
    """Where the report cannot be written: an error that says so, the former report whole, another try."""

    def setUp(self):
        super().setUp()
        self.disk = self.scratch / "disk"
        self.disk.mkdir()
        self.cgroup_ = self.cgroup()
        self.worker_ = self.worker(self.cgroup_)
        self.paths = self.make_files(300, prefix="x" * 200)
        self.temporary = self.scratch / "tmp"
        self.temporary.mkdir()
        self.socket = self.scratch / "snoop.sock"

    def mount(self, size):
        result = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "snoop-e2e", self.disk],
                                capture_output=True, text=True)
        if result.returncode != 0:
            self.skipTest(f"cannot mount a tmpfs: {result.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "--lazy", self.disk], check=True)

    def recorder_here(self, report):
        return self.start_recorder("--cgroup", self.cgroup_.path, f"--metrics-addr=unix:{self.socket}", report=report,
                                   interval="100ms", env=harness.environment(TMPDIR=str(self.temporary)))

    def wait_for_failures(self, count):
        """The log tells of the first one only."""
        failed = lambda: samples(get(self.socket, "/metrics")[2].decode())["snoop_report_write_errors_total"]
        before = failed()
        harness.wait_for(lambda: failed() >= before + count, f"{count} reports that cannot be written")

    def assert_recovers(self, recorder):
        recorder.wait_for(lambda: set(self.paths) <= set(recorder.report().files()), "the next try")
        report = recorder.final_report()
        self.assertTrue(report["complete"])
        self.assertEqual(os.listdir(recorder.report_path.parent), ["report.json"])

    def test_full_disk(self):
        self.mount("512k")
        recorder = self.recorder_here(self.disk / "report.json").wait_until_ready()
        with open(self.disk / "filler", "wb", buffering=0) as filler:
            try:
                while filler.write(b"x" * 4096) == 4096:
                    pass
            except OSError:
                pass
        recorder.wait_for_log("No space left on device", 1)
        former = recorder.version()
        self.worker_.open(self.paths)
        self.wait_for_failures(2)
        self.assertIn(f"cannot write {self.disk}/report.json", recorder.log)
        self.assertIn("hint: make room", recorder.log)
        self.assertEqual(recorder.version(), former)
        self.assertEqual(recorder.report().files(), {})
        self.assertEqual(sorted(os.listdir(self.disk))[-2:], ["filler", "report.json"])
        os.unlink(self.disk / "filler")
        self.assert_recovers(recorder)

    def test_full_disk_at_the_end(self):
        self.mount("64k")
        recorder = self.recorder_here(self.disk / "report.json").wait_until_ready()
        self.worker_.open(self.paths)
        recorder.wait_for_log("No space left on device")
        self.assertEqual(recorder.stop(), 1)
        self.assertTrue(recorder.log.rstrip().splitlines()[-1].startswith("snoop: error: "), recorder.log)
        self.assertEqual(recorder.report().files(), {})
        self.assertEqual(os.listdir(self.disk), ["report.json"])
        # What it has seen is not thrown away.
        saved, = self.temporary.iterdir()
        self.assertIn(f"the report is in {saved} instead", recorder.log)
        report = harness.Report(saved.read_bytes())
        self.assertTrue(report["final"])
        self.assertEqual(set(report.files()), set(self.paths))

    def test_read_only(self):
        self.mount("1m")
        recorder = self.recorder_here(self.disk / "report.json").wait_until_ready()
        harness.wait_for(lambda: subprocess.run(["mount", "-o", "remount,ro", self.disk], stderr=subprocess.DEVNULL)
                         .returncode == 0, "no write in progress")
        self.worker_.open(self.paths)
        recorder.wait_for_log("Read-only file system")
        self.wait_for_failures(1)
        self.assertIn("writable", recorder.log)
        self.assertEqual(recorder.report().files(), {})
        subprocess.run(["mount", "-o", "remount,rw", self.disk], check=True)
        self.assert_recovers(recorder)

    def test_missing_directory(self):
        """A mistake that is told at once."""
        recorder = self.recorder_here(self.disk / "new" / "report.json")
        self.assertEqual(recorder.wait(), 1)
        self.assertIn(f"cannot write {self.disk}/new/report.json: No such file or directory", recorder.log)
        self.assertIn(f"hint: make the directory {self.disk}/new", recorder.log)
        self.assertEqual(list(self.temporary.iterdir()), [])

    def test_directory_that_goes_away(self):
        (self.disk / "new").mkdir()
        recorder = self.recorder_here(self.disk / "new" / "report.json").wait_until_ready()
        (self.disk / "new").rename(self.disk / "old")
        recorder.wait_for_log("cannot write")
        self.worker_.open(self.paths)
        (self.disk / "new").mkdir()
        recorder.wait_until_ready()
        recorder.wait_for_log("info: the report can be written again")
        self.assert_recovers(recorder)
        harness.Report((self.disk / "old" / "report.json").read_bytes())
        # What is over is told before that.
        self.assertNotIn("error", recorder.log.partition("info: the report can be written again")[2])

    def test_directory_that_stays_away(self):
        (self.disk / "new").mkdir()
        recorder = self.recorder_here(self.disk / "new" / "report.json").wait_until_ready()
        (self.disk / "new").rename(self.disk / "old")
        recorder.wait_for_log("cannot write")
        self.wait_for_failures(1)
        self.assertEqual(recorder.stop(), 1)
        self.assertIn("hint: the report is in ", recorder.log.splitlines()[-1])

    def test_a_directory_at_the_place_of_the_report(self):
        (self.disk / "report.json").mkdir()
        recorder = self.recorder_here(self.disk / "report.json")
        recorder.wait_for_log("Is a directory")
        self.assertEqual(recorder.stop(), 1)
        self.assertEqual(os.listdir(self.disk), ["report.json"])


class Targets(harness.Case):
    def test_each_its_own_list_and_nothing_of_others(self):
        cgroups = [self.cgroup(name) for name in ("one", "two", "bystander")]
        lists = [self.make_files(20, prefix=cgroup.name) for cgroup in cgroups]
        common = self.make_files(1, prefix="common")
        workers = [self.worker(cgroup) for cgroup in cgroups]
        recorder = self.recorder("--cgroup", cgroups[0].path, "--cgroup", cgroups[1].directory)
        for worker, paths in zip(workers, lists):
            worker.open(paths + common)
        recorder.fresh_report()
        report = recorder.final_report()
        # Not a file more: nothing of the third, of snoop, of this test.
        self.assertEqual(len(report.containers), 2)
        for cgroup, paths in zip(cgroups[:2], lists):
            container = report.container(cgroup)
            self.assertEqual(set(report.files(cgroup)), set(paths + common))
            self.assertEqual((container["name"], container["cgroup_path"]), (cgroup.name, cgroup.path))
            self.assertEqual(container["total_events"], 21)

    def test_snoop_in_its_own_target(self):
        """Not even then does it see itself."""
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        paths = self.make_files(5)
        recorder = self.recorder("--cgroup", cgroup.path, popen=cgroup.popen)
        worker.open(paths)
        recorder.fresh_report()
        self.assertEqual(set(recorder.final_report().files()), set(paths))

    def test_names_of_one_cgroup(self):
        cgroup = self.cgroup()
        for name in (cgroup.path, cgroup.path.strip("/"), cgroup.directory, f"{cgroup.directory}/",
                     os.path.relpath(cgroup.directory, harness.CGROUP2) + "/"):
            with self.subTest(name=name):
                report = self.recorder("--cgroup", name).final_report()
                self.assertEqual(report.container()["cgroup_id"], cgroup.id)
        report = self.recorder("--cgroup", cgroup.path, "--cgroup", cgroup.directory).final_report()
        self.assertEqual(len(report.containers), 1)

    def test_missing_cgroup(self):
        for name in ("snoop-e2e-missing", "/snoop-e2e-missing", str(self.scratch)):
            with self.subTest(name=name):
                result = harness.snoop("record", "--cgroup", name, "--report", self.scratch / "report.json")
                self.assertEqual(result.returncode, 1)
                self.assertIn(b"there is no cgroup", result.stderr)
                self.assertIn(b"hint: ", result.stderr)
                self.assertFalse((self.scratch / "report.json").exists())

    def test_below_a_target_also_what_is_made_later(self):
        cgroup = self.cgroup()
        early = self.cgroup("early", cgroup)
        early_worker = self.worker(early)
        recorder = self.recorder("--cgroup", cgroup.path)
        paths = self.make_files(30)
        early_worker.open(paths[:10])
        parent = cgroup
        for depth in range(3):
            parent = self.cgroup(f"late-{depth}", parent)
            # From the exec of its first process on.
            parent.run(["/bin/cat", *paths[10 + depth:20:3]])
            program = self.scratch / f"true-{depth}"
            shutil.copy("/bin/true", program)
            parent.run([program])
        report = recorder.final_report()
        files = report.files()
        self.assertEqual(set(paths[:20]) - set(files), set())
        for depth in range(3):
            self.assertEqual(files[os.fsencode(self.scratch / f"true-{depth}")]["access"], ["exec"])
        self.assertIn(b"/bin/cat", files)

    def test_a_target_within_a_target(self):
        outer = self.cgroup()
        inner = self.cgroup("inner", outer)
        deeper = self.cgroup("deeper", inner)
        beside = self.cgroup("beside", outer)
        cgroups = [outer, inner, deeper, beside]
        lists = [self.make_files(3, prefix=cgroup.name) for cgroup in cgroups]
        workers = [self.worker(cgroup) for cgroup in cgroups]
        for arguments in ([inner.path, outer.path], [outer.path, inner.path]):
            recorder = self.recorder("--cgroup", arguments[0], "--cgroup", arguments[1])
            for worker, paths in zip(workers, lists):
                worker.open(paths)
            report = recorder.final_report()
            self.assertEqual(set(report.files(outer)), set(lists[0] + lists[3]))
            self.assertEqual(set(report.files(inner)), set(lists[1] + lists[2]))

    def test_a_target_that_ends(self):
        cgroup = self.cgroup()
        paths = self.make_files(2)
        recorder = self.recorder("--cgroup", cgroup.path)
        cgroup.run(["/bin/cat", paths[0]])
        cgroup.remove()
        recorder.wait_for_log(f"warning: the cgroup {cgroup.path} was removed")
        self.assertIn(paths[0], recorder.final_report().files())
        self.assertEqual(recorder.log.count("was removed"), 1)

    def test_siblings_of_its_own_cgroup(self):
        """In a pod: snoop's container beside the others."""
        pod = self.cgroup("pod")
        itself, first, second = (self.cgroup(name, pod) for name in ("self", "a", "b"))
        lists = {name: self.make_files(5, prefix=name) for name in ("self", "a", "b", "late", "pod", "deep", "outside")}
        workers = {cgroup.name: self.worker(cgroup) for cgroup in (itself, first, second)}
        workers["outside"] = self.worker(self.cgroup("outside"))
        recorder = self.recorder(popen=itself.popen)
        late = self.cgroup("late", pod)
        deep = self.cgroup("deep", late)
        workers["late"], workers["deep"] = self.worker(late), self.worker(deep)
        for name, worker in workers.items():
            worker.open(lists[name])
        report = recorder.final_report()
        self.assertEqual([container["name"] for container in report.containers], ["a", "b", "late"])
        self.assertEqual(set(report.files(first)), set(lists["a"]))
        self.assertEqual(set(report.files(second)), set(lists["b"]))
        # The late one from its first exec on.
        files = set(report.files(late))
        self.assertLessEqual(set(lists["late"] + lists["deep"]), files)
        self.assertIn(b"/usr/bin/python3", files)
        self.assertFalse(files & set(lists["a"] + lists["b"] + lists["self"] + lists["outside"]))
        self.assertEqual(report.container(late)["cgroup_path"], late.path)
        self.assertTrue(report["complete"])

    def test_no_siblings_of_the_root(self):
        own = pathlib.Path("/proc/self/cgroup").read_text().split("0::")[1].split("\n")[0]
        if own != "/":
            self.skipTest(f"this test is not in the root cgroup but in {own}")
        result = harness.snoop("record", "--report", self.scratch / "report.json")
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"no siblings", result.stderr)
        self.assertIn(b"--cgroup", result.stderr)

    def test_all_cgroups_of_a_namespace(self):
        top = self.cgroup("machine")
        cgroups = [self.cgroup("a", top), self.cgroup("b", top)]
        nested = self.cgroup("nested", cgroups[1])
        self.cgroup("empty", top)
        workers = [self.worker(cgroup) for cgroup in (*cgroups, nested)]
        outside = self.worker(self.cgroup("outside"))
        lists = [self.make_files(5, prefix=f"list-{number}") for number in range(5)]
        prefix = harness.in_a_cgroup_namespace()
        probe = top.popen([*prefix, "cat", "/proc/self/cgroup"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, errors = probe.communicate(timeout=harness.DEADLINE)
        if probe.returncode != 0 or b"0::/self\n" not in output:
            self.skipTest(f"no cgroup namespace can be made: {errors.decode().strip()}")

        recorder = self.recorder("--all", popen=lambda argv, **options: top.popen([*prefix, *argv], **options))
        late = self.cgroup("late", cgroups[0])
        workers.append(self.worker(late))
        for worker, paths in zip(workers, lists):
            worker.open(paths)
        outside.open(lists[4])
        report = recorder.final_report()
        self.assertEqual([container["cgroup_path"] for container in report.containers],
                         ["/a", "/a/late", "/b", "/b/nested"])
        for cgroup, paths in zip((*cgroups, nested), lists):
            self.assertEqual(set(report.files(cgroup)), set(paths))
        self.assertLessEqual(set(lists[3]), set(report.files(late)))


class Contents(harness.Case):
    """What stands in the report, and what does not."""

    def record(self, arguments, act, **options):
        """The final report of what act(worker) did."""
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        recorder = self.recorder("--fresh", "--cgroup", cgroup.path, *arguments, **options)
        act(worker)
        return recorder.final_report()

    def test_metadata(self):
        report = self.record(["--image", "registry/app:1.2", "--image-digest", "sha256:" + "ab" * 32, "--pod-name", "web-0",
                              "--namespace", "shop", "--label", "app=web", "--label", "note=a=b, c", "--label", "empty=",
                              "--container-name", "nginx"], lambda worker: None)
        container = report.container()
        self.assertEqual((container["name"], container["image"], container["image_digest"]),
                         ("nginx", "registry/app:1.2", "sha256:" + "ab" * 32))
        self.assertEqual((report["pod_name"], report["namespace"]), ("web-0", "shop"))
        self.assertEqual(report["labels"], {"app": "web", "note": "a=b, c", "empty": ""})

    def test_metadata_of_any_bytes(self):
        report = self.record(["--pod-name", os.fsdecode(b"\xff\n\""), "--image", "bild-\u00fc"], lambda worker: None)
        self.assertEqual(harness.unbytes(report.json, "pod_name"), b"\xff\n\"")
        self.assertEqual(report.container()["image"], "bild-\u00fc")
        self.assertNotIn("image_base64", report.container())

    def test_container_name_for_two_targets(self):
        first, second = self.cgroup(), self.cgroup()
        result = harness.snoop("record", "--cgroup", first.path, "--cgroup", second.path, "--container-name", "x",
                               "--report", self.scratch / "report.json")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(b"--container-name", result.stderr)

    def test_excluded_by_default(self):
        paths = [b"/proc/self/status", b"/sys/kernel", b"/dev/null", b"/proc", b"/dev", b"/sys", b"/proc/../etc/hostname"]
        report = self.record([], lambda worker: worker.open(paths))
        self.assertEqual(sorted(report.files()), [b"/dev", b"/etc/hostname", b"/proc", b"/sys"])
        # Left out, not lost.
        self.assertTrue(report["complete"])
        self.assertEqual(report["total_events"], len(paths))

    def test_exclude(self):
        below = self.make_files(2, directory=self.scratch / "a")
        beside = self.make_files(2, directory=self.scratch / "ab")
        act = lambda worker: worker.open(below + beside + [os.fsencode(self.scratch / "a"), b"/dev/null"])
        kept = {*beside, os.fsencode(self.scratch / "a"), b"/dev/null"}
        for prefix in (self.scratch / "a", f"{self.scratch}/a/"):
            with self.subTest(prefix=prefix):
                self.assertEqual(set(self.record(["--exclude", prefix], act).files()), kept)
        both = self.record(["--exclude", f"{self.scratch}/a/", "--exclude", "/dev/"], act)
        self.assertEqual(set(both.files()), kept - {b"/dev/null"})
        self.assertEqual(set(self.record(["--exclude", ""], act).files()), kept | set(below))

    def test_max_files(self):
        paths = self.make_files(25)

        def act(worker):
            worker.open(paths)
            worker.open(paths[:20])

        report = self.record(["--max-files", "20"], act)
        # The first 20, none of them thrown out for a later one.
        self.assertEqual(set(report.files()), set(paths[:20]))
        self.assertEqual(report["losses"]["files_over_limit"], 5)
        self.assertEqual((report["complete"], report["dropped_events"], report["total_events"]), (False, 5, 45))
        exact = self.record(["--max-files", "25"], act)
        self.assertEqual((exact["complete"], len(exact.files())), (True, 25))

    def test_max_files_is_per_container(self):
        cgroups = [self.cgroup(), self.cgroup()]
        workers = [self.worker(cgroup) for cgroup in cgroups]
        paths = self.make_files(12)
        recorder = self.recorder("--cgroup", cgroups[0].path, "--cgroup", cgroups[1].path, "--max-files", "10")
        for worker in workers:
            worker.open(paths)
        report = recorder.final_report()
        for cgroup in cgroups:
            self.assertEqual((len(report.files(cgroup)), report.container(cgroup)["losses"]["files_over_limit"]), (10, 2))

    def test_names_of_any_bytes(self):
        directory = os.fsencode(self.scratch)
        names = [b"caf\xc3\xa9", b"not-utf8-\xff\xfe", b"cut-\xe2\x82", b"overlong-\xc0\xaf", b"surrogate-\xed\xa0\x80",
                 b"new\nline", b"tab\t", b'quote"back\\slash', b"\x01\x1b[31m\x7f", b" ", b"...", b"\xef\xbf\xbd",
                 b"a" * 255, b"\xff" * 255, b"\xf0\x9f\x98\x80" * 63, b"\xe2\x80\xa8", b"(deleted)", b"<b>&amp;"]
        for name in names:
            os.close(os.open(directory + b"/" + name, os.O_WRONLY | os.O_CREAT))
        os.mkdir(directory + b"/d\xff")
        os.symlink(directory + b"/not-utf8-\xff\xfe", directory + b"/d\xff/link")
        paths = [directory + b"/" + name for name in names] + [directory + b"/d\xff/link"]
        report = self.record([], lambda worker: self.assertEqual(worker.open(paths), len(paths)))
        self.assertEqual(set(report.files()), set(paths))
        self.assertTrue(report["complete"])
        entry = report.files()[directory + b"/d\xff/link"]
        self.assertEqual(harness.unbytes(entry, "resolved"), directory + b"/not-utf8-\xff\xfe")
        self.assertNotIn("path_base64", report.files()[directory + b"/caf\xc3\xa9"])

    def test_the_same_accesses_make_the_same_bytes(self):
        paths = self.make_files(50)
        texts = []
        for order in (paths, paths[::-1]):
            report = self.record([], lambda worker: worker.open(order))
            # All but when it was.
            texts.append(repr([{**file, "first_seen": "", "last_seen": ""} for file in report.container()["files"]]))
        self.assertEqual(*texts)


class RingFull(harness.Case):
    """A ring too small for a burst while nobody reads it."""

    def test_lost_exactly_and_brought_in_later(self):
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        paths = self.make_files(300)
        recorder = self.recorder("--cgroup", cgroup.path, "--ring-size", "4096")
        self.assertTrue(recorder.report()["complete"])
        recorder.send(signal.SIGSTOP)
        harness.wait_for(lambda: pathlib.Path(f"/proc/{recorder.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T",
                         "snoop to stop")
        self.assertEqual(worker.open(paths), len(paths))
        recorder.send(signal.SIGCONT)
        report = recorder.fresh_report()
        lost = set(paths) - set(report.files())
        self.assertGreater(len(lost), 100)
        self.assertLess(len(lost), 300)
        self.assertEqual(report["losses"]["ring_full"], len(lost))
        self.assertEqual((report["complete"], report["dropped_events"], report["total_events"]),
                         (False, len(lost), len(paths)))
        # Not forgotten: each is recorded at its next use, and none is lost twice.
        todo = sorted(lost)
        for start in range(0, len(todo), 5):
            worker.open(todo[start:start + 5])
            recorder.fresh_report()
        report = recorder.final_report()
        self.assertEqual(set(report.files()), set(paths))
        self.assertEqual(report["losses"]["ring_full"], len(lost))
        self.assertFalse(report["complete"])

    def test_nothing_lost_in_an_ordinary_burst(self):
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        paths = self.make_files(3000)
        recorder = self.recorder("--cgroup", cgroup.path)
        self.assertEqual(worker.open(paths), len(paths))
        report = recorder.final_report()
        self.assertTrue(report["complete"], report["losses"])
        self.assertEqual(set(report.files()), set(paths))


if __name__ == "__main__":
    harness.main()
