#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What snoop costs a whole system: runs the workload untraced, under an empty BPF program and under snoop, in turns, and
prints each goal with what was measured. Standard library only; as root. docs/performance.md tells how to read it."""

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import lab

# Name, mode of the workload, in the traced cgroup or outside of it.
HOT = [("open", "open", True), ("stat", "stat", True), ("fstat", "fstat", True), ("missing", "missing", True),
       ("getppid", "getppid", True), ("exec", "exec", True), ("rate", "rate", True), ("open outside", "open", False),
       ("getppid outside", "getppid", False)]
# Of bench/code.bpf.c.
CODE_BLOCKS = [32, 64, 128, 256]
CODE_BLOCK_BYTES = 28


class Spread:
    """Values of several rounds."""

    def __init__(self, values):
        self.values = list(values)

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def best(self):
        """Noise only adds time."""
        return min(self.values)

    def lowest(self, part):
        """The one that this part of the rounds stays below: a single one that was lucky decides nothing."""
        return statistics.quantiles(self.values, n=100, method="inclusive")[round(100 * part) - 1]

    def text(self, digits=0, scale=1.0):
        low, high = min(self.values) * scale, max(self.values) * scale
        return f"{self.median * scale:.{digits}f} [{low:.{digits}f}..{high:.{digits}f}]"

    def json(self):
        return {"median": self.median, "min": min(self.values), "max": max(self.values), "rounds": len(self.values)}


class Table:
    """Goals with their limits, and figures without."""

    def __init__(self):
        self.rows = []

    def add(self, what, limit, measured, met, value):
        """`met` None: it is no goal."""
        self.rows.append({"what": what, "limit": limit, "measured": measured, "met": met, "value": value})
        print(f"  {what}: {measured}", file=sys.stderr, flush=True)

    def at_most(self, what, limit, value, unit="", digits=2, detail=""):
        measured = f"{value:.{digits}f}{unit}"
        self.add(what, f"<= {limit:g}{unit}", f"{measured}  {detail}".rstrip(), value <= limit, value)

    def at_least(self, what, limit, value, digits=2, detail=""):
        self.add(what, f">= {limit:g}", f"{value:.{digits}f}  {detail}".rstrip(), value >= limit, value)

    def figure(self, what, measured, value):
        self.add(what, "", measured, None, value)

    def print(self):
        heads = ("what", "limit", "measured", "met")
        lines = [(row["what"], row["limit"], row["measured"], {True: "yes", False: "NO", None: ""}[row["met"]])
                 for row in self.rows]
        widths = [max(len(line[column]) for line in [heads, *lines]) for column in range(4)]
        for line in [heads, tuple("-" * width for width in widths), *lines]:
            print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |")
        goals = [row["met"] for row in self.rows if row["met"] is not None]
        print(f"{sum(goals)} of {len(goals)} goals met")


class Bench:
    def __init__(self, arguments, scratch, inside, outside):
        self.quick = arguments.quick
        self.binary = arguments.snoop
        self.options = arguments.snoop_option
        self.scratch = scratch
        self.inside = inside
        self.outside = outside
        self.table = Table()
        self.starts = []

    def snoop(self, *options, **more):
        snoop = lab.Snoop(self.inside, self.scratch, *self.options, *options, binary=self.binary, **more)
        self.starts.append(snoop.start_seconds)
        return snoop

    # --- what repeats ---

    @staticmethod
    def time_of(result):
        """ns an operation takes when nothing disturbs it. A batch of many is short enough for that; of single calls the
        fastest is a matter of luck. What takes two processes is measured by their CPU time."""
        if result["mode"] == "exec":
            return 1e9 * result["cpu_seconds"] / result["operations"]
        return result["tenth_ns" if result["mode"] == "rate" else "best_ns"]

    def hot(self):
        hot = self.scratch / "hot"
        hot.mkdir()
        lab.make_hot_files(hot)
        # Many short ones: on a shared machine a neighbour of the same core comes and goes within milliseconds.
        rounds = 4 if self.quick else 40
        # What is slow, or seldom, needs more of it to come to as many.
        seconds = {"rate": 0.2, "exec": 0.2}
        states = {"none": contextlib.nullcontext, "empty": lab.Empty, "snoop": self.snoop}
        times = {name: {state: [] for state in states} for name, _, _ in HOT}
        disturbed = 0
        for number in range(rounds):
            # In another order each time, so that no state always comes first.
            order = list(states)[number % 3:] + list(states)[:number % 3]
            others = lab.other_hooks()
            for state in order:
                with states[state]() as running:
                    for name, mode, traced in HOT:
                        result = lab.load(self.inside if traced else self.outside, mode, hot, seconds=seconds.get(name, 0.08))
                        times[name][state].append(self.time_of(result))
                    if state == "snoop":
                        running.finish()
            disturbed += bool(others or lab.other_hooks())
        times = {name: {state: Spread(values) for state, values in of.items()} for name, of in times.items()}
        self.table.figure("rounds in which others traced this machine too", f"{disturbed} of {rounds}", disturbed)

        def ns(name, state):
            # A loop is at its fastest where it had the core for itself. Of what runs on caches that others left, or in two
            # processes, most of the noise is its own.
            return times[name][state].lowest(0.25 if name in ("rate", "exec") else 0.1)

        def added(name, state):
            return ns(name, state) - ns(name, "none")

        def throughput(name, state="snoop"):
            return ns(name, "none") / ns(name, state)

        def percent_added(name, state="snoop"):
            return 100 * (1 / throughput(name, state) - 1)

        def of_rounds(name):
            ratios = Spread(untraced / traced for traced, untraced in zip(times[name]["snoop"].values,
                                                                          times[name]["none"].values))
            return f"rounds {ratios.text(2)}"

        for name, _, _ in HOT:
            self.table.figure(
                f"{name}: ns untraced, + empty, + snoop",
                f"{ns(name, 'none'):.0f} {added(name, 'empty'):+.0f} {added(name, 'snoop'):+.0f}; rounds " +
                ", ".join(spread.text() for spread in times[name].values()),
                {state: spread.json() for state, spread in times[name].items()})
        for what, name, limit in [("repeated open, added / empty program", "open", 2.0),
                                  ("repeated stat, added / empty program", "stat", 2.0),
                                  ("stat of an open file, added / empty program", "fstat", None),
                                  ("open of a missing file, added / empty program", "missing", None),
                                  ("getppid in a traced process, added / empty program", "getppid", 1.2),
                                  ("getppid in an untraced process, added / empty program", "getppid outside", 1.2),
                                  ("open in an untraced cgroup, added / empty program", "open outside", 1.3)]:
            times_empty = added(name, "snoop") / max(1.0, added(name, "empty"))
            if limit:
                self.table.at_most(what, limit, times_empty)
            else:
                self.table.figure(what, f"{times_empty:.2f}", times_empty)
        self.table.at_least("repeated open, throughput", 0.85, throughput("open"), detail=of_rounds("open"))
        self.table.at_least("2,000 opens a second, throughput", 0.9, throughput("rate"), detail=of_rounds("rate"))
        floor = throughput("rate", "empty")
        self.table.figure("2,000 opens a second, throughput with the empty program", f"{floor:.2f}", floor)
        self.table.at_most("fork+exec of /bin/true, CPU time added", 5, percent_added("exec"), " %", 1, of_rounds("exec"))
        floor = percent_added("exec", "empty")
        self.table.figure("fork+exec of /bin/true, CPU time added by the empty program", f"{floor:.1f} %", floor)

    # --- snoop itself, in the steady state ---

    def steady(self):
        hot = self.scratch / "steady"
        hot.mkdir()
        lab.make_hot_files(hot)
        seconds = 2 if self.quick else 5
        with self.snoop() as snoop:
            time.sleep(0.5)
            before = snoop.usage()
            time.sleep(seconds)
            after = snoop.usage()
            wakeups = (after["wakeups"] - before["wakeups"]) / seconds
            self.table.at_most("idle, wake-ups a second", 0, wakeups)
            for rate in (2000, 200_000):
                process = lab.start_load(self.inside, "rate", hot, seconds=seconds + 1.5, rate=rate)
                time.sleep(0.7)  # what is new has been seen, and the reader sleeps again
                before, begin = snoop.usage(), time.monotonic()
                time.sleep(seconds)
                after, passed = snoop.usage(), time.monotonic() - begin
                result = lab.finish_load(process)
                wakeups = (after["wakeups"] - before["wakeups"]) / passed
                cpu = 100 * (after["cpu_ns"] - before["cpu_ns"]) / passed / 1e9
                reached = result["operations"] / result["seconds"]
                if rate == 2000:
                    self.table.at_most("2,000 repeats a second, wake-ups a second", 0, wakeups)
                    self.table.figure("2,000 repeats a second, CPU of snoop", f"{cpu:.3f} %", cpu)
                else:
                    self.table.at_most("200,000 repeats a second, CPU of snoop", 0.2, cpu, " %", 3,
                                       f"at {reached:,.0f} a second")
            snoop.finish()

    # --- what is new ---

    def burst(self):
        count = 20_000 if self.quick else 100_000
        rounds = 2 if self.quick else 5
        files = self.scratch / "burst"
        lab.make_files(files, count)
        more = self.scratch / "more"
        lab.make_files(more, count // 2)
        expected = lab.file_names(files, count)
        untraced, traced, usages, cpu, missed, lost, writes, sizes = [], [], [], [], [], [], [], []
        for number in range(rounds):
            untraced.append(lab.load(self.inside, "burst", files, count=count))
            with self.snoop() as snoop:
                before = snoop.usage()
                traced.append(lab.load(self.inside, "burst", files, count=count))
                writes.append(snoop.write_report())
                usage = snoop.usage()
                cpu.append((usage["cpu_ns"] - before["cpu_ns"]) / 1e3 / count)
                if number == 0:
                    # A burst while reports are written, one after the other.
                    process = lab.start_load(self.inside, "burst", more, count=count // 2)
                    reports = 0
                    while process.poll() is None:
                        snoop.write_report()
                        reports += 1
                    lab.finish_load(process)
                    report = snoop.finish()
                    stalled = report.missed(lab.file_names(more, count // 2)) + report.lost
                else:
                    report = snoop.finish()
                    usages.append(usage)
                sizes.append(report.size)
            missed.append(report.missed(expected))
            lost.append(report.lost)
        name = f"{count:,} distinct files"
        self.table.at_most(f"{name} in a burst, missed", 0, max(missed), digits=0, detail=f"losses counted: {max(lost)}")
        self.throughput(f"{name} in a burst, throughput", 0.6, untraced, traced, "seconds")
        self.throughput(f"{name} in a burst, by CPU time of the workload", None, untraced, traced, "cpu_seconds")
        self.table.figure(f"{name} in a burst, CPU of snoop a file", Spread(cpu).text(1) + " us", Spread(cpu).json())
        self.memory(name, 24, usages[-1])
        self.table.at_most(f"{name}, report written", 150, 1000 * Spread(writes).best, " ms", 0,
                           f"{Spread(writes).text(0, 1000)}, {sizes[-1] >> 10:,} KiB")
        self.table.at_most(f"a burst of {count // 2:,} while {reports} reports are written, missed or lost", 0, stalled,
                           digits=0)

    def throughput(self, what, limit, untraced, traced, key):
        """The median of the rounds' ratios; `limit` None: no goal."""
        ratios = Spread(without[key] / with_[key] for without, with_ in zip(untraced, traced))
        rounds = f"[{min(ratios.values):.2f}..{max(ratios.values):.2f}]"
        if limit:
            self.table.at_least(what, limit, ratios.median, detail=rounds)
        else:
            self.table.figure(what, f"{ratios.median:.2f}  {rounds}", ratios.median)

    def memory(self, name, limit_mib, usage):
        mib = {key: usage[key] / 1024 for key in ("VmHWM", "VmRSS", "RssAnon", "RssFile", "RssShmem")}
        self.table.at_most(f"{name}, RSS at its highest", limit_mib, mib["VmHWM"], " MiB", 1,
                           f"now {mib['VmRSS']:.1f}: anonymous {mib['RssAnon']:.1f}, files {mib['RssFile']:.1f}, "
                           f"shared {mib['RssShmem']:.1f}")

    def million(self):
        count = 1_000_000
        files = self.scratch / "million"
        lab.make_files(files, count)
        untraced = lab.load(self.inside, "burst", files, count=count)
        with self.snoop("--max-files", count + 1000) as snoop:
            traced = lab.load(self.inside, "burst", files, count=count)
            seconds = snoop.write_report()
            usage = snoop.usage()
            report = snoop.finish()
        self.table.at_most(f"{count:,} distinct files, missed", 0, report.missed(lab.file_names(files, count)), digits=0,
                           detail=f"losses counted: {report.lost}")
        self.memory(f"{count:,} distinct files", 160, usage)
        self.table.figure(f"{count:,} distinct files, throughput", f"{untraced['seconds'] / traced['seconds']:.2f}",
                          untraced["seconds"] / traced["seconds"])
        self.table.figure(f"{count:,} distinct files, report written",
                          f"{1000 * seconds:.0f} ms, {report.size >> 20:,} MiB", seconds)

    def mix(self):
        count = 5_000 if self.quick else 30_000
        rounds = 3 if self.quick else 7
        top = self.scratch / "mix"
        for part in ("fstat", "relative"):
            lab.make_files(top / part, count)
        lab.make_files(top / "child", count // 20)
        expected = lab.file_names(top / "child", count // 20)
        expected |= {name for part in ("fstat", "relative", "missing") for name in lab.file_names(top / part, count)}
        untraced, traced, missed, lost = [], [], [], []
        for _ in range(rounds):
            untraced.append(lab.load(self.inside, "mix", top, count=count))
            with self.snoop() as snoop:
                traced.append(lab.load(self.inside, "mix", top, count=count))
                report = snoop.finish()
            missed.append(report.missed(expected))
            lost.append(report.lost)
        self.table.at_most("mix of 4 processes, missed", 0, max(missed), digits=0,
                           detail=f"of {len(expected):,}; losses counted: {max(lost)}")
        self.throughput("mix of 4 processes, throughput", 0.8, untraced, traced, "seconds")
        self.throughput("mix of 4 processes, by CPU time of the workload", None, untraced, traced, "cpu_seconds")

    def start(self):
        while len(self.starts) < 5:
            with self.snoop() as snoop:
                snoop.finish()
        starts = Spread(self.starts)
        self.table.at_most("start, from exec to attached", 150, 1000 * starts.best, " ms", 0, starts.text(0, 1000))

    def code(self):
        """What bytes of code cost that do nothing (decision 23)."""
        hot = self.scratch / "code"
        hot.mkdir()
        lab.make_hot_files(hot)
        programs = ["empty"] + [f"code-{blocks}" for blocks in CODE_BLOCKS]
        modes = ["getppid", "stat", "open"]
        times = {(program, mode): [] for program in programs for mode in modes}
        for number in range(4 if self.quick else 15):
            first = number % len(programs)
            for program in programs[first:] + programs[:first]:
                with lab.Empty(program):
                    for mode in modes:
                        result = lab.load(self.inside, mode, hot, seconds=0.1)
                        times[program, mode].append(self.time_of(result))
        for blocks, program in zip(CODE_BLOCKS, programs[1:]):
            more = [Spread(times[program, mode]).lowest(0.1) - Spread(times["empty", mode]).lowest(0.1) for mode in modes]
            self.table.figure(f"{CODE_BLOCK_BYTES * blocks:,} bytes of code, added to {', '.join(modes)}",
                              ", ".join(f"{ns:+.0f} ns" for ns in more), more)

    # --- others ---

    def contestants(self):
        """Others on the same hot opens and the same burst; each is told to look at this cgroup, program or mount only."""
        hot = self.scratch / "others"
        hot.mkdir()
        lab.make_hot_files(hot)
        count = 20_000
        files = self.scratch / "others-burst"
        lab.make_files(files, count)
        expected = lab.file_names(files, count)
        output = self.scratch / "output"
        if not os.path.exists("/sys/kernel/tracing/events"):
            # bpftrace wants it; in these mounts alone.
            subprocess.run(["mount", "-t", "tracefs", "snoop-bench", "/sys/kernel/tracing"], check=False)
        beside = {
            "bpftrace": ["bpftrace", "-e", "tracepoint:syscalls:sys_enter_openat /cgroup == cgroupid(\"%s\")/ "
                         "{ printf(\"%%s\\n\", str(args->filename)); }" % self.inside.directory],
            "opensnoop-bpfcc": ["opensnoop-bpfcc", "-n", "bench_load"],
            "fatrace": ["fatrace", "--current-mount"],
        }
        for name in [*beside, "strace -f"]:
            if not lab.shutil.which(name.split()[0]):
                self.table.figure(f"{name}", "skipped: not installed", None)
                continue
            ratios = []
            prefix = () if name in beside else ("strace", "-f", "-s", "4096", "-o", output)
            ready = name not in beside

            def loaded(mode, directory, prefix=prefix, **options):
                return lab.finish_load(lab.start_load(self.inside, mode, directory, prefix, **options))

            for _ in range(2 if self.quick else 4):
                untraced = lab.load(self.inside, "open", hot, seconds=0.3)
                with output.open("wb") as stream:
                    process = None
                    if name in beside:
                        process = subprocess.Popen(beside[name], stdin=subprocess.DEVNULL, stdout=stream,
                                                   stderr=subprocess.PIPE, cwd=hot, env=lab.environment())
                    try:
                        ready = ready or self.wait_until_it_sees(hot, output, process)
                        if ready and process:
                            self.wait_until_it_sees(hot, output, process)
                        if not ready:
                            break
                        ratios.append(untraced["median_ns"] / loaded("open", hot, seconds=0.3)["median_ns"])
                        loaded("burst", files, count=count)
                        time.sleep(1)
                    finally:
                        if process:
                            process.terminate()
                            try:
                                _, errors = process.communicate(timeout=10)
                            except subprocess.TimeoutExpired:  # bpftrace, now and then
                                process.kill()
                                _, errors = process.communicate()
                content = output.read_bytes()
                seen = sum(path in content for path in self.sample(expected))
            if not ratios:
                last = (errors or b"").decode(errors="replace").strip().splitlines()[-1:]
                self.table.figure(f"{name}", f"skipped: sees nothing here {last}", None)
                continue
            missed = 100 * (1 - seen / len(self.sample(expected)))
            self.table.figure(f"{name}: throughput of hot opens; burst of {count:,}, missed",
                              f"{Spread(ratios).text(2)}; {missed:.0f} %",
                              {"throughput": Spread(ratios).json(), "missed_percent": missed})

    @staticmethod
    def sample(names):
        return sorted(names)[::40]

    def wait_until_it_sees(self, hot, output, process):
        """Whether it comes to write down what the workload opens."""
        end = time.monotonic() + 15
        while time.monotonic() < end and process.poll() is None:
            lab.load(self.inside, "open", hot, count=64)
            if output.stat().st_size and b"hot0" in output.read_bytes():
                return True
            time.sleep(0.2)
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less than a minute: fewer and shorter rounds, no million files")
    parser.add_argument("--contestants", action="store_true", help="also bpftrace, opensnoop-bpfcc, fatrace and strace -f")
    parser.add_argument("--only", help="parts, separated by commas: hot,steady,burst,million,mix,start,code,contestants")
    parser.add_argument("--snoop", type=pathlib.Path, help="another snoop than that of build/release")
    parser.add_argument("--snoop-option", action="append", default=[], help="for snoop record; repeatable")
    parser.add_argument("--json", type=pathlib.Path, help="also as JSON, to this file")
    arguments = parser.parse_args()
    lab.enter_private_mounts()
    lab.need_programs()
    parts = ["hot", "steady", "burst", "mix"]
    if not arguments.quick:
        parts.append("million")
    parts.append("start")
    if arguments.contestants:
        parts.append("contestants")
    if arguments.only:
        parts = arguments.only.split(",")

    begin = time.monotonic()
    with lab.Scratch() as scratch, lab.Cgroup("traced") as inside, lab.Cgroup("untraced") as outside:
        bench = Bench(arguments, scratch, inside, outside)
        for part in parts:
            print(f"{part}:", file=sys.stderr, flush=True)
            getattr(bench, part)()
    seconds = time.monotonic() - begin
    machine = os.uname()
    print(f"Linux {machine.release} {machine.machine}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, "
          f"{seconds:.0f} s. Lowest tenth, lower quartile, median or fastest of the rounds; rounds: median [range].")
    bench.table.print()
    if arguments.json:
        arguments.json.write_text(json.dumps({"kernel": machine.release, "cpus": os.cpu_count(), "seconds": seconds,
                                              "rows": bench.table.rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
