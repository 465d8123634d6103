"""What stands before the server sockets of one process: CURVE, who may pass (ZAP), and the count of who was refused.

ZAP (ZeroMQ RFC 27) runs in pyzmq's own authenticator, in a thread of its own. Each socket is a domain, and a domain
admits the keys whose role opens its door. ZAP sees no client that fails before it, one without CURVE say; the sockets'
monitors do, and so they are what is counted. ZeroMQ asks once, when a client connects. So when a key is taken off the
list, every connection at the doors that it opened is cut; those that still may are back a moment later.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from runtime.access.allowed import AllowList
from runtime.access.attempts import Attempts
from runtime.access.cut import cut_connections
from runtime.access.endpoint import bind
from runtime.access.keys import ConnectionKey
from runtime.access.roles import Door
from runtime.contracts.clock import Clock, SystemClock
from runtime.contracts.units import NS_PER_MS

_HANDSHAKE_MS = 10_000
_SETTLED_MS = _HANDSHAKE_MS + 1000  # from the accepting until what became of it was told
_LIST_PERIOD_MS = 500
_WATCHED = zmq.EVENT_ACCEPTED | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED


@dataclass(frozen=True)
class ServerAccess:
    """What a process needs to let clients in: the vehicle's pair, and who may pass."""

    key: ConnectionKey
    allowed: AllowList


class _Provider:
    """What pyzmq's authenticator asks, with a domain and a key in Z85."""

    def __init__(self, allowed: AllowList, door: Door) -> None:
        self._allowed, self._door = allowed, door

    def callback(self, _domain: str, key: bytes) -> bool:
        return key.decode("ascii", "replace") in self._allowed.keys(self._door)


@dataclass(slots=True)
class _Watched:
    """One bound socket: its door, its port, the end of its monitor that is read, and who was let in when last seen."""

    door: Door
    endpoint: str
    monitor: zmq.Socket[bytes]
    attempts: Attempts
    keys: frozenset[str]


class Gate:
    """The server sockets of one process, which share `context`. Without `access` everybody may connect: for sockets in
    a private folder.
    """

    def __init__(self, access: ServerAccess | None = None, clock: Clock | None = None) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._access, self._clock = access, clock or SystemClock()
        self._watched: list[_Watched] = []
        self._lock = threading.Lock()
        self._sockets: list[zmq.Socket[Any]] = []
        self._closed = False
        self._authenticator: Any = None
        self._watcher: threading.Thread | None = None
        if access is not None:
            self._control, self._controlled = self._pair()
            self._authenticator = _authenticator(self.context)
            self._watcher = threading.Thread(target=self._watch, name="gate", daemon=True)
            self._watcher.start()

    @property
    def refused(self) -> int:
        """Connections that were turned away at any of the doors, since the start."""
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            return sum(watched.attempts.refused(now_ns) for watched in self._watched)

    def bind(self, socket: zmq.Socket[Any], endpoint: str, door: Door, purpose: str) -> None:
        """Serve a socket of this gate's context at an endpoint, behind its door. `purpose` begins the error: "viewers
        cannot be served". Raises LinkError where the endpoint cannot be had.
        """
        self._sockets.append(socket)
        socket.set(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        if self._access is None:
            bind(socket, endpoint, purpose)
            return
        socket.curve_server = True
        socket.curve_publickey = self._access.key.public.encode()
        socket.curve_secretkey = self._access.key.secret.encode()
        socket.zap_domain = door.encode()
        self._authenticator.configure_curve_callback(door, _Provider(self._access.allowed, door))
        name = f"inproc://monitor-{door}-{len(self._sockets)}"
        socket.monitor(name, _WATCHED)
        monitor = self.context.socket(zmq.PAIR)
        monitor.set(zmq.RCVHWM, 0)  # a full queue would hold up the thread that serves every client
        monitor.connect(name)
        bind(socket, endpoint, purpose)
        served = socket.get_string(zmq.LAST_ENDPOINT)
        keys = self._access.allowed.keys(door)
        with self._lock:
            self._watched.append(_Watched(door, served, monitor, Attempts(_SETTLED_MS * NS_PER_MS), keys))
        self._control.send(b"look")

    def close(self, linger_ms: int = 0) -> None:
        """Close all sockets of the context, after at most `linger_ms` for what is still to be sent. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._access is not None:
            # Before its reader goes: a monitor that nobody reads waits in ZeroMQ's thread, and whoever ends it, for it.
            for socket in self._sockets:
                with suppress(zmq.ZMQError):  # it was closed before the gate
                    socket.disable_monitor()
        if self._watcher is not None:
            self._control.send(b"end")
            self._watcher.join()
            self._control.close(linger=0)
        if self._authenticator is not None:
            self._authenticator.stop()
        self.context.destroy(linger=linger_ms)

    def _pair(self) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
        ours, theirs = self.context.socket(zmq.PAIR), self.context.socket(zmq.PAIR)
        ours.bind("inproc://gate")
        theirs.connect("inproc://gate")
        return ours, theirs

    def _watch(self) -> None:
        """The watching thread: takes what the monitors tell, and looks whether somebody was taken off the list."""
        poller = zmq.Poller()
        poller.register(self._controlled, zmq.POLLIN)
        known: list[_Watched] = []
        while True:
            events = dict(poller.poll(_LIST_PERIOD_MS))
            if self._controlled in events:
                if self._controlled.recv() == b"end":
                    break
                with self._lock:
                    fresh, known = self._watched[len(known) :], list(self._watched)
                for watched in fresh:
                    poller.register(watched.monitor, zmq.POLLIN)
            for watched in known:
                if watched.monitor in events:
                    self._take_events(watched)
                self._cut_the_revoked(watched)
        for watched in known:
            watched.monitor.close(linger=0)
        self._controlled.close(linger=0)

    def _take_events(self, watched: _Watched) -> None:
        now_ns = self._clock.monotonic_ns()
        for _ in range(1000):  # a flood at one door does not keep the others from being looked at
            try:
                event = parse_monitor_message(watched.monitor.recv_multipart(zmq.DONTWAIT))
            except zmq.Again:
                return
            with self._lock:
                if event["event"] == zmq.EVENT_ACCEPTED:
                    watched.attempts.accepted(event["value"], now_ns)
                elif event["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                    watched.attempts.succeeded()
                elif event["event"] == zmq.EVENT_DISCONNECTED:
                    watched.attempts.ended(event["value"])

    def _cut_the_revoked(self, watched: _Watched) -> None:
        assert self._access is not None
        keys = self._access.allowed.keys(watched.door)
        revoked, watched.keys = watched.keys - keys, keys
        if revoked:
            cut_connections(watched.endpoint)


def _authenticator(context: zmq.Context[zmq.Socket[bytes]]) -> Any:
    from zmq.auth.thread import ThreadAuthenticator  # with asyncio: nothing that a drive over ipc should load

    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    return authenticator
