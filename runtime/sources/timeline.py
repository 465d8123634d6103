"""Times as a recording gives them, made to go on."""

from __future__ import annotations

from runtime.contracts.link import FARTHEST_SOURCE_TIME_NS
from runtime.contracts.units import NS_PER_MS, NS_PER_S

NEW_RECORDING_NS = NS_PER_S
"""A step back this large is no jitter: another recording was appended."""


class Timeline:
    """Places stamps one after the other. One that stands still or goes back is a problem, and gets the last place.

    So does one more than a century away, as a damaged stamp is. Where stamps go back by a second or more, another
    recording begins: from there on they are moved so that they follow, `period_ns` after the last.
    """

    def __init__(self, period_ns: int) -> None:
        self._period_ns = period_ns
        self._shift_ns = 0
        self.last_ns: int | None = None

    def place(self, stamp_ns: int) -> tuple[int, str]:
        """The time of a frame, and what is wrong with it, "" where nothing is."""
        t_ns = stamp_ns + self._shift_ns
        if abs(t_ns) > FARTHEST_SOURCE_TIME_NS:
            return self.last_ns or 0, f"its time is {t_ns / NS_PER_S:.3g} s from the first frame's"
        if self.last_ns is None or t_ns > self.last_ns:
            self.last_ns = t_ns
            return t_ns, ""
        back_ns = self.last_ns - t_ns
        if back_ns == 0:
            return self.last_ns, "a repeated frame: its time stands still"
        problem = f"its time goes back by {back_ns / NS_PER_MS:.0f} ms"
        if back_ns >= NEW_RECORDING_NS:
            self._shift_ns += back_ns + self._period_ns
            self.last_ns += self._period_ns
            problem += ", as if another recording began"
        return self.last_ns, problem
