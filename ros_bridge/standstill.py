"""Whether this process stood still: it was stopped, its container paused, its memory swapped out.

The buffers of the kernel and of the middleware then hold the oldest messages that came meanwhile. Camera and odometry
come out of them equally old, so nothing in them shows it. Only the host's monotonic clock is asked: simulated time and
clocks that do not agree are no matter.
"""

from __future__ import annotations

from runtime.contracts.clock import Clock
from runtime.contracts.units import NS_PER_S

LONGEST_NS = NS_PER_S // 2  # from one step to the next
_EMPTYING_NS = NS_PER_S // 2  # until the middleware's own thread has given on what the kernel kept: 16 MiB at most


class Standstill:
    """The steps of a receiving thread, which takes one at least every tenth of a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stepped_ns = clock.monotonic_ns()
        self._until_ns = self._stepped_ns
        self._refusal = ""

    def step(self) -> str:
        """Why what comes now is refused, "" where it is not."""
        now_ns = self._clock.monotonic_ns()
        stood_ns, self._stepped_ns = now_ns - self._stepped_ns, now_ns
        if stood_ns > LONGEST_NS:
            self._until_ns = now_ns + _EMPTYING_NS
            self._refusal = f"the process stood still for {stood_ns / NS_PER_S:.1f} s, and this may have come meanwhile"
        return self._refusal if now_ns < self._until_ns else ""
