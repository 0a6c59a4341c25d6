#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The completions of each shell offer what `snoop --help` tells, and nothing else."""

import functools
import os
import pathlib
import pty
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("SOURCE_DIR") or pathlib.Path(__file__).resolve().parents[2])
sys.path.insert(0, str(SOURCE / "tests" / "e2e"))
import harness  # noqa: E402

COMPLETIONS = SOURCE / "packaging" / "completions"


@functools.cache
def help_of(*command):
    return harness.snoop(*command, "--help").stdout.decode()


def options_of(*command):
    return set(re.findall(r"(?m)^  (?:-.,)?(--[a-z-]+)", help_of(*command)))


def commands():
    return re.findall(r"(?m)^  ([a-z-]+)", re.search(r"(?ms)^Subcommands:\n(.*?)\n\n", help_of())[1])


class Bash(unittest.TestCase):
    """The shells' ways to be asked differ: offers() gives what the shell offers for a line that ends at the cursor."""

    shell = "bash"

    @classmethod
    def setUpClass(cls):
        if not shutil.which(cls.shell):
            raise unittest.SkipTest(f"{cls.shell} is not installed")

    def setUp(self):
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="snoop-completions-"))
        self.addCleanup(shutil.rmtree, self.scratch)
        (self.scratch / "bin").mkdir()
        (self.scratch / "bin" / "snoop").symlink_to(harness.SNOOP)
        (self.scratch / "here.toml").touch()
        self.options = {"cwd": self.scratch, "env": {**harness.environment(), "HOME": str(self.scratch), "TERM": "xterm",
                                                     "PATH": f"{self.scratch}/bin:/usr/sbin:/usr/bin:/sbin:/bin"}}

    def offers(self, line):
        # As bash splits: = is a word of its own.
        words = [word for word in re.split(r"(=)| ", line) if word is not None]
        words = [word for word in words[:-1] if word] + [words[-1]]
        if words[-1] == "" and words[-2] == "=":
            words.pop()
        script = f"source {COMPLETIONS}/snoop.bash; COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; " \
                 '_snoop; printf "%s\\n" "${COMPREPLY[@]}"'
        # compopt only works in a real completion.
        done = subprocess.run(["bash", "--norc", "-c", script], check=True, capture_output=True, text=True, **self.options)
        self.assertEqual(done.stderr, "")
        return set(done.stdout.split())

    def test_commands(self):
        self.assertEqual(self.offers("snoop "), set(commands()))
        self.assertLess({"run", "record", "trace", "check", "version"}, {*commands(), ""})

    def test_options(self):
        for command in ([], *([name] for name in commands())):
            with self.subTest(command=command):
                # What it would tell of.
                of = ["record"] if command == ["config"] else command
                self.assertEqual(self.offers(" ".join(["snoop", *command, "--"])), options_of(*of))

    def test_config(self):
        self.assertEqual(self.offers("snoop config "), {"run", "record", "trace"})
        self.assertEqual(self.offers("snoop config r"), {"run", "record"})
        self.assertEqual(self.offers("snoop config trace --uni"), {"--unique"})
        self.assertEqual(self.offers("snoop config --interv"), {"--interval"})

    @unittest.skipIf(harness.CGROUP2 is None, "no cgroup2 mount that this user may write to")
    def test_cgroups(self):
        cgroup = harness.Cgroup("completed")
        self.addCleanup(cgroup.remove)
        harness.Cgroup("below", cgroup)
        self.assertEqual(self.offered(f"snoop record --cgroup {cgroup.name[:-2]}"), cgroup.name)
        self.assertEqual(self.offered(f"snoop record --cgroup {cgroup.directory}"[:-2]), str(cgroup.directory))
        self.assertIn(self.offered(f"snoop record --cgroup {cgroup.name}/b"), (f"{cgroup.name}/below", "below"))

    def offered(self, line):
        """The only offer, without the slash of a directory; zsh offers the last part of a path alone."""
        offer, = self.offers(line)
        offer = offer.rstrip("/")
        return line.rpartition(" ")[2].rpartition("/")[0] + "/" + offer if self.shell == "zsh" and "/" in line else offer

    def test_options_behind_others(self):
        self.assertEqual(self.offers("snoop record --all --report x --f"), {"--fresh"})
        self.assertEqual(self.offers("snoop --config here.toml record --f"), {"--fresh"})

    def test_values(self):
        levels = {"trace", "debug", "info", "warn", "error", "off"}
        self.assertEqual(self.offers("snoop record --log-level "), levels)
        self.assertEqual(self.offers("snoop trace --format "), {"text", "json"})
        self.assertEqual(self.offers("snoop trace --log-level d"), {"debug"})
        self.assertIn(self.offers("snoop trace --format=j"), ({"json"}, {"--format=json"}))
        self.assertEqual(self.offers("snoop --config her"), {"here.toml"})
        self.assertEqual(self.offers("snoop record --runtime-socket her"), {"here.toml"})
        self.assertEqual(self.offers("snoop record --interval "), set())
        self.assertEqual(self.offers("snoop merge --by "), {"image", "container"})
        self.assertEqual(self.offers("snoop merge --output her"), {"here.toml"})
        self.assertEqual({offer.rstrip("/") for offer in self.offers("snoop packages --root ")}, {"bin"})

    def test_arguments(self):
        """Of the commands that take some."""
        self.assertEqual(self.offers("snoop merge her"), {"here.toml"})
        self.assertEqual(self.offers("snoop diff --all here.toml her"), {"here.toml"})
        self.assertEqual(self.offers("snoop merge -o her"), {"here.toml"})
        self.assertEqual(self.offers("snoop packages her"), {"here.toml"})


class Fish(Bash):
    shell = "fish"

    def offers(self, line):
        script = f"source {COMPLETIONS}/snoop.fish; complete -C {shlex.quote(line)}"
        done = subprocess.run(["fish", "--no-config", "-c", script], check=True, capture_output=True, text=True,
                              **self.options)
        self.assertEqual(done.stderr, "")
        return {offer.split("\t")[0] for offer in done.stdout.splitlines()}


class Zsh(Bash):
    """Only its line editor can be asked: a shell on a terminal, in which compadd also writes what it would add to a file."""

    shell = "zsh"

    def offers(self, line):
        out = self.scratch / "out"
        out.unlink(missing_ok=True)
        (self.scratch / ".zshrc").write_text(f"""
            fpath=({COMPLETIONS} $fpath)
            autoload -Uz compinit; compinit -u -D
            compadd() {{
              local -a found
              [[ "${{argv[1,(i)--]}}" == *-[AOD]' '* ]] || {{
                builtin compadd -O found "$@"; (( $#found )) && print -lr -- $found >>{out}.part
              }}
              builtin compadd "$@"
            }}
            capture() {{ : >{out}.part; _main_complete; mv {out}.part {out} }}
            zle -C capture complete-word capture
            bindkey '^I' capture
            PS1=ready
            """)
        master, slave = pty.openpty()
        with subprocess.Popen(["zsh", "-i", "-o", "NO_GLOBAL_RCS"], stdin=slave, stdout=slave, stderr=slave,
                              start_new_session=True, **{**self.options, "env": {**self.options["env"], "ZDOTDIR": str(self.scratch)}}) as process:
            try:
                os.close(slave)
                os.set_blocking(master, False)
                self.shown = b""
                harness.wait_for(lambda: b"ready" in self.read(master), "a prompt")
                os.write(master, line.encode() + b"\t")
                harness.wait_for(lambda: self.read(master) and out.exists(), f"an answer to {line!r}")
            finally:
                process.kill()
                os.close(master)
        return {offer.split(":")[0] for offer in out.read_text().split()}

    def read(self, terminal):
        try:
            self.shown += os.read(terminal, 65536)
        except BlockingIOError:
            pass
        return self.shown


if __name__ == "__main__":
    harness.main()
