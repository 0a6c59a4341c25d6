#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Real programs that nobody wrote for this, watched by snoop and by strace at once: what strace sees succeed must be
in the report, under the name by which the program asked for it."""

import os
import shutil
import subprocess
import tempfile
import textwrap
import unittest

import harness
import strace_log

STRACE = shutil.which("strace", path="/usr/bin:/bin:/usr/local/bin")
PYTHON = "/usr/bin/python3"
EXCLUDED = (b"/proc/", b"/sys/", b"/dev/")  # snoop's default

KINDS = {
    **dict.fromkeys(["open", "creat", "openat", "openat2"], "open"),
    **dict.fromkeys(["execve", "execveat"], "exec"),
    **dict.fromkeys(["stat", "lstat", "newfstatat", "statx", "statfs", "getxattr", "lgetxattr", "listxattr",
                     "llistxattr", "chdir", "chroot", "inotify_add_watch", "name_to_handle_at"], "stat"),
    **dict.fromkeys(["access", "faccessat", "faccessat2"], "access"),
    **dict.fromkeys(["readlink", "readlinkat"], "readlink"),
    "connect": "connect",
}

MUSL_PROGRAM = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

int main(void)
{
  char text[4096];
  struct stat info;
  struct statvfs fs;
  struct dirent *entry;

  fclose(fopen("/etc/passwd", "r"));
  mkdir("d", 0755);
  close(creat("d/made", 0644));
  stat("d/made", &info);
  symlink("made", "d/link");
  lstat("d/link", &info);
  readlink("d/link", text, sizeof(text));
  access("d/link", R_OK);
  close(open("d/link", O_RDONLY));
  realpath("d/../d/link", text);
  link("d/made", "d/second");
  rename("d/second", "d/third");
  chmod("d/third", 0600);
  chown("d/third", 0, 0);
  lchown("d/link", 0, 0);
  utime("d/third", NULL);
  truncate("d/third", 10);
  getxattr("d/third", "user.x", text, sizeof(text));
  listxattr("d/third", text, sizeof(text));
  statvfs("d", &fs);
  mkfifo("d/fifo", 0600);
  if (chdir("d") != 0)
    return 1;
  DIR *dir = opendir(".");
  while ((entry = readdir(dir)))
    fstatat(dirfd(dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW);
  closedir(dir);
  if (fork() == 0) {
    if (chdir("..") != 0)
      return 1;
    stat("d/third", &info);
    execl("/bin/true", "true", NULL);
    return 1;
  }
  wait(NULL);
  stat("third", &info);
  unlink("third");
  unlink("fifo");
  if (chdir("..") != 0)
    return 1;
  unlink("d/made");
  unlink("d/link");
  return rmdir("d");
}
"""

BASH_SCRIPT = r"""
set -e
echo 'answer=42' >settings
. ./settings
mkdir -p tree/a/b
echo "$answer" >tree/a/b/one
(cd tree/a && cat b/one >../two && cat ../two)
ln -s a tree/link
cd tree/link/b && cat one <../../two && cd - >/dev/null
cd tree/link; cd ..; cat two; cd ..
for file in tree/*; do [ -e "$file" ] && [ ! -L "$file" ] || readlink "$file"; done
while read -r line; do echo "$line"; done < <(sort tree/two | uniq)
cp -r tree copy && mv copy moved && touch -d yesterday moved/two && chmod 600 moved/two
umask 077; echo x >|moved/with$'\n'newline; echo y >moved/$'not-utf8-\xff'; rm moved/with* moved/not*
ls -lR moved | sed -n 's/a/b/p' | awk '{ print $1 }' >/dev/null
rm -rf moved
test ! -e moved
test -r /etc/hostname
pwd -P
"""

PYTHON_SCRIPT = r"""
import concurrent.futures, glob, http.server, json, os, pathlib, shutil, sqlite3, ssl, subprocess, tempfile, zipfile
pathlib.Path("pkg/inner").mkdir(parents=True)
pathlib.Path("pkg/__init__.py").write_text("")
pathlib.Path("pkg/inner/__init__.py").write_text("value = 1\n")
import sys; sys.path.insert(0, ".")
import pkg.inner
for entry in os.scandir("pkg"): entry.stat()
for root, dirs, files, fd in os.fwalk("pkg"):
    for name in files: os.stat(name, dir_fd=fd)
shutil.copytree("pkg", "copied"); shutil.rmtree("copied")
database = sqlite3.connect("data.db"); database.execute("create table t (x)"); database.commit(); database.close()
with zipfile.ZipFile("x.zip", "w") as archive: archive.write("pkg/inner/__init__.py")
with tempfile.TemporaryDirectory(dir=".") as directory: open(os.path.join(directory, "x"), "w").close()
def work(number):
    pathlib.Path(f"thread-{number}").write_text(str(number))
    return pathlib.Path(f"thread-{number}").read_text()
with concurrent.futures.ThreadPoolExecutor(4) as pool: assert len(list(pool.map(work, range(20)))) == 20
subprocess.run(["/bin/cat", "inner/__init__.py"], cwd="pkg", check=True)
pid = os.fork()
if pid == 0:
    os.chdir("pkg"); os.stat("inner"); os.chdir(".."); os.execv("/bin/ls", ["ls", "pkg"])
os.waitpid(pid, 0)
fd = os.open("pkg", os.O_RDONLY); os.fchdir(fd); os.stat("inner"); os.chdir(b".."); os.stat("pkg")
open(b"bytes-\xff\xfe", "w").close(); os.stat(b"bytes-\xff\xfe"); os.unlink(b"bytes-\xff\xfe")
assert glob.glob("**/*.py", recursive=True)
http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler).server_close()
ssl.create_default_context()
import socket
with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
    server.bind("socket"); server.listen(); client.connect("./socket")
with socket.socket(socket.AF_UNIX) as server: server.bind("\0snoop-e2e-%d" % os.getpid())
json.dump({}, open("out.json", "w"))
"""

C_PROGRAM = '#include <stdio.h>\n#include "answer.h"\nint main(void) { return printf("%d\\n", ANSWER) < 0; }\n'


def quoted(text):
    return '"' + "".join(f"\\x{byte:02x}" for byte in os.fsencode(text)) + '"'


class Log(unittest.TestCase):
    """The truth itself: what is read out of a log of strace."""

    def successes(self, *lines):
        with tempfile.NamedTemporaryFile("w") as log:
            log.write("".join(f"{line}\n" for line in lines))
            log.flush()
            return strace_log.successes(log.name, "/")

    def test_only_successes_and_no_empty_path(self):
        found = self.successes(f"1 stat({quoted('/a')}, {{st_mode=S_IFREG|0644, ...}}) = 0",
                               f"1 stat({quoted('/b')}, 0x7f) = -1 ENOENT (No such file or directory)",
                               f"1 readlink({quoted('/c')}, 0x7f, 10) = -1 EINVAL (Invalid argument)",
                               '1 newfstatat(3<\\x2f\\x64>, "", {...}, AT_EMPTY_PATH) = 0',
                               "1 utimensat(3<\\x2f\\x64>, NULL, NULL, 0) = 0",
                               "1 exit_group(0) = ?", "1 +++ exited with 0 +++")
        self.assertEqual(found, {b"/a": {"stat"}})

    def test_where_a_path_begins(self):
        found = self.successes(f"1 chdir({quoted('/usr')}) = 0", f"1 access({quoted('../x,(y//')}, R_OK) = 0",
                               f'1 openat(3<{quoted("/d")[1:-1]}>, {quoted("./e")}, O_RDONLY) = 4<{quoted("/d/e")[1:-1]}>',
                               f"1 rename({quoted('one')}, {quoted('//two')}) = 0",
                               f"1 symlink({quoted('text')}, {quoted('link')}) = 0")
        self.assertEqual(set(found), {b"/usr", b"/x,(y", b"/d/e", b"/usr/one", b"/two", b"/usr/link"})

    def test_sockets(self):
        found = self.successes(f"1 bind(3, {{sa_family=AF_UNIX, sun_path={quoted('s')}}}, 110) = 0",
                               f"1 connect(3, {{sa_family=AF_UNIX, sun_path=@{quoted('abstract')}}}, 110) = 0",
                               f"1 connect(3, {{sa_family=AF_UNIX, sun_path={quoted('/missing')}}}, 110) = -1 ENOENT (x)",
                               "1 connect(3, {sa_family=AF_INET, sin_port=htons(80)}, 16) = 0")
        self.assertEqual(found, {b"/s": {"bind"}})

    def test_processes_and_threads(self):
        found = self.successes(f"1 chdir({quoted('/usr')}) = 0",
                               "1 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD <unfinished ...>",
                               f"2 stat({quoted('a')}, {{...}}) = 0", "1 <... clone resumed>) = 2",
                               "1 clone3({flags=CLONE_VM|CLONE_FS, stack_size=0x7fff00}, 88) = 3",
                               f"3 chdir({quoted('/etc')} <unfinished ...>", f"2 chdir({quoted('/tmp')}) = 0",
                               "3 <... chdir resumed>) = 0", f"1 stat({quoted('b')}, {{...}}) = 0",
                               f"2 stat({quoted('c')}, {{...}}) = 0")
        self.assertEqual(set(found) - {b"/usr", b"/etc", b"/tmp"}, {b"/usr/a", b"/etc/b", b"/tmp/c"})

    def test_unknown_call_is_no_silence(self):
        with self.assertRaises(AssertionError):
            self.successes(f"1 newcall({quoted('/a')}) = 0")


@unittest.skipUnless(STRACE, "strace is not installed")
class SameAsStrace(harness.Case):
    table = []

    @classmethod
    def tearDownClass(cls):
        print(f"\n{'program':<8} {'seen by strace':>14} {'missed':>7} {'extra':>6}", flush=True)
        for name, truth, missed, extra in cls.table:
            print(f"{name:<8} {truth:>14} {len(missed):>7} {len(extra):>6}")
            for what, paths in (("missed", missed), ("extra", extra)):
                for path in paths:
                    print(f"    {what}: {path!r}")
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        self.work = self.scratch / "work"
        self.work.mkdir()
        self.environment = harness.environment(HOME=str(self.scratch), PATH="/usr/local/bin:/usr/bin:/bin",
                                               GIT_CONFIG_NOSYSTEM="1", GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@b",
                                               GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@b")

    def need(self, program):
        found = shutil.which(program, path="/usr/bin:/bin")
        if not found:
            self.skipTest(f"{program} is not installed")
        return found

    def watch(self, *command):
        """Runs a command under both: (report, what strace saw succeed)."""
        report, log = self.scratch / "report.json", self.scratch / "strace.log"
        result = harness.snoop("run", "--report", report, "--", STRACE, "-f", "-q", "-y", "-xx", "-s", "0", "-e",
                               f"trace={strace_log.TRACE}", "-e", "signal=none", "-o", log, "--", *command,
                               cwd=self.work, env=self.environment)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        truth = {path: names for path, names in strace_log.successes(log, self.work).items()
                 if not path.startswith(EXCLUDED)}
        return harness.Report(report.read_bytes()), truth

    @staticmethod
    def claimed(report):
        """What the report says was used, with success."""
        return {path: file for path, file in report.files().items() if file["found"] and file.get("succeeded", True)}

    def compare(self, name, *command):
        # strace is in the cgroup too: what it uses for itself shows where its program does nothing.
        report, truth = self.watch("/bin/true")
        of_strace = set(self.claimed(report)) - set(truth)
        report, truth = self.watch(*command)
        claimed = self.claimed(report)
        missed = sorted(set(truth) - set(claimed))
        # The kernel loads interpreters by itself; no call shows them. strace looks for its program before it runs it.
        # Nor does strace show the links on the way; that they are links can be seen.
        walked = {path for path, file in claimed.items() if file["access"] == ["symlink"]}
        self.assertEqual([path for path in walked if not os.path.islink(path) and os.path.exists(path)], [])
        extra = sorted(path for path, file in claimed.items()
                       if path not in truth and path not in of_strace and path not in walked
                       and file["access"] != ["interpreter"])
        self.table.append((name, len(truth), missed, extra))
        self.assertGreater(len(truth), 10)
        self.assertEqual(missed, [])
        self.assertEqual(extra, [])
        self.assertEqual(report["complete"], True, report["losses"])
        for path, calls in truth.items():
            kinds = {KINDS.get(call, "change") for call in calls}
            self.assertLessEqual(kinds, set(claimed[path]["access"]), f"{path!r}: {calls}")

    def test_bash(self):
        self.compare("bash", self.need("bash"), "-c", BASH_SCRIPT)

    def test_python3(self):
        self.compare("python3", PYTHON, "-c", PYTHON_SCRIPT)

    def test_git(self):
        git = self.need("git")
        (self.work / "file").write_text("text\n")
        (self.work / "below").mkdir()
        (self.work / "below" / "file").write_text("text\n")
        self.compare("git", self.need("bash"), "-ec", textwrap.dedent(f"""
            {git} init -q
            {git} add .
            {git} commit -q -m first
            echo more >>file
            cd below && {git} status && {git} diff && {git} commit -q -a -m second && {git} log --stat
            cd .. && {git} checkout -q -b side && {git} rm -q below/file && {git} stash -q && {git} gc -q
            {git} clone -q . ../clone"""))

    def test_gcc(self):
        (self.work / "answer.h").write_text("#define ANSWER 42\n")
        (self.work / "main.c").write_text(C_PROGRAM)
        self.compare("gcc", self.need("gcc"), "-O2", "-o", "main", "main.c")

    def test_static_musl(self):
        source = self.scratch / "musl.c"
        source.write_text(MUSL_PROGRAM)
        subprocess.run([self.need("musl-gcc"), "-static", "-o", self.scratch / "musl", source], check=True)
        self.compare("musl", self.scratch / "musl")

    def test_find(self):
        for number in range(30):
            (self.work / f"d{number}" / "e").mkdir(parents=True)
            (self.work / f"d{number}" / "e" / "file").write_text("x")
        self.compare("find", self.need("find"), ".", "/etc/security", "-name", "fil*", "-size", "-2",
                     "-execdir", "cat", "{}", ";", "-newer", ".", "-o", "-type", "l", "-printf", "%l\n")

    def test_tar(self):
        for number in range(20):
            (self.work / "from" / f"d{number}").mkdir(parents=True)
            (self.work / "from" / f"d{number}" / "file").write_text("x" * number)
            (self.work / "from" / f"d{number}" / "link").symlink_to("file")
            os.link(self.work / "from" / f"d{number}" / "file", self.work / "from" / f"d{number}" / "hard")
        tar = self.need("tar")
        self.compare("tar", self.need("bash"), "-ec", textwrap.dedent(f"""
            {tar} -C from -czf from.tar.gz .
            mkdir to && {tar} -C to -xzf from.tar.gz && {tar} -dzf from.tar.gz -C to"""))


if __name__ == "__main__":
    harness.main()
