#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tidy.py BUILD_DIR: clang-tidy over src/, from the top of the tree. Exits with 1 if it has anything to say.

It looks at all that a file includes, system headers too, and takes most of its time for that. So the files of a directory are
looked at as one, without those that cannot be compiled together with the others (they have a name of the same kind). Checks
that look at nothing but the file that is compiled would see nothing then: where they can find something, it is by itself."""

import concurrent.futures
import itertools
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

FILES_AT_ONCE = 16
# It is meant for people who include .cc files.
CHECKS = "-bugprone-suspicious-include"
ALONE = "-*,misc-unused-using-decls,misc-unused-alias-decls"
FOR_ALONE = re.compile(r"^\s*(using (::)?\w+::[\w:]+;|namespace \w+ = )", re.MULTILINE)
NOISE = re.compile(r"^\d+ warnings? generated|^Suppressed|^Use -header-filter")


def flags_of(command):
    """What matters to the checker: not the sanitizers, which are gcc's."""
    words = iter(shlex.split(command))
    flags = []
    for word in words:
        if word == "-isystem":
            flags += [word, next(words)]
        elif word.startswith(("-D", "-I", "-std", "-isystem")):
            flags.append(word)
    return tuple(flags)


def run(file, flags, checks=CHECKS):
    done = subprocess.run(["clang-tidy", "--quiet", f"--checks={checks}", r"--header-filter=/src/.*\.(h|cc)$", file,
                           "--", "-Wno-unknown-warning-option", *flags],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return "\n".join(line for line in done.stdout.splitlines() if not NOISE.match(line)), done.returncode


def apart(files, flags, together):
    """Those that cannot be compiled with the others; `together` has the rest afterwards."""
    taken_out = []
    while True:
        rest = [file for file in files if file not in taken_out]
        together.write_text("".join(f'#include "{file}"\n' for file in rest))
        done = subprocess.run(["clang++", "-fsyntax-only", "-w", "-ferror-limit=1", *flags, together],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        found = re.search(r"^(/.*?\.cc):\d+:\d+: (?:fatal )?error:", done.stderr, re.MULTILINE)
        if not found or found[1] not in rest:
            return taken_out
        taken_out.append(found[1])


def look_at(number, files, flags, scratch):
    together = scratch / f"{number}.cc"
    results = [run(file, flags) for file in [*apart(files, flags, together), together]]
    results += [run(file, flags, ALONE) for file in files if FOR_ALONE.search(pathlib.Path(file).read_text())]
    return "\n".join(said for said, _ in results if said), max(code for _, code in results)


def main():
    build = pathlib.Path(sys.argv[1])
    source = pathlib.Path.cwd()
    commands = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        file = pathlib.Path(entry["file"])
        # What cmake has put together is what it includes.
        parts = re.findall(r'^#include "(.*)"$', file.read_text(), re.MULTILINE) if file.parent.name == "Unity" else [file]
        commands |= {str(part): entry["command"] for part in parts}
    files = sorted(str(file) for file in (source / "src").rglob("*.cc"))
    unknown = [file for file in files if file not in commands]
    if unknown:
        sys.exit(f"not in {build}/compile_commands.json: {', '.join(unknown)}; run cmake again")
    # Its configuration is looked for from where the file lies.
    scratch = build / "tidy"
    scratch.mkdir(exist_ok=True)
    (scratch / ".clang-tidy").write_bytes((source / ".clang-tidy").read_bytes())
    groups = []
    kind = {file: (os.path.dirname(file), flags_of(commands[file])) for file in files}
    for (_, flags), same in itertools.groupby(sorted(files, key=lambda file: (kind[file], file)), kind.get):
        same = list(same)
        groups += [(same[at:at + FILES_AT_ONCE], flags) for at in range(0, len(same), FILES_AT_ONCE)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda numbered: look_at(numbered[0], *numbered[1], scratch), enumerate(groups))
    bad = False
    for said, code in results:
        if said:
            print(said)
        bad = bad or code != 0 or "warning:" in said or "error:" in said
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
