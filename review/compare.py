"""Recorded against replayed, bit for bit; where the bits differ, how far, and which tensor or field differs first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtime.contracts.messages import Decision

Verdict = Literal["identical", "within_tolerance", "diverged"]
Arrays = Mapping[str, NDArray[Any]]

_WORST: tuple[Verdict, ...] = ("identical", "within_tolerance", "diverged")


@dataclass(frozen=True, slots=True)
class Difference:
    """Two values that should be the same bits: where, how far apart in numbers (infinite where that has no meaning),
    and both in words."""

    field: str
    distance: float
    recorded: str
    replayed: str


def worst(verdicts: set[Verdict]) -> Verdict:
    """The worst of some verdicts; identical where there are none."""
    return max(verdicts, key=_WORST.index, default="identical")


def tensor_differences(side: str, recorded: Arrays, replayed: Arrays) -> list[Difference]:
    """Every tensor that is not the same bits in both, in the record's order; `side` (input, output) names it.

    The distance is the largest absolute difference of elements. Where both are NaN or the same infinity, it is 0: the
    bits of a NaN differ without a number being different.
    """
    found = []
    for name in [*recorded, *(name for name in replayed if name not in recorded)]:
        before, after = recorded.get(name), replayed.get(name)
        field = f"{side} {name}"
        if before is None or after is None or (before.dtype, before.shape) != (after.dtype, after.shape):
            found.append(Difference(field, math.inf, _shape(before), _shape(after)))
        elif before.tobytes() != after.tobytes():
            found.append(_elements(field, before, after))
    return found


def message_difference(field: str, recorded: msgspec.Struct | None, replayed: msgspec.Struct | None) -> Difference:
    """The first field in which two messages that are encoded differently differ."""
    return _walk(field, msgspec.to_builtins(recorded), msgspec.to_builtins(replayed)) or Difference(
        field, 0.0, "other bytes", "of the same content"
    )


def control_distance(recorded: Decision, replayed: Decision) -> float:
    """How far apart the two final commands are: the larger of both quantities' differences, in rad and m/s2."""
    before, after = recorded.control, replayed.control
    return max(
        abs(before.steering_angle_rad - after.steering_angle_rad),
        abs(before.acceleration_mps2 - after.acceleration_mps2),
    )


def _elements(field: str, before: NDArray[Any], after: NDArray[Any]) -> Difference:
    first, second = before.ravel().astype(np.float64), after.ravel().astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.abs(first - second)
    same = (first == second) | (np.isnan(first) & np.isnan(second))
    distance = np.where(same, 0.0, np.where(np.isnan(distance), math.inf, distance))
    words = before.dtype.itemsize
    bits = (before.ravel().view(f"u{words}") != after.ravel().view(f"u{words}")).nonzero()[0]
    at = int(distance.argmax()) if distance.max() > 0.0 else int(bits[0])
    where = ",".join(str(index) for index in np.unravel_index(at, before.shape))
    return Difference(f"{field}[{where}]", float(distance[at]), str(before.ravel()[at]), str(after.ravel()[at]))


def _walk(field: str, before: Any, after: Any) -> Difference | None:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            found = _walk(f"{field}.{key}", before.get(key), after.get(key))
            if found is not None:
                return found
        return None
    if isinstance(before, list | tuple) and isinstance(after, list | tuple) and len(before) == len(after):
        inner = (_walk(f"{field}[{i}]", b, a) for i, (b, a) in enumerate(zip(before, after, strict=True)))
        return next((found for found in inner if found is not None), None)
    if _same(before, after):
        return None
    return Difference(field, _distance(before, after), str(before), str(after))


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, float) and isinstance(after, float):
        return before.hex() == after.hex()
    return type(before) is type(after) and bool(before == after)


def _distance(before: Any, after: Any) -> float:
    numbers = (int, float)
    if isinstance(before, numbers) and isinstance(after, numbers):
        distance = abs(float(before) - float(after))
        return distance if math.isfinite(distance) else math.inf
    return math.inf


def _shape(array: NDArray[Any] | None) -> str:
    return "nothing" if array is None else f"{array.dtype.name} {list(array.shape)}"
