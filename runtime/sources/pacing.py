"""Whether the source waits for the decision, or time for nobody."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from runtime.contracts.clock import Clock, SystemClock
from runtime.contracts.errors import SourceError
from runtime.contracts.source import Capture, Interruptible, Missing, Pacing, Source
from runtime.contracts.units import NS_PER_S
from runtime.sources.checked import CheckedSource

OVERWRITTEN = "overwritten by a newer frame: the decision was busy"

_MAX_UNDELIVERED = 100_000  # about an hour: whoever takes this long has stopped
_HANG_TIMEOUT_S = 2.0

Wait = Callable[[int, threading.Event], None]
"""Return when the clock reads the given monotonic time in ns, or as soon as the event is set."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the source gave, and the host's monotonic time at which it reached this process."""

    item: Capture | Missing
    t_capture_ns: int


class PacedSource(Protocol):
    """Every sequence of a source, once and in order. Owns the source."""

    def __iter__(self) -> Iterator[Delivery]:
        """Deliveries until the source ends or is stopped. Its error is raised after what came before it."""
        ...

    def stop(self) -> None:
        """Take no more from the source; what has reached this process is still delivered. From any thread."""
        ...

    def close(self) -> None:
        """Stop and give the source back. Returns within seconds even where its `read` hangs. Idempotent."""
        ...


def paced(source: Source, cameras: tuple[str, ...], pacing: Pacing, clock: Clock | None = None) -> PacedSource:
    """A source under one of the two pacings, held to its contract; `cameras` are those that were asked of it."""
    clock = clock or SystemClock()
    source = CheckedSource(source, cameras)
    if pacing == "lockstep":
        return Lockstep(source, clock)
    return RealTime(source, clock, wait_until(clock))


def wait_until(clock: Clock) -> Wait:
    """A wait on the host's clock."""

    def wait(t_monotonic_ns: int, stopped: threading.Event) -> None:
        while (left_ns := t_monotonic_ns - clock.monotonic_ns()) > 0 and not stopped.is_set():
            stopped.wait(left_ns / NS_PER_S)

    return wait


class Lockstep:
    """The source is read when the next delivery is asked for, and by whom asks."""

    def __init__(self, source: Source, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._stopped = False

    def __iter__(self) -> Iterator[Delivery]:
        """See PacedSource."""
        while not self._stopped:
            item = self._source.read()
            if item is None:
                return
            yield Delivery(item, self._clock.monotonic_ns())

    def stop(self) -> None:
        """See PacedSource."""
        self._stopped = True

    def close(self) -> None:
        """See PacedSource."""
        self._stopped = True
        self._source.close()


class RealTime:
    """A thread releases every capture at its time on the host's clock, counted from the first one.

    Of captures that wait for the decision only the newest is kept (bound: 1); the one before it becomes Missing,
    `OVERWRITTEN`.
    A running camera is its own clock: its captures are released as they come.
    """

    def __init__(self, source: Source, clock: Clock, wait: Wait) -> None:
        self._source = source
        self._clock = clock
        self._wait = wait
        self._stopped = threading.Event()
        self._changed = threading.Condition()
        # In the order of their sequences: what is missing before the waiting capture, it, what is missing after it.
        self._before: deque[Delivery] = deque()
        self._waiting: Delivery | None = None
        self._after: deque[Delivery] = deque()
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._capture, name="capture", daemon=True)
        self._started = False
        self._given_up = False  # the source's `read` hangs: nobody waits for it twice

    def __iter__(self) -> Iterator[Delivery]:
        """See PacedSource."""
        if not self._started:
            self._started = True
            self._thread.start()
        while (delivery := self._take()) is not None:
            yield delivery
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """See PacedSource."""
        self._stopped.set()
        if isinstance(self._source, Interruptible):
            self._source.interrupt()

    def close(self) -> None:
        """See PacedSource. The thread that reads the source closes it: under a `read` that may crash a decoder."""
        self.stop()
        if not self._started:
            self._started = True
            self._ended = True
            self._source.close()
        elif self._thread.is_alive() and self._thread is not threading.current_thread() and not self._given_up:
            self._thread.join(_HANG_TIMEOUT_S)

    def _take(self) -> Delivery | None:
        with self._changed:
            # `_after` is empty wherever `_waiting` is None.
            while not self._changed.wait_for(lambda: self._before or self._waiting or self._ended, _HANG_TIMEOUT_S):
                if self._stopped.is_set():
                    self._given_up = True
                    return None  # nobody wants more of it
            if self._before:
                return self._before.popleft()
            if self._waiting is not None:
                taken, self._waiting = self._waiting, None
                self._before, self._after = self._after, self._before
                return taken
            return None

    def _release(self, item: Capture | Missing) -> None:
        delivery = Delivery(item, self._clock.monotonic_ns())
        with self._changed:
            if len(self._before) + len(self._after) >= _MAX_UNDELIVERED:
                raise SourceError(f"nobody took {_MAX_UNDELIVERED} frames of {self._source.uri!r}; the decision hangs")
            if isinstance(item, Capture):
                if self._waiting is not None:
                    self._before.append(_overwritten(self._waiting))
                    self._before.extend(self._after)
                    self._after.clear()
                self._waiting = delivery
            elif self._waiting is not None:
                self._after.append(delivery)
            else:
                self._before.append(delivery)
            self._changed.notify()

    def _capture(self) -> None:
        try:
            try:
                self._release_all()
            finally:
                self._source.close()
        except BaseException as error:  # noqa: BLE001  (raised again in the thread that takes the deliveries)
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify()

    def _release_all(self) -> None:
        origin_ns: int | None = None
        while not self._stopped.is_set() and (item := self._source.read()) is not None:
            if self._source.clock_domain != "real":
                if origin_ns is None:
                    origin_ns = self._clock.monotonic_ns() - item.t_source_ns
                self._wait(origin_ns + item.t_source_ns, self._stopped)
            if not self._stopped.is_set():
                self._release(item)


def _overwritten(delivery: Delivery) -> Delivery:
    item = delivery.item
    cameras = item.pictures if isinstance(item, Capture) else item.reasons
    return Delivery(
        Missing(item.sequence, item.t_source_ns, dict.fromkeys(cameras, OVERWRITTEN)), delivery.t_capture_ns
    )
