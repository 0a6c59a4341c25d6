# SPDX-License-Identifier: Apache-2.0
"""What a log of `strace -f -y -xx` says about the paths that programs used."""

import os
import pathlib
import re

from harness import normalise

# What to trace: each call with a path, and what changes the directory that a path begins at.
TRACE = "%file,bind,connect,fchdir,fork,vfork,clone,clone3,unshare"

# Arguments of each call that are paths: (descriptor of the directory or None, path).
_AT = [(0, 1)]
_PLAIN = [(None, 0)]
CALLS = {
    **dict.fromkeys(["open", "creat", "execve", "stat", "lstat", "statfs", "getxattr", "lgetxattr", "listxattr",
                     "llistxattr", "chdir", "access", "readlink", "truncate", "unlink", "mkdir", "rmdir", "mknod",
                     "chmod", "chown", "lchown", "setxattr", "lsetxattr", "removexattr", "lremovexattr", "utime",
                     "utimes", "chroot"], _PLAIN),
    **dict.fromkeys(["openat", "openat2", "execveat", "newfstatat", "statx", "faccessat", "faccessat2", "readlinkat",
                     "unlinkat", "mkdirat", "mknodat", "fchmodat", "fchmodat2", "fchownat", "futimesat", "utimensat",
                     "name_to_handle_at"], _AT),
    **dict.fromkeys(["rename", "link"], [(None, 0), (None, 1)]),
    **dict.fromkeys(["renameat", "renameat2", "linkat"], [(0, 1), (2, 3)]),
    # The text of a symbolic link is no path that is used.
    "symlink": [(None, 1)],
    "symlinkat": [(1, 2)],
    "inotify_add_watch": [(None, 1)],
    # The address of a unix socket is one.
    **dict.fromkeys(["bind", "connect"], [(None, 1)]),
    # They take no path; what they do stands below.
    **dict.fromkeys(["getcwd", "fchdir", "fork", "vfork", "clone", "clone3", "unshare"], []),
}

_LINE = re.compile(r"^(\d+) +(.*)$")
_CALL = re.compile(r"^(\w+)\((.*)\) += (.*)$")
_UNFINISHED = re.compile(r"^(\w+)\((.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$")
_STRING = re.compile(r'^"((?:\\x[0-9a-f]{2})*)"$')
_SOCKET = re.compile(r'^\{sa_family=AF_UNIX, sun_path=("(?:\\x[0-9a-f]{2})*")\}$')
_DESCRIPTOR = re.compile(r"^(?:\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?$")


def _unhex(text):
    return bytes.fromhex(text.replace("\\x", ""))


def split_arguments(text):
    """At the commas of the outermost level; strings hold nothing but \\xNN."""
    arguments, depth, start = [], 0, 0
    for at, char in enumerate(text):
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "," and depth == 0:
            arguments.append(text[start:at].strip())
            start = at + 1
    return arguments + [text[start:].strip()]


def calls(log):
    """(pid, name, arguments, result) of each call that ended, in the order of their ends."""
    begun = {}
    for number, line in enumerate(pathlib.Path(log).read_text("ascii").splitlines(), 1):
        match = _LINE.match(line)
        if not match:
            raise AssertionError(f"{log}:{number}: {line}")
        pid, text = int(match[1]), match[2]
        if text.startswith(("---", "+++")):
            continue
        if match := _UNFINISHED.match(text):
            begun[pid] = text[: -len(" <unfinished ...>")]
            continue
        if match := _RESUMED.match(text):
            # A thread that becomes another program resumes under the leader's pid.
            text = begun.pop(pid, match[1] + "(") + match[2]
        match = _CALL.match(text)
        if not match:
            raise AssertionError(f"{log}:{number}: {line}")
        yield pid, match[1], split_arguments(match[2]), match[3]


class _Directory:
    """A working directory; threads have it in common."""

    def __init__(self, path):
        self.path = path


def successes(log, directory):
    """The absolute paths of all path arguments of calls that succeeded: {path: {names of calls}}.

    `directory`: where the first process began.
    """
    done = list(calls(log))
    # The lines of a child may come before the end of the call that made it.
    parents = {int(result.split()[0]): (pid, any("CLONE_FS" in argument for argument in arguments))
               for pid, name, arguments, result in done
               if name in ("fork", "vfork", "clone", "clone3") and not result.startswith(("-1 ", "?"))}
    working = {done[0][0]: _Directory(os.path.realpath(os.fsencode(directory)))}

    def directory_of(pid):
        if pid not in working:
            parent, shared = parents[pid]
            above = directory_of(parent)
            working[pid] = above if shared else _Directory(above.path)
        return working[pid]

    found = {}
    for pid, name, arguments, result in done:
        here = directory_of(pid)
        if result.startswith(("-1 ", "?")):
            continue
        if name not in CALLS:
            raise AssertionError(f"{log}: what are the paths of {name}({', '.join(arguments)})?")
        for dirfd, path in CALLS[name]:
            argument = arguments[path]
            if name in ("bind", "connect"):
                # No path: another kind of address, or the abstract ones of Linux.
                match = _SOCKET.match(argument)
                argument = match[1] if match else "NULL"
            if argument == "NULL":
                continue
            match = _STRING.match(argument)
            if not match:
                raise AssertionError(f"{log}: a path of {name}({', '.join(arguments)}) cannot be read")
            text = _unhex(match[1])
            if not text:
                continue
            if not text.startswith(b"/"):
                base = here.path
                if dirfd is not None:
                    match = _DESCRIPTOR.match(arguments[dirfd])
                    if not match:
                        raise AssertionError(f"{log}: a directory of {name}({', '.join(arguments)}) cannot be read")
                    base = _unhex(match[1])
                    if arguments[dirfd].startswith("AT_FDCWD"):
                        here.path = base
                text = base + b"/" + text
            found.setdefault(normalise(text), set()).add(name)
            if name == "chdir":
                here.path = os.path.realpath(normalise(text))
        if name == "fchdir":
            here.path = _unhex(_DESCRIPTOR.match(arguments[0])[1])
        elif name == "unshare":
            working[pid] = _Directory(here.path)
        elif name in ("fork", "vfork", "clone", "clone3"):
            directory_of(int(result.split()[0]))
    return found
