# SPDX-License-Identifier: Apache-2.0
"""A world of its own for a test: a part of the cgroup hierarchy that looks like all of it, as in kind. So `snoop record
--all-containers` finds the containers of the test and no others of this machine."""

import os
import pathlib
import subprocess
import sys

# In a cgroup namespace it is the root, and as such has no such file.
_CGROUP2 = next((pathlib.Path(line.split()[4]) for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
                 if " - cgroup2 " in line and os.access(f"{line.split()[4]}/cgroup.procs", os.W_OK)), None)
# The kernel mounts no file system on itself. Version 1 beside it stays as it is: a runtime makes of the machine what it always does.
_ENTER = f"""
mount -t tmpfs between {_CGROUP2} && mount -t cgroup2 cgroup2 {_CGROUP2} && mkdir -p {_CGROUP2}/init && echo $$ > {_CGROUP2}/init/cgroup.procs && exec "$@"
"""


def enter_command(argv):
    """Behind it, the program is in a namespace whose root is the cgroup that it was in."""
    return ["unshare", "-C", "-m", "--propagation", "private", "sh", "-c", _ENTER, "sh", *map(str, argv)]


def enter():
    """Runs this program once more, in there, and ends with its exit code."""
    if os.environ.get("SNOOP_TEST_WORLD") or os.geteuid() != 0 or _CGROUP2 is None:
        return  # or each test says why it is skipped
    top = _CGROUP2 / f"snoop-world-{os.getpid()}"
    top.mkdir()
    try:
        done = subprocess.run(enter_command([sys.executable, "-B", *sys.argv]), check=False,
                              env={**os.environ, "SNOOP_TEST_WORLD": "1"},
                              preexec_fn=lambda: (top / "cgroup.procs").write_text(str(os.getpid())))
    finally:
        for directory, _, _ in os.walk(top, topdown=False):
            try:
                (pathlib.Path(directory) / "cgroup.kill").write_text("1")
            except OSError:
                pass
        for _ in range(100):
            for directory, _, _ in os.walk(top, topdown=False):
                try:
                    os.rmdir(directory)
                except OSError:
                    pass
            if not top.exists():
                break
            subprocess.run(["sleep", "0.1"], check=False)
    sys.exit(done.returncode)
