#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Boots Debian's kernels under qemu (emulated), once for each layout of cgroups and each capture tier, and runs
`snoop check`, the kernel tests and recall inside. Prints one table. Exits with 1 if anything failed, 77 if nothing can run here.

A kernel is downloaded with apt, from the mirror that this machine uses, and kept below --work. What the guest has is what
the build made, and files of this machine."""

import argparse
import functools
import itertools
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]

# Kernel: the suites that may have it.
KERNELS = {"6.1": ["bookworm"], "6.12": ["bookworm-backports", "trixie"]}
LAYOUTS = ["v2", "hybrid", "v1"]
TIERS = ["fexit", "tracepoint"]
MODULES = ["loop", "overlay"]
# Real ones, since tests copy them under other names.
PROGRAMS = ["/bin/sh", "/bin/true", "/bin/cat", "/usr/bin/env", "/usr/bin/python3"]
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


# --- kernels ---


def apt(work, command, *args, **options):
    """apt with its lists and cache below `work`, over the suites of all kernels."""
    lists = work / "apt"
    (lists / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (lists / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    sources = lists / "sources.list"
    if not sources.exists():
        targets = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)",
                                  "Created-By: Packages", "Origin: Debian"],
                                 check=True, stdout=subprocess.PIPE, text=True).stdout.split("\n")
        main = {line.split()[0] for line in targets if line and not line.split()[1].endswith("-security")}
        security = {line.split()[0] for line in targets if line and line.split()[1].endswith("-security")}
        if not main:
            raise SystemExit("apt has no lists of Debian: run apt-get update")
        suites = sorted({suite for suites in KERNELS.values() for suite in suites})
        sources.write_text("".join(f"deb [signed-by={KEYRING}] {uri} {suite} main\n"
                                   for uri in sorted(main) for suite in suites) +
                           "".join(f"deb [signed-by={KEYRING}] {uri} bookworm-security main\n"
                                   for uri in sorted(security)))
    return subprocess.run([command, "-o", f"Dir::Etc::sourcelist={sources}", "-o", "Dir::Etc::sourceparts=-", "-o",
                           f"Dir::State::lists={lists / 'lists'}", "-o", f"Dir::Cache={lists / 'cache'}", "-o",
                           "Acquire::Languages=none", "-o", "APT::Sandbox::User=root", *args],
                          check=True, text=True, **options)


def fetch_kernel(work, version):
    """The unpacked image of the newest kernel of a version."""
    directory = work / f"linux-{version}"
    if directory.exists():
        return directory
    apt(work, "apt-get", "update", "-q", stdout=sys.stderr)
    listed = apt(work, "apt-cache", "search", "-n", rf"^linux-image-{re.escape(version)}\..*cloud-amd64$",
                 stdout=subprocess.PIPE).stdout
    names = [line.split()[0] for line in listed.splitlines()]
    if not names:
        raise SystemExit(f"apt has no linux-image-{version}.*-cloud-amd64")
    newer = functools.cmp_to_key(
        lambda a, b: 1 if subprocess.run(["dpkg", "--compare-versions", a, "gt", b]).returncode == 0 else -1)
    name = max(names, key=lambda name: newer(name.removeprefix("linux-image-")))
    with tempfile.TemporaryDirectory(dir=work) as scratch:
        apt(work, "apt-get", "download", name, cwd=scratch, stdout=sys.stderr)
        package, = pathlib.Path(scratch).glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", package, f"{scratch}/image"], check=True)
        os.rename(f"{scratch}/image", directory)
    return directory


# --- what the guest starts with ---


class Image:
    """The guest's root directory, while it is put together."""

    def __init__(self, root):
        self.root = root
        for directory in ("usr/bin", "usr/lib", "usr/lib64", "etc", "proc", "sys", "dev", "tmp", "root", "modules", "var"):
            (root / directory).mkdir(parents=True)
        for name in ("bin", "lib", "lib64"):
            (root / name).symlink_to(f"usr/{name}")
        (root / "sbin").symlink_to("usr/bin")
        (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")

    def fill(self, build, command):
        for program in PROGRAMS:
            self.add(program)
        self.add_python()
        self.add_built(build)
        self.add_busybox()
        shutil.copy2(SOURCE / "tests" / "vm" / "init.sh", self.root / "init")
        (self.root / "init").chmod(0o755)
        (self.root / "run.sh").write_text(command + "\n")

    def place(self, path):
        """Where a path of this machine is in the image."""
        directory = os.path.realpath(os.path.dirname(path))
        place = self.root / directory.lstrip("/") / os.path.basename(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def add(self, path):
        """A file of this machine, with the links that lead to it and the libraries that it needs."""
        place = self.place(path)
        if place.is_symlink() or place.exists():
            return
        if os.path.islink(path):
            place.symlink_to(os.readlink(path))
            self.add(os.path.join(os.path.dirname(path), os.readlink(path)))
            return
        shutil.copy2(path, place)
        self.add_libraries(path)

    def add_libraries(self, path):
        listed = subprocess.run(["ldd", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        for library in re.findall(r"(/\S+) \(0x", listed):
            self.add(library)

    def add_tree(self, path, leave_out=()):
        shutil.copytree(path, self.place(path), symlinks=True, dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns(*leave_out))
        for library in pathlib.Path(path).rglob("*.so"):
            self.add_libraries(library)

    def add_python(self):
        self.add_tree(sysconfig.get_path("stdlib"),
                      ["test", "tests", "idlelib", "tkinter", "lib2to3", "ensurepip", "distutils", "dist-packages"])
        sys.path.insert(0, str(SOURCE / "tests" / "e2e"))
        import harness  # noqa: F401  what it imports is what recall needs
        for name in {name.partition(".")[0] for name in sys.modules}:
            file = getattr(sys.modules.get(name), "__file__", None)
            if file and "/dist-packages/" in file:
                if pathlib.Path(file).name == "__init__.py":
                    self.add_tree(pathlib.Path(file).parent)
                else:
                    self.add(file)

    def add_built(self, build):
        """What is under test, in the same places relative to each other as in the source tree."""
        top = self.root / "snoop"
        programs = [build / "snoop", *(build / "tests" / "kernel").glob("*_test"),
                    *(path for path in (build / "tests" / "recall").iterdir() if path.is_file())]
        for path in programs:
            with open(path, "rb") as file:
                if file.read(4) != b"\x7fELF":
                    continue
            place = top / "build" / "release" / path.relative_to(build)
            place.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["strip", "--strip-debug", "-o", place, path], check=True)
            self.add_libraries(path)
        for name in ("tests/recall/run.py", "tests/e2e/harness.py", "tests/e2e/report_file.py", "tests/vm/guest.py",
                     "docs/report.schema.json"):
            place = top / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(SOURCE / name, place)
        (self.root / "usr/bin/snoop").symlink_to("/snoop/build/release/snoop")

    def add_busybox(self):
        shutil.copy2("/bin/busybox", self.root / "usr/bin/busybox")
        applets = subprocess.run(["/bin/busybox", "--list"], check=True, stdout=subprocess.PIPE, text=True).stdout
        for applet in applets.split():
            place = self.root / "usr/bin" / applet
            if not place.is_symlink() and not place.exists():
                place.symlink_to("busybox")

    def add_modules(self, kernel):
        for name in MODULES:
            for file in kernel.rglob(f"{name}.ko*"):
                unpack = {".xz": ["xz", "-dc"], ".zst": ["zstd", "-dqc"]}.get(file.suffix, ["cat"])
                with open(self.root / "modules" / f"{name}.ko", "wb") as module:
                    subprocess.run([*unpack, file], check=True, stdout=module)

    def pack(self, initrd):
        """Not compressed: the emulated processor would take longer to unpack it than qemu takes to load it."""
        names = subprocess.run(["find", ".", "-print0"], cwd=self.root, check=True, stdout=subprocess.PIPE).stdout
        with open(initrd, "wb") as archive:
            subprocess.run(["cpio", "--null", "-o", "-H", "newc", "--quiet", "-R", "0:0"], cwd=self.root, check=True,
                           input=names, stdout=archive)


# --- a guest ---


def boot(kernel, initrd, layout, tier, log, seconds):
    """Runs a guest to its end; what it told, and its exit status, None where it did not come to its end."""
    image, = list(kernel.glob("boot/vmlinuz-*")) or list(kernel.rglob("vmlinuz"))
    # cx16: with it 6.12 crashes now and then under emulation. thread=multi: one processor goes on with an int3 that the other
    # has replaced already, for ever, where the kernel patches a trampoline in.
    command = ["timeout", str(seconds), "qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=single",
               "-cpu", "qemu64,-cx16,+la57", "-m", "2G", "-smp", "2", "-nodefaults", "-no-user-config", "-display", "none",
               "-serial", "stdio", "-monitor", "none", "-no-reboot", "-nic", "none", "-kernel", image, "-initrd", initrd,
               # What the kernel does not know goes into init's environment.
               "-append", f"console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off cg={layout} SNOOP_TIER={tier} "
                          # A processor that is stuck says where, instead of doing nothing until the time is up.
                          "softlockup_panic=1 watchdog_thresh=60 lsm=lockdown,capability,yama,bpf"]
    told, status = [], None
    with open(log, "w") as file, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                                  stderr=subprocess.STDOUT) as process:
        try:
            for line in process.stdout:
                text = line.decode(errors="replace").rstrip()
                print(text, file=file, flush=True)
                if text.startswith("@end "):
                    status = int(text.split()[1])
                elif text.startswith("@{"):
                    told.append(json.loads(text[1:]))
        finally:
            process.terminate()
    return told, status


def row_of(told, status):
    """Cells of the table from the check on, whether all is well, and what is not."""
    by_name = {"check": [], "kernel": [], "recall": []}
    for entry in told:
        by_name[entry["what"]].append(entry)
    bad = [] if status == 0 else ["the guest did not come to its end" if status is None else f"exit status {status}"]
    check = [entry["ok"] for entry in by_name["check"]]
    if not all(check):
        bad.append("snoop check")
    tests = {result: [name for entry in by_name["kernel"] for name in entry[result]]
             for result in ("passed", "failed", "skipped")}
    bad += tests["failed"]
    recall = "-"
    for entry in by_name["recall"]:
        if entry["total"]:
            total = entry["total"]
            recall = (f"{total['whole']} of {total['cases']} cases, {int(total['recall'] * 10000) / 10000:.4f}, "
                      f"{len(entry['skipped'])} skipped")
        if not entry["ok"]:
            bad.append("recall")
    cells = ["ok" if check and all(check) else "FAIL" if check else "-"]
    cells += [str(len(tests[result])) if by_name["kernel"] else "-" for result in ("passed", "failed", "skipped")]
    return [*cells, recall], bad, tests["skipped"]


HEAD = ["kernel", "cgroups", "tier", "check", "passed", "failed", "skipped", "recall"]


def print_table(rows):
    widths = [max(len(row[column]) for row in [HEAD, *rows]) for column in range(len(HEAD))]
    for row in [HEAD, ["-" * width for width in widths], *rows]:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernel", action="append", choices=list(KERNELS), help="only this one; may be repeated")
    parser.add_argument("--layout", action="append", choices=LAYOUTS, help="only this one; may be repeated")
    parser.add_argument("--tier", action="append", choices=TIERS, help="only this one; may be repeated")
    parser.add_argument("--parts", default="check kernel recall", help="what to run of: check kernel recall")
    parser.add_argument("--filter", default="*", help="kernel tests to run, as --gtest_filter")
    parser.add_argument("--cases", default="", help="recall cases to run")
    parser.add_argument("--command", help="runs this shell command in the guest instead, and prints what it says")
    parser.add_argument("--build", type=pathlib.Path, default=SOURCE / "build" / "release", help="build directory")
    parser.add_argument("--work", type=pathlib.Path, default=SOURCE / "build" / "vm", help="kernels and logs")
    parser.add_argument("--timeout", type=int, default=2400, help="seconds for one guest")
    options = parser.parse_args()

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the guest, too
    for program in ("qemu-system-x86_64", "cpio", "apt-get", "ldd", "strip"):
        if not shutil.which(program):
            print(f"skipped: {program} is not installed")
            return 77
    options.work.mkdir(parents=True, exist_ok=True)
    variables = {"PARTS": options.parts, "KERNEL_FILTER": options.filter, "RECALL_CASES": options.cases}
    command = options.command or " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items()) + \
        " exec /usr/bin/python3 -B /snoop/tests/vm/guest.py"

    rows, all_bad = [], False
    with tempfile.TemporaryDirectory(dir=options.work) as scratch:
        image = Image(pathlib.Path(scratch) / "root")
        image.fill(options.build.resolve(), command)
        initrd = pathlib.Path(scratch) / "initrd"
        for version in options.kernel or KERNELS:
            kernel = fetch_kernel(options.work, version)
            image.add_modules(kernel)
            image.pack(initrd)
            # A command says itself which tier it wants, unless it is told.
            for layout, tier in itertools.product(options.layout or LAYOUTS,
                                                  options.tier or (["auto"] if options.command else TIERS)):
                begin = time.monotonic()
                log = options.work / f"{version}-{layout}-{tier}.log"
                told, status = boot(kernel, initrd, layout, tier, log, options.timeout)
                if options.command:
                    print(log.read_text())
                    all_bad |= status != 0
                    continue
                cells, bad, skipped = row_of(told, status)
                rows.append([version, layout, tier, *cells])
                print(f"{version} {layout} {tier}: {', '.join(bad) or 'all well'} "
                      f"({time.monotonic() - begin:.0f} s; {log})", flush=True)
                print(f"  skipped: {' '.join(skipped)}" if skipped else "  nothing skipped", flush=True)
                all_bad |= bool(bad)
    if rows:
        print()
        print_table(rows)
    return 1 if all_bad else 0


if __name__ == "__main__":
    sys.exit(main())
