"""A camera that is lost comes back, and what was lost in between is declared."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np
import pytest

from runtime.contracts.errors import SourceError
from runtime.contracts.source import Capture, Missing, SourceRequest, pacing_of
from runtime.contracts.units import NS_PER_MS
from runtime.sources.cameras.live import LONGEST_BACKOFF_S, LiveSource
from runtime.sources.cameras.stream import Frame, Stream, StreamLostError
from runtime.sources.checked import CheckedSource

REQUEST = SourceRequest("rtsp://me:secret@host/road", ("front",), None)
FRAME_NS = 40 * NS_PER_MS


class Clock:
    """The host's clock, moved on by waits and pictures."""

    def __init__(self) -> None:
        self.now_ns = 10**12
        self.waits_s: list[float] = []
        self.interrupts: Callable[[], None] = lambda: None

    def monotonic_ns(self) -> int:
        return self.now_ns

    def utc_ns(self) -> int:
        return self.now_ns

    def wait(self, seconds: float, _ended: threading.Event) -> None:
        self.waits_s.append(seconds)
        self.now_ns += round(seconds * 1e9)
        self.interrupts()


class Scripted:
    """A connection that gives the frames of a script (a count, or None for a driver without one), then is lost."""

    def __init__(
        self, clock: Clock, counts: Iterable[int | None], size: int = 4, why: str = "no picture for 2 s"
    ) -> None:
        self._clock, self._counts, self._size, self._why = clock, list(counts), size, why
        self.closed = False

    def next(self) -> Frame:
        if not self._counts:
            raise StreamLostError("no picture for 2 s")
        self._clock.now_ns += FRAME_NS
        picture = np.zeros((self._size, 6, 3), np.uint8)
        return Frame(picture, self._clock.now_ns - NS_PER_MS, self._counts.pop(0))

    def close(self) -> None:
        self.closed = True


def source(clock: Clock, *connections: Stream | Exception) -> LiveSource:
    waiting = list(connections)

    def connect() -> Stream:
        one = waiting.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    return LiveSource(REQUEST, connect, clock.wait)


def read(live: LiveSource, count: int) -> list[Capture | Missing]:
    checked = CheckedSource(live, ("front",))
    items = [checked.read() for _ in range(count)]
    assert all(item is not None for item in items)
    return [item for item in items if item is not None]


def kinds(items: list[Capture | Missing]) -> str:
    return "".join("c" if isinstance(item, Capture) else "-" for item in items)


def reasons(items: list[Capture | Missing]) -> list[str]:
    return [item.reasons["front"] for item in items if isinstance(item, Missing)]


def test_pictures_carry_the_drivers_time_on_the_hosts_clock() -> None:
    clock = Clock()
    items = read(source(clock, Scripted(clock, [None] * 3)), 3)
    assert [item.t_source_ns for item in items] == [10**12 + n * FRAME_NS - NS_PER_MS for n in (1, 2, 3)]
    assert [item.sequence for item in items] == [0, 1, 2]


def test_a_break_is_one_missing_with_its_reason() -> None:
    clock = Clock()
    first, second = Scripted(clock, [None] * 2), Scripted(clock, [None] * 2)
    lost = StreamLostError("connection refused")
    items = read(source(clock, first, lost, lost, second), 5)
    assert kinds(items) == "cc-cc"
    assert reasons(items) == ["the camera is away: no picture for 2 s"]
    assert first.closed
    assert sorted(item.t_source_ns for item in items) == [item.t_source_ns for item in items]


def test_a_break_is_told_when_it_begins_for_it_may_have_no_end() -> None:
    clock = Clock()
    live = source(clock, Scripted(clock, [None]))
    assert kinds(read(live, 2)) == "c-"
    assert clock.waits_s == []


def test_a_source_that_waits_for_its_camera_can_be_interrupted() -> None:
    clock = Clock()
    live = source(clock, Scripted(clock, [None]), *[StreamLostError("refused")] * 3)
    read(live, 2)
    clock.interrupts = live.interrupt
    assert live.read() is None
    assert clock.waits_s == [0.25]
    assert live.read() is None


def test_an_interrupt_ends_a_real_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.sources.cameras.live.FIRST_BACKOFF_S", 1e6)
    clock, connections = Clock(), 0

    def connect() -> Stream:
        nonlocal connections
        connections += 1
        return Scripted(clock, [None])

    live = LiveSource(REQUEST, connect)
    read(live, 2)
    reader = threading.Thread(target=live.read, daemon=True)
    reader.start()
    live.interrupt()
    reader.join(30)
    assert not reader.is_alive()
    assert connections == 1


def test_waits_grow_up_to_their_bound_and_begin_anew_after_a_picture() -> None:
    clock = Clock()
    lost = StreamLostError("refused")
    first, second, third = (Scripted(clock, [None]) for _ in range(3))
    read(source(clock, first, *[lost] * 7, second, third), 5)
    assert clock.waits_s == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, LONGEST_BACKOFF_S, 0.25]


def test_what_the_driver_dropped_is_a_missing_each() -> None:
    clock = Clock()
    items = read(source(clock, Scripted(clock, [7, 8, 11, 12])), 6)
    assert kinds(items) == "cc--cc"
    assert set(reasons(items)) == {"the camera's driver dropped it: nobody took it in time"}
    assert [item.sequence for item in items] == list(range(6))
    times = [item.t_source_ns for item in items]
    assert all(earlier < later for earlier, later in pairwise(times))


def test_a_count_that_jumps_far_is_told_in_one() -> None:
    clock = Clock()
    items = read(source(clock, Scripted(clock, [0, 5000])), 3)
    assert kinds(items) == "c-c"
    assert reasons(items) == ["the camera's driver dropped 4999 pictures: nobody took them in time"]


def test_a_count_that_begins_anew_after_a_break_is_no_loss() -> None:
    clock = Clock()
    items = read(source(clock, Scripted(clock, [90, 91]), Scripted(clock, [0, 1])), 5)
    assert kinds(items) == "cc-cc"


def test_time_never_stands_still_or_goes_back() -> None:
    clock = Clock()

    class Backwards(Scripted):
        def next(self) -> Frame:
            frame = super().next()
            return Frame(frame.picture, 10**12, None)

    times = [item.t_source_ns for item in read(source(clock, Backwards(clock, [None] * 4)), 4)]
    assert times == [10**12 + n for n in range(4)]


def test_a_picture_of_another_size_is_missing_with_both_sizes() -> None:
    clock = Clock()
    items = read(source(clock, Scripted(clock, [None]), Scripted(clock, [None], size=8)), 3)
    assert kinds(items) == "c--"
    assert reasons(items)[1] == "it is 6 x 8 pixels, the first was 6 x 4"


def test_a_camera_that_does_not_answer_at_first_is_refused_without_its_password() -> None:
    clock = Clock()
    with pytest.raises(SourceError) as caught:
        source(clock, StreamLostError("Connection refused"))
    assert str(caught.value) == "source 'rtsp://me:***@host/road' cannot be opened: Connection refused"
    assert clock.waits_s == []


def test_a_camera_that_will_never_answer_again_ends_the_source_with_the_reason() -> None:
    clock = Clock()
    live = source(clock, Scripted(clock, [None]), SourceError("GStreamer was taken away"))
    read(live, 2)
    with pytest.raises(SourceError, match="taken away"):
        live.read()


def test_a_closed_camera_gives_nothing_more_and_was_given_back() -> None:
    clock = Clock()
    stream = Scripted(clock, [None] * 9)
    live = source(clock, stream)
    read(live, 1)
    live.close()
    live.close()
    assert live.read() is None
    assert stream.closed


def test_a_camera_waits_for_nobody() -> None:
    clock = Clock()
    live = source(clock, Scripted(clock, []))
    assert pacing_of(live, None) == "real-time"
    with pytest.raises(SourceError, match="waits for nobody"):
        pacing_of(live, "lockstep")
    assert (live.vehicle, live.expected_captures) == (None, None)


def test_a_model_with_two_cameras_is_refused() -> None:
    connect: Callable[[], Stream] = pytest.fail
    with pytest.raises(SourceError, match="one camera and the model asks for 2"):
        LiveSource(SourceRequest("csi://0", ("left", "right"), None), connect)
