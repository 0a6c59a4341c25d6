# SPDX-License-Identifier: Apache-2.0
"""The report as a file that is replaced; shared with bench/."""


def version_of(path):
    """What is another after each report; None: there is none."""
    try:
        info = path.stat()
    except FileNotFoundError:
        return None
    return info.st_ino, info.st_mtime_ns
