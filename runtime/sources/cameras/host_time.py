"""When the light fell in, on the host's clock, for a stream that tells its times by a clock of its own. Pure."""

from __future__ import annotations

from runtime.contracts.units import NS_PER_S

_WINDOW_NS = 30 * NS_PER_S


class HostTime:
    """Lays a stream's clock to the host's by the picture that came soonest, of the last half minute to minute.

    So no picture was seen before its light fell in, a clock that runs a little slower or faster is followed, and one
    that is set back begins anew.
    """

    def __init__(self) -> None:
        self._soonest_ns: tuple[int, int] | None = None  # host less stream: of the window before, and of this one
        self._window_ns = 0  # when it began
        self._told_ns = 0

    def moment_ns(self, told_ns: int, now_ns: int) -> int:
        """A picture's moment in ns, at most `now_ns`, when it was handed over; `told_ns`: as the stream tells it."""
        apart_ns = now_ns - told_ns
        if self._soonest_ns is None or told_ns < self._told_ns:
            self._soonest_ns, self._window_ns = (apart_ns, apart_ns), now_ns
        elif now_ns - self._window_ns >= _WINDOW_NS:
            self._soonest_ns, self._window_ns = (self._soonest_ns[1], apart_ns), now_ns
        else:
            self._soonest_ns = (self._soonest_ns[0], min(self._soonest_ns[1], apart_ns))
        self._told_ns = told_ns
        return told_ns + min(*self._soonest_ns, apart_ns)
