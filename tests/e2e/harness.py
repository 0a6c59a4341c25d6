# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: snoop under test, cgroups of their own, processes in them, reports.

A test traces only cgroups that it made. Nothing here waits for a fixed time: everything waits for a condition.
"""

import base64
import datetime
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import jsonschema

import report_file

SOURCE_DIR = pathlib.Path(os.environ.get("SOURCE_DIR") or pathlib.Path(__file__).resolve().parents[2])
SNOOP = os.environ.get("SNOOP") or str(SOURCE_DIR / "build" / "dev" / "snoop")
# Generous: a sanitized snoop on a busy machine.
DEADLINE = 30.0

_SCHEMA = json.loads((SOURCE_DIR / "docs" / "report.schema.json").read_text())
jsonschema.Draft202012Validator.check_schema(_SCHEMA)
_VALIDATOR = jsonschema.Draft202012Validator(_SCHEMA)


def wait_for(condition, what, deadline=DEADLINE):
    """The first true value of condition(); fails after the deadline."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline:g} s in vain for: {what}")
        time.sleep(0.005)


def environment(**extra):
    """The environment of the tests, in English, and with two settings for snoop: what the workers (Python) have open and
    mapped when they are found is not part of what they are told to do, and several snoops run at a time."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SNOOP_")}
    kept.pop("PYTHONPATH", None)
    return {**kept, "LC_ALL": "C.UTF-8", "SNOOP_NO_BASELINE": "1", "SNOOP_METRICS_ADDR": "off", **extra}


# --- cgroups ---


def _find_cgroup2():
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[fields.index("-") + 1] == "cgroup2" and os.access(f"{fields[4]}/cgroup.procs", os.W_OK):
            return pathlib.Path(fields[4])
    return None


CGROUP2 = _find_cgroup2()


def _find_version1():
    """The hierarchy of version 1 that snoop takes where there is no cgroup2 (src/container/cgroup.cc)."""
    found = {}
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        kind, _, options = fields[fields.index("-") + 1:]
        if kind == "cgroup" and os.access(f"{fields[4]}/cgroup.procs", os.W_OK):
            found.update({option: pathlib.Path(fields[4]) for option in options.split(",")})
    return next((found[name] for name in ("memory", "pids", "cpu", "devices", "freezer", "blkio") if name in found), None)


# Where cgroups of tests are.
HIERARCHY = CGROUP2 or _find_version1()


def remove_cgroup(top):
    """Ends what is in a cgroup and below, and removes it."""

    def gone():
        for directory, _, _ in os.walk(top, topdown=False):
            try:
                for pid in pathlib.Path(directory, "cgroup.procs").read_text().split():
                    os.kill(int(pid), signal.SIGKILL)
                os.rmdir(directory)
            except OSError:
                return False
        return True

    wait_for(gone, f"{top} to be removable")


class Cgroup:
    """A cgroup of this test; remove() ends what is in it and takes all below it along."""

    _count = 0

    def __init__(self, name="", parent=None):
        if parent is None:
            Cgroup._count += 1
            name = f"snoop-e2e-{os.getpid()}-{Cgroup._count}{name and '-' + name}"
        self.directory = (parent.directory if parent else HIERARCHY) / name
        self.directory.mkdir()

    @property
    def path(self):
        """As snoop names it: from the mount on."""
        return "/" + str(self.directory.relative_to(HIERARCHY))

    @property
    def name(self):
        return self.directory.name

    @property
    def id(self):
        return self.directory.stat().st_ino

    def pids(self):
        return [int(pid) for file in self.directory.rglob("cgroup.procs") for pid in file.read_text().split()]

    def popen(self, argv, **options):
        """Starts a program in the cgroup: all that it does there begins with its exec."""
        procs = os.open(self.directory / "cgroup.procs", os.O_WRONLY)
        try:
            return subprocess.Popen(argv, preexec_fn=lambda: os.write(procs, b"0"),
                                    **{"stdin": subprocess.DEVNULL, "env": environment(), **options})
        finally:
            os.close(procs)

    def run(self, argv, **options):
        """Runs a program in the cgroup to its end; it must succeed."""
        with self.popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options) as process:
            output, _ = process.communicate(timeout=DEADLINE)
        if process.returncode != 0:
            raise AssertionError(f"{argv} ended with {process.returncode}: {output!r}")
        return output

    def remove(self):
        remove_cgroup(self.directory)


def in_a_cgroup_namespace():
    """What stands in front of a command that shall see only the cgroups below that of its process, itself in /self."""
    script = f'mount -t tmpfs none {CGROUP2} && mount -t cgroup2 none {CGROUP2} && ' \
             f'mkdir -p {CGROUP2}/self && echo 0 >{CGROUP2}/self/cgroup.procs && exec "$0" "$@"'
    return ["unshare", "--cgroup", "--mount", "sh", "-c", script]


_WORKER = r"""
import os, sys
for line in sys.stdin.buffer:
    times, *paths = line.split()
    paths = [bytes.fromhex(path.decode()) for path in paths]
    done = 0
    for _ in range(int(times)):
        for path in paths:
            try:
                os.close(os.open(path, os.O_RDONLY))
                done += 1
            except OSError:
                pass
    print(done, flush=True)
"""


class Worker:
    """A process in a cgroup that opens files when told to, each with one openat, and does nothing else."""

    def __init__(self, cgroup):
        self.process = cgroup.popen(["/usr/bin/python3", "-I", "-S", "-c", _WORKER], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE)
        self.open([])  # it is there, and has used all that it needs to be there

    def start_open(self, paths, times=1):
        self.process.stdin.write(b" ".join([b"%d" % times, *(path.hex().encode() for path in paths)]) + b"\n")
        self.process.stdin.flush()

    def finish_open(self):
        return int(self.process.stdout.readline())

    def open(self, paths, times=1):
        """How many of them could be opened."""
        self.start_open(paths, times)
        return self.finish_open()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


# --- reports ---


def unbytes(record, key):
    """The bytes of a member of any bytes; None: it is absent."""
    if key not in record:
        return None
    if key + "_base64" in record:
        return base64.b64decode(record[key + "_base64"], validate=True)
    return record[key].encode()


def seconds(time_text):
    """A time of a report, as time.time() counts."""
    return datetime.datetime.fromisoformat(time_text.replace("Z", "+00:00")).timestamp()


class Report:
    """A report that follows the schema and agrees with itself."""

    def __init__(self, text):
        self.json = json.loads(text)
        errors = [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}"
                  for error in _VALIDATOR.iter_errors(self.json)]
        if errors:
            raise AssertionError("the report does not follow the schema:\n" + "\n".join(errors[:20]))
        self.containers = self.json["containers"]
        self._check()

    def _check(self):
        losses = dict(self.json["losses"])
        unknown = losses.pop("targets_over_limit")
        expect = {
            "dropped_events": sum(losses.values()),
            "total_events": sum(container["total_events"] for container in self.containers),
            "complete": sum(losses.values()) + unknown == 0,
        }
        for name, value in expect.items():
            if self.json[name] != value:
                raise AssertionError(f"{name} is {self.json[name]}, but the parts say {value}")
        for cause in self.containers[0]["losses"] if self.containers else ():
            of_all = sum(container["losses"][cause] for container in self.containers)
            if losses[cause] != of_all:
                raise AssertionError(f"losses.{cause} is {losses[cause]}, but the containers say {of_all}")
        if "merged_from" not in self.json and len(self.json["gaps"]) != min(self.json["runs"] - 1, 1000):
            raise AssertionError(f"{self.json['runs']} runs, but {len(self.json['gaps'])} gaps")
        order = [(unbytes(container, "cgroup_path"), container["cgroup_id"], container.get("image", ""),
                  container.get("image_digest", ""), container.get("image_id", ""), container["name"])
                 for container in self.containers]
        if order != sorted(set(order)):
            raise AssertionError("containers are not sorted, or one stands twice")
        for container in self.containers:
            paths = [unbytes(file, "path") for file in container["files"]]
            if paths != sorted(set(paths)):
                raise AssertionError("files are not sorted, or one stands twice")
            if container["unique_files"] != len(paths):
                raise AssertionError(f"unique_files is {container['unique_files']}, not {len(paths)}")
            if "only" in self.json["capture"]:
                continue  # the figures are of all files
            found = sum(file["found"] for file in container["files"])
            if sum(container["discovery"]["new_files"]) != found:
                raise AssertionError(f"{found} files were found, but the curve says {container['discovery']}")
            if container["completeness"]["seen"] != sum(file["found"] and file["count"] > 0
                                                        for file in container["files"]):
                raise AssertionError("completeness.seen is not the number of files that were found and accessed")
            for interval in container["observed"] + container["loss_windows"] + self.json["gaps"]:
                if interval["from"] > interval["to"]:
                    raise AssertionError(f"an interval ends before it begins: {interval}")
            for file in container["files"]:
                if file["first_seen"] > file["last_seen"]:
                    raise AssertionError(f"last seen before it was first seen: {file}")
            for path in paths:
                if b"\0" in path or path != normalise(path):
                    raise AssertionError(f"not an absolute and normalised path: {path!r}")

    def __getitem__(self, key):
        return self.json[key]

    def container(self, cgroup=None):
        """The container of a cgroup, or the only one."""
        found = [container for container in self.containers if cgroup is None or container["cgroup_id"] == cgroup.id]
        if len(found) != 1:
            raise AssertionError(f"{len(found)} containers instead of one")
        return found[0]

    def files(self, cgroup=None):
        """Entries by the bytes of their path."""
        return {unbytes(file, "path"): file for file in self.container(cgroup)["files"]}

    def opened(self, cgroup=None):
        """Paths that were opened, with success."""
        return {path for path, file in self.files(cgroup).items()
                if file["found"] and "open" in file["access"] and file.get("succeeded", True)}


def normalise(path):
    """As text, without looking at links: // is / even in front."""
    return os.path.normpath(re.sub(rb"^/+", b"/", path))


# --- snoop ---


def snoop(*args, timeout=2 * DEADLINE, **options):
    """Runs snoop to its end."""
    options = {"stdin": subprocess.DEVNULL, "env": environment(), **options}
    if "stdout" not in options and "stderr" not in options:
        options["capture_output"] = True
    return subprocess.run([SNOOP, *map(str, args)], timeout=timeout, **options)


@functools.cache
def tiers():
    """The capture tier that is taken here, and all that can be had, as `snoop check` says."""
    said = snoop("check").stdout.decode()
    used = re.search(r"(?m)^ok +attach +capture tier: (\w+)$", said)
    return used and used[1], re.findall(r"(?m)^\w+ +tier +capture tier (\w+): (?:in use|can be|only if)", said)


class Background:
    """A snoop that goes on until it is told to stop. Its log is in a file."""

    def __init__(self, scratch, *args, popen=subprocess.Popen, **options):
        self.log_file = tempfile.NamedTemporaryFile(dir=scratch, prefix="log-")
        options = {"stdin": subprocess.DEVNULL, "env": environment(), **options}
        self.process = popen([SNOOP, *map(str, args)], stderr=self.log_file, **options)

    @property
    def pid(self):
        return self.process.pid

    @property
    def log(self):
        return pathlib.Path(self.log_file.name).read_text(errors="replace")

    def wait_for(self, condition, what):
        """Like wait_for, and fails as soon as snoop ends."""

        def check():
            ended = self.process.poll()
            value = condition()
            if not value and ended is not None:
                raise AssertionError(f"snoop ended with {ended} before: {what}\n{self.log}")
            return value

        try:
            return wait_for(check, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\nlog:\n{self.log}") from None

    def wait_for_log(self, text, times=1):
        self.wait_for(lambda: self.log.count(text) >= times, f"{text!r} in the log")

    def send(self, number):
        self.process.send_signal(number)

    def wait(self):
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"snoop does not end; log:\n{self.log}") from None

    def stop(self, number=signal.SIGTERM):
        """Ends it; the exit code."""
        self.send(number)
        return self.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            # A killed `snoop run` leaves its command running.
            for directory in HIERARCHY.rglob(f"snoop-run-{self.pid}"):
                remove_cgroup(directory)
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()
        self.log_file.close()


class Recorder(Background):
    """`snoop record` that writes to a file."""

    def __init__(self, scratch, *args, report=None, interval="1h", **options):
        self.report_path = pathlib.Path(report or scratch / "report.json")
        self.former = self.version()
        super().__init__(scratch, "record", "--report", self.report_path, f"--interval={interval}", *args, **options)

    def wait_until_ready(self):
        self.wait_for(lambda: self.version() not in (None, self.former), "the first report")
        return self

    def version(self):
        return report_file.version_of(self.report_path)

    def report(self):
        return Report(self.report_path.read_bytes())

    def refresh(self):
        """Has a report written of all that happened until now, by SIGUSR1."""
        before = self.version()
        self.send(signal.SIGUSR1)
        # Where something else was put in its place there is none for a moment.
        self.wait_for(lambda: self.version() not in (before, None), "a report after SIGUSR1")

    def fresh_report(self):
        """That report."""
        self.refresh()
        return self.report()

    def final_report(self):
        code = self.stop()
        if code != 0:
            raise AssertionError(f"exit code {code}; log:\n{self.log}")
        return self.report()


class Case(unittest.TestCase):
    """Skips where snoop cannot run; has a directory of its own, and leaves nothing behind."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if os.geteuid() != 0:
            raise unittest.SkipTest("needs root: it loads BPF programs and makes cgroups")
        if CGROUP2 is None:
            raise unittest.SkipTest("no cgroup2 mount that this user may write to")

    def setUp(self):
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="snoop-e2e-")).resolve()
        self.addCleanup(shutil.rmtree, self.scratch)

    def cgroup(self, name="", parent=None):
        cgroup = Cgroup(name, parent)
        self.addCleanup(cgroup.remove)
        return cgroup

    def worker(self, cgroup):
        worker = Worker(cgroup)
        self.addCleanup(worker.close)
        return worker

    def background(self, *args, **options):
        started = Background(self.scratch, *args, **options)
        self.addCleanup(started.close)
        return started

    def start_recorder(self, *args, **options):
        recorder = Recorder(self.scratch, *args, **options)
        self.addCleanup(recorder.close)
        return recorder

    def recorder(self, *args, **options):
        """One that captures already."""
        return self.start_recorder(*args, **options).wait_until_ready()

    def make_files(self, count, prefix="file", directory=None):
        """Empty files in a directory of this test."""
        directory = pathlib.Path(directory or self.scratch / "files")
        directory.mkdir(exist_ok=True)
        paths = [os.fsencode(directory / f"{prefix}-{number:05}") for number in range(count)]
        for path in paths:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT))
        return paths


def main():
    if len(sys.argv) < 2 or "-v" not in sys.argv:
        sys.argv.append("-v")
    unittest.main()
