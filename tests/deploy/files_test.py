#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is installed beside the programs, as it is in the source tree: default configuration, man page, unit."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import unittest

SOURCE = pathlib.Path(os.environ.get("SOURCE_DIR") or pathlib.Path(__file__).resolve().parents[2])
sys.path.insert(0, str(SOURCE / "tests" / "e2e"))
import harness  # noqa: E402

COMMANDS = ("run", "record", "trace", "check", "config", "containers", "merge", "diff", "packages", "version")


def options_of(*command):
    text = harness.snoop(*command, "--help").stdout.decode()
    return set(re.findall(r"(?m)^  (?:-.,)?--([a-z-]+)", text))


class Case(unittest.TestCase):
    def setUp(self):
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="snoop-files-"))
        self.addCleanup(shutil.rmtree, self.scratch)


class Configuration(Case):
    text = (SOURCE / "packaging" / "snoop.toml").read_text()
    # A commented setting, as against a sentence.
    commented = re.findall(r"(?m)^#([a-z-]+ = .*)$", text)

    def accept(self, text):
        file = self.scratch / "snoop.toml"
        file.write_text(text)
        result = harness.snoop("--config", file, "version")
        self.assertEqual((result.returncode, result.stderr), (0, b""), text)

    def test_as_it_is(self):
        self.accept(self.text)
        self.assertEqual(tomllib.loads(self.text), {"record": {"all-containers": True, "report": "/var/lib/snoop/report.json"}})

    def test_with_each_line(self):
        for line in self.commented:
            with self.subTest(line=line):
                tomllib.loads(line)
                self.accept(f"[record]\n{line}\n")
        self.accept(re.sub(r"(?m)^#([a-z-]+ = .*)$", r"\1", self.text))

    def test_every_option(self):
        told = re.findall(r"(?m)^#?([a-z-]+) = ", self.text)
        self.assertEqual(len(told), len(set(told)))
        self.assertEqual(set(told), options_of("record") - {"help"})

    def test_defaults(self):
        """Where help tells one, the file tells the same."""
        help_text = harness.snoop("record", "--help").stdout.decode()
        told = {key: value for line in self.commented for key, value in tomllib.loads(line).items()}
        for option, value in told.items():
            entry = re.search(rf"(?m)^  --{option}\b(.*(?:\n {{34}}.*)*)", help_text)[1]
            default = re.search(r"=([\w.]+)$|\[([^\]\s]+)\]$", entry.splitlines()[0] if "=" in entry else entry, re.MULTILINE)
            if default:
                self.assertEqual(str(value), default[1] or default[2], option)


class ManPage(unittest.TestCase):
    def test_every_option(self):
        text = (SOURCE / "docs" / "snoop.1").read_text().replace("\\-", "-")
        # The whole of the program's, and that of snoop-show-report.
        told = set(re.findall(r"--([a-z-]+)", text.partition(".SH OPTIONS")[2].partition(".SH EXIT")[0]))
        self.assertEqual(told, set().union(*(options_of(*command) for command in ([], *([c] for c in COMMANDS)))))

    def test_is_well_formed(self):
        if not shutil.which("man"):
            self.skipTest("man is not installed")
        done = subprocess.run(["man", "-l", "--warnings", SOURCE / "docs" / "snoop.1"], check=True, capture_output=True,
                              env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"})
        self.assertEqual(done.stderr, b"")


class Unit(Case):
    def setUp(self):
        super().setUp()
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")
        text = (SOURCE / "packaging" / "snoop.service.in").read_text()
        for name, value in (("BINDIR", self.scratch / "usr/bin"), ("SYSCONFDIR", "/etc"), ("DOCDIR", "/usr/share/doc/snoop")):
            text = text.replace(f"@CMAKE_INSTALL_FULL_{name}@", str(value))
        self.assertNotIn("@CMAKE", text)
        (self.scratch / "usr/bin").mkdir(parents=True)
        shutil.copy("/bin/true", self.scratch / "usr/bin/snoop")
        self.unit = self.scratch / "snoop.service"
        self.unit.write_text(text)

    def analyze(self, *arguments):
        return subprocess.run(["systemd-analyze", *arguments], check=False, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)

    def test_is_well_formed(self):
        done = self.analyze("verify", "--man=no", self.unit)
        self.assertEqual((done.returncode, [line for line in done.stdout.splitlines() if "snoop" in line]), (0, []))

    def test_is_little_exposed(self):
        """systemd's own measure, 0 (nothing) to 10. What is left: root's name, network, what is needed to load programs."""
        done = self.analyze("security", "--offline=true", "--threshold=30", "--no-pager", self.unit)
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    harness.main()
