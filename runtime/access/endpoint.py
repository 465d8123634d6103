"""Binding a socket to an endpoint so that only those can reach it who should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zmq

from runtime.contracts.errors import LinkError

_IPC = "ipc://"


def bind(socket: zmq.Socket[Any], endpoint: str, purpose: str) -> None:
    """Bind; an ipc socket is ours alone (mode 0600) afterwards, and lies in a private folder already. `purpose` begins
    the error. Raises LinkError where the endpoint cannot be had.
    """
    understand(socket, endpoint)
    try:
        socket.bind(endpoint)
        if endpoint.startswith(_IPC):
            Path(endpoint.removeprefix(_IPC)).chmod(0o600)
    except (zmq.ZMQError, OSError) as error:
        raise LinkError(f"{purpose} on {endpoint}: {error}; is it in use?") from error


def understand(socket: zmq.Socket[Any], endpoint: str) -> None:
    """Have a socket take an IPv6 address, which ZeroMQ does only where it is told so."""
    if "[" in endpoint:
        socket.set(zmq.IPV6, 1)
