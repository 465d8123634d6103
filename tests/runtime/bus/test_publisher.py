"""The viewers' socket: lossy, never waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from runtime.bus.publisher import BusHeader, BusMessage, Publisher, Subscriber
from runtime.contracts.errors import LinkError
from runtime.contracts.link import Payload

PATIENCE_S = 20.0


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/pub"


@pytest.fixture
def publisher(endpoint: str) -> Iterator[Publisher]:
    publisher = Publisher(endpoint, "session", queue=4)
    yield publisher
    publisher.close()


def payload(sequence: int, data: bytes = b"{}") -> Payload:
    return Payload("/decision", sequence, sequence * 10, 5, data)


def first_message(publisher: Publisher, viewer: Subscriber) -> BusMessage:
    """Publishes until the viewer's subscription is through."""
    for sequence in range(10_000):
        publisher.publish(payload(sequence))
        message = viewer.receive(5)
        if message is not None:
            return message
    raise AssertionError("nothing ever arrived")


def test_a_viewer_gets_topic_times_and_the_very_bytes(publisher: Publisher, endpoint: str) -> None:
    viewer = Subscriber([endpoint], ["/decision"])
    first_message(publisher, viewer)
    while viewer.receive(100) is not None:
        pass
    publisher.publish(payload(77, b'{"a": 1}'))
    assert viewer.receive(2000) == BusMessage("/decision", BusHeader("session", 77, 770, 5), b'{"a": 1}')
    viewer.close()


def test_a_viewer_that_stopped_reading_holds_nobody_up_and_is_not_fed_beyond_its_queue(
    publisher: Publisher, endpoint: str
) -> None:
    viewer = Subscriber([endpoint], queue=2)
    first_message(publisher, viewer)

    def publish_much() -> None:
        for sequence in range(2_000):
            publisher.publish(payload(sequence, bytes(100_000)))

    thread = threading.Thread(target=publish_much, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    late = 0
    while viewer.receive(200) is not None:
        late += 1
    assert late < 50
    viewer.close()


def test_messages_of_another_shape_are_counted_and_skipped(endpoint: str) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.XPUB)
    socket.bind(endpoint)
    viewer = Subscriber([endpoint], queue=10)
    assert socket.poll(int(PATIENCE_S * 1000))
    socket.recv()
    deep = b"\x95\xa1s\x01\x02\x03" + b"\x91" * 100_000 + b"\x90"  # deeper than any Python goes: 3.13 goes 9,000 deep
    for parts in ([b"/a"], [b"/a", b"nonsense", b"x"], [b"\xff", b"\x94\xa1s\x01\x02\x03", b"x"], [b"/a", deep, b"x"]):
        socket.send_multipart(parts)
        assert viewer.receive(5000) is None
    assert viewer.malformed == 4
    socket.send_multipart([b"/a", b"\x94\xa1s\x01\x02\x03", b"x"])
    assert viewer.receive(5000) == BusMessage("/a", BusHeader("s", 1, 2, 3), b"x")
    viewer.close()
    context.destroy(linger=0)


def test_an_endpoint_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="cannot be served"):
        Publisher(f"ipc://{tmp_path}/no/such/folder/pub", "session", queue=4)
