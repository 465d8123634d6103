"""The map in words: which part of the picture pulled the decision which way, and how much.

The picture is nine zones, thirds of the map's grid: far, middle and near by left, centre and right. All numbers are
sums of the map's cells, so they are in the target's unit and add up to the map's net pull.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from runtime.attribution.grid import Grid
from runtime.contracts.messages import ConceptValue
from runtime.contracts.model import Told
from runtime.contracts.vehicle import Control

ROWS = ("far", "middle", "near")
COLUMNS = ("left", "centre", "right")
ZONES = tuple(f"{row} {column}" for row in ROWS for column in COLUMNS)
"""Row by row from the top left."""

_NOTABLE_SHARE = 0.05  # what pulls less than this part of all does not make the sentence


@dataclass(frozen=True, slots=True)
class ZonePull:
    """What one zone did: its net pull in the target's unit (positive: steering left, or accelerating), and its part
    of the whole map's absolute pull, 0 to 1."""

    zone: str
    net: float
    share: float


@dataclass(frozen=True, slots=True)
class Pulls:
    """A whole map: sums over its cells that are numbers, in the target's unit, and how many cells are none."""

    zones: tuple[ZonePull, ...]  # in the order of ZONES
    net: float
    up: float  # of the cells that pulled up (steering: left), at least 0
    down: float  # of the others, at most 0
    not_finite: int


def pulls(values: Grid) -> Pulls:
    """Sum a map by zones. Cells that are NaN or infinite are left out and counted.

    The sums run cell by cell and zone by zone in float64, so they are the same bits on every machine and Python.
    """
    flat = values.ravel()
    finite = np.isfinite(flat)
    bad = int(flat.size - np.count_nonzero(finite))
    if bad:
        flat = np.where(finite, flat, 0.0)
    zone = _zone_of_cell(*values.shape)
    net = np.bincount(zone, weights=flat, minlength=len(ZONES)).tolist()
    absolute = np.bincount(zone, weights=np.abs(flat), minlength=len(ZONES)).tolist()
    total, whole = _sum(net), _sum(absolute)
    share = [part / whole if 0.0 < whole < math.inf else 0.0 for part in absolute]
    zones = tuple(map(ZonePull, ZONES, net, share))
    return Pulls(zones, total, (whole + total) / 2, (total - whole) / 2, bad)


@dataclass(frozen=True, slots=True)
class Account:
    """A map in short: its net pull in the target's unit, the zones that did most for it and most against it (None:
    none worth naming), and all that as words."""

    net: float
    with_it: ZonePull | None
    against: ZonePull | None
    words: str


def account(values: Grid, target: Told) -> Account:
    """What pulled the target where, e.g. `pulled left by the near left (+1.4 deg), against it the far
    right (-0.3 deg)`.

    The strongest zone each way is named, with its pull in degrees (steering) or m/s2 (acceleration), where it has a
    notable part of the whole. The map is a local account: its parts need not add up to the decision.
    """
    found = pulls(values)
    if found.not_finite == values.size:
        return Account(0.0, None, None, "the map holds no number")
    strongest = max(found.zones, key=lambda zone: zone.net)
    weakest = min(found.zones, key=lambda zone: zone.net)
    with_it, against = (strongest, weakest) if found.net >= 0 else (weakest, strongest)
    if with_it.net == 0.0:
        return Account(found.net, None, None, "nothing in the picture pulled either way")
    if target == "attention":
        return Account(
            found.net, with_it, None, f"attended most to the {with_it.zone} ({amount(with_it.share, target)})"
        )
    words = f"pulled {_way(with_it.net, target)} by the {with_it.zone} ({amount(with_it.net, target)})"
    opposed = against.net * with_it.net < 0 and against.share >= _NOTABLE_SHARE
    if opposed:
        words += f", against it the {against.zone} ({amount(against.net, target)})"
    if found.not_finite:
        words += f" ({found.not_finite} of {values.size} cells are no numbers)"
    return Account(found.net, with_it, against if opposed else None, words)


def amount(pull: float, target: Told) -> str:
    """A pull with its sign, in degrees for steering and m/s2 for acceleration; a share of attention in percent."""
    if target == "attention":
        return f"{pull:.0%}"
    if target == "steering_angle_rad":
        return f"{math.degrees(pull):+.1f} deg"
    return f"{pull:+.2f} m/s2" if target == "acceleration_mps2" else f"{pull:+.3g}"


def seen(concepts: Iterable[ConceptValue]) -> str:
    """What a network took the road to be, e.g. `lane offset +0.32 m, heading error -1.2 deg, gap +18 m`."""
    return ", ".join(_concept(concept) for concept in concepts)


def _concept(concept: ConceptValue) -> str:
    value, unit = float(concept.value), concept.unit
    # The name carries its unit for machines; people read it behind the number.
    name = re.sub(r"_(m|rad|mps|per_m|ratio)$", "", concept.name).replace("_", " ")
    if unit == "rad":
        value, unit = math.degrees(value), "deg"
    return f"{name} {value:+.2g}" + (f" {unit}" if unit not in ("", "1") else "")


def steering(angle_rad: float) -> str:
    """`steers 2.1 deg left`, `steers straight`."""
    shown = f"{abs(math.degrees(angle_rad)):.1f}"
    return "steers straight" if float(shown) == 0.0 else f"steers {shown} deg {'left' if angle_rad > 0 else 'right'}"


def action(control: Control) -> str:
    """`steers 2.1 deg left and slows down by 1.2 m/s2`; an acceleration that rounds to 0 is not mentioned."""
    shown = f"{abs(control.acceleration_mps2):.1f}"
    if float(shown) == 0.0:
        return steering(control.steering_angle_rad)
    way = "speeds up" if control.acceleration_mps2 > 0 else "slows down"
    return f"{steering(control.steering_angle_rad)} and {way} by {shown} m/s2"


def _way(pull: float, target: Told) -> str:
    if target == "steering_angle_rad":
        return "left" if pull > 0 else "right"
    if target == "acceleration_mps2":
        return "faster" if pull > 0 else "slower"
    return "up" if pull > 0 else "down"


def _sum(parts: list[float]) -> float:
    """One after the other: from Python 3.12 on, the built-in sum() compensates its rounding, and gives other bits."""
    total = 0.0
    for part in parts:
        total += part
    return total


@lru_cache(maxsize=16)
def _zone_of_cell(rows: int, columns: int) -> NDArray[np.intp]:
    """The zone's index of every cell; a cell belongs to the third that its centre lies in."""
    down = (2 * np.arange(rows) + 1) * 3 // (2 * rows)
    across = (2 * np.arange(columns) + 1) * 3 // (2 * columns)
    return (down[:, np.newaxis] * 3 + across).ravel()
