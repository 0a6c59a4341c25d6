# SPDX-License-Identifier: Apache-2.0
"""Boots a root directory with its systemd: namespaces and cgroups of its own, on this kernel."""

import os
import pathlib
import subprocess
import sys

import harness

# What systemd of Debian 12 uses of version 1.
VERSION1 = {"cpu", "cpuacct", "blkio", "memory", "devices", "pids", "name=systemd"}

# In the new namespaces. What the machine writes is gone with it: it lies in memory, above the root directory.
BOOT = r"""
set -e
mount --make-rprivate /
mount -t tmpfs none "$WORK"
mkdir "$WORK/upper" "$WORK/work" "$WORK/root"
root=$WORK/root
mount -t overlay -o "lowerdir=$ROOT,upperdir=$WORK/upper,workdir=$WORK/work" none "$root"
mount -t proc none "$root/proc"
mount -t sysfs -o ro none "$root/sys"
while read -r kind options directory; do
  # Above those of version 1 there is a directory.
  [ -z "$directory" ] || mountpoint -q "$root/sys/fs/cgroup" || mount -t tmpfs -o mode=755 none "$root/sys/fs/cgroup"
  mkdir -p "$root/sys/fs/cgroup/$directory"
  mount -t "$kind" -o "$options" none "$root/sys/fs/cgroup/$directory"
done <"$WORK.cgroups"
mount -t tmpfs -o mode=755 none "$root/dev"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 none "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
# podman wants to make device nodes there, which overlay refuses.
mkdir -p "$root/var/lib/containers"
for directory in run tmp var/lib/containers; do mount -t tmpfs none "$root/$directory"; done
cd "$root"
mkdir .old
pivot_root . .old
umount -l .old
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --log-target=console \
  --show-status=no --unit=multi-user.target
"""


def _hierarchies():
    """Of this machine, those that systemd uses: type, options, and directory below /sys/fs/cgroup ("" if it is that)."""
    found = []
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        mount, (kind, _, options) = pathlib.Path(fields[4]), fields[fields.index("-") + 1:]
        if kind == "cgroup2":
            found.append((mount, kind, "rw", "" if mount == pathlib.Path("/sys/fs/cgroup") else "unified"))
        elif kind == "cgroup" and VERSION1 & set(options.split(",")):
            taken = ",".join(option for option in options.split(",") if option in VERSION1)
            found.append((mount, kind, taken, taken.removeprefix("name=")))
    return found


class Machine:
    def __init__(self, root, work):
        """A directory `work` that is not there yet, on which it is mounted."""
        self.cgroups = []
        self.log = open(f"{work}.log", "w+")
        work.mkdir()
        name = f"snoop-machine-{os.getpid()}"
        with open(f"{work}.cgroups", "w") as list_of_cgroups:
            for mount, kind, options, directory in _hierarchies():
                (mount / name).mkdir()
                self.cgroups.append(mount / name)
                list_of_cgroups.write(f"{kind} {options} {directory}\n")
        procs = [os.open(cgroup / "cgroup.procs", os.O_WRONLY) for cgroup in self.cgroups]
        self.process = subprocess.Popen(
            ["unshare", "--cgroup", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--net", "sh", "-c", BOOT],
            env={"PATH": os.environ["PATH"], "ROOT": str(root), "WORK": str(work)}, stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=subprocess.STDOUT, cwd="/", preexec_fn=lambda: [os.write(file, b"0") for file in procs])
        for file in procs:
            os.close(file)
        try:
            self.init = harness.wait_for(self._find_init, "the first process")
            harness.wait_for(lambda: self.run("systemctl", "is-system-running", code=None) == "running", "systemd", 60)
        except AssertionError:
            self.log.seek(0)
            sys.stderr.write(self.log.read())
            self.stop()
            raise

    def _find_init(self):
        if self.process.poll() is not None:
            raise AssertionError(f"it ended with {self.process.returncode}")
        pids = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        is_booted = pids and pathlib.Path(f"/proc/{pids[0]}/comm").read_text() == "systemd\n"
        return int(pids[0]) if is_booted else None

    def run(self, *arguments, code=0):
        """Runs a program there; what it printed. code: what it must end with, None: anything."""
        done = subprocess.run(["nsenter", f"--target={self.init}", "--mount", "--pid", "--cgroup", "--uts", "--ipc", "--net",
                               "--root", "--wd", *map(str, arguments)], check=False, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                                   "DEBIAN_FRONTEND": "noninteractive"})
        if code is not None and done.returncode != code:
            raise AssertionError(f"{arguments} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout.strip()

    def path(self, path):
        """A file of it, as seen from here."""
        return pathlib.Path(f"/proc/{self.init}/root") / path

    def stop(self):
        # With it goes its first process, and with that all others.
        self.process.kill()
        self.process.wait()
        self.log.close()
        for cgroup in self.cgroups:
            harness.remove_cgroup(cgroup)
