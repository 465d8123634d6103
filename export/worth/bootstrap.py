"""Intervals by resampling frames (Efron's percentile bootstrap), seeded, so that a report repeats itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from export.worth.verdict import Interval

DRAWS = 4000
CONFIDENCE = 0.95


def interval(values: NDArray[np.float64], seed: int) -> Interval:
    """The mean of `values` (one per frame, at least one) and its 95 % interval."""
    rng = np.random.default_rng([seed, values.size])
    means = values[rng.integers(0, values.size, (DRAWS, values.size))].mean(axis=1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(figure(values.mean()), figure(low), figure(high))


def figure(value: float | np.floating) -> float:
    """Six significant digits: what is meant, without the noise of summation."""
    return float(f"{float(value):.6g}")
