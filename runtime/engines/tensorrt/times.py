"""Times of passes, and how often to tell of progress."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from runtime.contracts.engine import Engine

_TELL_EVERY_S = 0.2
_WARM_UP, _PASSES, _AT_MOST_S = 20, 300, 10.0


class Times:
    """Whether it is time to tell again."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def due(self) -> bool:
        """True at most five times a second. Called from several threads: once more does no harm."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return False
        self._next_s = now_s + _TELL_EVERY_S
        return True


def time_in_turns(
    engine: Engine, other: Engine | None, inputs: Mapping[str, NDArray[Any]]
) -> tuple[list[float], list[float]]:
    """Microseconds of 300 passes of each engine, in turns, after 20 that do not count; fewer where they take long."""
    engines = [engine] if other is None else [engine, other]
    times: list[list[float]] = [[] for _ in engines]
    for _ in range(_WARM_UP):
        for one in engines:
            one.run(inputs)
    begin_s = time.monotonic()
    while len(times[0]) < _PASSES and time.monotonic() - begin_s < _AT_MOST_S:
        for one, taken in zip(engines, times, strict=True):
            start_ns = time.perf_counter_ns()
            one.run(inputs)
            taken.append((time.perf_counter_ns() - start_ns) / 1000)
    return times[0], times[1] if other is not None else []
