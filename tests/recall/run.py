#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs each recall case in a cgroup of its own under the real snoop, and compares what it used with the report.

missed: used, and not in the report. extra: in the report, below the case's own directory, and not used. Where a case
says to which file a path led, the report's `resolved` must say the same. With --peer another tracer watches the same
cases. Exits with 1 if anything was missed that is not a known gap, 77 if nothing can run here."""

import argparse
import collections
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
import urllib.parse

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("RECALL_PROGRAMS") or SOURCE / "build" / "release" / "tests" / "recall").resolve()
os.environ.setdefault("SNOOP", str(BUILD.parents[1] / "snoop"))
sys.path.insert(0, str(SOURCE / "tests" / "e2e"))

import harness  # noqa: E402

CASE_DEADLINE = float(os.environ.get("RECALL_DEADLINE") or 120)
ADVERSE = ("missing", "refused", "other")

# Case: what of it cannot be seen, and why. All else that is missed fails the run.
KNOWN_GAPS = {
    "link_removed_after": "the link is gone before snoop looks: in not_seen",
    "link_in_private_mount": "the mount namespace of the link is gone before snoop looks: in not_seen",
}
# The same where the report's not_seen has these words: it depends on the kernel.
KERNEL_GAPS = {"io_uring_connect": "io_uring requests with the path of a socket"}

Access = collections.namedtuple("Access", "path kind outcome")


class Failed(Exception):
    pass


class RecallCase:
    """One case: its program, its directory, its cgroup, and what it says it used."""

    def __init__(self, name, program, when):
        self.name, self.program, self.when = name, program, when
        self.error = self.skipped = self.process = None
        self.used, self.may, self.resolved = set(), set(), {}

    def prepare(self, top):
        self.directory = top / self.name
        self.directory.mkdir()
        self._run("prepare")
        self.cgroup = harness.Cgroup(self.name)
        self.cgroup_id = self.cgroup.id

    def _argv(self, mode):
        return [self.program, self.name, mode, self.directory]

    def _run(self, mode):
        done = subprocess.run(self._argv(mode), cwd=self.directory, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=CASE_DEADLINE)
        if done.returncode != 0:
            raise Failed(f"{mode}: {done.stderr.decode(errors='replace').strip()}")

    def start(self):
        """Begins it, in the cgroup or, if it is moved there later, outside."""
        options = {"cwd": self.directory, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, "env": harness.environment(RECALL_CGROUP=str(self.cgroup.directory))}
        popen = subprocess.Popen if self.when == "moved" else self.cgroup.popen
        self.process = popen(self._argv("run"), **options)
        if self.when != "new" and self.process.stdout.readline() != b"READY\n":
            raise Failed(self.process.stderr.read().decode(errors="replace").strip() or "it did not get ready")

    def move(self):
        (self.cgroup.directory / "cgroup.procs").write_text(str(self.process.pid))

    def finish(self):
        output, errors = self.process.communicate(b"" if self.when == "new" else b"\n", timeout=CASE_DEADLINE)
        if self.process.returncode != 0:
            raise Failed(errors.decode(errors="replace").strip() or f"it ended with {self.process.returncode}")
        for line in output.decode("ascii").splitlines():
            verb, *words = line.split(" ")
            if verb == "SKIP":
                self.skipped = " ".join(words)
                return
            paths = [harness.normalise(urllib.parse.unquote_to_bytes(word)) for word in words[2:]]
            access = Access(paths[0], words[0], words[1])
            (self.used if verb == "USED" else self.may).add(access)
            if len(paths) == 2:
                self.resolved[paths[0]] = paths[1]
        # A path has one entry: what succeeded hides what did not, and what was refused hides what was not there.
        by_path = collections.defaultdict(set)
        for access in self.used:
            by_path[access.path].add(access.outcome)
        self.used = {access for access in self.used
                     if access.outcome not in ("missing", "other") or "ok" not in by_path[access.path]}
        self.used = {access for access in self.used
                     if access.outcome != "missing" or by_path[access.path] <= {"missing"}}

    def close(self):
        if self.process:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
                stream.close()
        if hasattr(self, "cgroup"):
            self.cgroup.remove()


def all_cases(wanted):
    found = []
    for program in sorted(BUILD.glob("recall_*")):
        for line in subprocess.run([program, "--list"], check=True, capture_output=True, text=True).stdout.splitlines():
            found.append(RecallCase(line.split()[0], program, line.split()[1]))
    names = [case.name for case in found]
    if len(names) != len(set(names)):
        raise SystemExit("two cases have the same name")
    for name in wanted:
        if name not in names:
            raise SystemExit(f"there is no case {name}")
    return [case for case in found if not wanted or case.name in wanted]


def attempt(case, action):
    """Runs a step of a case; a case that failed does no more."""
    if case.error is None:
        try:
            action()
        except (Failed, OSError, subprocess.SubprocessError) as error:
            case.error = str(error)


def run_cases(cases, top, start_tracer):
    """Prepares all, starts the tracer, runs one after the other. The tracer's result is what it says about them.

    `start_tracer(cases)` returns (settle, stop, close): settle() waits until it has seen all that happened before;
    stop() gives the result; close() comes last, whatever happened."""
    close = None
    try:
        for case in cases:
            attempt(case, lambda: case.prepare(top))
            if case.when == "before":
                attempt(case, case.start)
        settle, stop, close = start_tracer([case for case in cases if case.error is None])
        for case in cases:
            if case.when != "before":
                attempt(case, case.start)
            if case.when == "moved":
                attempt(case, case.move)
                settle()
            attempt(case, case.finish)
        return stop()
    finally:
        if close:
            close()
        for case in cases:
            case.close()


# --- snoop ---


def claims(file):
    """The accesses that an entry of the report claims."""
    path = harness.unbytes(file, "path")
    refused = set(file.get("refused", ()))
    if not file["found"]:
        return {Access(path, kind, "missing") for kind in file["access"]}
    if file.get("succeeded", True):
        return {Access(path, kind, "ok") for kind in file["access"]} | {Access(path, kind, "refused") for kind in refused}
    return {Access(path, kind, "refused" if kind in refused else "other") for kind in {*file["access"], *refused}}


def below(path, directory):
    return path == directory or path.startswith(directory + b"/")


def compare(case, container):
    """A row of the table."""
    row = {"case": case.name, "expected": 0, "seen": 0, "missed": [], "extra": [], "note": ""}
    if case.error is not None or case.skipped:
        row["note"] = f"failed: {case.error}" if case.error is not None else f"skipped: {case.skipped}"
        return row
    files = {harness.unbytes(file, "path"): file for file in container["files"]}
    claimed = set().union(*(claims(file) for file in files.values()))
    any_outcome = {access[:2] for access in claimed}
    missed = {access for access in case.used
              if (access[:2] not in any_outcome if access.outcome == "any" else access not in claimed)}
    allowed = {access[:2] for access in case.used | case.may if access.outcome == "any"}
    own = os.fsencode(case.directory)
    extra = {access for access in claimed - case.used - case.may
             if below(access.path, own) and access[:2] not in allowed}
    # Snoop may look again at what is open: what the case opened and has not closed is no false claim.
    opened = {access.path for access in case.used if access[1:] == ("open", "ok")} | set(case.resolved.values())
    extra = {access for access in extra if access.kind != "baseline" or access.path not in opened}
    row["expected"], row["seen"] = len(case.used), len(case.used) - len(missed)
    row["missed"] = [f"{kind} {outcome} {text(path, own)}" for path, kind, outcome in sorted(missed)]
    row["extra"] = [f"{kind} {outcome} {text(path, own)}" for path, kind, outcome in sorted(extra)]
    for path, resolved in sorted(case.resolved.items()):
        file = files.get(path)
        if file is None:
            continue
        row["expected"] += 1
        said = harness.unbytes(file, "resolved") or path
        if said == resolved:
            row["seen"] += 1
        else:
            row["missed"].append(f"resolved {text(path, own)} -> {text(resolved, own)}, not {text(said, own)}")
    lost = {cause: count for cause, count in container["losses"].items() if count}
    notes = [f"lost: {lost}"] if lost else []
    if row["missed"] and case.name in KNOWN_GAPS:
        notes.append("known gap: " + KNOWN_GAPS[case.name])
    row["note"] = "; ".join(notes)
    return row


def text(path, directory):
    """For people: below the case's directory, and short."""
    if path.startswith(directory + b"/"):
        path = path[len(directory) + 1:]
    shown = urllib.parse.quote_from_bytes(path, safe="/ #$&'()*+,:;<=>?@[]^`{|}~!")
    return shown if len(shown) <= 100 else f"{shown[:40]}...{shown[-40:]} ({len(path)} bytes)"


def with_snoop(cases, top):
    def start(ready):
        # SNOOP_TIER: the hook to test.
        environment = harness.environment(**{name: os.environ[name] for name in ("SNOOP_TIER",) if name in os.environ})
        del environment["SNOOP_NO_BASELINE"]
        arguments = [argument for case in ready for argument in ("--cgroup", case.cgroup.directory)]
        recorder = harness.Recorder(top, "--exclude", "", *arguments, env=environment)
        try:
            recorder.wait_until_ready()
        except BaseException:
            recorder.close()
            raise

        # Whether the report follows its schema is for the e2e tests.
        def settle():
            before = recorder.version()
            recorder.send(signal.SIGUSR1)
            recorder.wait_for(lambda: recorder.version() != before, "a report after SIGUSR1")

        def stop():
            if recorder.stop() != 0:
                raise SystemExit(f"snoop failed:\n{recorder.log}")
            return json.loads(recorder.report_path.read_bytes())

        return settle, stop, recorder.close

    report = run_cases(cases, top, start)
    containers = {container["cgroup_id"]: container for container in report["containers"]}
    names = {container["cgroup_path"].rsplit("/", 1)[-1]: container for container in containers.values()}
    rows = []
    for case in cases:
        container = names.get(case.cgroup.name) if hasattr(case, "cgroup") else None
        if container is None and case.error is None:
            case.error = "the report has no such container"
        row = compare(case, container)
        if row["missed"] and KERNEL_GAPS.get(case.name) in report["capture"]["not_seen"]:
            row["gap"] = True
            row["note"] = "; ".join([*filter(None, [row["note"]]), "known gap of this kernel: in not_seen"])
        rows.append(row)
    return rows, report["capture"]["not_seen"]


# --- a peer ---

# Tracepoints of system calls, and the arguments that are paths.
PEER_CALLS = {
    **dict.fromkeys(["open", "openat", "openat2", "newstat", "newlstat", "newfstatat", "statx", "access", "faccessat",
                     "faccessat2", "execve", "execveat", "chdir", "chroot", "chmod", "truncate:path",
                     "creat:pathname", "readlink:path", "readlinkat:pathname", "unlink:pathname", "unlinkat:pathname",
                     "mkdir:pathname", "mkdirat:pathname", "rmdir:pathname"], ["filename"]),
    **dict.fromkeys(["rename", "renameat", "renameat2", "link", "linkat"], ["oldname", "newname"]),
    **dict.fromkeys(["symlink", "symlinkat"], ["newname"]),
}


def bpftrace_script(cases):
    lines = ["BEGIN {"] + [f"  @t[(uint64){case.cgroup.id}] = 1;" for case in cases] + ['  printf("READY\\n");', "}"]
    for call, arguments in PEER_CALLS.items():
        name, _, other = call.partition(":")
        for argument in [other] if other else arguments:
            lines.append(f'tracepoint:syscalls:sys_enter_{name} /@t[cgroup]/ '
                         f'{{ printf("~%llu %s~\\n", cgroup, str(args->{argument})); }}')
    return "\n".join(lines + ["END { clear(@t); }"])


def with_bpftrace(cases, top):
    """What bpftrace prints of the paths that system calls begin with. A path counts as seen with any kind, and also
    where it was printed as asked: relative, and the rest of it is the end of the path that was used."""

    def start(ready):
        script, output = top / "peer.bt", top / "peer.out"
        script.write_text(bpftrace_script(ready))
        log = open(output, "wb")
        # tracefs in a mount namespace of its own: it may not be mounted, and the machine's mounts are not ours.
        process = subprocess.Popen(
            ["unshare", "-m", "sh", "-ec",
             f"[ -d /sys/kernel/tracing/events ] || mount -t tracefs t /sys/kernel/tracing; exec bpftrace '{script}'"],
            stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, "BPFTRACE_STRLEN": "200", "BPFTRACE_PERF_RB_PAGES": "4096", "BPFTRACE_CACHE_USER_SYMBOLS": "0"})

        def ready_or_dead():
            if process.poll() is not None:
                raise SystemExit(f"bpftrace ended: {output.read_text(errors='replace')}")
            return b"READY" in output.read_bytes()

        def close():
            if process.poll() is None:
                process.kill()
            process.wait()
            log.close()

        try:
            harness.wait_for(ready_or_dead, "bpftrace to be ready", 60)
        except BaseException:
            close()
            raise

        def stop():
            time.sleep(1)  # it has no way to say that it has printed all
            process.terminate()
            process.wait(60)
            return output.read_bytes()

        return (lambda: None), stop, close

    output = run_cases(cases, top, start)
    seen = collections.defaultdict(set)
    for cgroup, path in re.findall(rb"~(\d+) (.*?)~\n", output, re.DOTALL):
        seen[int(cgroup)].add(path)
    rows = []
    for case in cases:
        row = {"case": case.name, "expected": 0, "seen": 0, "missed": [], "extra": [], "note": ""}
        rows.append(row)
        if case.error is not None or case.skipped:
            row["note"] = f"failed: {case.error}" if case.error is not None else f"skipped: {case.skipped}"
            continue
        printed = {harness.normalise(path) for path in seen[case.cgroup_id] if path}
        absolute = {path for path in printed if path.startswith(b"/")}
        relative = tuple(b"/" + path.lstrip(b"./") for path in printed - absolute if path.strip(b"./"))
        own = os.fsencode(case.directory)
        missed = [access for access in case.used
                  if access.path not in absolute and not (relative and access.path.endswith(relative))]
        row["expected"], row["seen"] = len(case.used), len(case.used) - len(missed)
        row["missed"] = [f"{kind} {outcome} {text(path, own)}" for path, kind, outcome in sorted(missed)]
    return rows, []


# --- output ---


def sums(rows):
    expected, seen, extra = (sum(part) for part in
                             zip(*((row["expected"], row["seen"], len(row["extra"])) for row in rows)))
    return {"cases": sum(1 for row in rows if row["expected"]), "expected": expected, "seen": seen,
            "missed": expected - seen, "extra": extra, "recall": ratio(seen, expected),
            "precision": ratio(seen, seen + extra),
            "whole": sum(1 for row in rows if row["expected"] and row["seen"] == row["expected"]),
            "recall_per_case": mean([row["seen"] / row["expected"] for row in rows if row["expected"]])}


def ratio(part, whole):
    return part / whole if whole else 1.0


def mean(values):
    return sum(values) / len(values) if values else 1.0


def in_words(total):
    """One case has ten thousand accesses: the mean of the cases says more than the sum."""
    return (f"{total['whole']} of {total['cases']} cases without a miss, {total['seen']} of {total['expected']} accesses, "
            f"recall {percent(total['recall'])}, mean recall of a case {percent(total['recall_per_case'])}")


def percent(value):
    """Not rounded up to all."""
    return f"{int(value * 10000) / 10000:.4f}"


def print_text(rows, peer):
    print(f"{'case':<28} {'expected':>8} {'seen':>6} {'missed':>6} {'extra':>5}  {'peer  ' if peer else ''}note")
    for row in rows:
        shown = f"{row['peer']:>5} " if peer else ""
        print(f"{row['case']:<28} {row['expected']:>8} {row['seen']:>6} {row['expected'] - row['seen']:>6} "
              f"{len(row['extra']):>5}  {shown}{row['note']}".rstrip())
        for what in ("missed", "extra"):
            for entry in row[what][:8]:
                print(f"    {what}: {entry}")
            if len(row[what]) > 8:
                print(f"    {what}: {len(row[what]) - 8} more")
    total = sums(rows)
    print(f"\nsnoop: {in_words(total)}, {total['extra']} extra, precision {percent(total['precision'])}")
    if peer:
        print(f"{peer['name']}: {in_words(peer)}")


def print_markdown(rows, peer):
    total = sums(rows)
    print("| | cases without a miss | accesses seen | recall | mean recall of a case | extra | precision |")
    print("|---|---|---|---|---|---|---|")
    for name, of in [("snoop", total)] + ([(peer["name"], peer)] if peer else []):
        rest = f"{of['extra']} | {percent(of['precision'])}" if of is total else "not judged | not judged"
        print(f"| {name} | {of['whole']} of {of['cases']} | {of['seen']} of {of['expected']} | {percent(of['recall'])} | "
              f"{percent(of['recall_per_case'])} | {rest} |")
    print(f"\n| case | expected | seen | missed | extra |{' ' + peer['name'] + ' |' if peer else ''} note |")
    print(f"|---|---|---|---|---|{'---|' if peer else ''}---|")
    for row in rows:
        shown = f" {row['peer']} |" if peer else ""
        note = row["note"].replace("|", "\\|")
        print(f"| `{row['case']}` | {row['expected']} | {row['seen']} | {row['expected'] - row['seen']} | "
              f"{len(row['extra'])} |{shown} {note} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="only these")
    parser.add_argument("--list", action="store_true", help="list the cases")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--markdown", action="store_true", help="as a table for docs/recall.md")
    parser.add_argument("--peer", choices=["bpftrace"], help="watch the same cases with this tracer as well")
    options = parser.parse_args()

    cases = all_cases(options.cases)
    if not cases:
        raise SystemExit(f"no programs in {BUILD}: build the target recall_programs")
    if options.list:
        print("\n".join(case.name for case in cases))
        return 0
    if os.geteuid() != 0 or harness.HIERARCHY is None:
        print("skipped: needs root and a cgroup file system that it may write to")
        return 77
    if options.peer and not shutil.which(options.peer):
        raise SystemExit(f"{options.peer} is not installed")

    def watch(tracer, watched):
        # Others must be able to go through it: a case gives up its rights.
        with tempfile.TemporaryDirectory(prefix="snoop-recall-") as name:
            top = pathlib.Path(name).resolve()
            top.chmod(0o711)
            return tracer(watched, top)

    rows, not_seen = watch(with_snoop, cases)
    peer = None
    if options.peer:
        peer_rows, _ = watch(with_bpftrace, all_cases(options.cases))
        peer = {"name": options.peer, **sums(peer_rows)}
        for row, of_peer in zip(rows, peer_rows):
            row["peer"] = f"{of_peer['seen']}/{of_peer['expected']}"
            row["peer_missed"] = of_peer["missed"]

    if options.json:
        print(json.dumps({"total": sums(rows), "not_seen": not_seen, "peer": peer, "cases": rows}, indent=1))
    elif options.markdown:
        print_markdown(rows, peer)
    else:
        print_text(rows, peer)
    bad = [row["case"] for row in rows
           if row["note"].startswith("failed") or (row["missed"] and row["case"] not in KNOWN_GAPS and not row.get("gap"))]
    if bad:
        print(f"not as it must be: {' '.join(bad)}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
