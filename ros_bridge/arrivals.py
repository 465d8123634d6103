"""Pictures that have come and were not yet asked for: bounded, and nothing forgotten silently."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from ros_bridge.messages import CompressedImage, Image
from ros_bridge.transport import Received
from runtime.contracts.clock import Clock
from runtime.contracts.errors import SourceError

KEPT = 5  # pictures, as SensorDataQoS keeps
MAX_WAITING = 10_000  # pictures and notes of those that were not kept: whoever leaves so many has stopped
OVERTAKEN = "overtaken by newer pictures: nobody read meanwhile"
LOST = "lost on the network, which told so"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A picture's message, or why there is none of it."""

    message: Image | CompressedImage | None
    problem: str
    t_received_ns: int  # UTC
    t_monotonic_ns: int = 0  # of a live picture: when it was put here, on the host's clock


class Arrivals:
    """Between the transport's thread and the reader's. Beyond `KEPT` pictures the oldest makes way for a note."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queue: deque[Arrival] = deque()
        self._pictures: deque[int] = deque()  # running numbers of the entries that hold one
        self._first = 0  # running number of the queue's first entry
        self._overrun = False
        self._interrupted = False
        self._changed = threading.Condition()

    def put(self, received: Received) -> None:
        """From the transport's thread."""
        with self._changed:
            for _ in range(received.lost):
                self._append(Arrival(None, LOST, received.t_received_ns))
            message = received.message
            if isinstance(message, Image | CompressedImage):
                if len(self._pictures) >= KEPT:
                    place = self._pictures.popleft() - self._first
                    self._queue[place] = Arrival(None, OVERTAKEN, self._queue[place].t_received_ns)
                self._pictures.append(self._first + len(self._queue))
                self._append(Arrival(message, "", received.t_received_ns, self._clock.monotonic_ns()))
            else:
                self._append(Arrival(None, received.refusal, received.t_received_ns))
            self._changed.notify()

    def take(self, timeout_s: float) -> Arrival | None:
        """The oldest; None where none came in time, or nobody wants one any more. Raises SourceError where so many came
        that some were forgotten.
        """
        with self._changed:
            if self._overrun:
                raise SourceError(f"{MAX_WAITING} pictures came and nobody read them; the decision hangs")
            if not self._changed.wait_for(lambda: self._queue or self._interrupted, timeout_s) or self._interrupted:
                return None
            if self._pictures and self._pictures[0] == self._first:
                self._pictures.popleft()
            self._first += 1
            return self._queue.popleft()

    def interrupt(self) -> None:
        """Nobody wants one any more: whoever waits gets None, and so does everybody after. From any thread."""
        with self._changed:
            self._interrupted = True
            self._changed.notify()

    def _append(self, arrival: Arrival) -> None:
        if len(self._queue) >= MAX_WAITING:
            self._overrun = True
        else:
            self._queue.append(arrival)
