"""A seeded, endless road: straights, circular arcs and the clothoids between them.

Curvature is continuous and piecewise linear in arc length (a clothoid is exactly that), so the whole road is its
curvature sampled on a fixed grid, and heading and position are integrals of it: over one grid step the chord points
along the mean heading and is shorter than the arc by turn^2 / 24, which leaves less than 1e-7 m. The heading stays
within a cone around the x axis, therefore x grows along the road and the road never meets itself, however long it gets.

Signs follow ISO 8855: curvature and lateral offset are positive to the LEFT.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

GRID_M = 0.5
_CHUNK = 2048  # a constant chunk keeps every bit of the road the same, whatever order it is asked for in


@dataclass(frozen=True)
class RoadElement:
    """A piece of road over which curvature runs linearly to `end_curvature_per_m` (constant: an arc or a straight)."""

    length_m: float
    end_curvature_per_m: float


@dataclass(frozen=True)
class RoadShape:
    """What the road may do: ranges from which the seed draws, after an optional fixed opening."""

    max_abs_curvature_per_m: float = 1 / 80
    min_abs_curvature_per_m: float = 1 / 600
    straight_m: tuple[float, float] = (30.0, 150.0)
    arc_m: tuple[float, float] = (40.0, 140.0)
    clothoid_m: tuple[float, float] = (35.0, 80.0)
    direct_turn_share: float = 0.4
    max_abs_heading_rad: float = 1.2
    opening: tuple[RoadElement, ...] = (RoadElement(40.0, 0.0),)


@dataclass(frozen=True)
class RoadPoints:
    """The centre line of our lane at n arc lengths; every array is float64 (n,): m, m, rad, 1/m."""

    x_m: FloatArray
    y_m: FloatArray
    heading_rad: FloatArray
    curvature_per_m: FloatArray


@dataclass(frozen=True)
class RoadPose:
    """A pose seen from the road: arc length, offset to the left of the lane centre, heading relative to the lane."""

    s_m: float
    lateral_offset_m: float
    heading_error_rad: float
    curvature_per_m: float


class Road:
    """The centre line of our lane, grown on demand; the same (shape, seed) gives the same bits."""

    def __init__(self, shape: RoadShape, seed: int) -> None:
        self._shape = shape
        self._rng = np.random.default_rng([seed, 0x0AD])
        self._pending: list[float] = [0.0]
        self._tail_heading_rad = 0.0
        for element in shape.opening:
            self._append(element)
        self._curvature = np.empty(0)
        self._heading = np.zeros(1)
        self._x = np.zeros(1)
        self._y = np.zeros(1)
        self._grow(1000.0)

    def points(self, s_m: FloatArray) -> RoadPoints:
        """Centre line at arc lengths `s_m` (float64, any order); before 0 the road goes on straight."""
        self._grow(float(np.max(s_m, initial=0.0)))
        index = np.maximum(np.floor(s_m / GRID_M).astype(np.int64), 0)
        u = s_m - index * GRID_M
        k0 = self._curvature[index]
        slope = np.where(s_m < 0, 0.0, (self._curvature[index + 1] - k0) / GRID_M)
        h0 = self._heading[index]
        chord = h0 + u * (k0 / 2 + slope * u / 6)
        turn = u * (k0 + slope * u / 2)
        reach = u * (1 - turn * turn / 24)
        return RoadPoints(
            self._x[index] + reach * np.cos(chord), self._y[index] + reach * np.sin(chord), h0 + turn, k0 + slope * u
        )

    def place(self, s_m: FloatArray, lateral_m: FloatArray) -> FloatArray:
        """World positions (n, 2) of points `lateral_m` to the left of the lane centre at `s_m`."""
        at = self.points(s_m)
        return np.stack(
            [at.x_m - lateral_m * np.sin(at.heading_rad), at.y_m + lateral_m * np.cos(at.heading_rad)], axis=-1
        )

    def project(self, x_m: float, y_m: float, heading_rad: float, near_s_m: float | None = None) -> RoadPose:
        """The pose seen from the road; `near_s_m`, where known, makes the search local (within 60 m)."""
        s = self._nearest_sample(x_m, y_m, near_s_m)
        curvature = heading = lateral = 0.0
        for _ in range(8):
            x, y, heading, curvature = self._point(s)
            dx, dy = x_m - x, y_m - y
            along = dx * math.cos(heading) + dy * math.sin(heading)
            lateral = dy * math.cos(heading) - dx * math.sin(heading)
            if abs(along) < 1e-10:
                break
            s += along / max(1.0 - curvature * lateral, 0.2)
        return RoadPose(s, lateral, wrap_angle(heading_rad - heading), curvature)

    def pose_at(self, s_m: float, lateral_offset_m: float = 0.0) -> tuple[float, float, float]:
        """World x, y and the road's heading at a place to the left of the lane centre."""
        x, y, heading, _ = self._point(s_m)
        return x - lateral_offset_m * math.sin(heading), y + lateral_offset_m * math.cos(heading), heading

    def curvature_at(self, s_m: float) -> float:
        """Curvature in 1/m at one arc length."""
        return self._point(s_m)[3]

    def _nearest_sample(self, x_m: float, y_m: float, near_s_m: float | None) -> float:
        if near_s_m is None:
            while self._x[-1] < x_m + 100.0:
                self._grow(len(self._x) * GRID_M + 500.0)
            low, high = 0, len(self._x)
        else:
            self._grow(near_s_m + 100.0)
            low = max(0, int((near_s_m - 60.0) / GRID_M))
            high = max(low + 1, int((near_s_m + 60.0) / GRID_M))
        squared = (self._x[low:high] - x_m) ** 2 + (self._y[low:high] - y_m) ** 2
        return (low + int(np.argmin(squared))) * GRID_M

    def _point(self, s_m: float) -> tuple[float, float, float, float]:
        """`points` for one arc length, in plain floats: the projection calls it several times a frame."""
        self._grow(s_m)
        index = max(int(s_m // GRID_M), 0)
        u = s_m - index * GRID_M
        k0 = float(self._curvature[index])
        slope = 0.0 if s_m < 0 else (float(self._curvature[index + 1]) - k0) / GRID_M
        h0 = float(self._heading[index])
        chord = h0 + u * (k0 / 2 + slope * u / 6)
        turn = u * (k0 + slope * u / 2)
        reach = u * (1 - turn * turn / 24)
        x, y = float(self._x[index]), float(self._y[index])
        return x + reach * math.cos(chord), y + reach * math.sin(chord), h0 + turn, k0 + slope * u

    def _grow(self, s_m: float) -> None:
        while (len(self._curvature) - 3) * GRID_M < s_m:
            while len(self._pending) < _CHUNK + 1:
                self._append_turn()
            chunk = np.array(self._pending[: _CHUNK + 1])
            del self._pending[:_CHUNK]
            k, k_next = chunk[:-1], chunk[1:]
            turn = (k + k_next) * (GRID_M / 2)
            heading = np.cumsum(np.concatenate([self._heading[-1:], turn]))
            chord = heading[:-1] + GRID_M * (k / 2 + (k_next - k) / 6)
            reach = GRID_M * (1 - turn * turn / 24)
            x = np.cumsum(np.concatenate([self._x[-1:], reach * np.cos(chord)]))
            y = np.cumsum(np.concatenate([self._y[-1:], reach * np.sin(chord)]))
            self._curvature = np.concatenate([self._curvature, k])
            self._heading = np.concatenate([self._heading, heading[1:]])
            self._x = np.concatenate([self._x, x[1:]])
            self._y = np.concatenate([self._y, y[1:]])

    def _append_turn(self) -> None:
        """A straight (or none), then clothoid, arc, clothoid, to a side that keeps the heading inside its cone."""
        shape, rng = self._shape, self._rng
        straight = 0.0 if rng.random() < shape.direct_turn_share else rng.uniform(*shape.straight_m)
        arc, clothoid = rng.uniform(*shape.arc_m), rng.uniform(*shape.clothoid_m)
        log_range = math.log(shape.min_abs_curvature_per_m), math.log(shape.max_abs_curvature_per_m)
        curvature = math.exp(rng.uniform(*log_range))
        side = 1.0 if rng.random() < 0.5 else -1.0
        room = shape.max_abs_heading_rad - side * self._tail_heading_rad
        if room < 0.5 * shape.max_abs_heading_rad:
            side = -side
            room = shape.max_abs_heading_rad - side * self._tail_heading_rad
        curvature = side * min(curvature, room / (arc + clothoid + 2 * GRID_M))
        for element in (
            RoadElement(straight, 0.0),
            RoadElement(clothoid, curvature),
            RoadElement(arc, curvature),
            RoadElement(clothoid, 0.0),
        ):
            self._append(element)

    def _append(self, element: RoadElement) -> None:
        """Lengths are rounded to the grid, so that curvature is exactly linear between samples."""
        start = self._pending[-1]
        steps = round(element.length_m / GRID_M)
        for i in range(1, steps + 1):
            self._pending.append(start + (element.end_curvature_per_m - start) * (i / steps))
        self._tail_heading_rad += steps * GRID_M * (start + element.end_curvature_per_m) / 2


def wrap_angle(angle_rad: float) -> float:
    """The same angle in [-pi, pi)."""
    return (angle_rad + math.pi) % (2 * math.pi) - math.pi
