#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Options, the environment, the configuration file, help, and the commands that only tell."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import tomllib
import unittest

import harness

COMMANDS = ("run", "record", "trace", "check", "config", "version")


class Texts(unittest.TestCase):
    def test_help(self):
        for arguments in (["--help"], *([command, "--help"] for command in COMMANDS)):
            with self.subTest(arguments=arguments):
                result = harness.snoop(*arguments)
                self.assertEqual((result.returncode, result.stderr), (0, b""))
                examples = result.stdout.decode().partition("Example")[2]
                self.assertIn(f"  snoop {arguments[0]} " if len(arguments) > 1 else "  snoop ", examples + " ")

    def test_every_option_is_told(self):
        target = {"--cgroup", "--all"}
        capture = {"--ring-size", "--exclude", "--tier"}
        report = {"--report", "--max-files", "--image", "--image-digest", "--pod-name", "--namespace", "--label",
                  "--container-name"}
        log = {"--log-level", "--log-format"}
        expected = {"run": capture | report | log | {"--grace"}, "record": target | capture | report | log | {"--no-sandbox", "--interval"},
                    "trace": target | capture | log | {"--format", "--unique"}, "check": log}
        for command, options in expected.items():
            text = harness.snoop(command, "--help").stdout.decode()
            self.assertEqual(options - set(re.findall(r"^ +(?:-\w,)?(--[a-z-]+)", text, re.MULTILINE)), set(), command)

    def test_version(self):
        result = harness.snoop("version")
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout.decode(), r"^snoop \d+\.\d+\.\d+\nlibbpf \d+\.\d+.*\ncapture tiers: fexit, tracepoint\n$")

    def test_bad_input(self):
        record = ("record", "--cgroup", "x")
        for arguments, said in (
            ([], "subcommand"),
            (["recrod"], "recrod"),
            (["--no-such-option"], "--no-such-option"),
            ([*record, "--no-such-option"], "--no-such-option"),
            ([*record, "stray"], "stray"),
            ([*record, "--", "stray"], "stray"),
            ([*record, "--interval", "soon"], "'soon' is no duration"),
            ([*record, "--interval", "5 parsecs"], "no duration"),
            ([*record, "--interval", "-5s"], "no duration"),
            ([*record, "--interval", "nan"], "no duration"),
            ([*record, "--interval", "1ms"], "100ms or more"),
            ([*record, "--interval"], "--interval"),
            ([*record, "--max-files", "0"], "--max-files"),
            ([*record, "--max-files", "many"], "--max-files"),
            ([*record, "--max-files", "-1"], "--max-files"),
            ([*record, "--ring-size", "big"], "--ring-size"),
            ([*record, "--ring-size", "2G"], "1G or less"),
            ([*record, "--ring-size", "-1"], "--ring-size"),
            ([*record, "--tier", "kprobe"], "--tier"),
            ([*record, "--log-level", "loud"], "--log-level"),
            ([*record, "--log-format", "xml"], "--log-format"),
            ([*record, "--label", "novalue"], "KEY=VALUE"),
            ([*record, "--label", "=value"], "KEY=VALUE"),
            ([*record, "--all"], "--all"),
            (["trace", "--cgroup", "x", "--format", "xml"], "--format"),
            (["trace", "--cgroup", "x", "--report", "y"], "--report"),
            (["run", "--grace", "long", "--", "true"], "no duration"),
            (["run", "--interval", "5s", "--", "true"], "--interval"),
            (["version", "stray"], "stray"),
            (["--config", "/no/such/file", "version"], "/no/such/file"),
        ):
            with self.subTest(arguments=arguments):
                result = harness.snoop(*arguments)
                self.assertEqual((result.returncode, result.stdout), (2, b""), result.stderr)
                self.assertIn(said, result.stderr.decode())

    def test_output_that_nobody_gets(self):
        for arguments in (["--help"], ["record", "--help"], ["config"], ["version"], ["check"], ["containers"]):
            with self.subTest(arguments=arguments), open("/dev/full", "wb") as full:
                result = harness.snoop(*arguments, stdout=full, stderr=subprocess.PIPE)
                self.assertEqual(result.returncode, 1)
                self.assertIn("cannot write to stdout: ", result.stderr.decode())

    def test_show_report_of_what_is_none(self):
        program = harness.SOURCE_DIR / "scripts" / "show-report.py"
        for text, said in ((b"[]", "not a report"), (b'{"schema_version": 1}', "not a whole report"), (b"{", "-: "),
                           (b'{"schema_version": 1, "containers": [3]}', "not a whole report")):
            with self.subTest(text=text):
                done = subprocess.run([program, "-"], input=text, capture_output=True, check=False)
                self.assertEqual((done.returncode, done.stdout), (1, b""))
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                self.assertIn(said, done.stderr.decode())

    def test_unknown_variables(self):
        for arguments in (["version"], ["config", "record"]):
            result = harness.snoop(*arguments, env=harness.environment(SNOOP_INTERVALL="1s"))
            self.assertEqual((result.returncode, result.stderr.decode()), (
                0, "snoop: warning: the variable SNOOP_INTERVALL sets nothing: did you mean SNOOP_INTERVAL?\n"))

    def test_bad_environment(self):
        for name, value in (("SNOOP_INTERVAL", "soon"), ("SNOOP_MAX_FILES", "0"), ("SNOOP_LABEL", "novalue"),
                            ("SNOOP_CONFIG", "/no/such/file")):
            with self.subTest(name=name):
                result = harness.snoop("record", "--cgroup", "x", env=harness.environment(**{name: value}))
                self.assertEqual((result.returncode, result.stdout), (2, b""), result.stderr)
                self.assertIn(name, result.stderr.decode())


class Config(unittest.TestCase):
    """snoop config"""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.file = pathlib.Path(directory.name, "snoop.toml")

    def config(self, *arguments, **variables):
        env = harness.environment(**variables)
        del env["SNOOP_NO_BASELINE"]
        result = harness.snoop("config", *arguments, env=env)
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        return result.stdout.decode()

    def line(self, text, name):
        return re.search(rf"(?m)^{name} = (.*?) +# (.*)$", text).groups()

    def test_where_each_comes_from(self):
        self.file.write_text('[record]\ninterval = "7s"\nlabel = ["a=1", "b=2"]\nmax-files = 5\nexclude = []\n')
        text = self.config("record", "--config", self.file, "--max-files", "6", SNOOP_POD_NAME="pod", SNOOP_MAX_FILES="7")
        self.assertEqual(self.line(text, "interval"), ('"7s"', f"file {self.file}, line 2"))
        self.assertEqual(self.line(text, "label"), ('["a=1", "b=2"]', f"file {self.file}, line 3"))
        self.assertEqual(self.line(text, "max-files"), ("6", "flag"))
        self.assertEqual(self.line(text, "pod-name"), ('"pod"', "environment SNOOP_POD_NAME"))
        self.assertEqual(self.line(text, "ring-size"), ('"16M"', "default"))
        self.assertEqual(self.line(text, "exclude"), ('[""]', f"file {self.file}, line 5"))
        self.assertEqual(self.line(text, "# image"), ('""', "not set"))
        self.assertEqual(self.line(text, "metadata-program"), ('"snoop-metadata"', "default"))
        self.assertEqual(self.line(text, "host-root"), ('"/"', "default"))

    def test_can_be_used_as_a_file(self):
        arguments = ["--all", "--exclude", "/a b/", "--exclude", '/"\\#\t/', "--image", "é", "--interval", "5m", "--fresh"]
        text = self.config("record", *arguments)
        self.file.write_text(text)
        again = self.config("record", SNOOP_CONFIG=str(self.file))

        def values(of):
            return [line.partition("  #")[0].rstrip() for line in of.splitlines()]

        self.assertEqual(values(again), values(text))
        loaded = tomllib.loads(text)["record"]
        self.assertEqual((loaded["all"], loaded["exclude"], loaded["image"], loaded["max-files"]),
                         (True, ["/a b/", '/"\\#\t/'], "é", 1000000))

    def test_of_each_command(self):
        for command in ("run", "record", "trace"):
            self.assertEqual(list(tomllib.loads(self.config(command))), [command])
        self.assertEqual(self.config(), self.config("record"))
        self.assertEqual(self.line(self.config("--interval", "9s"), "interval"), ('"9s"', "flag"))
        self.assertIn('grace = "5s"', self.config("run", "--", "ls"))

    def test_wrong(self):
        for arguments, said in ((["check"], "not of 'check'"), (["record", "--interval", "soon"], "no duration"),
                                (["trace", "--interval", "5s"], "--interval"), (["stray"], "stray")):
            with self.subTest(arguments=arguments):
                result = harness.snoop("config", *arguments)
                self.assertEqual((result.returncode, result.stdout), (2, b""))
                self.assertIn(said, result.stderr.decode())


class Check(harness.Case):
    def test_good(self):
        result = harness.snoop("check")
        self.assertEqual(result.returncode, 0, result.stdout)
        text = result.stdout.decode()
        for what in ("kernel", "BTF", "privileges", "cgroups", "load", "attach", "tier"):
            self.assertRegex(text, rf"(?m)^ok    {what}\b")
        self.assertIn(os.uname().release, text)
        self.assertIn(str(harness.CGROUP2), text)
        self.assertTrue(text.endswith("\nsnoop can run here.\n"))
        self.assertNotIn("FAIL", text)

    def test_tiers(self):
        used, there = harness.tiers()
        self.assertIn(used, there)
        self.assertIn("tracepoint", there)

    def as_nobody(self, *arguments):
        program = self.scratch / "snoop"
        shutil.copy(harness.SNOOP, program)
        program.chmod(0o755)
        self.scratch.chmod(0o777)
        return harness.snoop(*arguments, executable=program, user=65534, group=65534, extra_groups=[], cwd="/")

    def test_without_privileges(self):
        result = self.as_nobody("check")
        self.assertEqual(result.returncode, 1)
        text = result.stdout.decode()
        self.assertRegex(text, r"(?m)^FAIL  privileges")
        self.assertRegex(text, r"(?m)^ +-> run as root")
        self.assertTrue(text.endswith("\nsnoop cannot run here: see FAIL above.\n"))

    def test_commands_without_privileges(self):
        report = self.scratch / "report.json"
        for code, arguments in ((1, ["record", "--cgroup", self.cgroup().path, "--report", report]),
                                (1, ["trace", "--cgroup", self.cgroup().path]),
                                (125, ["run", "--report", report, "--", "/bin/true"])):
            with self.subTest(arguments=arguments):
                result = self.as_nobody(*arguments)
                self.assertEqual((result.returncode, result.stdout), (code, b""), result.stderr)
                self.assertIn(b"snoop: error: ", result.stderr)
                self.assertIn(b"hint: snoop needs root", result.stderr)
                self.assertFalse(report.exists())


class Settings(harness.Case):
    """Each of the three ways to set something, and which one wins."""

    def setUp(self):
        super().setUp()
        self.first, self.second = self.cgroup("first"), self.cgroup("second")

    def report(self, *arguments, variables=None, config=None):
        """The final report of a short record with these settings."""
        leading = []
        if config is not None:
            (self.scratch / "snoop.toml").write_text(config)
            leading = ["--config", self.scratch / "snoop.toml"]
        path = self.scratch / "report.json"
        path.unlink(missing_ok=True)
        started = self.background(*leading, "record", *arguments, env=harness.environment(**(variables or {})),
                                  cwd=self.scratch)
        started.wait_for(path.exists, "the report")
        self.assertEqual(started.stop(), 0, started.log)
        self.log = started.log
        return harness.Report(path.read_bytes())

    def test_environment(self):
        report = self.report(variables={
            "SNOOP_REPORT": "report.json", "SNOOP_CGROUP": f"{self.first.path},{self.second.path}",
            "SNOOP_IMAGE": "app:1", "SNOOP_IMAGE_DIGEST": "sha256:1", "SNOOP_POD_NAME": "pod", "SNOOP_NAMESPACE": "space",
            "SNOOP_LABEL": "a=1,b=2", "SNOOP_LOG_FORMAT": "json", "SNOOP_LOG_LEVEL": "debug", "SNOOP_INTERVAL": "7s",
        })
        self.assertEqual([container["name"] for container in report.containers], [self.first.name, self.second.name])
        self.assertEqual({container["image"] for container in report.containers}, {"app:1"})
        self.assertEqual((report["pod_name"], report["namespace"], report["labels"]),
                         ("pod", "space", {"a": "1", "b": "2"}))
        lines = [json.loads(line) for line in self.log.splitlines()]
        self.assertTrue(any("every 7 s" in line["message"] for line in lines), lines)
        self.assertLessEqual({"debug", "info"}, {line["level"] for line in lines})

    def test_tier(self):
        used, there = harness.tiers()
        arguments = ("--cgroup", self.first.path, "--report", "report.json")
        self.assertEqual(self.report(*arguments)["capture"]["tier"], used)
        for tier in there:
            with self.subTest(tier=tier):
                self.assertEqual(self.report(*arguments, "--tier", tier)["capture"]["tier"], tier)
                self.assertEqual(self.report(*arguments, variables={"SNOOP_TIER": tier})["capture"]["tier"], tier)
                config = f'[record]\ntier = "{tier}"\n'
                self.assertEqual(self.report(*arguments, config=config)["capture"]["tier"], tier)

    @unittest.skipIf("fexit" in harness.tiers()[1], "this kernel has both tiers")
    def test_tier_that_cannot_be_had(self):
        report = self.scratch / "report.json"
        for code, arguments in ((1, ["record", "--cgroup", self.first.path, "--report", report]),
                                (1, ["trace", "--cgroup", self.first.path]),
                                (125, ["run", "--report", report, "--", "/bin/touch", self.scratch / "ran"])):
            with self.subTest(arguments=arguments):
                result = harness.snoop(arguments[0], "--tier", "fexit", *arguments[1:])
                self.assertEqual((result.returncode, result.stdout), (code, b""), result.stderr)
                self.assertRegex(result.stderr.decode(), r"^snoop: error: capture tier fexit: .*\nsnoop: error: hint: ")
        self.assertEqual(list(self.scratch.iterdir()), [])
        result = harness.snoop("run", "--log-level", "debug", "--report", report, "--", "/bin/true")
        self.assertRegex(result.stderr.decode(), r"(?m)^snoop: debug: capture tier fexit: ")

    def test_environment_of_other_commands(self):
        result = harness.snoop("run", "--", "/bin/true", cwd=self.scratch,
                               env=harness.environment(SNOOP_REPORT="here.json", SNOOP_CONTAINER_NAME="me",
                                                       SNOOP_INTERVAL="9s", SNOOP_CGROUP="x", SNOOP_GRACE="1s"))
        self.assertEqual(result.returncode, 0, result.stderr)
        report = harness.Report((self.scratch / "here.json").read_bytes())
        self.assertEqual(report.container()["name"], "me")

    def test_configuration_file(self):
        report = self.report(config=f"""
            [record]
            report = "report.json"
            cgroup = ["{self.first.path}", "{self.second.path}"]
            image = "app:1"
            label = ["a=1", "b=x,y"]
            interval = "7s"
            max-files = 20
            log-format = "json"
            [run]
            report = "elsewhere.json"
            """)
        self.assertEqual([container["name"] for container in report.containers], [self.first.name, self.second.name])
        self.assertEqual({container["image"] for container in report.containers}, {"app:1"})
        self.assertEqual(report["labels"], {"a": "1", "b": "x,y"})
        self.assertTrue(all(json.loads(line) for line in self.log.splitlines()))
        self.assertIn("every 7 s", self.log)

    def test_configuration_file_by_environment(self):
        (self.scratch / "by-env.toml").write_text(f'[record]\ncgroup = ["{self.first.path}"]\nreport = "report.json"\n')
        report = self.report(variables={"SNOOP_CONFIG": str(self.scratch / "by-env.toml")})
        self.assertEqual(report.container()["name"], self.first.name)

    def test_bad_configuration_file(self):
        for text, said in (("[record]\nno-such-key = 1\n", "no-such-key"), ('[record]\ninterval = "soon"\n', "soon")):
            with self.subTest(text=text):
                (self.scratch / "bad.toml").write_text(text)
                result = harness.snoop("--config", self.scratch / "bad.toml", "record", "--cgroup", self.first.path,
                                       "--report", self.scratch / "report.json")
                self.assertEqual(result.returncode, 2, result.stderr)
                self.assertIn(said, result.stderr.decode())

    def test_precedence(self):
        config = f"""
            [record]
            report = "report.json"
            cgroup = ["{self.first.path}"]
            image = "file"
            pod-name = "file"
            namespace = "file"
            label = ["from=file"]
            """
        variables = {"SNOOP_POD_NAME": "environment", "SNOOP_NAMESPACE": "environment", "SNOOP_LABEL": "from=environment"}
        report = self.report("--namespace", "flag", "--label", "from=flag", config=config, variables=variables)
        self.assertEqual((report.container()["image"], report["pod_name"], report["namespace"], report["labels"]),
                         ("file", "environment", "flag", {"from": "flag"}))

    def test_precedence_of_targets(self):
        report = self.report("--cgroup", self.second.path, variables={"SNOOP_CGROUP": self.first.path,
                                                                      "SNOOP_ALL": "true", "SNOOP_REPORT": "report.json"})
        self.assertEqual(report.container()["name"], self.second.name)
        config = f'[record]\ncgroup = ["{self.first.path}"]\nreport = "report.json"\n'
        report = self.report("--cgroup", self.second.path, config=config)
        self.assertEqual(report.container()["name"], self.second.name)
        report = self.report(variables={"SNOOP_CGROUP": self.second.path}, config=config)
        self.assertEqual(report.container()["name"], self.second.name)

    def test_an_empty_variable_is_none(self):
        report = self.report("--cgroup", self.first.path, variables={"SNOOP_REPORT": "report.json", "SNOOP_IMAGE": "",
                                                                     "SNOOP_INTERVAL": ""})
        self.assertNotIn("image", report.container())

    def test_log(self):
        common = ("run", "--report", self.scratch / "r.json")
        quiet = harness.snoop(*common, "--log-level", "warn", "--", "/bin/true")
        self.assertEqual(quiet.stderr, b"")
        text = harness.snoop(*common, "--", "/bin/true").stderr.decode()
        self.assertRegex(text, r"^snoop: info: \d+ paths of 1 container, \d+ accesses, 0 lost; report: .*/r\.json\n$")
        structured = harness.snoop(*common, "--log-format", "json", "--", "/bin/true").stderr.decode()
        line = json.loads(structured)
        self.assertEqual((line["level"], sorted(line)), ("info", ["level", "message", "time"]))
        harness.seconds(line["time"])
        off = harness.snoop("run", "--log-level", "off", "--", "/no/such/file")
        self.assertEqual((off.returncode, off.stderr), (127, b""))


if __name__ == "__main__":
    harness.main()
