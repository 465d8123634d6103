"""The driving process's end of the durable link (DEALER).

Everything handed over is kept until the recorder acknowledges it, in two queues: sets that were sent at least once, and
sets that were not yet sent. Both together are bounded by `record.link_sets` and `record.link_mib`.

Drop policy: the oldest set that was not yet sent goes first. What happened last matters most to who asks why, and a set
that was sent may already be on the disk, so giving that one up could declare a gap that is none. What is given up is
one growing range in front of the unsent queue, and travels to the record as a `LossNotice`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from runtime.access.keys import Credentials
from runtime.bus.line import Line
from runtime.bus.ring import PictureRing
from runtime.contracts import link
from runtime.contracts.clock import Clock
from runtime.contracts.config import RecordConfig
from runtime.contracts.errors import LinkError
from runtime.contracts.link import Acknowledge, Finish, Finished, Hello, LossNotice, MessageSet, Payload, PictureRef
from runtime.contracts.messages import Gap
from runtime.contracts.source import Picture
from runtime.contracts.units import NS_PER_MS, NS_PER_S

_SILENCE_NS = 300 * NS_PER_MS  # after so long without a word the recorder is greeted again
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Placed:
    """Where pictures lie in shared memory, and why others do not (by camera, for the ledger's `picture_missing`)."""

    refs: tuple[PictureRef, ...]
    missing: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Kept:
    first: int
    last: int  # beyond `first` in a LossNotice
    data: bytes
    refs: tuple[PictureRef, ...]


class LinkSender:
    """Hands message sets to the recorder. No call waits, except `wait_for_credit` and `finish`, which say so."""

    def __init__(
        self,
        endpoint: str,
        session: str,
        config: RecordConfig,
        clock: Clock,
        credentials: Credentials | None = None,
    ) -> None:
        self._session, self._config, self._clock = session, config, clock
        self._ring: PictureRing | None = None
        self._most_pictures = 0
        self._sent: deque[_Kept] = deque()
        self._unsent: deque[_Kept] = deque()
        self._again = 0  # sets at the front of `_sent` that are under way; the others are to be sent again
        self._next = 0
        self._kept_bytes = self._largest_bytes = 0
        self._lost_from: int | None = None  # an undeclared gap, from here up to the front of `_unsent`
        self._lost_to = -1
        self._credit = config.credit  # before the first acknowledgement: what every recorder grants
        self._acknowledged_count = 0
        self._finished: Finished | None = None
        self._heard_ns = clock.monotonic_ns()
        self._greeted_ns = self._heard_ns - _SILENCE_NS
        self.lost = 0
        self.malformed = 0
        self._line = Line(endpoint, 2 * config.credit + 64, credentials)
        self._greet()

    @property
    def waiting(self) -> int:
        """Sets handed over and not acknowledged."""
        return len(self._sent) + len(self._unsent)

    @property
    def acknowledged(self) -> int:
        """All sets below it are on the disk, or were given up and are declared there."""
        if self._sent:
            return self._sent[0].first
        if self._lost_from is not None:
            return self._lost_from
        return self._unsent[0].first if self._unsent else self._next

    def place(self, pictures: Mapping[str, Picture]) -> Placed:
        """Copy pictures (by camera; uint8, height x width x 3) into shared memory, for the set handed over next.

        The first call fixes the slot's size by its largest picture.
        """
        self.poll()
        if self._ring is None and pictures:
            self._ring = PictureRing(self._config.picture_slots, max(picture.nbytes for picture in pictures.values()))
            self._greet()
        self._most_pictures = max(self._most_pictures, len(pictures))
        refs: list[PictureRef] = []
        missing: dict[str, str] = {}
        for camera, picture in pictures.items():
            assert self._ring is not None
            placed = self._ring.place(camera, picture)
            if isinstance(placed, PictureRef):
                refs.append(placed)
            else:
                missing[camera] = placed
        return Placed(tuple(refs), missing)

    def hand_over(
        self,
        payloads: Sequence[Payload],
        *,
        t_source_ns: int,
        frame_sequence: int = -1,
        pictures: tuple[PictureRef, ...] = (),
    ) -> int:
        """Take one message set and return its sequence on the link. Never waits.

        Beyond the bounds the oldest unsent set is given up.
        """
        sequence = self._next
        message = MessageSet(self._session, sequence, frame_sequence, t_source_ns, tuple(payloads), pictures)
        kept = _Kept(sequence, sequence, link.encode(message), pictures)
        self._next += 1  # a set that could not be encoded leaves no hole
        self._unsent.append(kept)
        self._kept_bytes += len(kept.data)
        if len(kept.data) <= self._config.link_mib * _MIB:  # a larger one never has room: there is nothing to wait for
            self._largest_bytes = max(self._largest_bytes, len(kept.data))
        while self._unsent and (
            self.waiting > self._config.link_sets or self._kept_bytes > self._config.link_mib * _MIB
        ):
            self._give_up(self._unsent.popleft())
        self.poll()
        return sequence

    def poll(self) -> None:
        """Take acknowledgements, send what credit allows, greet a silent recorder. Never waits."""
        for data in self._line.replies():
            self._receive(data)
        self._send_what_may_go()
        now_ns = self._clock.monotonic_ns()
        silent = now_ns - max(self._heard_ns, self._greeted_ns) >= _SILENCE_NS
        if silent and (self.waiting or self._lost_from is not None):
            self._greet()

    def wait_for_credit(self, timeout_s: float) -> bool:
        """For lockstep only: wait until another set with its pictures can go at once; False if that took too long."""
        return self._wait(self._ready, timeout_s)

    def finish(self, timeout_s: float) -> str | None:
        """Wait until everything is on the disk and the record is sealed: None, or why it is not.

        `timeout_s` bounds the time without an acknowledgement, and the sealing as a whole: a recorder that starts again
        and again on a full disk answers each time.
        """
        while self.waiting or self._lost_from is not None:
            before = self._acknowledged_count
            if not self._wait(partial(self._advanced, before), timeout_s):
                return f"the recorder acknowledged none of {self.waiting} message sets in {timeout_s:g} s"
        farewell = link.encode(Finish(self._session, self._next))
        deadline_ns = self._clock.monotonic_ns() + int(timeout_s * NS_PER_S)
        while self._finished is None:
            if self._clock.monotonic_ns() > deadline_ns:
                return f"everything is on the disk, but the recorder did not seal the record in {timeout_s:g} s"
            self._line.send(farewell)
            self._wait(lambda: self._finished is not None, _SILENCE_NS / NS_PER_S)
        return self._finished.unfinished or None

    def close(self) -> None:
        """Give socket and shared memory back; what was not acknowledged is dropped. Idempotent."""
        self._line.close()
        if self._ring is not None:
            self._ring.close()

    def _ready(self) -> bool:
        room = self._again == len(self._sent) < min(self._credit, self._config.link_sets) and not self._unsent
        # A set as large as the largest so far must fit beside what is kept, or it would be given up at once.
        room = room and (not self._sent or self._kept_bytes + self._largest_bytes <= self._config.link_mib * _MIB)
        if self._ring is None:
            return room
        return room and self._ring.free >= min(self._most_pictures, self._ring.slots)

    def _advanced(self, before: int) -> bool:
        return self._acknowledged_count > before or not (self.waiting or self._lost_from is not None)

    def _wait(self, done: Callable[[], bool], timeout_s: float) -> bool:
        deadline_ns = self._clock.monotonic_ns() + int(timeout_s * NS_PER_S)
        while True:
            self.poll()
            if done():
                return True
            left_ns = deadline_ns - self._clock.monotonic_ns()
            if left_ns <= 0:
                return False
            self._line.wait(max(1, min(left_ns, _SILENCE_NS) // NS_PER_MS))

    def _receive(self, data: bytes) -> None:
        try:
            message = link.decode_to_drive(data)
        except LinkError:
            self.malformed += 1
            return
        if message.session != self._session:
            self.malformed += 1
            return
        self._heard_ns = self._clock.monotonic_ns()
        if isinstance(message, Finished):
            self._finished = message
        elif isinstance(message, Acknowledge):
            self._acknowledged(message)

    def _acknowledged(self, message: Acknowledge) -> None:
        if message.next_sequence > self._next:
            self.malformed += 1
            return
        self._credit = message.credit
        while self._sent and self._sent[0].last < message.next_sequence:
            kept = self._sent.popleft()
            self._again = max(0, self._again - 1)
            self._acknowledged_count += 1
            self._forget(kept)
        if message.resend:
            self._again = 0

    def _send_what_may_go(self) -> None:
        while self._again < self._credit:
            if self._again == len(self._sent):
                if self._lost_from is not None:
                    self._declare_loss()
                elif not self._unsent:
                    return
                else:
                    if not self._line.send(self._unsent[0].data):
                        return
                    self._sent.append(self._unsent.popleft())
                    self._again += 1
                    continue
            if not self._line.send(self._sent[self._again].data):
                return
            self._again += 1

    def _greet(self) -> None:
        path, slots, slot_bytes = "", 0, 0
        if self._ring is not None:
            path, slots, slot_bytes = self._ring.path, self._ring.slots, self._ring.slot_bytes
        hello = link.encode(Hello(self._session, path, slots, slot_bytes, self.acknowledged))
        if not self._line.send(hello):
            self._line.connect_again()  # it is lost, or full of greetings; what was under way is asked for again
            self._line.send(hello)
        self._greeted_ns = self._clock.monotonic_ns()

    def _give_up(self, kept: _Kept) -> None:
        if self._lost_from is None:
            self._lost_from = kept.first
        self._lost_to = kept.last
        self.lost += 1
        self._forget(kept)

    def _declare_loss(self) -> None:
        assert self._lost_from is not None
        reason = (
            f"the recorder took too long: more than {self._config.link_sets} message sets or "
            f"{self._config.link_mib} MiB were waiting for it"
        )
        gap = Gap(self._session, self._lost_from, self._lost_to, reason)
        data = link.encode(LossNotice(self._session, gap))
        self._sent.append(_Kept(self._lost_from, self._lost_to, data, ()))
        self._kept_bytes += len(data)
        self._lost_from = None

    def _forget(self, kept: _Kept) -> None:
        self._kept_bytes -= len(kept.data)
        if kept.refs and self._ring is not None:
            self._ring.release(kept.refs)
