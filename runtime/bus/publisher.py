"""PUB for viewers: lossy, never waiting.

A message is three parts: topic, `BusHeader` as MessagePack, the topic's own bytes. A viewer that is too slow loses the
newest messages beyond its queue (ZeroMQ's PUB drops those); it sees so by the holes in the sequence. What a viewer
sends beside its subscriptions ends in the socket: PUB gives nothing of it to anybody.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import zmq

from runtime.access.endpoint import understand
from runtime.access.gate import Gate
from runtime.access.keys import Credentials
from runtime.access.roles import Door
from runtime.contracts.errors import LinkError
from runtime.contracts.link import Payload

_SOCKET_BYTES = 128 * 1024  # measured: with the system's buffers a slow viewer is 0.4 s behind, with these 60 ms
_MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_MAX_SUBSCRIPTION_BYTES = 4096  # ZeroMQ goes as deep into itself as one is long, and a very long one would end us


class BusHeader(msgspec.Struct, frozen=True, array_like=True):
    """What stands before every message on the bus. `sequence` is the frame's (-1: none)."""

    session: str
    sequence: int
    t_source_ns: int
    utc_ns: int


class BusMessage(msgspec.Struct, frozen=True):
    """One message as a viewer receives it; `data` decodes by the topics table."""

    topic: str
    header: BusHeader
    data: bytes


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(BusHeader)


class Publisher:
    """Publishes on one endpoint. `queue` is how many messages a slow viewer may be behind; `gate` is this process's,
    None where everybody may listen.

    Raises LinkError where the endpoint cannot be bound.
    """

    def __init__(
        self, endpoint: str, session: str, queue: int, gate: Gate | None = None, door: Door = "viewers"
    ) -> None:
        self._session = session
        self._own_gate = Gate() if gate is None else None
        gate = gate or self._own_gate
        assert gate is not None
        self._socket = gate.context.socket(zmq.PUB)
        self._socket.set(zmq.SNDHWM, max(1, queue))
        self._socket.set(zmq.SNDBUF, _SOCKET_BYTES)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.MAXMSGSIZE, _MAX_SUBSCRIPTION_BYTES)
        try:
            gate.bind(self._socket, endpoint, door, "viewers cannot be served")
        except LinkError:
            self.close()
            raise

    @property
    def endpoint(self) -> str:
        """Where it is served, with the port that it got."""
        return str(self._socket.get_string(zmq.LAST_ENDPOINT))

    def publish(self, payload: Payload) -> None:
        """Give a message to whoever listens. Returns at once, whoever is slow."""
        header = BusHeader(self._session, payload.sequence, payload.t_source_ns, payload.utc_ns)
        parts = (payload.topic.encode(), _ENCODER.encode(header), payload.data)
        self._socket.send_multipart(parts, zmq.DONTWAIT, copy=len(payload.data) < 65_536)

    def close(self) -> None:
        """Give the endpoint back; what viewers have not taken is dropped. Idempotent."""
        self._socket.close(linger=0)
        if self._own_gate is not None:
            self._own_gate.close()


class Subscriber:
    """Listens on one or more endpoints, with `credentials` where they let in only whom they know. Malformed messages
    are counted and skipped.
    """

    def __init__(
        self,
        endpoints: Iterable[str],
        topics: Iterable[str] = ("",),
        queue: int = 2,
        credentials: Credentials | None = None,
    ) -> None:
        self.malformed = 0
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.SUB)
        self._socket.set(zmq.RCVHWM, max(1, queue))
        self._socket.set(zmq.RCVBUF, _SOCKET_BYTES)
        self._socket.set(zmq.MAXMSGSIZE, _MAX_MESSAGE_BYTES)
        for topic in topics:
            self._socket.subscribe(topic)
        if credentials is not None:
            credentials.put_on(self._socket)
        for endpoint in endpoints:
            understand(self._socket, endpoint)
            self._socket.connect(endpoint)

    def receive(self, timeout_ms: int) -> BusMessage | None:
        """The next message, None where none came in time."""
        if not self._socket.poll(timeout_ms, zmq.POLLIN):
            return None
        parts = self._socket.recv_multipart()
        try:
            topic, header, data = parts
            return BusMessage(topic.decode(), _DECODER.decode(header), data)
        except (ValueError, msgspec.DecodeError, RecursionError):  # UnicodeDecodeError is a ValueError
            self.malformed += 1
            return None

    def close(self) -> None:
        """Stop listening. Idempotent."""
        self._context.destroy(linger=0)
