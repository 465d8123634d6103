"""The driving process's end of the link, against a socket that answers as a recorder might."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zmq

from runtime.bus.link import LinkSender
from runtime.contracts import link
from runtime.contracts.clock import SystemClock
from runtime.contracts.config import RecordConfig
from runtime.contracts.errors import LinkError
from runtime.contracts.link import Acknowledge, Finish, Finished, Hello, LossNotice, MessageSet, Payload, ToDrive
from runtime.contracts.messages import Gap

SESSION = "a-session"
WAIT_MS = 3000


class Peer:
    """A ROUTER under the test's hand."""

    def __init__(self, endpoint: str) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.set(zmq.ROUTER_MANDATORY, 1)
        self.socket.bind(endpoint)
        self.name = b""  # of who spoke last

    def receive(self, wait_ms: int = WAIT_MS) -> link.ToRecorder | None:
        if not self.socket.poll(wait_ms):
            return None
        self.name, data = self.socket.recv_multipart()
        return link.decode_to_recorder(data)

    def sets(self) -> list[int]:
        """The sequences of the sets that are there now; a loss notice as minus its last sequence."""
        found = []
        while (message := self.receive(200)) is not None:
            if isinstance(message, MessageSet):
                found.append(message.sequence)
            if isinstance(message, LossNotice):
                assert message.gap.last is not None
                found.append(-message.gap.last)
        return found

    def answer(self, *messages: ToDrive) -> None:
        for message in messages:
            self.socket.send_multipart([self.name, link.encode(message)])


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/link"


@pytest.fixture
def peer(endpoint: str) -> Iterator[Peer]:
    peer = Peer(endpoint)
    yield peer
    peer.context.destroy(linger=0)


def a_sender(endpoint: str, **record: int) -> LinkSender:
    config = msgspec.structs.replace(RecordConfig(credit=4, link_sets=10, picture_slots=3), **record)
    return LinkSender(endpoint, SESSION, config, SystemClock())


@pytest.fixture
def sender(endpoint: str) -> Iterator[LinkSender]:
    sender = a_sender(endpoint)
    yield sender
    sender.close()


def hand_over(sender: LinkSender, count: int = 1, data: bytes = b"x") -> None:
    for _ in range(count):
        sender.hand_over((Payload("/event", -1, 0, 0, data),), t_source_ns=0)


def poll_until(sender: LinkSender, waiting: int) -> None:
    """Let the sender take answers until so many sets wait."""
    for _ in range(10):
        sender.poll()
        if sender.waiting == waiting:
            return
        sender._line.wait(WAIT_MS)
    raise AssertionError(f"{sender.waiting} sets wait, not {waiting}")


def test_it_greets_first_and_sends_no_more_than_the_credit(peer: Peer, sender: LinkSender) -> None:
    hand_over(sender, 7)
    assert peer.receive() == Hello(SESSION, "", 0, 0, 0)
    assert peer.sets() == [0, 1, 2, 3]
    assert sender.acknowledged == 0
    peer.answer(Acknowledge(SESSION, 2, 4))
    poll_until(sender, 5)
    assert sender.acknowledged == 2
    assert peer.sets() == [4, 5]


def test_it_sends_again_from_where_the_recorder_asks(peer: Peer, sender: LinkSender) -> None:
    hand_over(sender, 4)
    assert peer.sets() == [0, 1, 2, 3]
    peer.answer(Acknowledge(SESSION, 1, 4, resend=True))
    poll_until(sender, 3)
    assert peer.sets() == [1, 2, 3]


def test_a_silent_recorder_is_greeted_again(peer: Peer, sender: LinkSender) -> None:
    hand_over(sender, 2)
    assert peer.sets() == [0, 1]
    hellos = 0
    for _ in range(100):
        sender.wait_for_credit(0.01)
        message = peer.receive(10)
        hellos += isinstance(message, Hello)
        if hellos == 2:
            return
    raise AssertionError("no second greeting")


def test_beyond_the_bound_the_oldest_unsent_go_and_stand_as_one_growing_gap(peer: Peer, sender: LinkSender) -> None:
    hand_over(sender, 25)  # 4 sent, 21 not, room for 10 in all: 4 to 18 go
    assert (sender.lost, sender.waiting) == (15, 10)
    assert peer.sets() == [0, 1, 2, 3]
    peer.answer(Acknowledge(SESSION, 4, 4))
    poll_until(sender, 7)
    messages = [peer.receive() for _ in range(4)]
    assert isinstance(messages[0], LossNotice)
    assert messages[0].gap == Gap(SESSION, 4, 18, messages[0].gap.reason)
    assert [m.sequence for m in messages[1:] if isinstance(m, MessageSet)] == [19, 20, 21]
    peer.answer(Acknowledge(SESSION, 22, 4))
    poll_until(sender, 3)
    assert peer.sets() == [22, 23, 24]


def test_the_bound_in_bytes_holds_too_even_for_one_set_alone(peer: Peer, endpoint: str) -> None:
    with closing(a_sender(endpoint, link_mib=1, credit=1)) as sender:
        hand_over(sender, 1)
        hand_over(sender, 1, bytes(2 << 20))
        hand_over(sender, 1)
        assert sender.lost == 1
        assert peer.sets() == [0]
        peer.answer(Acknowledge(SESSION, 1, 4))
        assert sender.wait_for_credit(WAIT_MS / 1000), vars(sender)
        assert peer.sets() == [-1, 2]


def test_a_picture_keeps_its_slot_until_its_set_is_acknowledged(peer: Peer, sender: LinkSender) -> None:
    picture = np.zeros((4, 5, 3), np.uint8)
    for _ in range(3):
        placed = sender.place({"front": picture})
        assert placed.missing == {}
        sender.hand_over((), t_source_ns=0, pictures=placed.refs)
    assert "no free slot" in sender.place({"front": picture}).missing["front"]
    assert peer.receive() is not None
    peer.answer(Acknowledge(SESSION, 2, 4))
    poll_until(sender, 1)
    assert {sender.place({"front": picture}).refs[0].slot for _ in range(2)} == {0, 1}
    assert sender.place({"front": picture}).refs == ()


def test_credit_is_waited_for_until_a_whole_set_of_pictures_has_room(peer: Peer, sender: LinkSender) -> None:
    pictures = {"front": np.zeros((4, 5, 3), np.uint8), "left": np.zeros((4, 5, 3), np.uint8)}
    sender.hand_over((), t_source_ns=0, pictures=sender.place(pictures).refs)
    assert not sender.wait_for_credit(0.05)  # one slot is free, two are needed
    assert peer.receive() is not None
    peer.answer(Acknowledge(SESSION, 1, 4))
    assert sender.wait_for_credit(WAIT_MS / 1000)


def test_credit_is_waited_for_until_a_set_of_that_size_has_room(peer: Peer, endpoint: str) -> None:
    sender = a_sender(endpoint, link_mib=1)
    payload = Payload("/model/input", 0, 0, 0, bytes(600 * 1024))
    sender.hand_over([payload], t_source_ns=0)
    assert not sender.wait_for_credit(0.05)
    assert peer.sets() == [0]
    peer.answer(Acknowledge(SESSION, 1, 4))
    assert sender.wait_for_credit(WAIT_MS / 1000)
    sender.hand_over([payload], t_source_ns=0)
    assert sender.lost == 0
    sender.close()


def test_finish_waits_for_the_last_acknowledgement_and_the_seal(peer: Peer, sender: LinkSender) -> None:
    hand_over(sender, 3)

    def recorder() -> None:
        while (message := peer.receive()) is not None:
            if isinstance(message, MessageSet):
                peer.answer(Acknowledge(SESSION, message.sequence + 1, 4))
            if isinstance(message, Finish):
                farewells.append(message.sequence)
                peer.answer(Finished(SESSION))
                return

    farewells: list[int] = []
    thread = threading.Thread(target=recorder)
    thread.start()
    assert sender.finish(WAIT_MS / 1000) is None
    thread.join()
    assert sender.waiting == 0
    assert farewells == [3]


def test_finish_says_why_where_nobody_answers(sender: LinkSender) -> None:
    hand_over(sender, 3)
    assert sender.finish(0.1) == "the recorder acknowledged none of 3 message sets in 0.1 s"


def test_finish_does_not_wait_for_ever_on_a_recorder_that_answers_and_never_seals(
    peer: Peer, sender: LinkSender
) -> None:
    over = threading.Event()

    def recorder() -> None:
        while not over.is_set():
            if isinstance(peer.receive(50), Finish):
                peer.answer(Acknowledge(SESSION, 0, 4))

    thread = threading.Thread(target=recorder)
    thread.start()
    said = sender.finish(0.5)
    over.set()
    thread.join()
    assert said == "everything is on the disk, but the recorder did not seal the record in 0.5 s"


def test_nonsense_from_the_other_end_is_counted_and_changes_nothing(peer: Peer, sender: LinkSender) -> None:
    hand_over(sender, 3)
    assert peer.receive() is not None
    peer.socket.send_multipart([peer.name, b"nonsense"])
    peer.answer(Acknowledge("another", 3, 4), Acknowledge(SESSION, 99, 4), Acknowledge(SESSION, 1, 4))
    poll_until(sender, 2)
    assert sender.malformed == 3


def test_a_line_that_an_answer_too_large_has_cut_is_made_again(peer: Peer, sender: LinkSender) -> None:
    assert isinstance(peer.receive(), Hello)
    peer.socket.send_multipart([peer.name, bytes(5000)])
    for _ in range(500):
        hand_over(sender)
        sender.wait_for_credit(0.01)
        message = peer.receive(0)
        if isinstance(message, Hello):
            break
    assert isinstance(message, Hello)
    peer.answer(Acknowledge(SESSION, 0, 4, resend=True))
    assert sender._line.wait(WAIT_MS)
    sender.poll()
    assert 0 in peer.sets(), "what was under way when it was cut comes again"


def test_several_parts_are_no_answer(peer: Peer, sender: LinkSender) -> None:
    hand_over(sender, 3)
    assert peer.receive() is not None
    data = link.encode(Acknowledge(SESSION, 3, 4))
    for parts in ([], [b"", data], [data, data]):
        peer.socket.send_multipart([peer.name, *parts])
    peer.answer(Acknowledge(SESSION, 1, 4))
    poll_until(sender, 2)
    assert sender.malformed >= 2


def test_answers_without_end_do_not_hold_up_the_drive(peer: Peer, sender: LinkSender) -> None:
    assert isinstance(peer.receive(), Hello)
    over = threading.Event()

    def recorder() -> None:
        data = link.encode(Acknowledge(SESSION, 0, 4))
        while not over.is_set():
            with suppress(zmq.ZMQError):
                peer.socket.send_multipart([peer.name, data], zmq.DONTWAIT)

    thread = threading.Thread(target=recorder)
    thread.start()
    try:
        for _ in range(20):
            hand_over(sender)  # each takes what has come, and comes to an end
    finally:
        over.set()
        thread.join()


def test_an_endpoint_that_is_none_is_a_link_error() -> None:
    with pytest.raises(LinkError, match="cannot be used"):
        a_sender("nonsense://x")
