"""Clients of every kind that should not get in, each trying once, and waiting for what becomes of them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType

import zmq
from zmq.utils.monitor import recv_monitor_message

from runtime.access.endpoint import understand
from runtime.access.keys import ConnectionKey, Credentials, new_pair

PATIENCE_S = 20.0
_ENDED = (
    zmq.Event.HANDSHAKE_FAILED_AUTH,
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL,
    zmq.Event.HANDSHAKE_FAILED_PROTOCOL,
    zmq.Event.DISCONNECTED,
)


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that another thread or process brings about."""
    given_up_s = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < given_up_s, "it never came about"
        pause.wait(0.01)


class Client:
    """A client that connects once and never again."""

    def __init__(self, endpoint: str, kind: int, credentials: Credentials | None, name: bytes = b"") -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(kind)
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.RECONNECT_IVL, -1)
        if name:
            self.socket.set(zmq.IDENTITY, name)
        if credentials is not None:
            credentials.put_on(self.socket)
        if kind == zmq.SUB:
            self.socket.subscribe("")
        self._monitor = self.socket.get_monitor_socket()
        understand(self.socket, endpoint)
        self.socket.connect(endpoint)

    def gets_in(self) -> bool:
        """Whether the handshake succeeds."""
        while self._monitor.poll(int(PATIENCE_S * 1000)):
            event = recv_monitor_message(self._monitor)["event"]
            if event == zmq.Event.HANDSHAKE_SUCCEEDED:
                return True
            if event in _ENDED:
                return False
        raise AssertionError("nothing became of it")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: tuple[type[BaseException], BaseException, TracebackType] | None) -> None:
        self.socket.disable_monitor()
        self._context.destroy(linger=0)


def is_let_in(endpoint: str, kind: int, credentials: Credentials | None) -> bool:
    """Whether a client with these credentials gets in."""
    with Client(endpoint, kind, credentials) as client:
        return client.gets_in()


def credentials(server: ConnectionKey, own: ConnectionKey | None = None) -> Credentials:
    """Those of a client that knows the vehicle; `own` None: of somebody whom the vehicle does not know."""
    return Credentials(own or new_pair(), server.public)


def send_raw(endpoint: str, data: bytes) -> None:
    """Connect with no ZeroMQ at all, send bytes, and wait until the other end hangs up, or hang up."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
        except OSError:  # it was quicker to hang up than we
            return
