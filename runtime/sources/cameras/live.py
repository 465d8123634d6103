"""A running camera as a source: what is lost is declared, and a connection that breaks is made again."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from runtime.contracts.clock import ClockDomain
from runtime.contracts.errors import SourceError
from runtime.contracts.source import Capture, Missing, SourceRequest
from runtime.sources.cameras.stream import Frame, Open, Stream, StreamLostError
from runtime.sources.location import without_password

FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.25, 8.0
_MOST_DECLARED_ONE_BY_ONE = 1000


class LiveSource:
    """One camera. Nothing is known of its vehicle.

    A break is one Missing, however long, given when it begins, for the camera may never come back: how many pictures
    there would have been nobody knows. What the driver's own count skips is a Missing each.
    """

    def __init__(
        self, request: SourceRequest, connect: Open, wait: Callable[[float, threading.Event], object] | None = None
    ) -> None:
        """Connect. `wait` takes seconds, and an event that ends it early; None waits for real.

        Raises SourceError where the camera does not answer this first time.
        """
        if len(request.cameras) != 1:
            raise SourceError(
                f"source {without_password(request.uri)!r} is one camera and the model asks for {len(request.cameras)} "
                f"({', '.join(request.cameras)}); use a model with one image input"
            )
        self._uri, self._camera = without_password(request.uri), request.cameras[0]
        self._connect, self._wait = connect, wait or _wait
        self._stream: Stream | None = None
        self._ended = threading.Event()
        self._sequence = 0
        self._last_ns: int | None = None
        self._count: int | None = None
        self._shape: tuple[int, ...] | None = None
        self._waiting: deque[Capture | Missing] = deque()
        try:
            self._stream = connect()
        except StreamLostError as error:
            raise SourceError(f"source {self._uri!r} cannot be opened: {error}") from error

    @property
    def uri(self) -> str:
        """What was opened, without a password."""
        return self._uri

    @property
    def clock_domain(self) -> ClockDomain:
        """Real: a camera waits for nobody."""
        return "real"

    @property
    def expected_captures(self) -> int | None:
        """A camera has no end."""
        return None

    @property
    def vehicle(self) -> None:
        """Nothing is known of it."""
        return

    def read(self) -> Capture | Missing | None:
        """The next picture, or what was lost before it; waits through breaks. None once it is interrupted or closed."""
        while not self._waiting:
            if self._ended.is_set():
                return None
            frame = self._next()
            if frame is not None:
                self._take(frame)
        return self._waiting.popleft()

    def interrupt(self) -> None:
        """See Interruptible. A connection that is being made is waited for, as long as its library takes."""
        self._ended.set()

    def close(self) -> None:
        """Give the camera back. Idempotent."""
        self._ended.set()
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _next(self) -> Frame | None:
        if self._stream is None:
            self._stream = self._connect_again()
        if self._stream is None:
            return None
        try:
            return self._stream.next()
        except StreamLostError as error:
            self._stream.close()
            self._stream, self._count = None, None
            self._miss(f"the camera is away: {error}", 0 if self._last_ns is None else self._last_ns + 1)
            return None

    def _connect_again(self) -> Stream | None:
        backoff_s = FIRST_BACKOFF_S
        while not self._ended.is_set():
            self._wait(backoff_s, self._ended)
            if self._ended.is_set():
                break
            backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)
            try:
                return self._connect()
            except StreamLostError:
                continue  # what is told is why the camera was lost, not why it is not back yet
        return None

    def _take(self, frame: Frame) -> None:
        after = 0 if self._last_ns is None else self._last_ns + 1
        if self._count is not None and frame.count is not None and frame.count > self._count + 1:
            self._skipped(frame.count - self._count - 1, after, frame.t_monotonic_ns)
        self._count = frame.count
        t_source_ns = max(frame.t_monotonic_ns, 0 if self._last_ns is None else self._last_ns + 1)
        self._shape = self._shape or frame.picture.shape
        if frame.picture.shape != self._shape:
            self._miss(f"it is {_size(frame.picture.shape)} pixels, the first was {_size(self._shape)}", t_source_ns)
            return
        self._give(Capture(self._sequence, t_source_ns, {self._camera: frame.picture}))

    def _skipped(self, count: int, from_ns: int, to_ns: int) -> None:
        """What the driver counted and did not give, spread over the time in between."""
        if count > _MOST_DECLARED_ONE_BY_ONE:
            self._miss(f"the camera's driver dropped {count} pictures: nobody took them in time", from_ns)
            return
        step_ns = max(1, (to_ns - from_ns) // (count + 1))
        for index in range(count):
            self._miss("the camera's driver dropped it: nobody took it in time", from_ns + (index + 1) * step_ns)

    def _miss(self, reason: str, t_source_ns: int) -> None:
        self._give(Missing(self._sequence, t_source_ns, {self._camera: reason}))

    def _give(self, item: Capture | Missing) -> None:
        self._waiting.append(item)
        self._sequence += 1
        self._last_ns = item.t_source_ns


def _wait(seconds: float, ended: threading.Event) -> None:
    ended.wait(seconds)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"
