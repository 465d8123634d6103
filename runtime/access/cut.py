"""Ending the connections of a port of ours, whoever serves it."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path


def cut_connections(endpoint: str) -> int:
    """Shut down every TCP connection that this process has accepted at an endpoint (`tcp://ADDRESS:PORT`); how many.

    ZeroMQ offers no way to send one client off. It sees the other end hang up, as it would in any network.
    """
    port = int(endpoint.rpartition(":")[2])
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if not stat.S_ISSOCK(entry.stat().st_mode):
                continue
            with socket.socket(fileno=os.dup(int(entry.name))) as connection:
                if connection.family in (socket.AF_INET, socket.AF_INET6) and connection.getsockname()[1] == port:
                    connection.getpeername()  # none: the listening socket itself
                    connection.shutdown(socket.SHUT_RDWR)
                    count += 1
        except OSError:  # it ended meanwhile, or is no connection
            continue
    return count
