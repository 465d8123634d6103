"""The DEALER under the driving process's end of the link. It sends, or says that it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import zmq

from runtime.access.endpoint import understand
from runtime.access.keys import Credentials
from runtime.contracts.errors import LinkError

_MAX_REPLY_BYTES = 4096
_MOST_REPLIES = 256  # at a time: who answers without end must not hold up the drive
_UNCOPIED_BYTES = 65_536  # from here on zmq holds a reference instead of a copy


class Line:
    """One connection. It has no name: the other end tells it by itself, and one that is made again is another.

    Raises LinkError where the endpoint cannot be used.
    """

    def __init__(self, endpoint: str, queue: int, credentials: Credentials | None) -> None:
        self._endpoint = endpoint
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.SNDHWM, queue)
        self._socket.set(zmq.MAXMSGSIZE, _MAX_REPLY_BYTES)
        self._socket.set(zmq.RECONNECT_IVL, 20)
        self._socket.set(zmq.RECONNECT_IVL_MAX, 320)
        understand(self._socket, endpoint)
        if credentials is not None:
            credentials.put_on(self._socket)
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise LinkError(f"the recorder's endpoint {endpoint} cannot be used: {error}") from error

    def replies(self) -> Iterator[bytes]:
        """What has come, each as its one part; of what has another number of parts, nothing."""
        for _ in range(_MOST_REPLIES):
            if not self.wait(0):
                return
            parts = self._socket.recv_multipart(zmq.DONTWAIT)
            yield parts[0] if len(parts) == 1 else b""

    def wait(self, timeout_ms: int) -> bool:
        """Whether something has come within that time."""
        return bool(self._socket.poll(timeout_ms, zmq.POLLIN))

    def send(self, data: bytes) -> bool:
        """Whether it could be queued."""
        try:
            self._socket.send(data, zmq.DONTWAIT, copy=len(data) < _UNCOPIED_BYTES)
        except zmq.Again:
            return False
        return True

    def connect_again(self) -> None:
        """ZeroMQ gives a connection up for good over which something came that is none of its protocol, or too large.
        What was queued on it is gone.
        """
        with suppress(zmq.ZMQError):  # there is none to take down
            self._socket.disconnect(self._endpoint)
        with suppress(zmq.ZMQError):  # it could be used at first; if not now, it is tried again
            self._socket.connect(self._endpoint)

    def close(self) -> None:
        """Give the socket back; what was not sent is dropped. Idempotent."""
        self._context.destroy(linger=0)
