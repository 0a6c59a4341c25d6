# SPDX-License-Identifier: Apache-2.0
"""Starts a program as systemd would start it for a unit: what can be had of the unit's settings without systemd."""

import ctypes
import errno
import os
import pathlib
import re
import shlex
import subprocess

CAP_LAST = int(pathlib.Path("/proc/sys/kernel/cap_last_cap").read_text())
CAPABILITIES = {"CAP_DAC_READ_SEARCH": 2, "CAP_SYS_PTRACE": 19, "CAP_PERFMON": 38, "CAP_BPF": 39}
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38


class Unit:
    def __init__(self, text):
        """Settings by name; one that stands more than once is a list."""
        self.settings = {}
        for name, value in re.findall(r"(?m)^(\w+)=(.*)$", text):
            self.settings.setdefault(name, []).append(value)

    def __getitem__(self, name):
        [value] = self.settings[name]
        return value

    def command(self):
        return shlex.split(self["ExecStart"])

    def system_calls(self):
        """What SystemCallFilter= allows, by systemd's own table."""
        allowed = set()
        for line in self.settings["SystemCallFilter"]:
            names = set().union(*(_expand(name) for name in line.lstrip("~").split()))
            allowed = allowed - names if line.startswith("~") else allowed | names
        return allowed

    def start(self, root):
        """Becomes the unit's program, in a root directory, with the unit's limits."""
        import seccomp
        calls = seccomp.SyscallFilter(defaction=seccomp.ERRNO(errno.EPERM))
        for name in self.system_calls():
            try:
                calls.add_rule(seccomp.ALLOW, name)
            except RuntimeError:  # none of this architecture
                pass
        os.chroot(root)
        os.chdir("/")
        os.umask(int(self["UMask"], 8))
        kept = {CAPABILITIES[name] for name in self["CapabilityBoundingSet"].split()}
        for capability in set(range(CAP_LAST + 1)) - kept:
            _prctl(PR_CAPBSET_DROP, capability)
        _prctl(PR_SET_NO_NEW_PRIVS, 1)
        calls.load()
        os.execv(self.command()[0], self.command())


def _prctl(what, value):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(what, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def _expand(name):
    if not name.startswith("@"):
        return {name}
    listed = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", name], check=True, text=True,
                            stdout=subprocess.PIPE).stdout
    names = re.findall(r"(?m)^    ([@\w-]+)$", listed)
    return set().union(*(_expand(one) for one in names))
