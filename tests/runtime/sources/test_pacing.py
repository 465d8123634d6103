"""Both pacings deliver every sequence once and in order; in real time the newest wins, and nothing is lost silently."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from runtime.contracts.clock import ClockDomain
from runtime.contracts.errors import SourceError
from runtime.contracts.source import Capture, Missing
from runtime.sources.pacing import OVERWRITTEN, Lockstep, RealTime, paced

FRAME_NS = 50_000_000
PICTURE = np.zeros((2, 2, 3), np.uint8)


class HeldClock:
    """A monotonic clock that moves when a test says so, and tells when somebody waits for it."""

    def __init__(self) -> None:
        self._now_ns = 1_000
        self._changed = threading.Condition()
        self._waited_for: int | None = None

    def monotonic_ns(self) -> int:
        return self._now_ns

    def utc_ns(self) -> int:
        return self._now_ns

    def wait(self, t_monotonic_ns: int, stopped: threading.Event) -> None:
        """A `Wait` on this clock."""
        with self._changed:
            self._waited_for = t_monotonic_ns
            self._changed.notify_all()
            # A test that forgets to advance fails; no test that passes comes near the limit.
            assert self._changed.wait_for(lambda: self._now_ns >= t_monotonic_ns or stopped.is_set(), timeout=10)
            self._waited_for = None

    def advance_to(self, t_monotonic_ns: int) -> None:
        with self._changed:
            self._now_ns = t_monotonic_ns
            self._changed.notify_all()

    def until_waited_for(self, t_monotonic_ns: int) -> None:
        """Return when the capture thread waits for this time: all before it was released."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._waited_for == t_monotonic_ns, timeout=10)

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class ListedSource:
    """A source that gives what a test lists; an exception in the list is raised."""

    uri = "listed://"
    vehicle = None

    def __init__(self, items: Sequence[Capture | Missing | Exception], domain: ClockDomain = "file") -> None:
        self._items = iter(items)
        self.clock_domain: ClockDomain = domain
        self.expected_captures: int | None = len(items)
        self.closed_by: list[str] = []

    def read(self) -> Capture | Missing | None:
        item = next(self._items, None)
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        self.closed_by.append(threading.current_thread().name)


def capture(sequence: int) -> Capture:
    return Capture(sequence, 7_000 + sequence * FRAME_NS, {"front": PICTURE})


def missing(sequence: int) -> Missing:
    return Missing(sequence, 7_000 + sequence * FRAME_NS, {"front": "unreadable"})


def due(sequence: int) -> int:
    return 1_000 + sequence * FRAME_NS


def real_time(source: ListedSource) -> tuple[RealTime, HeldClock]:
    clock = HeldClock()
    return RealTime(source, clock, clock.wait), clock


def told(item: Capture | Missing) -> tuple[int, str]:
    return item.sequence, "" if isinstance(item, Capture) else item.reasons["front"]


def test_lockstep_reads_only_when_asked() -> None:
    source = ListedSource([capture(0), missing(1), capture(2)])
    deliveries = iter(Lockstep(source, HeldClock()))
    assert told(next(deliveries).item) == (0, "")
    assert told(source.read() or capture(9)) == (1, "unreadable")
    assert [told(delivery.item) for delivery in deliveries] == [(2, "")]


def test_lockstep_ends_when_it_is_stopped() -> None:
    source = ListedSource([capture(0), capture(1)])
    stepped = paced(source, ("front",), "lockstep")
    for delivery in stepped:
        assert delivery.item.sequence == 0
        stepped.stop()
    stepped.close()
    assert source.closed_by == [threading.current_thread().name]


def test_real_time_releases_a_capture_at_its_time_and_not_before() -> None:
    timed, clock = real_time(ListedSource([capture(0), capture(1)]))
    deliveries = iter(timed)
    assert next(deliveries).t_capture_ns == due(0)
    clock.until_waited_for(due(1))
    clock.advance_to(due(1) + 3)
    second = next(deliveries)
    assert told(second.item) == (1, "")
    assert second.t_capture_ns == due(1) + 3
    assert next(deliveries, None) is None


def test_real_time_keeps_the_newest_and_declares_what_it_overwrote_in_order() -> None:
    timed, clock = real_time(ListedSource([capture(0), capture(1), missing(2), capture(3), missing(4), capture(5)]))
    deliveries = iter(timed)
    assert told(next(deliveries).item) == (0, "")
    clock.until_waited_for(due(1))
    for sequence in (1, 2, 3, 4):  # the decision on 0 is busy all the while
        clock.until_waited_for(due(sequence))
        clock.advance_to(due(sequence))
    clock.until_waited_for(due(5))
    found = [next(deliveries) for _ in range(4)]
    assert [told(delivery.item) for delivery in found] == [
        (1, OVERWRITTEN),
        (2, "unreadable"),
        (3, ""),
        (4, "unreadable"),
    ]
    assert [delivery.t_capture_ns for delivery in found] == [due(1), due(2), due(3), due(4)]
    clock.advance_to(due(5))
    assert [told(delivery.item) for delivery in deliveries] == [(5, "")]


def test_whatever_the_consumer_does_every_sequence_comes_once() -> None:
    count = 200
    timed, clock = real_time(ListedSource([capture(i) if i % 7 else missing(i) for i in range(count)]))
    seen = []
    for delivery in timed:
        seen.append(delivery.item.sequence)
        clock.advance_to(clock.monotonic_ns() + 3 * FRAME_NS)
    assert seen == list(range(count))


def test_a_running_camera_is_its_own_clock() -> None:
    timed, clock = real_time(ListedSource([capture(0), capture(1), capture(2)], domain="real"))
    assert [delivery.item.sequence for delivery in timed] == [0, 1, 2]  # though the clock never moved
    assert clock.monotonic_ns() == due(0)


def test_an_error_of_the_source_is_raised_after_what_came_before_it() -> None:
    timed, _ = real_time(ListedSource([capture(0), SourceError("the cable is out")], domain="real"))
    seen = []
    with pytest.raises(SourceError, match="the cable is out"):
        for delivery in timed:
            seen.append(delivery.item.sequence)  # noqa: PERF401
    assert seen == [0]


def test_stopping_still_delivers_what_has_arrived() -> None:
    timed, clock = real_time(ListedSource([capture(0), capture(1), capture(2)]))
    deliveries = iter(timed)
    next(deliveries)
    clock.until_waited_for(due(1))
    clock.advance_to(due(1))
    clock.until_waited_for(due(2))
    timed.stop()
    clock.wake()
    assert [told(delivery.item) for delivery in deliveries] == [(1, "")]


def test_the_thread_that_reads_the_source_closes_it() -> None:
    source = ListedSource([capture(0)])
    timed, _ = real_time(source)
    assert len(list(timed)) == 1
    timed.close()
    timed.close()
    assert source.closed_by == ["capture"]


def test_closing_before_the_first_delivery_gives_the_source_back() -> None:
    source = ListedSource([capture(0)])
    timed, _ = real_time(source)
    timed.close()
    timed.close()
    assert len(source.closed_by) == 1
    assert list(timed) == []


def test_close_does_not_hang_on_a_source_that_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.sources.pacing._HANG_TIMEOUT_S", 0.01)
    unplugged = threading.Event()

    class Hanging(ListedSource):
        def read(self) -> Capture | Missing | None:
            item = super().read()
            if item is None:
                unplugged.wait()
            return item

    source = Hanging([capture(0)], domain="real")
    timed, _ = real_time(source)
    deliveries = iter(timed)
    next(deliveries)
    timed.stop()
    assert list(deliveries) == []
    timed.close()
    assert source.closed_by == []  # not under its read
    unplugged.set()


def test_a_source_that_waits_for_its_camera_is_interrupted_and_closed_by_its_reader() -> None:
    class Waiting(ListedSource):
        def __init__(self) -> None:
            super().__init__([capture(0)], domain="real")
            self.interrupted = threading.Event()

        def read(self) -> Capture | Missing | None:
            item = super().read()
            if item is None:
                assert self.interrupted.wait(30)
            return item

        def interrupt(self) -> None:
            self.interrupted.set()

    source = Waiting()
    timed = paced(source, ("front",), "real-time")
    deliveries = iter(timed)
    next(deliveries)
    timed.stop()
    assert list(deliveries) == []
    timed.close()
    assert source.closed_by == ["capture"]
