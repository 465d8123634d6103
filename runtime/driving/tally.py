"""Counting what became of frames, and how long they took."""

from __future__ import annotations

import statistics

from runtime.contracts.messages import DispositionKind
from runtime.contracts.units import NS_PER_MS

_KEPT = 1000  # newest latencies; bounds the memory of a process that nobody asks


class Tally:
    """Totals of a drive by disposition, and the latencies since they were last taken."""

    def __init__(self) -> None:
        """Start at zero."""
        self.decided = 0
        self.late = 0
        self.dropped = 0
        self._latencies_ns: list[int] = []

    @property
    def frames(self) -> int:
        """All frames that the source produced."""
        return self.decided + self.late + self.dropped

    def count(self, disposition: DispositionKind, frames: int = 1) -> None:
        """Add frames of one disposition."""
        setattr(self, disposition, getattr(self, disposition) + frames)

    def took(self, latency_ns: int) -> None:
        """Note one latency from capture to command."""
        self._latencies_ns.append(latency_ns)
        del self._latencies_ns[:-_KEPT]

    def take_latencies_ms(self) -> tuple[float, float] | None:
        """Median and maximum in ms since the last call, None where there was none."""
        if not self._latencies_ns:
            return None
        taken, self._latencies_ns = self._latencies_ns, []
        return statistics.median(taken) / NS_PER_MS, max(taken) / NS_PER_MS
