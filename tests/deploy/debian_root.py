# SPDX-License-Identifier: Apache-2.0
"""A minimal Debian, made by mmdebstrap from the mirror that this machine uses, and kept: what needs one unpacks it."""

import pathlib
import shutil
import subprocess
import unittest


def sources():
    """Where this machine gets its packages from."""
    for file in ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"):
        if pathlib.Path(file).exists():
            return file
    raise unittest.SkipTest("no /etc/apt/sources.list.d/debian.sources, no /etc/apt/sources.list")


def archive(directory):
    """A tar of the root directory, in `directory`; remove it for a newer one."""
    if not shutil.which("mmdebstrap"):
        raise unittest.SkipTest("mmdebstrap is not installed")
    file = pathlib.Path(directory) / "debian-12.tar"
    if not file.exists():
        part = file.with_suffix(".part.tar")
        subprocess.run(["mmdebstrap", "--quiet", "--variant=apt", "bookworm", part, sources()], check=True)
        part.rename(file)
    return file
