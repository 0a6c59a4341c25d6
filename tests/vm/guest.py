#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs in the guest: `snoop check`, the kernel tests, recall, all with the tier in SNOOP_TIER. What begins with @ is for
run.py."""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import time

BUILD = pathlib.Path("/snoop/build/release")


def tell(what, **values):
    print("@" + json.dumps({"what": what, "at": time.monotonic(), **values}), flush=True)


def check():
    done = subprocess.run([BUILD / "snoop", "check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout, flush=True)
    can_have = re.search(rf"^ok +tier +capture tier {os.environ['SNOOP_TIER']}: ", done.stdout, re.MULTILINE)
    tell("check", ok=done.returncode == 0 and can_have is not None)


def kernel_tests():
    programs = sorted((BUILD / "tests" / "kernel").glob("*_test"))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for program, (done, seconds) in zip(programs, pool.map(run_tests, programs)):
            tell_tests(program.name, done, seconds)


def run_tests(program):
    begin = time.monotonic()
    done = subprocess.run([program, f"--gtest_filter={os.environ.get('KERNEL_FILTER', '*')}"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    return done, time.monotonic() - begin


def tell_tests(program, done, seconds):
    """What did not pass is printed."""
    results = {"passed": [], "failed": [], "skipped": []}
    section = []
    for line in done.stdout.splitlines():
        section.append(line)
        if line.startswith("[ RUN "):
            section = [line]
        found = re.match(r"\[ +(OK|FAILED|SKIPPED) +\] ([^\s,]+)(, where .*)? \(\d+ ms\)$", line)
        if found:
            results[{"OK": "passed", "FAILED": "failed", "SKIPPED": "skipped"}[found[1]]].append(found[2])
            if found[1] != "OK":
                print("\n".join(section), flush=True)
    if done.returncode != 0 and not results["failed"]:
        print("\n".join(section[-100:]), flush=True)
        results["failed"].append(f"{program} ended with {done.returncode}")
    tell("kernel", program=program, seconds=seconds, **results)


def recall():
    cases = os.environ.get("RECALL_CASES", "").split()
    done = subprocess.run(["/usr/bin/python3", "-B", "/snoop/tests/recall/run.py", "--json", *cases],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                          env={**os.environ, "RECALL_DEADLINE": "900"})
    print(done.stderr, flush=True)
    try:
        result = json.loads(done.stdout)
    except json.JSONDecodeError:
        print(done.stdout, flush=True)
        tell("recall", ok=False, total=None)
        return
    for row in result["cases"]:
        if row["missed"] or row["extra"] or row["note"]:
            print(json.dumps(row), flush=True)
    print("not_seen:", json.dumps(result["not_seen"]), flush=True)
    tell("recall", ok=done.returncode == 0, total=result["total"],
         skipped=[row["case"] for row in result["cases"] if row["note"].startswith("skipped")])


if __name__ == "__main__":
    parts = os.environ.get("PARTS", "check kernel recall").split()
    for name, part in (("check", check), ("kernel", kernel_tests), ("recall", recall)):
        if name in parts:
            part()
