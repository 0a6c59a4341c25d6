#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""snoop merge and snoop diff: reports of real runs, by any user, and what is no report."""

import itertools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import harness


def strip(report, *members):
    return {key: value for key, value in report.items() if key not in members}


class Case(harness.Case):
    @classmethod
    def setUpClass(cls):
        """Two real runs of one image, with files in common and files of their own, and one of another image."""
        super().setUpClass()
        cls.reports = pathlib.Path(tempfile.mkdtemp(prefix="snoop-merge-")).resolve()
        cls.addClassCleanup(shutil.rmtree, cls.reports)
        # Others than root come here, too.
        cls.reports.chmod(0o755)
        for name in ("common", "one", "two", "with\nline"):
            (cls.reports / name).write_text("text\n")
        script = 'for file; do read line <"$file"; done'
        for name, image, files in (("one", "test@1", ["common", "common", "one", "vanishes"]),
                                   ("two", "test@1", ["common", "two", "with\nline"]),
                                   ("other", "test@2", ["common", "two"])):
            (cls.reports / "vanishes").write_text("text\n")
            if name != "one":
                (cls.reports / "vanishes").unlink()
                files.append("vanishes")
            result = harness.snoop("run", "--report", cls.reports / f"{name}.json", "--image", image,
                                   "--image-digest", f"sha256:{image[-1]}", "--container-name", "reader", "--host-name", name,
                                   "--", "/bin/sh", "-c", script, "sh", *files, cwd=cls.reports)
            # It ends with the result of the last one.
            if name == "one" and result.returncode != 0:
                raise AssertionError(result.stderr)

    def path(self, name):
        return self.reports / f"{name}.json"

    def load(self, name):
        return json.loads(self.path(name).read_bytes())

    def merge(self, *names, options=(), **more):
        result = harness.snoop("merge", *options, *(self.path(name) for name in names), **more)
        self.assertEqual(result.returncode, 0, result.stderr)
        return harness.Report(result.stdout)

    def derived(self, name, change):
        """A report that differs from a real one in what change() does to it."""
        report = self.load(name)
        change(report)
        path = self.scratch / f"{len(os.listdir(self.scratch))}-{name}.json"
        path.write_text(json.dumps(report))
        return path


class Merge(Case):
    def test_replicas(self):
        merged = self.merge("one", "two")
        one, two = (harness.Report(self.path(name).read_bytes()) for name in ("one", "two"))
        self.assertEqual([source["hostname"] for source in merged["merged_from"]], ["one", "two"])
        self.assertEqual(merged["host"]["hostname"], "")
        self.assertEqual(merged["runs"], 2)
        self.assertTrue(merged["final"] and merged["complete"])
        self.assertEqual(merged["total_events"], one["total_events"] + two["total_events"])
        reader, files = merged.container(), merged.files()
        self.assertEqual((reader["name"], reader["image"], reader["image_digest"]), ("reader", "test@1", "sha256:1"))
        self.assertEqual((reader["cgroup_path"], reader["observed"][0]["from"]), ("", one.container()["observed"][0]["from"]))
        self.assertEqual(set(files), set(one.files()) | set(two.files()))
        for path, file in files.items():
            both = [report.files()[path] for report in (one, two) if path in report.files()]
            self.assertEqual(file["count"], sum(part["count"] for part in both), path)
            self.assertEqual(file["found"], any(part["found"] for part in both), path)
            self.assertEqual(file["first_seen"], min(part["first_seen"] for part in both), path)
            self.assertEqual(file["last_seen"], max(part["last_seen"] for part in both), path)
        common = files[os.fsencode(self.reports / "common")]
        self.assertEqual(common["count"], 3)
        self.assertTrue(files[os.fsencode(self.reports / "vanishes")]["found"])

    def test_two_digests_are_two_lists(self):
        merged = self.merge("one", "two", "other")
        self.assertEqual([(container["image_digest"], container["cgroup_path"] == "") for container in merged.containers],
                         [("sha256:1", True), ("sha256:2", False)])
        self.assertEqual(strip(merged.containers[1]), strip(self.load("other")["containers"][0]))

    def test_any_order(self):
        bytes_of = [harness.snoop("merge", *(self.path(name) for name in names)).stdout
                    for names in itertools.permutations(("one", "two", "other"))]
        self.assertEqual(len(set(bytes_of)), 1)

    def test_one_alone(self):
        result = harness.snoop("merge", self.path("one"))
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        merged = json.loads(result.stdout)
        self.assertEqual(strip(merged, "merged_from"), self.load("one"))
        again = harness.snoop("merge", "-", input=result.stdout, stdin=None)
        self.assertEqual(again.stdout, result.stdout)

    def test_into_one_of_them(self):
        for name in ("one", "two"):
            shutil.copy(self.path(name), self.scratch)
        out = self.scratch / "one.json"
        result = harness.snoop("merge", out, self.scratch / "two.json", "-o", out)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b"", b""))
        self.assertEqual(out.read_bytes(), harness.snoop("merge", self.path("one"), self.path("two")).stdout)
        self.assertEqual(sorted(os.listdir(self.scratch)), ["one.json", "two.json"])

    def test_nothing_twice(self):
        def later(report):
            report["last_updated_at"] = report["last_updated_at"].replace("Z", "")[:-3] + "999Z"

        for paths, left_out in (((self.path("one"), self.path("one")), self.path("one")),
                                ((self.derived("one", later), self.path("one")), self.path("one"))):
            result = harness.snoop("merge", *paths)
            self.assertEqual(result.returncode, 0)
            self.assertIn(f"{left_out} is left out: ".encode(), result.stderr)
            merged = harness.Report(result.stdout)
            self.assertEqual((merged["runs"], merged["total_events"]), (1, self.load("one")["total_events"]))

    def test_warnings(self):
        def unsound(report):
            report.update(final=False, complete=False, dropped_events=1, snoop_version="9.9")
            report["losses"]["skipped_runs"] = 1

        path = self.derived("two", unsound)
        result = harness.snoop("merge", self.path("one"), path)
        for what in ("not final", "not complete", "9.9"):
            self.assertIn(f"{path}: ".encode(), result.stderr)
            self.assertIn(what.encode(), result.stderr)
        merged = harness.Report(result.stdout)
        self.assertFalse(merged["final"] or merged["complete"])
        self.assertEqual([(source["final"], source["complete"]) for source in merged["merged_from"]],
                         [(True, True), (False, False)])

    def test_by_container(self):
        def other_role(report):
            report["containers"][0]["name"] = "writer"

        paths = (self.path("one"), self.derived("two", other_role))
        self.assertEqual(len(harness.Report(harness.snoop("merge", *paths).stdout).containers), 1)
        by_container = harness.Report(harness.snoop("merge", "--by", "container", *paths).stdout)
        self.assertEqual({container["name"] for container in by_container.containers}, {"reader", "writer"})

    def test_record_does_not_go_on_from_it(self):
        cgroup = self.cgroup()
        path = self.scratch / "report.json"
        harness.snoop("merge", self.path("one"), "-o", path)
        recorder = self.start_recorder("--cgroup", cgroup.directory, "--host-name", "one", report=path)
        recorder.wait_until_ready()
        self.assertNotIn("merged_from", recorder.final_report().json)
        self.assertIn("merged from other reports; kept as", recorder.log)
        self.assertEqual(len(list(self.scratch.glob("report.json.kept-*"))), 1)

    def test_does_not_write_where_another_snoop_does(self):
        recorder = self.recorder("--cgroup", self.cgroup().directory)
        result = harness.snoop("merge", self.path("one"), "-o", recorder.report_path)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"another snoop", result.stderr)

    def test_many_files(self):
        """Four reports of 10,000 files, half of them in common: with sanitizers this takes its time."""
        def many(number):
            def change(report):
                container = report["containers"][0]
                file = next(file for file in container["files"] if file["found"])
                container["files"] = [{**strip(file, "resolved"), "path": f"/usr/lib/{number if i % 2 else 'all'}/file-{i:06}"}
                                      for i in range(10_000)]
                container["files"].sort(key=lambda one: one["path"])
                container["unique_files"] = 10_000
            return change

        paths = []
        for number in range(4):
            paths.append(self.derived("one", many(number)))
            text = paths[-1].read_text()
            paths[-1].write_text(text.replace('"hostname": "one"', f'"hostname": "{number}"'))
        result = harness.snoop("merge", *paths, "-o", self.scratch / "all.json")
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        report = json.loads((self.scratch / "all.json").read_bytes())
        self.assertEqual(report["containers"][0]["unique_files"], 5_000 + 4 * 5_000)


class Diff(Case):
    def diff(self, *arguments, code=1, **more):
        result = harness.snoop("diff", *arguments, **more)
        self.assertEqual(result.returncode, code, result)
        return result.stdout.decode()

    def test_text(self):
        lines = self.diff(self.path("one"), self.path("two")).splitlines()
        self.assertEqual(lines[0][:11], "@@ reader (")
        self.assertIn("watched for 0s, nothing lost", lines[0])
        self.assertEqual(lines[1:], sorted(lines[1:-1], key=lambda line: line[2:].split("  ")[0]) + lines[-1:])
        self.assertLessEqual({f"- {self.reports}/one", f"~ {self.reports}/vanishes  used -> missing",
                              f"+ {self.reports}/two  (open:read)", f"+ {self.reports}/with\\nline  (open:read)"}, set(lines))
        self.assertNotIn(f"{self.reports}/common", "\n".join(lines[1:]))

    def test_the_same(self):
        text = self.diff(self.path("one"), self.path("one"), code=0)
        self.assertIn("@@ reader (test@1): 0 only in NEW, 0 only in OLD, 0 changed, ", text)
        self.assertEqual(len(text.splitlines()), 1)

    def test_another_image(self):
        self.assertIn("@@ reader (test@1) -> reader (test@2): ", self.diff(self.path("one"), self.path("other")))

    def test_json(self):
        found = json.loads(self.diff("--format", "json", self.path("one"), self.path("two")))
        self.assertTrue(found["different"])
        reader, = found["containers"]
        files = {file["path"]: file for file in self.load("two")["containers"][0]["files"]}
        self.assertIn(str(self.reports / "two"), [file["path"] for file in reader["only_in_new"]])
        for file in reader["only_in_new"]:
            self.assertEqual(file, files[file["path"]])
        self.assertIn(str(self.reports / "one"), [file["path"] for file in reader["only_in_old"]])
        changed = {one["path"]: one for one in reader["changed"]}[str(self.reports / "vanishes")]
        self.assertEqual((changed["changes"], changed["old"]["found"], changed["new"]["found"]),
                         (["used -> missing"], True, False))
        self.assertEqual((found["old"]["hostname"], reader["new"]["complete"], reader["new"]["final"]), ("one", True, True))
        same = json.loads(self.diff("--format", "json", self.path("one"), self.path("one"), code=0))
        self.assertEqual((same["different"], same["containers"][0]["same"]),
                         (False, sum(file["found"] for file in self.load("one")["containers"][0]["files"])))

    def test_against_a_merged_one(self):
        both = self.scratch / "both.json"
        both.write_bytes(harness.snoop("merge", self.path("one"), self.path("two")).stdout)
        lines = self.diff(both, self.path("two")).splitlines()
        self.assertIn(f"- {self.reports}/one", lines)
        self.assertFalse([line for line in lines if line.startswith("+")])

    def test_choice(self):
        def renamed(report):
            report["containers"][0]["name"] = "dog"
            del report["containers"][0]["image_digest"], report["containers"][0]["image"]

        dog = self.derived("two", renamed)
        self.diff("--container", "reader", self.path("one"), self.path("two"))
        for options, what in (((), "OLD has reader (test@1); NEW has dog"), (("--container", "cat"), "'cat' in OLD: reader"),
                              (("--container", "reader"), "'reader' in NEW: dog")):
            result = harness.snoop("diff", *options, self.path("one"), dog)
            self.assertEqual(result.returncode, 2)
            self.assertIn(what.encode(), result.stderr)
            self.assertEqual(result.stdout, b"")
        self.assertIn(f"+ {self.reports}/two  (open:read)", self.diff("--all", self.path("one"), dog))


class BadInput(Case):
    """The same for both commands; the exit codes are those that each has."""

    def commands(self, *paths):
        """Each command with these and a good report, its exit code for trouble, and the result."""
        for command, code in (("merge", 1), ("diff", 2)):
            yield command, code, harness.snoop(command, *paths, self.path("one"))

    def assert_refused(self, path, *texts):
        for command, code, result in self.commands(path):
            with self.subTest(command=command, path=path):
                self.assertEqual((result.returncode, result.stdout), (code, b""), result)
                for text in (str(path), *texts):
                    self.assertIn(text.encode(), result.stderr)

    def test_no_report(self):
        bad = self.scratch / "bad.json"
        whole = self.path("two").read_text()
        for text, what in (("", "no JSON, or cut off"), ("{}", "no report of snoop"), (whole[:-20], "no JSON, or cut off"),
                           (whole.replace('"schema_version": 1', '"schema_version": 2'), "a newer snoop wrote it"),
                           (whole.replace('"found": true', '"found": 7', 1), "found is of another type"),
                           (whole + whole, "")):
            bad.write_text(text)
            self.assert_refused(bad, what)
        self.assert_refused(self.scratch, "Is a directory")
        self.assert_refused(self.scratch / "none", "No such file")

    def test_nothing_is_written_then(self):
        out = self.scratch / "out.json"
        out.write_text("as it was")
        result = harness.snoop("merge", self.path("one"), self.scratch / "none", "-o", out)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(out.read_text(), "as it was")
        self.assertEqual(os.listdir(self.scratch), ["out.json"])

    def test_places_that_take_no_report(self):
        full = os.open("/dev/full", os.O_WRONLY)
        self.addCleanup(os.close, full)
        for command, paths, code in (("merge", ("one",), 1), ("diff", ("one", "two"), 2)):
            result = harness.snoop(command, *(self.path(path) for path in paths), stdout=full, stderr=subprocess.PIPE)
            self.assertEqual(result.returncode, code)
            self.assertIn(b"cannot write to stdout: No space left on device", result.stderr)
        for place in ("/dev/full", self.scratch, self.scratch / "none" / "out.json"):
            result = harness.snoop("merge", self.path("one"), "-o", place)
            self.assertEqual(result.returncode, 1, place)
            self.assertIn(f"cannot write {place}".encode(), result.stderr)
            self.assertNotIn(b"--report", result.stderr)

    def test_usage(self):
        for arguments, what in ((["merge"], "REPORT"), (["diff", "a"], "NEW"), (["diff", "a", "b", "c"], "c"),
                                (["merge", "-", "-"], "stdin"), (["diff", "-", "-"], "stdin"),
                                (["merge", "--by", "pod", "a"], "--by"), (["diff", "--origin", "moon", "a", "b"], "--origin"),
                                (["diff", "--all", "--container", "x", "a", "b"], "--container")):
            result = harness.snoop(*arguments)
            self.assertEqual((result.returncode, result.stdout), (2, b""), arguments)
            self.assertIn(what.encode(), result.stderr)

    def test_any_user(self):
        """No privileges at all, and nothing but the right to read."""
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--no-new-privs"]
        out = self.scratch / "out"
        self.scratch.chmod(0o755)
        out.mkdir()
        os.chown(out, 65534, 65534)
        program = shutil.copy(harness.SNOOP, out / "snoop")
        secret = self.scratch / "secret.json"
        shutil.copy(self.path("two"), secret)
        secret.chmod(0o600)

        def run(*arguments):
            return subprocess.run([*nobody, program, *map(str, arguments)], env=harness.environment(), capture_output=True,
                                  stdin=subprocess.DEVNULL, check=False, timeout=harness.DEADLINE)

        merged = run("merge", self.path("one"), self.path("two"), "-o", out / "all.json")
        self.assertEqual((merged.returncode, merged.stderr), (0, b""))
        self.assertEqual(run("diff", self.path("one"), out / "all.json").returncode, 1)
        for command, code in (("merge", 1), ("diff", 2)):
            refused = run(command, self.path("one"), secret)
            self.assertEqual(refused.returncode, code)
            self.assertIn(f"cannot open {secret}: Permission denied".encode(), refused.stderr)

    def test_settings_of_others(self):
        """SNOOP_CONTAINER says what record watches."""
        for variables in ({"SNOOP_CONTAINER": "dog"}, {"SNOOP_ALL": "1"}, {"SNOOP_FORMAT": "table"}):
            result = harness.snoop("diff", self.path("one"), self.path("two"), env=harness.environment(**variables))
            self.assertEqual((result.returncode, result.stderr), (1, b""), variables)


if __name__ == "__main__":
    harness.main()
