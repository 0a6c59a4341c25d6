# SPDX-License-Identifier: Apache-2.0
"""What system.py and soak.py share: cgroups of their own, the workload in them, snoop beside it. Standard library only."""

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

SOURCE_DIR = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(SOURCE_DIR / "tests" / "e2e"))
import report_file  # noqa: E402

BUILD_DIR = pathlib.Path(os.environ.get("BUILD_DIR") or SOURCE_DIR / "build" / "release")
LOAD = BUILD_DIR / "bench" / "bench_load"
DEADLINE = 120.0


def environment():
    """Without snoop's settings, but for the hook that is to be measured."""
    return {**{name: value for name, value in os.environ.items()
               if not name.startswith("SNOOP_") or name == "SNOOP_TIER"}, "LC_ALL": "C.UTF-8"}


def wait_for(condition, what, pause=0.001):
    """The first true value of condition()."""
    end = time.monotonic() + DEADLINE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"waited {DEADLINE:g} s in vain for: {what}")
        time.sleep(pause)


def enter_private_mounts():
    """Starts this program again, with mounts that nobody else sees and that end with it."""
    if os.geteuid() != 0:
        sys.exit("needs root: it loads BPF programs and makes cgroups")
    if os.environ.get("BENCH_PRIVATE_MOUNTS") != "1":
        os.environ["BENCH_PRIVATE_MOUNTS"] = "1"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, "-B", *sys.argv])


class Scratch:
    """A directory in memory; only in private mounts."""

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="snoop-bench-"))
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8g,nr_inodes=0", "snoop-bench", self.path], check=True)
        return self.path

    def __exit__(self, *_):
        subprocess.run(["umount", self.path], check=True)
        self.path.rmdir()


def _find_cgroup2():
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[fields.index("-") + 1] == "cgroup2" and os.access(f"{fields[4]}/cgroup.procs", os.W_OK):
            return pathlib.Path(fields[4])
    sys.exit("no cgroup2 mount that this user may write to")


CGROUP2 = _find_cgroup2()


class Cgroup:
    def __init__(self, name, parent=None):
        self.directory = parent.directory / name if parent else CGROUP2 / f"snoop-bench-{os.getpid()}-{name}"
        self.directory.mkdir()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()

    def popen(self, argv, **options):
        """Starts a program in the cgroup: all that it does there begins with its exec."""
        procs = os.open(self.directory / "cgroup.procs", os.O_WRONLY)
        try:
            return subprocess.Popen([str(arg) for arg in argv], preexec_fn=lambda: os.write(procs, b"0"),
                                    **{"stdin": subprocess.DEVNULL, "env": environment(), **options})
        finally:
            os.close(procs)

    def remove(self):
        """Ends what is in it, and removes it with all below it."""

        def gone():
            for directory, _, _ in os.walk(self.directory, topdown=False):
                try:
                    for pid in pathlib.Path(directory, "cgroup.procs").read_text().split():
                        os.kill(int(pid), signal.SIGKILL)
                    os.rmdir(directory)
                except OSError:
                    return not self.directory.exists()
            return True

        wait_for(gone, f"{self.directory} to be removable")


# --- the workload ---


def start_load(cgroup, mode, directory, prefix=(), **options):
    arguments = [argument for name, value in options.items() for argument in (f"--{name}", value)]
    return cgroup.popen([*prefix, LOAD, mode, directory, *arguments], stdout=subprocess.PIPE)


def finish_load(process):
    output, _ = process.communicate(timeout=DEADLINE)
    if process.returncode != 0:
        raise RuntimeError(f"the workload ended with {process.returncode}")
    return json.loads(output)


def load(cgroup, mode, directory, **options):
    return finish_load(start_load(cgroup, mode, directory, **options))


def make_files(directory, count):
    """Files whose names file_names() tells."""
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run([LOAD, "make", directory, "--count", str(count)], check=True, stdout=subprocess.DEVNULL)


def file_names(directory, count):
    return {b"%s/d%04d/f%07d" % (os.fsencode(directory), number // 1000, number) for number in range(count)}


def make_hot_files(directory):
    for number in range(64):
        (directory / f"hot{number}").touch()


# --- snoop ---


class Report:
    """What a benchmark wants to know of a report, quickly also where it is large."""

    _LOSSES = re.compile(rb'"losses":\s*(\{[^{}]*\})')
    _PATH = re.compile(rb'"path":\s*"((?:[^"\\]|\\.)*)"')
    _TOTAL = re.compile(rb'"total_events":\s*(\d+)')

    def __init__(self, content):
        self.size = len(content)
        # Those of the whole stand before those of the containers.
        self.losses = json.loads(self._LOSSES.search(content)[1])
        self.lost = sum(self.losses.values())
        self.total_events = int(self._TOTAL.search(content)[1])
        self.paths = set(self._PATH.findall(content))

    def missed(self, expected):
        return len(expected - self.paths)


class Snoop:
    """`snoop record` of one cgroup."""

    def __init__(self, cgroup, scratch, *options, binary=None, interval="1h"):
        self.report_path = scratch / "report.json"
        self.report_path.unlink(missing_ok=True)
        begin = time.monotonic()
        self.process = subprocess.Popen(
            [str(binary or BUILD_DIR / "snoop"), "record", "--cgroup", str(cgroup.directory), "--no-baseline",
             "--report", str(self.report_path), f"--interval={interval}", *map(str, options)],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment())
        # The line that tells that all is attached and the targets are known.
        log = b""
        for line in self.process.stderr:
            log += line
            if b"recording" in line:
                break
        else:
            raise RuntimeError(f"snoop does not start: {log.decode(errors='replace')}")
        self.start_seconds = time.monotonic() - begin
        wait_for(self.version, "the first report")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()

    def version(self):
        return report_file.version_of(self.report_path)

    def usage(self):
        """CPU time in ns, wake-ups, and memory in KiB."""
        process = pathlib.Path("/proc", str(self.process.pid))
        status = dict(re.findall(r"^(\w+):\s+(\d+)", (process / "status").read_text(), re.MULTILINE))
        return {"cpu_ns": int((process / "schedstat").read_text().split()[0]),
                "wakeups": int(status["voluntary_ctxt_switches"]),
                **{name: int(status[name]) for name in ("VmHWM", "VmRSS", "RssAnon", "RssFile", "RssShmem")}}

    def write_report(self):
        """Seconds from the request to the report."""
        before = self.version()
        begin = time.monotonic()
        self.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: self.version() not in (None, before), "a report after SIGUSR1")
        return time.monotonic() - begin

    def finish(self):
        """Ends it; its last report."""
        self.process.send_signal(signal.SIGTERM)
        log = self.process.stderr.read()
        if self.process.wait(DEADLINE) != 0:
            raise RuntimeError(f"snoop ended with {self.process.returncode}: {log.decode(errors='replace')}")
        return Report(self.report_path.read_bytes())


class Empty:
    """The empty program on the same hook, or another of ours that asks nothing."""

    def __init__(self, program="empty"):
        self.program = program

    def __enter__(self):
        self.process = subprocess.Popen([BUILD_DIR / "bench" / "bench_empty",
                                         BUILD_DIR / "bench" / f"{self.program}.bpf.o"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if not self.process.stdout.readline():
            raise RuntimeError("the empty program cannot be attached")
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def other_hooks():
    """How many programs of others hang on system calls now: each slows what counts as untraced."""
    bpftool = shutil.which("bpftool", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if not bpftool:
        return 0
    listed = subprocess.run([bpftool, "link", "list", "-j"], check=True, capture_output=True).stdout
    return sum(link.get("tp_name") in ("sys_enter", "sys_exit") for link in json.loads(listed or b"[]"))


def need_programs():
    for program in (LOAD, BUILD_DIR / "snoop", BUILD_DIR / "bench" / "bench_empty"):
        if not program.exists():
            sys.exit(f"{program} is missing: make bench builds it")
    if not shutil.which("unshare"):
        sys.exit("unshare is missing (package util-linux)")
