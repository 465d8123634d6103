"""From a camera's messages to captures with consecutive sequences and growing times; what cannot be one, is missing."""

from __future__ import annotations

from ros_bridge.arrivals import Arrival
from ros_bridge.pictures import picture_of
from ros_bridge.stamp import Stamp, time_told
from runtime.contracts.errors import SourceError
from runtime.contracts.source import Capture, Missing, Picture, SourceRequest
from runtime.contracts.units import NS_PER_MS, NS_PER_S

_RESTARTED_NS = NS_PER_S  # a clock that goes back so far was set, or its simulation began anew
_HOPELESS = 50  # messages without a picture, at the start


class Placing:
    """Places one camera's messages one after the other.

    A message without a usable picture is Missing, at the time of the picture before it: its own is not known, or is
    wrong. Those before the first picture are told at that one's time.
    """

    def __init__(self, camera: str, topic: str, stamp: Stamp) -> None:
        self.refused = 0
        self._camera, self._topic, self._stamp = camera, topic, stamp
        self._sequence = 0
        self._last_ns: int | None = None  # of the newest picture
        self._early: list[str] = []  # reasons, before the first picture
        self._shape: tuple[int, ...] | None = None

    def place(self, arrival: Arrival) -> tuple[Capture | Missing, ...]:
        """What becomes of a message. Raises SourceError where the clock began anew, or nothing is a picture."""
        told_ns = self._last_ns
        made = self._made(arrival)
        if isinstance(made, str):
            self.refused += 1
            if told_ns is not None:
                return (self._missing(made, told_ns),)
            self._early.append(made)
            if len(self._early) >= _HOPELESS:
                raise SourceError(f"{self._topic}: {_HOPELESS} messages came and none is a picture: {made}")
            return ()
        t_ns, picture = made
        early = tuple(self._missing(reason, t_ns) for reason in self._early)
        self._early.clear()
        self._last_ns = t_ns
        return (*early, Capture(self._next(), t_ns, {self._camera: picture}))

    def ended(self) -> tuple[Missing, ...]:
        """What is still to be told where no picture will come."""
        early, self._early = self._early, []
        return tuple(self._missing(reason, self._last_ns or 0) for reason in early)

    def _missing(self, reason: str, t_ns: int) -> Missing:
        return Missing(self._next(), t_ns, {self._camera: reason})

    def _next(self) -> int:
        sequence, self._sequence = self._sequence, self._sequence + 1
        return sequence

    def _made(self, arrival: Arrival) -> tuple[int, Picture] | str:
        """Time and picture, or the reason why there is none."""
        message = arrival.message
        if message is None:
            return arrival.problem
        try:
            t_ns = time_told(message, self._stamp, arrival.t_received_ns)
        except SourceError as error:
            return str(error)
        if problem := self._impossible(t_ns):
            return problem
        try:
            picture = picture_of(message)
        except SourceError as error:
            return str(error)
        self._shape = self._shape or picture.shape
        if picture.shape != self._shape:
            (height, width, _), (first_height, first_width, _) = picture.shape, self._shape
            return f"it is {width} x {height} pixels, and the first was {first_width} x {first_height}"
        return t_ns, picture

    def _impossible(self, t_ns: int) -> str:
        """What is wrong with a picture's time beside the one before."""
        if self._last_ns is None or t_ns > self._last_ns:
            return ""
        back_ns = self._last_ns - t_ns
        if back_ns >= _RESTARTED_NS:
            raise SourceError(
                f"the clock of {self._topic} went back by {back_ns / NS_PER_S:.1f} s: it was set, or a simulation "
                "began anew; start a new drive"
            )
        if back_ns == 0:
            return "a repeated picture: its time stands still"
        return f"its time goes back by {back_ns / NS_PER_MS:.0f} ms"


def refuse_many_cameras(request: SourceRequest) -> None:
    """Raise SourceError where more than one camera is asked for, or none."""
    if len(request.cameras) != 1:
        raise SourceError(
            f"{request.uri!r} is one camera and was asked for {len(request.cameras)} "
            f"({', '.join(request.cameras)}); use a model with one image input"
        )
