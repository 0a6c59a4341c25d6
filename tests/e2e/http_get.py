# SPDX-License-Identifier: Apache-2.0
"""Asks a snoop that serves HTTP."""

import http.client
import pathlib
import socket

import harness


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("snoop", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def get(address, path, timeout=harness.DEADLINE):
    """Status, headers, body."""
    if isinstance(address, pathlib.Path):
        connection = UnixConnection(address, timeout)
    else:
        connection = http.client.HTTPConnection(*address, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def samples(text):
    """Values by name and labels, as they stand there."""
    return {name: float(value) for name, value in
            (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))}
