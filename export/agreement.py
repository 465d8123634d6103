"""How well two arrays agree: the figures in which parity, drift and worth are told."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def relative_error(a: NDArray[Any], b: NDArray[Any]) -> float:
    """max |a - b| / max |b|, where b is the truth: 0 where both are all zero, infinite where only b is."""
    largest, difference = _largest(b), max_abs(a, b)
    if largest == 0.0:
        return 0.0 if difference == 0.0 else float("inf")
    return difference / largest


def max_abs(a: NDArray[Any], b: NDArray[Any]) -> float:
    """max |a - b|. NaN where either holds one that the other does not hold in the same place."""
    a64, b64 = np.asarray(a, np.float64), np.asarray(b, np.float64)
    same = (a64 == b64) | (np.isnan(a64) & np.isnan(b64))
    if same.all():
        return 0.0
    return float(np.max(np.abs(a64[~same] - b64[~same])))


def cosine(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Cosine similarity of the flattened arrays, -1 to 1; 1 where both are all zero, 0 where only one is."""
    a64, b64 = np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()
    largest_a, largest_b = _largest(a64), _largest(b64)
    if largest_a == 0.0 or largest_b == 0.0:
        return 1.0 if largest_a == largest_b else 0.0
    # Scaled by their largest first, so that the squares of tiny and huge values neither vanish nor overflow.
    unit_a, unit_b = a64 / largest_a, b64 / largest_b
    return float(unit_a @ unit_b / (np.linalg.norm(unit_a) * np.linalg.norm(unit_b)))


def rank_correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Spearman's rank correlation of the flattened arrays, -1 to 1; ties get the mean of their ranks.

    NaN where one of the arrays is constant or holds NaN: there is no order to compare.
    """
    ranks_a, ranks_b = _ranks(a), _ranks(b)
    centred_a, centred_b = ranks_a - ranks_a.mean(), ranks_b - ranks_b.mean()
    spread = float(np.sqrt((centred_a @ centred_a) * (centred_b @ centred_b)))
    return float(centred_a @ centred_b) / spread if spread > 0.0 else float("nan")


def _ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    flat = np.asarray(values, np.float64).ravel()
    if np.isnan(flat).any():
        return np.zeros(flat.size)
    _, place, counts = np.unique(flat, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_ranks: NDArray[np.float64] = (last - (counts - 1) / 2.0)[place.ravel()]
    return mean_ranks


def _largest(values: NDArray[Any]) -> float:
    return float(np.max(np.abs(np.asarray(values, np.float64)), initial=0.0))
