"""A ROS 2 network within the test: what is published is delivered at once, as bytes that went through CDR."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from ros_bridge import cdr
from ros_bridge.messages import M, Message
from ros_bridge.transport import Quality, Received
from runtime.contracts.errors import SourceError

T_RECEIVED_NS = 1_700_000_000_000_000_000


class Network:
    """A transport without a network. `sent` keeps what was published, by topic."""

    def __init__(self) -> None:
        self.types: dict[str, tuple[str, ...]] = {}
        self.sent: dict[str, list[Message]] = defaultdict(list)
        self.qualities: dict[str, Quality] = {}
        self.advertised: dict[str, type[Message]] = {}
        self.ros_ns = 0
        self.closed = False
        self._listening: dict[str, tuple[type[Message], Callable[[Received], None], int]] = {}

    def subscribe(
        self, topic: str, kind: type[M], quality: Quality, on_received: Callable[[Received], None], max_bytes: int
    ) -> None:
        self._listening[topic] = (kind, on_received, max_bytes)
        self.qualities[topic] = quality

    def advertise(self, topic: str, kind: type[Message], quality: Quality) -> Publication:
        self.qualities[topic], self.advertised[topic] = quality, kind
        return Publication(self.sent[topic])

    def publishers(self, topic: str) -> tuple[str, ...]:
        return self.types.get(topic, ())

    def now_ns(self) -> int:
        return self.ros_ns

    def close(self) -> None:
        self.closed = True

    def say(self, topic: str, message: Message | bytes, *, lost: int = 0) -> None:
        """Somebody publishes on a topic that is listened to."""
        kind, on_received, max_bytes = self._listening[topic]
        data = message if isinstance(message, bytes) else cdr.encode(message)
        try:
            on_received(Received(cdr.decode(kind, data, max_bytes=max_bytes), "", T_RECEIVED_NS, lost))
        except SourceError as error:
            on_received(Received(None, str(error), T_RECEIVED_NS, lost))


class Publication:
    """A topic that is listened to by the test."""

    def __init__(self, sent: list[Message]) -> None:
        self._sent = sent

    def listeners(self) -> int:
        return 1

    def publish(self, message: Message) -> None:
        cdr.encode(message)  # what cannot be written is found out here, as on a network
        self._sent.append(message)
