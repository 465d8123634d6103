"""The marks socket: answered once taken, whatever else is sent on it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import zmq

from runtime.access.gate import Gate
from runtime.contracts.clock import SystemClock
from runtime.contracts.errors import LinkError
from runtime.contracts.incident import Mark, Marked
from runtime.incident.marks import LARGEST_MARK_BYTES, MarkDesk, marks_socket, send_mark

WAIT_MS = 5000


class Bench:
    """A desk under the test's hand, and a sender that may send anything."""

    def __init__(self, folder: Path) -> None:
        self.endpoint = f"ipc://{folder}/marks"
        self.gate = Gate()
        self.taken: list[Mark] = []
        self.refusal = ""
        self.desk = MarkDesk(marks_socket(self.gate, self.endpoint), self._take)
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.sender = self.context.socket(zmq.DEALER)
        self.sender.connect(self.endpoint)

    def exchange(self, *messages: bytes | list[bytes]) -> list[Marked]:
        """Send messages and serve until each was dealt with; the answers to them."""
        for message in messages:
            self.sender.send_multipart(message if isinstance(message, list) else [message])
        answers: list[Marked] = []
        while len(answers) < len(messages):
            assert self.desk.socket.poll(WAIT_MS)
            self.desk.serve()
            while self.sender.poll(20):
                answers.append(msgspec.msgpack.decode(self.sender.recv(), type=Marked))
        return answers

    def close(self) -> None:
        self.context.destroy(linger=0)
        self.gate.close()

    def _take(self, marks: Sequence[Mark]) -> list[Marked]:
        self.taken += marks
        return [Marked(mark.token, "drive", 7, self.refusal) for mark in marks]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


@contextmanager
def served(bench: Bench) -> Iterator[None]:
    """The desk in a thread of its own, as the recorder is a process of its own."""
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            if bench.desk.socket.poll(10):
                bench.desk.serve()

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    over.set()
    thread.join()


def encoded(mark: Mark) -> bytes:
    return msgspec.msgpack.encode(mark)


def test_a_mark_is_taken_and_answered(bench: Bench) -> None:
    mark = Mark("a", "look", "me")
    assert bench.exchange(encoded(mark)) == [Marked("a", "drive", 7)]
    assert bench.taken == [mark]
    assert bench.desk.rejected == 0


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"mark",
        b"\xc1",
        b"\xff" * 100,
        b"\x91" * 1000,
        [encoded(Mark("a", "look")), b"b"],
        encoded(Mark("", "no token")),
        encoded(Mark("a", "")),
        encoded(Mark("a", "x" * 501)),
        encoded(Mark("a" * 65, "x")),
        encoded(Mark("a", "x" * LARGEST_MARK_BYTES)),
        msgspec.msgpack.encode(Marked("a", "drive", 1)),
        b"\0" * 1_000_000,
    ],
    ids=lambda junk: f"{len(junk)} bytes" if isinstance(junk, bytes) else "several parts",
)
def test_what_is_no_mark_is_counted_and_refused_and_the_next_one_is_taken(
    junk: bytes | list[bytes], bench: Bench
) -> None:
    refused, taken = bench.exchange(junk, encoded(Mark("a", "look")))
    assert refused.refusal
    assert taken == Marked("a", "drive", 7)
    assert bench.desk.rejected == 1
    assert [mark.token for mark in bench.taken] == ["a"]


def test_a_mark_that_is_sent_again_is_answered_as_before_and_counted(bench: Bench) -> None:
    mark = encoded(Mark("a", "look"))
    first, again = bench.exchange(mark), bench.exchange(mark)
    assert first == again
    assert bench.desk.rejected == 1


def test_a_flood_is_dealt_with_a_part_at_a_time(bench: Bench) -> None:
    for count in range(200):
        bench.sender.send(encoded(Mark(f"{count}", "again")))
    assert bench.desk.socket.poll(WAIT_MS)
    bench.desk.serve()
    assert len(bench.taken) <= 16


def test_who_marks_waits_for_the_answer(bench: Bench) -> None:
    with served(bench):
        answer = send_mark(bench.endpoint, "look", "me", timeout_s=10.0, clock=SystemClock())
    assert (answer.drive_id, answer.incident) == ("drive", 7)
    assert {(mark.reason, mark.by) for mark in bench.taken} == {("look", "me")}


def test_a_refusal_and_a_silence_are_told_as_what_they_are(bench: Bench) -> None:
    bench.refusal = "the drive is over"
    with served(bench), pytest.raises(LinkError, match="the drive is over"):
        send_mark(bench.endpoint, "look", "me", timeout_s=10.0, clock=SystemClock())
    with pytest.raises(LinkError, match="no recorder answered"):
        send_mark(bench.endpoint, "look", "me", timeout_s=0.1, clock=SystemClock())


@pytest.mark.parametrize(("reason", "by"), [("", "me"), ("x" * 501, "me"), ("look", "m" * 101)])
def test_what_makes_no_mark_is_not_sent(reason: str, by: str, bench: Bench) -> None:
    with pytest.raises(LinkError, match="shorten"):
        send_mark(bench.endpoint, reason, by, timeout_s=10.0, clock=SystemClock())


def test_what_is_no_endpoint_is_named() -> None:
    with pytest.raises(LinkError, match="nowhere"):
        send_mark("nowhere", "look", "me", timeout_s=1.0, clock=SystemClock())


@pytest.mark.parametrize(("reason", "by"), [("no \udcff text", "me"), ("swerved", "\udcff")])
def test_words_that_are_no_text_make_no_mark(reason: str, by: str, tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="no valid UTF-8"):
        send_mark(f"ipc://{tmp_path}/nobody", reason, by, timeout_s=0.0, clock=SystemClock())
