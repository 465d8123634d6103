"""The socket on which a moment is marked: a ROUTER beside the recorder, a DEALER with whoever marks.

A mark is one message of one part, answered by one. It is answered once it is on the disk; one that is sent again (the
answer was lost, the recorder died) is known by its token, counts once and is answered as before. What is no mark, or
larger than one, is counted, refused, and nobody's error.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
import zmq

from runtime.access.endpoint import understand
from runtime.access.gate import Gate
from runtime.access.keys import Credentials
from runtime.contracts.clock import Clock
from runtime.contracts.errors import LinkError
from runtime.contracts.incident import Mark, Marked
from runtime.contracts.units import NS_PER_MS, NS_PER_S

LARGEST_MARK_BYTES = 4096  # the longest token, reason and name, four bytes a character
_LARGEST_MESSAGE_BYTES = 1024 * 1024  # beyond it ZeroMQ cuts the connection
_BATCH = 16  # marks that are synced together; the recorder's other work comes in between
_QUEUE = 64  # of one sender
_AGAIN_MS = 500
_KEYS_HINT = "; does it run? Over tcp it asks for a key: --vehicle PUBLIC --client NAME"

_ENCODER = msgspec.msgpack.Encoder()
_MARK = msgspec.msgpack.Decoder(Mark)
_MARKED = msgspec.msgpack.Decoder(Marked)
T = TypeVar("T")


def marks_socket(gate: Gate, endpoint: str) -> zmq.Socket[bytes]:
    """The recorder's end, behind its gate. Raises LinkError where the endpoint cannot be bound."""
    router = gate.context.socket(zmq.ROUTER)
    router.set(zmq.RCVHWM, _QUEUE)
    router.set(zmq.SNDHWM, _QUEUE)
    router.set(zmq.MAXMSGSIZE, _LARGEST_MESSAGE_BYTES)
    gate.bind(router, endpoint, "marks", "marks cannot be taken")
    return router


class MarkDesk:
    """Takes what has come on the socket and answers it.

    `rejected` counts what was no mark, and marks that were taken before.
    """

    def __init__(self, socket: zmq.Socket[bytes], take: Callable[[Sequence[Mark]], Sequence[Marked]]) -> None:
        """`take` answers each mark, in their order, once they are on the disk; it raises nothing of its own."""
        self.socket, self._take = socket, take
        self._seen: set[str] = set()
        self.rejected = 0

    def serve(self) -> None:
        """Deal with what has come, up to a bound. Never waits for anybody but the disk."""
        senders: list[bytes] = []
        marks: list[Mark] = []
        for _ in range(_BATCH):
            try:
                sender, *parts = self.socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                break
            mark = _decoded(_MARK, parts)
            if mark is None:
                self.rejected += 1
                self._answer(sender, Marked("", "", -1, "this is no mark"))
                continue
            senders.append(sender)
            marks.append(mark)
        if marks:
            for sender, mark, answer in zip(senders, marks, self._take(marks), strict=True):
                self._count(mark, answer)
                self._answer(sender, answer)

    def _count(self, mark: Mark, answer: Marked) -> None:
        if mark.token in self._seen:
            self.rejected += 1
        elif not answer.refusal:
            self._seen.add(mark.token)  # bounded as the marks that an incident keeps are

    def _answer(self, sender: bytes, answer: Marked) -> None:
        with contextlib.suppress(zmq.ZMQError):  # it has gone, or does not read
            self.socket.send_multipart((sender, _ENCODER.encode(answer)), zmq.DONTWAIT)


def marker_socket(
    context: zmq.Context[zmq.Socket[bytes]], endpoint: str, credentials: Credentials | None = None
) -> zmq.Socket[bytes]:
    """The end of whoever marks. Raises LinkError on what is no endpoint."""
    dealer = context.socket(zmq.DEALER)
    dealer.set(zmq.LINGER, 0)
    dealer.set(zmq.SNDHWM, _QUEUE)
    dealer.set(zmq.MAXMSGSIZE, LARGEST_MARK_BYTES)
    understand(dealer, endpoint)
    if credentials is not None:
        credentials.put_on(dealer)
    try:
        dealer.connect(endpoint)
    except zmq.ZMQError as error:
        raise LinkError(f"{endpoint} cannot be used: {error}; give one as tcp://HOST:PORT") from error
    return dealer


def send_mark(
    endpoint: str, reason: str, by: str, *, timeout_s: float, clock: Clock, credentials: Credentials | None = None
) -> Marked:
    """Mark this moment and wait until that is on the disk.

    Args:
        endpoint: the recorder's.
        reason, by: as in a `Mark`.
        timeout_s: after so long it is given up. It may still have been taken, where only the answer was lost.
        clock: the host's.
        credentials: whose key a recorder over tcp has on its list.

    Raises:
        LinkError: what was given makes no mark, nobody answered in time, or the recorder refused it.
    """
    mark = Mark(secrets.token_hex(16), reason, by)
    try:
        data = _ENCODER.encode(mark)
    except UnicodeEncodeError as error:
        raise LinkError(
            f"{error.object!a} is no valid UTF-8; write it otherwise, or set LANG to a UTF-8 locale"
        ) from error
    if _decoded(_MARK, [data]) is None:
        raise LinkError("a mark has a reason of 1 to 500 characters, and a name of at most 100; shorten what was given")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
    try:
        socket = marker_socket(context, endpoint, credentials)
        deadline_ns = clock.monotonic_ns() + round(timeout_s * NS_PER_S)
        while (left_ms := (deadline_ns - clock.monotonic_ns()) // NS_PER_MS) > 0:
            with contextlib.suppress(zmq.Again):
                socket.send(data, zmq.DONTWAIT)
            if not socket.poll(min(left_ms, _AGAIN_MS), zmq.POLLIN):
                continue  # a recorder that has just died never got it
            answer = _decoded(_MARKED, socket.recv_multipart())
            if answer is not None and answer.token == mark.token:
                if answer.refusal:
                    raise LinkError(f"the moment was not marked: {answer.refusal}")
                return answer
    finally:
        context.destroy(linger=0)
    raise LinkError(
        f"no recorder answered on {endpoint} in {timeout_s:g} s: the moment may not be marked"
        + ("; does it run, and is this key on its list as a marker?" if credentials is not None else _KEYS_HINT)
    )


def _decoded(decoder: msgspec.msgpack.Decoder[T], parts: list[bytes]) -> T | None:
    if len(parts) != 1 or len(parts[0]) > LARGEST_MARK_BYTES:
        return None
    try:
        return decoder.decode(parts[0])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
