"""A stream's clock laid to the host's: no picture before its light, none older and older, whatever that clock does."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.contracts.units import NS_PER_MS, NS_PER_S
from runtime.sources.cameras.host_time import HostTime

STEP_NS = 40 * NS_PER_MS
BEGIN_NS = 10**12


def lags_ms(told_ns: Iterable[float], late_ms: Iterable[float]) -> NDArray[np.float64]:
    """How old each picture was when it was handed over, as it is told; they come `STEP_NS` apart, and so late."""
    host_time, lags = HostTime(), []
    for count, (told, late) in enumerate(zip(told_ns, late_ms, strict=True)):
        now_ns = BEGIN_NS + count * STEP_NS + round(late * NS_PER_MS)
        lags.append((now_ns - host_time.moment_ns(round(told), now_ns)) / NS_PER_MS)
    return np.array(lags)


def test_what_comes_late_is_as_much_older_as_it_is_late() -> None:
    told = [count * STEP_NS for count in range(5)]
    assert lags_ms(told, [3, 3, 500, 460, 3]) == pytest.approx([0, 0, 497, 457, 0])


def test_no_picture_comes_before_its_light_also_where_the_first_one_came_late() -> None:
    told = [count * STEP_NS for count in range(5)]
    assert lags_ms(told, [900, 30, 0, 30, 0]) == pytest.approx([0, 0, 0, 30, 0])


@pytest.mark.parametrize("parts_per_million", [-200, 200])
def test_a_clock_that_runs_slow_or_fast_is_followed_for_hours(parts_per_million: int) -> None:
    count = 4 * 3600 * NS_PER_S // STEP_NS
    told = np.arange(count) * STEP_NS * (1 + parts_per_million / 1e6)
    lags = lags_ms(told, np.zeros(count))
    assert 0.0 <= lags.min() <= lags.max() < 13.0


@pytest.mark.parametrize("jump_s", [-7200.0, -1.0, 1.0, 7200.0])
def test_a_clock_that_is_set_anew_costs_no_time(jump_s: float) -> None:
    told = [count * STEP_NS + (jump_s * NS_PER_S if count >= 50 else 0.0) for count in range(100)]
    assert lags_ms(told, [0.0] * 100) == pytest.approx([0.0] * 100)
