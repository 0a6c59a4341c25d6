#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Root directories on overlays, several below one target: each is known while its cgroups are there, and let go then."""

import subprocess

import harness

# As a runtime: a root on an overlay. Each child lives in a cgroup, the first in a mount namespace of its own with the
# overlay as its root, each other in the namespace of the one before. A line of stdin tells what to do.
RUNTIME = r"""
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)

def check(result, what):
    if result != 0:
        os.write(1, f"{what}: {os.strerror(ctypes.get_errno())}\n".encode())
        os._exit(1)

store, *cgroups = [name.encode() for name in sys.argv[1:]]
top = store + b"/merged"
children = []

def mount():
    # With an index the kernel refuses layers that are in use.
    options = b"index=on,lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work" % (store, store, store)
    return libc.mount(b"overlay", top, b"overlay", 0, options)

def enter_new():
    check(libc.unshare(0x20000), "unshare")
    check(libc.mount(top, top, None, 0x1000, None), "bind")
    os.chdir(top)
    check(libc.syscall(155, b".", b"."), "pivot_root")
    check(libc.umount2(b".", 2), "umount2")
    os.chdir("/")

def start(cgroup):
    namespace = os.open(f"/proc/{children[-1]}/ns/mnt", os.O_RDONLY) if children else -1
    child = os.fork()
    if child:
        children.append(child)
        if namespace >= 0:
            os.close(namespace)
        return
    with open(cgroup + b"/cgroup.procs", "w") as procs:
        procs.write("0")
    if namespace < 0:
        enter_new()
    else:
        check(libc.setns(namespace, 0x20000), "setns")
        os.close(namespace)

check(libc.unshare(0x20000), "unshare")
check(libc.mount(None, b"/", None, 0x44000, None), "private")
check(libc.mount(b"none", store, b"tmpfs", 0, None), "tmpfs")
for name in (b"lower", b"upper", b"work", b"merged"):
    os.mkdir(store + b"/" + name)
for number in range(4):
    open(store + b"/lower/file%d" % number, "w").close()
    os.symlink(b"file%d" % number, store + b"/lower/link%d" % number)
check(mount(), "overlay")
os.write(1, b"ok\n")

here = os.getpid()
pipes = {}
while True:
    # No buffer: the children read on.
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(0, 1)
        if not part:
            os._exit(0)
        line += part
    what, *words = line.split()
    if what == b"start":
        pipes[len(children)] = commands, orders = os.pipe()
        start(cgroups[len(children)])
        if os.getpid() != here:
            os.dup2(commands, 0)
            os.close(orders)
            here = os.getpid()
            os.write(1, b"ok\n")
    elif what == b"tell":
        os.write(pipes[int(words[0])][1], b" ".join(words[1:]) + b"\n")
    elif what == b"stat":
        os.stat(words[0])
        os.write(1, b"ok\n")
    elif what == b"end":
        number = int(words[0])
        os.kill(children[number], 9)
        os.waitpid(children[number], 0)
        os.rmdir(cgroups[number])
        os.write(1, b"ok\n")
    elif what == b"umount":
        check(libc.umount(top), "umount")
        os.write(1, b"ok\n")
    elif what == b"mount":
        result = mount()
        os.write(1, b"ok\n" if result == 0 else os.strerror(ctypes.get_errno()).encode() + b"\n")
"""


class OneOverlay(harness.Case):
    """Of several cgroups below one target."""

    def setUp(self):
        super().setUp()
        self.parent = self.cgroup("parent")
        self.children = [harness.Cgroup(f"child-{number}", self.parent) for number in range(3)]
        self.recorder_ = self.recorder("--cgroup", self.parent.path)
        (self.scratch / "store").mkdir()
        self.runtime = subprocess.Popen(
            ["/usr/bin/python3", "-I", "-S", "-c", RUNTIME, self.scratch / "store",
             *(child.directory for child in self.children)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.end_runtime)
        answer = self.runtime.stdout.readline()
        if b"overlay" in answer:
            self.skipTest(f"no overlay with an index can be mounted: {answer.decode().strip()}")
        self.assertEqual(answer, b"ok\n")

    def end_runtime(self):
        self.runtime.stdin.close()
        self.runtime.wait()
        self.runtime.stdout.close()

    def ask(self, *words):
        self.runtime.stdin.write(" ".join(map(str, words)).encode() + b"\n")
        self.runtime.stdin.flush()
        return self.runtime.stdout.readline().decode().strip()

    def do(self, *words):
        self.assertEqual(self.ask(*words), "ok", words)

    def assert_link_is_known(self, number):
        files = self.recorder_.fresh_report().files()
        self.assertEqual(files[b"/link%d" % number]["access"], ["stat", "symlink"])
        self.assertEqual(files[b"/link%d" % number]["resolved"], f"/file{number}")

    def test_is_let_go_after_its_last_cgroup(self):
        self.do("start")
        self.do("tell", 0, "stat", "/link0")
        self.assert_link_is_known(0)
        self.do("start")
        self.do("tell", 1, "stat", "/link1")
        self.do("end", 0)
        self.assert_link_is_known(1)
        # Known for this cgroup too: it may end before snoop looks.
        self.do("tell", 1, "stat", "/link2")
        self.do("end", 1)
        self.assert_link_is_known(2)
        self.do("umount")
        harness.wait_for(lambda: self.ask("mount") == "ok", "the layers of the overlay to be free")
        report = self.recorder_.final_report()
        self.assertTrue(report["complete"])


if __name__ == "__main__":
    harness.main()
