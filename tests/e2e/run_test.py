#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""snoop run: a command in a cgroup of its own, from its exec to the last of what it leaves running."""

import os
import pathlib
import signal
import subprocess
import time

import harness


class Case(harness.Case):
    def setUp(self):
        super().setUp()
        self.report_path = self.scratch / "report.json"

    def snoop_run(self, *command, options=(), **more):
        return harness.snoop("run", "--report", self.report_path, *options, "--", *command, cwd=self.scratch, **more)

    def report(self):
        return harness.Report(self.report_path.read_bytes())

    def start(self, *command, options=(), **more):
        return self.background("run", "--report", self.report_path, *options, "--", *command, cwd=self.scratch, **more)

    def script(self, text, name="script.sh", mode=0o755):
        path = self.scratch / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def assert_no_cgroup_of(self, pid):
        self.assertEqual(list(harness.CGROUP2.rglob(f"snoop-run-{pid}")), [])


class ExitCode(Case):
    def test_passed_on(self):
        for code in (0, 3, 77, 255):
            with self.subTest(code=code):
                result = self.snoop_run("/bin/sh", "-c", f"exit {code}")
                self.assertEqual(result.returncode, code, result.stderr)
                self.assertEqual(self.report()["final"], True)

    def test_of_a_signal(self):
        for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM):
            with self.subTest(signal=number):
                result = self.snoop_run("/bin/sh", "-c", f"kill -{int(number)} $$")
                self.assertEqual(result.returncode, 128 + number, result.stderr)
                self.assertEqual(self.report()["final"], True)

    def test_not_found(self):
        for command in ("no-such-command-of-snoop", "./missing", "/no/such/file", ""):
            with self.subTest(command=command):
                result = self.snoop_run(command)
                self.assertEqual(result.returncode, 127, result.stderr)
                self.assertIn(b"not found", result.stderr)

    def test_script_without_an_interpreter(self):
        result = self.snoop_run(str(self.script("exit 7\n", "plain")))
        self.assertEqual(result.returncode, 7, result.stderr)

    def test_children_that_nobody_waits_for(self):
        ignored = harness.snoop("run", "--report", self.report_path, "--", "/bin/sh", "-c", "exit 5",
                                preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        self.assertEqual(ignored.returncode, 5, ignored.stderr)

    def test_not_executable(self):
        plain = self.script("text", mode=0o644)
        no_interpreter = self.script("#!/no/such/interpreter\n", "lost")
        for command in (str(plain), "/etc", str(self.script("\0\0\0\0", "garbage"))):
            with self.subTest(command=command):
                result = self.snoop_run(command)
                self.assertEqual(result.returncode, 126, result.stderr)
                self.assertIn(b"snoop: error: ", result.stderr)
        # As a shell does: the script is there, what it asks for is not.
        self.assertIn(self.snoop_run(no_interpreter).returncode, (126, 127))

    def test_usage(self):
        for arguments in (["run"], ["run", "--"], ["run", "--no-such-option", "--", "true"], ["run", "true"]):
            with self.subTest(arguments=arguments):
                result = harness.snoop(*arguments, cwd=self.scratch)
                self.assertEqual(result.returncode, 2, result.stderr)
                self.assertEqual(result.stdout, b"")
                self.assertNotEqual(result.stderr, b"")

    def test_report_that_cannot_be_written(self):
        ran = self.scratch / "ran"
        result = harness.snoop("run", "--report", self.scratch / "missing" / "report.json", "--", "/bin/touch", ran)
        self.assertEqual(result.returncode, 125, result.stderr)
        self.assertIn(f"{self.scratch}/missing/report.json".encode(), result.stderr)
        self.assertIn(b"No such file or directory", result.stderr)
        self.assertIn(b"hint: make the directory", result.stderr)
        # Better before the command has run for an hour.
        self.assertFalse(ran.exists())

    def test_report_that_cannot_be_written_any_more(self):
        (self.scratch / "place").mkdir()
        result = harness.snoop("run", "--report", self.scratch / "place" / "report.json", "--", "/bin/rmdir",
                               self.scratch / "place", env=harness.environment(TMPDIR=str(self.scratch)))
        self.assertEqual(result.returncode, 125, result.stderr)
        saved, = self.scratch.iterdir()
        self.assertIn(f"the report is in {saved} instead", result.stderr.decode())
        self.assertIn("/bin/rmdir", map(os.fsdecode, harness.Report(saved.read_bytes()).files()))


class Command(Case):
    """The command lives as if snoop were not there."""

    def test_standard_streams_directory_and_environment(self):
        code = "import os,sys; sys.stderr.write('to stderr'); print(os.getcwd(), os.environ['GREETING'], sys.argv[1:], " \
               "sys.stdin.read())"
        result = self.snoop_run("/usr/bin/python3", "-c", code, "a b", "--help", "--", "", input=b"from stdin",
                                stdin=None, env=harness.environment(GREETING="hello"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout.decode(), f"{self.scratch} hello ['a b', '--help', '--', ''] from stdin\n")
        self.assertIn(b"to stderr", result.stderr)

    def test_no_descriptor_and_no_signal_mask_leaks_into_it(self):
        code = "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1]); " \
               "print([line.split()[1] for line in open('/proc/self/status') if line.startswith(('SigBlk', 'SigIgn'))])"
        plain = subprocess.run(["/usr/bin/python3", "-c", code], stdin=subprocess.DEVNULL, capture_output=True, check=True)
        result = self.snoop_run("/usr/bin/python3", "-c", code)
        self.assertEqual(result.stdout, plain.stdout)

    def test_found_by_path_like_a_shell(self):
        (self.scratch / "bin").mkdir()
        self.script("text", "bin/tool", mode=0o644)
        self.script("#!/bin/sh\necho ran $0\n", "tool")
        result = self.snoop_run("tool", env=harness.environment(PATH=f"{self.scratch}/bin:{self.scratch}:/usr/bin:/bin"))
        self.assertEqual((result.returncode, result.stdout.decode()), (0, f"ran {self.scratch}/tool\n"))
        # The search was snoop's own.
        self.assertNotIn(os.fsencode(self.scratch / "bin" / "tool"), self.report().files())

    def test_its_own_cgroup(self):
        result = self.snoop_run("/bin/sh", "-c", "grep ^0:: /proc/self/cgroup")
        container = self.report().container()
        self.assertEqual(result.stdout.decode().strip(), "0::" + container["cgroup_path"])
        self.assertFalse((harness.CGROUP2 / container["cgroup_path"].strip("/")).exists())


    def test_what_a_killed_one_left_is_removed(self):
        """If it is empty."""
        started = self.start("/bin/sleep", "1000")
        left = started.wait_for(lambda: list(harness.CGROUP2.rglob(f"snoop-run-{started.pid}")), "its cgroup")[0]
        procs = left / "cgroup.procs"
        started.wait_for(lambda: procs.read_text(), "its command")
        started.send(signal.SIGKILL)
        started.wait()
        self.assertEqual(self.snoop_run("/bin/true").returncode, 0)
        self.assertTrue(left.exists())
        os.kill(int(procs.read_text()), signal.SIGKILL)
        harness.wait_for(lambda: not procs.read_text(), "the end of the command")
        self.assertEqual(self.snoop_run("/bin/true").returncode, 0)
        self.assertFalse(left.exists())


class Signals(Case):
    TRAP = "trap 'echo got {0}; exit 42' {0}; echo ready; while :; do sleep 0.05; done"

    def test_forwarded(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
            name = number.name[3:]
            with self.subTest(signal=name):
                started = self.start("/bin/bash", "-c", self.TRAP.format(name), stdout=subprocess.PIPE)
                self.assertEqual(started.process.stdout.readline(), b"ready\n")
                self.assertEqual(started.stop(number), 42, started.log)
                self.assertEqual(started.process.stdout.read(), f"got {name}\n".encode())
                self.assertEqual(self.report()["final"], True)
                self.assert_no_cgroup_of(started.pid)

    def test_what_ends_the_command_gives_its_code(self):
        started = self.start("/bin/sleep", "60")
        started.wait_for(lambda: [pid for directory in harness.CGROUP2.rglob(f"snoop-run-{started.pid}")
                                  for pid in (directory / "cgroup.procs").read_text().split()
                                  if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "sleep"], "the command")
        self.assertEqual(started.stop(signal.SIGTERM), 128 + signal.SIGTERM, started.log)


class LeftBehind(Case):
    """What the command leaves running."""

    def test_gets_its_grace(self):
        result = self.snoop_run("/bin/sh", "-c", "(sleep 0.4; cat /etc/hostname >late) & exit 5",
                                options=("--grace", "30s"))
        self.assertEqual(result.returncode, 5, result.stderr)
        self.assertNotIn(b"still running", result.stderr)
        self.assertTrue((self.scratch / "late").exists())
        self.assertIn(b"/etc/hostname", self.report().opened())

    def test_is_ended_and_named(self):
        started = self.start("/bin/bash", "-c", "setsid sleep 300 </dev/null >/dev/null 2>&1 & echo $!; exit 3",
                             options=("--grace", "100ms"), stdout=subprocess.PIPE)
        pid = int(started.process.stdout.readline())
        self.assertEqual(started.wait(), 3, started.log)
        self.assertIn("still running after the command", started.log)
        self.assertIn(f"ending sleep (pid {pid})", started.log)
        self.assertFalse(os.path.exists(f"/proc/{pid}"))
        self.assert_no_cgroup_of(started.pid)
        self.assertEqual(self.report()["final"], True)

    def test_even_what_ignores_signals_and_forks(self):
        started = self.start("/bin/bash", "-c", "(trap '' TERM INT HUP; while :; do sleep 0.01; done) & exit 0",
                             options=("--grace", "0"))
        self.assertEqual(started.wait(), 0, started.log)
        self.assert_no_cgroup_of(started.pid)

    def test_a_signal_ends_the_grace(self):
        started = self.start("/bin/bash", "-c", "setsid sleep 300 & echo done", options=("--grace", "1h"),
                             stdout=subprocess.PIPE)
        self.assertEqual(started.process.stdout.readline(), b"done\n")
        # A signal that comes while the command still runs is the command's.
        harness.wait_for(lambda: not self.children_named(started.pid, "bash"), "the command's end")

        def ended():
            started.send(signal.SIGTERM)
            return started.process.poll() is not None

        harness.wait_for(ended, "snoop to end")
        self.assertEqual(started.wait(), 0, started.log)
        self.assertIn("ending sleep", started.log)

    @staticmethod
    def children_named(parent, name):
        """Children that run, not those that wait to be reaped."""
        found = []
        for pid in pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            try:
                comm, state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[0::2]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if comm.endswith(name) and state.split()[0] != "Z":
                found.append(pid)
        return found

    def test_cgroups_that_it_made(self):
        script = 'mkdir -p "$0/$(sed -n s/^0:://p /proc/self/cgroup)/inner/most" && exec echo made'
        started = self.start("/bin/sh", "-c", script, harness.CGROUP2, stdout=subprocess.PIPE)
        self.assertEqual(started.process.stdout.read(), b"made\n")
        self.assertEqual(started.wait(), 0, started.log)
        self.assert_no_cgroup_of(started.pid)


class Reported(Case):
    def test_to_stdout(self):
        result = harness.snoop("run", "--report", "-", "--", "/bin/cat", "/etc/hostname", cwd=self.scratch)
        before, brace, after = result.stdout.partition(b"{")
        self.assertEqual(before, pathlib.Path("/etc/hostname").read_bytes())
        report = harness.Report(brace + after)
        self.assertIn(b"/etc/hostname", report.opened())
        self.assertEqual(os.listdir(self.scratch), [])

    def test_default_place(self):
        result = harness.snoop("run", "--", "/bin/true", cwd=self.scratch)
        self.assertEqual((result.returncode, os.listdir(self.scratch)), (0, ["snoop-report.json"]), result.stderr)

    def test_the_exec_of_the_command_itself(self):
        self.snoop_run("/bin/cat", "/etc/hostname")
        report = self.report()
        files = report.files()
        self.assertEqual(files[b"/bin/cat"]["access"], ["exec"])
        self.assertEqual(files[b"/etc/hostname"]["open_modes"], ["read"])
        self.assertEqual(report.container()["name"], "cat")
        self.assertTrue(report["complete"])
        # Nothing of snoop, of the fork before the exec, of the search in PATH.
        self.assertFalse([path for path in files if b"snoop" in path or b"cgroup" in path])

    def test_script(self):
        script = self.script("#!/bin/bash\n:\n")
        self.snoop_run(script)
        files = self.report().files()
        self.assertEqual(files[os.fsencode(script)]["access"][:2], ["open", "exec"])
        self.assertEqual(files[b"/bin/bash"]["access"], ["interpreter"])
        self.assertEqual(files[b"/lib64/ld-linux-x86-64.so.2"]["access"], ["interpreter"])
        self.assertEqual(files[b"/lib64/ld-linux-x86-64.so.2"]["resolved"],
                         os.path.realpath("/lib64/ld-linux-x86-64.so.2"))

    def test_relative_command(self):
        self.script("#!/bin/sh\n:\n", "here.sh")
        self.snoop_run("./here.sh")
        self.assertIn("exec", self.report().files()[os.fsencode(self.scratch / "here.sh")]["access"])

    def test_missing_refused_and_failed(self):
        self.script("x", "file", mode=0o600)
        self.script("x", "locked", mode=0o000)
        code = "import os\n" \
               "for path in ('missing', 'file/below'):\n  os.path.exists(path)\n" \
               "try: os.readlink('file')\nexcept OSError: pass\n" \
               "os.setresuid(65534, 65534, 65534)\n" \
               "try: open('locked')\nexcept OSError: pass\n" \
               "os.stat('locked')\n" \
               "try: open('file')\nexcept OSError: pass\n"
        self.scratch.chmod(0o755)
        result = self.snoop_run("/usr/bin/python3", "-c", code)
        self.assertEqual(result.returncode, 0, result.stderr)
        kept = ("access", "open_modes", "found", "succeeded", "missing", "refused", "refused_open_modes", "failed")
        files = {path: {key: value for key, value in file.items() if key in kept}
                 for path, file in self.report().files().items()}
        here = os.fsencode(self.scratch)
        self.assertEqual(files[here + b"/missing"], {"access": ["stat"], "found": False})
        self.assertEqual(files[here + b"/file/below"], {"access": ["stat"], "found": False})
        self.assertEqual(files[here + b"/locked"], {"access": ["stat"], "found": True, "refused": ["open"],
                                                    "refused_open_modes": ["read"]})
        self.assertEqual(files[here + b"/file"], {"access": ["open", "readlink"], "open_modes": ["read"], "found": True,
                                                  "succeeded": False, "refused": ["open"],
                                                  "refused_open_modes": ["read"], "failed": ["readlink"]})

    def test_resolved(self):
        (self.scratch / "real").mkdir()
        (self.scratch / "real" / "file").write_text("x")
        (self.scratch / "link").symlink_to("real")
        self.snoop_run("/bin/cat", "link/../link/file")
        entry = self.report().files()[os.fsencode(self.scratch / "link" / "file")]
        self.assertEqual(entry["resolved"], str(self.scratch / "real" / "file"))

    def test_times_and_host(self):
        before = time.time()
        self.snoop_run("/bin/sleep", "0.2")
        report = self.report()
        started, updated = (harness.seconds(report[key]) for key in ("started_at", "last_updated_at"))
        self.assertTrue(before - 0.002 <= started and started + 0.2 <= updated <= time.time(), (before, started, updated))
        host = dict(report["host"])
        try:
            machine_id = pathlib.Path("/etc/machine-id").read_text().strip() or None
        except FileNotFoundError:
            machine_id = None
        self.assertEqual(host.pop("machine_id", None), machine_id)
        self.assertEqual(host.pop("boot_id"), pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        self.assertEqual(host, dict(zip(("hostname", "kernel", "arch"),
                                        (os.uname().nodename, os.uname().release, os.uname().machine))))


if __name__ == "__main__":
    harness.main()
