"""Lane markings by section of road: which line lies on which side, and how well it can still be seen.

Our lane is the right one of two. Its left line divides the directions, its right line edges the road; the far line
edges the oncoming lane and shares the right line's state.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

LANE_WIDTH_M = 3.5
DASH_M, DASH_PERIOD_M = 4.0, 12.0
_WORN_PIECE_M = 1.5
_NEAR_STEP_M = 2.0


class Line(Enum):
    """How one line is painted and how much of it is left."""

    SOLID = "solid"
    DASHED = "dashed"
    WORN = "worn"
    MISSING = "missing"


@dataclass(frozen=True)
class MarkingSection:
    """Both lines of our lane from `start_s_m` to the next section."""

    start_s_m: float
    left: Line
    right: Line


@dataclass(frozen=True)
class MarkingMix:
    """Sections drawn by the seed: their length, and how often each line occurs on each side."""

    section_m: float = 150.0
    left: tuple[tuple[Line, float], ...] = ((Line.DASHED, 0.5), (Line.SOLID, 0.35), (Line.WORN, 0.15))
    right: tuple[tuple[Line, float], ...] = ((Line.SOLID, 0.75), (Line.DASHED, 0.1), (Line.WORN, 0.15))


@dataclass(frozen=True)
class Stripe:
    """Quads of paint along one line: arc lengths from, to (n,), opacity 0..1 (n,), and whether erosion eats them."""

    from_s_m: FloatArray
    to_s_m: FloatArray
    opacity: FloatArray
    worn: bool


class Markings:
    """The lines of one road; a pure function of (plan, seed, place)."""

    def __init__(self, plan: tuple[MarkingSection, ...] | MarkingMix, seed: int) -> None:
        self._plan = plan
        self._seed = seed

    def sections(self, from_s_m: float, to_s_m: float) -> list[tuple[float, float, MarkingSection]]:
        """The sections that meet the range, each with its own range cut to it."""
        if isinstance(self._plan, MarkingMix):
            length = self._plan.section_m
            first, last = int(from_s_m // length), int(to_s_m // length)
            plan = [self._drawn(self._plan, i) for i in range(first, last + 1)]
        else:
            plan = list(self._plan)
        ends = [section.start_s_m for section in plan[1:]] + [float("inf")]
        cut = [
            (max(section.start_s_m, from_s_m), min(end, to_s_m), section)
            for section, end in zip(plan, ends, strict=True)
        ]
        return [item for item in cut if item[0] < item[1]]

    def stripes(self, line: Line, from_s_m: float, to_s_m: float) -> list[Stripe]:
        """The paint of one line within a range, on a grid fixed to the road so that it stands still as we pass."""
        if line is Line.MISSING:
            return []
        if line is Line.WORN:
            return [self._worn(from_s_m, to_s_m)]
        if line is Line.SOLID:
            edges = np.arange(np.floor(from_s_m / _NEAR_STEP_M), np.ceil(to_s_m / _NEAR_STEP_M) + 1) * _NEAR_STEP_M
            edges = np.unique(np.clip(edges, from_s_m, to_s_m))
            return [Stripe(edges[:-1], edges[1:], np.ones(len(edges) - 1), worn=False)]
        starts = np.arange(np.floor(from_s_m / DASH_PERIOD_M), np.ceil(to_s_m / DASH_PERIOD_M)) * DASH_PERIOD_M
        halves = np.concatenate([starts, starts + DASH_M / 2])
        begin, end = np.clip(halves, from_s_m, to_s_m), np.clip(halves + DASH_M / 2, from_s_m, to_s_m)
        keep = end > begin
        return [Stripe(begin[keep], end[keep], np.ones(int(keep.sum())), worn=False)]

    def _worn(self, from_s_m: float, to_s_m: float) -> Stripe:
        first, last = int(from_s_m // _WORN_PIECE_M), int(np.ceil(to_s_m / _WORN_PIECE_M))
        index = np.arange(first, last)
        left = 0.15 + 0.5 * hash_unit(index, self._seed)
        left[hash_unit(index // 2, self._seed + 1) < 0.25] = 0.0
        begin = np.clip(index * _WORN_PIECE_M, from_s_m, to_s_m)
        end = np.clip((index + 1) * _WORN_PIECE_M, from_s_m, to_s_m)
        keep = (end > begin) & (left > 0)
        return Stripe(begin[keep], end[keep], left[keep], worn=True)

    def _drawn(self, mix: MarkingMix, index: int) -> MarkingSection:
        unit = hash_unit(np.array([2 * index, 2 * index + 1]), self._seed + 2)
        return MarkingSection(index * mix.section_m, _pick(mix.left, unit[0]), _pick(mix.right, unit[1]))


def hash_unit(index: NDArray[np.int64], seed: int) -> FloatArray:
    """Numbers in [0, 1) that belong to (index, seed) alone: SplitMix64's finaliser (Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        z = index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed * 0xD1B54A32D192ED03 % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.asarray((z >> np.uint64(11)).astype(np.float64) / 2**53)


def _pick(weights: tuple[tuple[Line, float], ...], unit: float) -> Line:
    threshold = unit * sum(weight for _, weight in weights)
    for line, weight in weights:
        threshold -= weight
        if threshold < 0:
            return line
    return weights[-1][0]
