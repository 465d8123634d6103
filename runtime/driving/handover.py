"""From what happened to a frame to one message set, handed over once: to viewers, who may lose it, and to the link."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
from numpy.typing import NDArray

from runtime.bus.link import LinkSender
from runtime.bus.publisher import Publisher
from runtime.contracts import topics
from runtime.contracts.clock import Clock, tie
from runtime.contracts.identity import FrameId
from runtime.contracts.link import Payload, PictureRef
from runtime.contracts.messages import (
    Closing,
    Disposition,
    DispositionKind,
    Event,
    Header,
    Health,
    VehicleSample,
    timestamp,
)
from runtime.contracts.source import Capture, Missing
from runtime.contracts.topics import Topic
from runtime.contracts.units import NS_PER_S
from runtime.contracts.vehicle import VehicleState
from runtime.decision.policy import Outcome
from runtime.decision.tensors import pack
from runtime.driving.tally import Tally

_PROCESS = "drive"
_HEALTH_PERIOD_NS = NS_PER_S
_SHOWN = frozenset(topic.name for topic in topics.TOPICS if topic.viewer_queue)


class HandOver:
    """Encodes each message once and gives the same bytes to the publisher and to the link. Keeps the drive's totals."""

    def __init__(
        self,
        header: Header,
        publisher: Publisher,
        link: LinkSender,
        clock: Clock,
        refused: Callable[[], int] = lambda: 0,
    ) -> None:
        """`header` opens the record with the first frame, whose time becomes the origin of the source's time;
        `refused` tells how many connections this process has turned away.
        """
        self.tally = Tally()
        self._header = header
        self._publisher = publisher
        self._link = link
        self._clock = clock
        self._refused = refused
        self._opened = False
        self._t_source_ns = 0
        self._health_due_ns = clock.monotonic_ns() + _HEALTH_PERIOD_NS

    def decided(
        self,
        capture: Capture,
        inputs: Mapping[str, NDArray[Any]],
        state: VehicleState,
        outcome: Outcome,
        *,
        late: str,
        missed: bool,
        t_capture_ns: int,
        t_command_ns: int,
    ) -> None:
        """A frame that was decided upon; `late` says why its command was not used, "" where it was, and `missed`
        whether one was due.
        """
        self._t_source_ns = capture.t_source_ns
        sequence, t_source_ns = capture.sequence, capture.t_source_ns
        payloads = [
            self._payload(topics.VEHICLE, VehicleSample(sequence, t_source_ns, state), sequence),
            self._payload(topics.MODEL_INPUT, pack(inputs, sequence, t_source_ns), sequence),
            self._payload(topics.MODEL_OUTPUT, pack(outcome.outputs, sequence, t_source_ns), sequence),
            self._payload(topics.DECISION, outcome.decision, sequence),
        ]
        if outcome.attribution is not None:
            payloads.append(self._payload(topics.ATTRIBUTION, outcome.attribution, sequence))
        if capture.truth is not None:
            payloads.append(self._payload(topics.TRUTH, capture.truth, sequence))
        self.tally.took(t_command_ns - t_capture_ns)
        kind: DispositionKind = "late" if late else "decided"
        reasons = dict.fromkeys(capture.pictures, late)
        self._frame(
            capture, kind, reasons, payloads, missed=missed, t_capture_ns=t_capture_ns, t_command_ns=t_command_ns
        )

    def dropped(self, frame: Capture | Missing, reasons: Mapping[str, str], t_capture_ns: int) -> None:
        """A frame that nothing was decided upon, with every camera's reason. What pictures there are, are recorded.

        Where there are some, a command was due that could not be decided; not before the first that was: what tells of
        the vehicle may begin after the camera.
        """
        self._t_source_ns = frame.t_source_ns
        missed = isinstance(frame, Capture) and self.tally.decided + self.tally.late > 0
        self._frame(frame, "dropped", reasons, [], missed=missed, t_capture_ns=t_capture_ns, t_command_ns=0)

    def event(self, kind: str, message: str, level: Literal[1, 2, 3, 4, 5] = 2) -> None:
        """Something worth a line in the record."""
        event = Event(timestamp(self._clock.utc_ns()), level, message, _PROCESS, kind, t_source_ns=self._t_source_ns)
        self._give([self._payload(topics.EVENT, event)])

    def health(self, *, now: bool = False) -> None:
        """The process's own account, once a second or `now`."""
        if not now and self._clock.monotonic_ns() < self._health_due_ns:
            return
        self._health_due_ns = self._clock.monotonic_ns() + _HEALTH_PERIOD_NS
        median_ms, max_ms = self.tally.take_latencies_ms() or (None, None)
        health = Health(
            _PROCESS,
            tie(self._clock),
            self.tally.decided,
            self.tally.late,
            self.tally.dropped,
            self._link.waiting,
            self._link.lost,
            median_ms,
            max_ms,
            malformed=self._link.malformed,
            refused=self._refused(),
        )
        self._give([self._payload(topics.HEALTH, health)])

    def close(self, reason: str) -> None:
        """The drive's own totals, as its last message."""
        tally = self.tally
        closing = Closing(self._header.drive_id, tally.frames, tally.decided, tally.late, tally.dropped, reason)
        self._give([self._payload(topics.CLOSING, closing)])

    def _frame(
        self,
        frame: Capture | Missing,
        kind: DispositionKind,
        reasons: Mapping[str, str],
        payloads: list[Payload],
        *,
        missed: bool,
        t_capture_ns: int,
        t_command_ns: int,
    ) -> None:
        pictures = frame.pictures if isinstance(frame, Capture) else {}
        placed = self._link.place(pictures)
        for camera, reason in reasons.items():
            line = Disposition(
                FrameId(camera, frame.sequence),
                frame.t_source_ns,
                kind,
                reason,
                t_capture_ns,
                t_command_ns,
                placed.missing.get(camera, ""),
                missed=missed,
            )
            payloads.append(self._payload(topics.LEDGER, line, frame.sequence))
        self.tally.count(kind, len(reasons))
        self._give(payloads, frame.sequence, placed.refs)

    def _tied_header(self) -> Header:
        now = tie(self._clock)
        return msgspec.structs.replace(
            self._header, clock_tie=now, utc_origin_ns=now.utc_ns, t_source_origin_ns=self._t_source_ns
        )

    def _payload(self, topic: Topic, message: msgspec.Struct, sequence: int = -1) -> Payload:
        return Payload(topic.name, sequence, self._t_source_ns, self._clock.utc_ns(), topic.encode(message))

    def _give(self, payloads: list[Payload], sequence: int = -1, pictures: tuple[PictureRef, ...] = ()) -> None:
        if not self._opened:
            self._opened = True
            self._give([self._payload(topics.HEADER, self._tied_header())])
        for payload in payloads:
            if payload.topic in _SHOWN:
                self._publisher.publish(payload)
        self._link.hand_over(payloads, t_source_ns=self._t_source_ns, frame_sequence=sequence, pictures=pictures)
