"""The driving process's end of the link, and a viewer's: against a peer that answers whatever it likes."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import msgspec
import numpy as np
import zmq

from benchmarks.fuzzing.mutation import EXTREMES, HOSTILE_TEXTS, deep_msgpack, mutated_msgpack
from benchmarks.fuzzing.seeds import frame_payloads, put_away
from benchmarks.fuzzing.target import BrokenPromiseError, ByBytes, Outcome
from runtime.bus.link import LinkSender
from runtime.bus.publisher import BusHeader, Subscriber
from runtime.contracts import link
from runtime.contracts.clock import SystemClock
from runtime.contracts.config import RecordConfig
from runtime.contracts.link import Acknowledge, Finished
from runtime.contracts.topics import TOPICS

_SESSION = "a-session"
_SETS = 8
_PATIENCE_MS = 3000
_CONFIG = msgspec.structs.replace(RecordConfig(), credit=4, link_sets=20, picture_slots=3)
_PICTURE = np.zeros((4, 5, 3), np.uint8)

Answer = list[bytes]
"""One multipart message."""


class SenderTarget(ByBytes):
    """A case is a list of multipart answers; between them frames are handed over, as in a drive."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._endpoint = f"ipc://{work}/link"
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._peer = self._context.socket(zmq.ROUTER)
        self._peer.set(zmq.ROUTER_MANDATORY, 1)
        self._peer.bind(self._endpoint)
        self._name = b""

    def case(self, random: Random) -> bytes:
        """Answers, few of them right."""
        return msgspec.msgpack.encode(_answers(random))

    def take(self, case: bytes) -> Outcome:
        """Drive with that recorder at the other end, and then with an honest one, with whom it must come to an end."""
        answers: list[Answer] = msgspec.msgpack.decode(case, type=list[Answer])
        sender = LinkSender(self._endpoint, _SESSION, _CONFIG, SystemClock())
        handed_over = 0
        try:
            self._hear()
            step = max(1, len(answers) // _SETS)
            for start in range(0, len(answers), step):
                for answer in answers[start : start + step]:
                    self._send(sender, answer)
                number = start // step
                refs = sender.place({"front": _PICTURE}).refs
                sender.hand_over(frame_payloads(number), t_source_ns=0, frame_sequence=number, pictures=refs)
                if sender.waiting > _CONFIG.link_sets:
                    raise BrokenPromiseError(f"{sender.waiting} sets wait, more than {_CONFIG.link_sets}")
                handed_over = number + 1
            self._settle(sender, handed_over)
            refused = min(sender.malformed, len(answers))
        finally:
            sender.close()
            while self._peer.poll(0):
                self._peer.recv_multipart()
        return Outcome(len(answers), len(answers) - refused, refused)

    def _send(self, sender: LinkSender, answer: Answer) -> None:
        """Send it; the sender cuts the line upon a message that is too large, and is back a moment later."""
        deadline = time.monotonic() + _PATIENCE_MS / 1000
        while not self._sent([self._name, *answer]):
            if time.monotonic() > deadline:
                raise BrokenPromiseError("the sender does not come back")
            sender.wait_for_credit(0.01)
            while self._peer.poll(0):  # it is another connection now
                self._name = self._peer.recv_multipart()[0]

    def _sent(self, parts: Answer) -> bool:
        try:
            self._peer.send_multipart(parts)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False
        return True

    def _hear(self) -> None:
        """Wait for the greeting: before it, the peer knows of nobody."""
        if not self._peer.poll(_PATIENCE_MS):
            raise BrokenPromiseError("the sender does not greet")
        self._name = self._peer.recv_multipart()[0]

    def _settle(self, sender: LinkSender, handed_over: int) -> None:
        """An honest recorder in the hostile one's place."""
        answer = link.encode(Acknowledge(_SESSION, handed_over, 2 * _SETS))
        deadline = time.monotonic() + _PATIENCE_MS / 1000
        while sender.waiting and time.monotonic() < deadline:
            self._send(sender, [answer])
            sender.wait_for_credit(0.005)
        self._send(sender, [link.encode(Finished(_SESSION))])
        why = sender.finish(_PATIENCE_MS / 1000)
        if why is not None and why.startswith(("the recorder acknowledged none", "everything is on the disk")):
            raise BrokenPromiseError(f"an honest recorder comes too late: {why}")

    def close(self) -> None:
        """Close the sockets."""
        self._context.destroy(linger=0)
        put_away(self._work)


def _answers(random: Random) -> list[Answer]:
    answers = [_answer(random) for _ in range(random.randrange(5, 60))]
    if random.random() < 0.03:
        return answers
    return [answer for answer in answers if all(len(part) <= 4096 for part in answer)]  # a larger one costs the line


def _answer(random: Random) -> Answer:
    session = _SESSION if random.random() < 0.9 else random.choice((*HOSTILE_TEXTS, "another"))
    far = random.choice((0, 1, 2, 3, 5, 9, random.choice(EXTREMES) % 2**63))
    credit = random.choice((0, 1, 4, random.choice(EXTREMES) % 2**63))
    message = link.encode(
        Finished(session) if random.random() < 0.05 else Acknowledge(session, far, credit, random.random() < 0.4)
    )
    fate = random.random()
    if fate < 0.4:
        return [message]
    if fate < 0.75:
        return [mutated_msgpack(random, message)]
    if fate < 0.9:
        return [random.choice((b"", message, random.randbytes(5))) for _ in range(random.choice((2, 3, 40)))]
    return [random.choice((b"", deep_msgpack(2000), bytes(4096), b"\x94\xa3ack", random.randbytes(64)))]


class SubscriberTarget(ByBytes):
    """A case is a list of multipart messages from a publisher that a viewer listens to."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.set(zmq.SNDHWM, 0)
        self._socket.bind(f"ipc://{work}/viewers")
        self._subscriber = Subscriber([f"ipc://{work}/viewers"], queue=10_000)
        if not self._socket.poll(_PATIENCE_MS):
            raise BrokenPromiseError("the viewer does not subscribe")

    def case(self, random: Random) -> bytes:
        """Messages, few of them whole."""
        return msgspec.msgpack.encode([_published(random) for _ in range(random.randrange(5, 60))])

    def take(self, case: bytes) -> Outcome:
        """Send them and one that is whole, and receive up to that."""
        messages: list[Answer] = msgspec.msgpack.decode(case, type=list[Answer])
        before, taken = self._subscriber.malformed, 0
        last = msgspec.msgpack.encode(BusHeader("the last", 0, 0, 0))
        for message in (*messages, [b"/event", last, b""]):
            self._socket.send_multipart(message)
        for _ in range(len(messages) + 1):
            found = self._subscriber.receive(_PATIENCE_MS)
            if found is None:
                continue
            if found.header.session == "the last":
                break
            taken += 1
        else:
            raise BrokenPromiseError("a whole message did not come through")
        refused = self._subscriber.malformed - before
        if taken + refused != len(messages):
            raise BrokenPromiseError(f"{taken} taken and {refused} refused of {len(messages)}")
        return Outcome(len(messages), taken, refused)

    def close(self) -> None:
        """Close the sockets."""
        self._subscriber.close()
        self._context.destroy(linger=0)
        put_away(self._work)


def _published(random: Random) -> Answer:
    header = msgspec.msgpack.encode(BusHeader(_SESSION, 1, 2, 3))
    whole = [random.choice(TOPICS).name.encode(), header, random.randbytes(20)]
    fate = random.random()
    if fate < 0.25:
        return whole
    if fate < 0.6:
        return [whole[0], mutated_msgpack(random, header), whole[2]]
    if fate < 0.7:
        return [random.choice((b"", b"\xff\xfe", b"a" * 9999, b"/\x1b[2J")), header, b""]
    if fate < 0.85:
        return [whole[0], b"\x95" + header[1:] + deep_msgpack(random.choice((500, 3000, 50_000))), b""]
    return [random.choice((b"", header, random.randbytes(5))) for _ in range(random.choice((1, 2, 4, 30)))]
