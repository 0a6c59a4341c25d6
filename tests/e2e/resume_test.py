#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""snoop record goes on from the report that it finds, or keeps it aside."""

import json
import signal
import subprocess

import harness


class Resume(harness.Case):
    def setUp(self):
        super().setUp()
        self.cgroup_ = self.cgroup()
        self.worker_ = self.worker(self.cgroup_)
        self.report_path = self.scratch / "report.json"

    def start(self, *args):
        return self.recorder("--cgroup", self.cgroup_.path, *args)

    def kept(self):
        return sorted(self.scratch.glob("report.json.kept-*"))

    def first_run(self, paths):
        """A report of a run that was killed."""
        recorder = self.start()
        self.worker_.open(paths)
        recorder.fresh_report()
        recorder.stop(signal.SIGKILL)
        return recorder.report()


class GoesOn(Resume):
    def test_after_a_kill(self):
        paths = self.make_files(3)
        first = self.first_run(paths[:2])
        self.assertEqual((first["runs"], first["gaps"], first["final"]), (1, [], False))
        self.worker_.open([paths[2]])  # in the gap
        recorder = self.start()
        self.assertIn("going on from the report of 1 run", recorder.log)
        self.assertEqual(recorder.report()["final"], False)
        self.assertEqual(set(recorder.report().files()), set(paths[:2]), "in the first report already")
        self.worker_.open([paths[1]])
        report = recorder.final_report()
        self.assertEqual(self.kept(), [])
        self.assertEqual(set(report.files()), set(paths[:2]))
        self.assertEqual((report["runs"], report["final"], report["complete"]), (2, True, True))
        self.assertEqual(report["started_at"], first["started_at"])
        self.assertEqual(report["total_events"], 3)
        [gap] = report["gaps"]
        self.assertEqual(gap["from"], first["last_updated_at"])
        self.assertGreaterEqual(gap["to"], gap["from"])
        before, now = report.container()["observed"]
        self.assertEqual(before, first.container()["observed"][0])
        self.assertEqual(before["to"], first["last_updated_at"])
        self.assertGreaterEqual(now["from"], gap["to"])
        self.assertEqual(now["to"], report["last_updated_at"])
        self.assertEqual(report.container()["discovery"]["from"], first.container()["discovery"]["from"])
        old, new = (one.files()[paths[1]] for one in (first, report))
        self.assertEqual((new["first_seen"], old["count"], new["count"]), (old["first_seen"], 1, 2))
        self.assertEqual(report.files()[paths[0]], first.files()[paths[0]])

    def test_killed_at_any_time(self):
        paths = self.make_files(200)
        seen = 0
        for run in range(5):
            recorder = self.recorder("--cgroup", self.cgroup_.path, interval="100ms")
            self.worker_.start_open(paths[:40 * (run + 1)], times=2)
            former = recorder.version()
            recorder.wait_for(lambda: recorder.version() != former, "another report")
            recorder.send(signal.SIGKILL)
            recorder.wait()
            self.worker_.finish_open()
            report = recorder.report()
            self.assertEqual(report["runs"], run + 1)
            self.assertGreaterEqual(len(report.files()), seen)
            seen = len(report.files())
        self.assertEqual(self.kept(), [])

    def test_what_is_gone_stays(self):
        paths = self.make_files(2)
        other = self.cgroup()
        recorder = self.start("--cgroup", other.path)
        self.worker(other).open([paths[0]])
        self.worker_.open([paths[1]])
        first = recorder.final_report()
        ended = first.container(other)
        other.remove()
        report = self.start().final_report()
        [gone] = [one for one in report.containers if one["cgroup_path"] == other.path]
        self.assertEqual(gone["ended_at"], ended["observed"][-1]["to"])
        # All else is as it was.
        self.assertEqual({**ended, "ended_at": gone["ended_at"]}, gone)
        self.assertEqual(len(report.container(self.cgroup_)["observed"]), 2)
        self.assertNotIn("ended_at", report.container(self.cgroup_))
        self.assertEqual(report["total_events"], first["total_events"])

    def test_another_image_is_another_container(self):
        paths = self.make_files(2)
        recorder = self.start("--image", "a:1")
        self.worker_.open([paths[0]])
        recorder.final_report()
        recorder = self.start("--image", "a:2")
        self.worker_.open([paths[1]])
        report = recorder.final_report()
        by_image = {one["image"]: [harness.unbytes(file, "path") for file in one["files"]]
                    for one in report.containers}
        self.assertEqual(by_image, {"a:1": [paths[0]], "a:2": [paths[1]]})

    def test_siblings_are_found_again(self):
        pod = self.cgroup("pod")
        own, app = self.cgroup("snoop", pod), self.cgroup("app", pod)
        worker = self.worker(app)
        paths = self.make_files(2)
        reports = []
        for path in paths:
            recorder = self.recorder(popen=own.popen)
            worker.open([path])
            recorder.stop(signal.SIGKILL)
            reports.append(recorder.report())
            recorder = self.recorder(popen=own.popen)
            worker.open([path])
            reports.append(recorder.final_report())
        self.assertEqual(len(reports[-1].containers), 1)
        self.assertEqual(reports[-1]["runs"], 4)
        self.assertEqual(set(reports[-1].files()), set(paths))

    def test_what_was_not_seen_stays(self):
        self.start("--no-baseline").final_report()
        report = self.start("--no-baseline=false").final_report()
        self.assertIn("before capture started", " ".join(report["capture"]["not_seen"]))


class KeepsAside(Resume):
    def check_kept(self, content, why, *args):
        self.report_path.write_bytes(content)
        recorder = self.start(*args)
        report = recorder.final_report()
        self.assertIn(why, recorder.log)
        kept, = self.kept()
        self.assertIn(f"kept as {kept}", recorder.log)
        self.assertEqual(kept.read_bytes(), content)
        self.assertEqual((report["runs"], report["gaps"]), (1, []))
        kept.unlink()

    def test_what_is_no_report(self):
        good = self.first_run(self.make_files(3)).json
        text = json.dumps(good).encode()
        for content, why in (
            (b"", "no JSON, or cut off"),
            (text[:-20], "no JSON, or cut off"),
            (b"{}", "no report of snoop"),
            (b'{"schema_version": 1, "name": "x"}', "no report of snoop"),
            (json.dumps({**good, "schema_version": 2}).encode(), "a newer snoop wrote it"),
            (json.dumps({**good, "total_events": 10**6}).encode(), "sums"),
            (json.dumps({**good, "host": {**good["host"], "hostname": "elsewhere"}}).encode(), "another host"),
            (json.dumps({**good, "host": {**good["host"], "machine_id": "0" * 32}}).encode(), "another machine"),
        ):
            with self.subTest(why=why):
                self.check_kept(content, why)

    def test_fresh(self):
        self.first_run(self.make_files(3))
        self.check_kept(self.report_path.read_bytes(), "--fresh", "--fresh")

    def test_never_overwrites_what_was_kept(self):
        for _ in range(3):
            self.report_path.write_text("x")
            self.start().final_report()
        self.assertEqual([path.read_text() for path in self.kept()], ["x"] * 3)

    def test_where_it_cannot_be_kept(self):
        directory = self.scratch / "immutable"
        directory.mkdir()
        path = directory / "report.json"
        path.write_text("x")
        subprocess.run(["mount", "--bind", directory, directory], check=True)
        self.addCleanup(subprocess.run, ["umount", directory], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", directory], check=True)
        done = harness.snoop("record", "--cgroup", self.cgroup_.path, "--report", path)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"cannot keep", done.stderr)
        self.assertEqual(path.read_text(), "x")

    def test_run_overwrites(self):
        self.report_path.write_text("x")
        done = harness.snoop("run", "--report", self.report_path, "--", "/bin/true")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(harness.Report(self.report_path.read_bytes())["runs"], 1)
        self.assertEqual(self.kept(), [])


if __name__ == "__main__":
    harness.main()
