"""Deletion and insertion of the most marked pixels (RISE; Petsiuk et al., arXiv 1806.07421), for a regression.

Deletion takes the most marked pixels away: the more the target changes, the more the map was right. Insertion puts only
them into an empty picture: the nearer the target comes to what it was, the better. Every map loses the same number of
pixels, whatever its ties: among equals a seeded shuffle, the same for all maps, decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.worth.imputers import IMPUTERS
from export.worth.laying import Field
from export.worth.subject import Inputs, Pixels, Subject
from export.worth.verdict import Imputer, Way

FRACTIONS = (0.02, 0.05, 0.10, 0.20)
WAYS: tuple[Way, ...] = ("deletion", "insertion")

Key = tuple[str, Way, Imputer]
Maps = Mapping[str, Sequence[Field]]
"""Of one frame, by name: one field each, or several draws of a random one, whose figures are averaged."""


@dataclass(frozen=True)
class Removed:
    """|change of the target|, float64 frames x fractions, by (map, way, imputer)."""

    changes: Mapping[Key, NDArray[np.float64]]

    def by_frame(self, name: str, way: Way, imputer: Imputer) -> NDArray[np.float64]:
        """The mean over fractions, one per frame."""
        found: NDArray[np.float64] = self.changes[name, way, imputer].mean(axis=1)
        return found


def pixel_counts(height: int, width: int) -> tuple[int, ...]:
    """How many pixels each fraction is, at least one."""
    return tuple(max(1, round(fraction * height * width)) for fraction in FRACTIONS)


def most_marked(field: Field, seed: tuple[int, ...]) -> NDArray[np.intp]:
    """Flat indices of all pixels, the most marked first, by |value|."""
    shuffle = np.random.default_rng(seed).permutation(field.size)
    found: NDArray[np.intp] = shuffle[np.argsort(-np.abs(field).ravel()[shuffle], kind="stable")]
    return found


def removed(subject: Subject, frames: Sequence[Inputs], maps: Sequence[Maps], seed: int) -> Removed:
    """Deletion and insertion over frames; `maps` are those of each frame, by the same names.

    Passes: frames x (1 + fields x fractions x 2 ways x 2 imputers).
    """
    each = [
        _Frame(subject, inputs).changes(fields, (seed, place))
        for place, (inputs, fields) in enumerate(zip(frames, maps, strict=True))
    ]
    return Removed({key: np.stack([one[key] for one in each]) for key in each[0]})


def directions(
    subject: Subject, frames: Sequence[Inputs], fields: Sequence[Field], seed: int
) -> dict[Imputer, NDArray[np.float64]]:
    """How far the signs of a map say the truth, in the target's unit, one value per frame: see `verdict.Direction`.

    One side at a time, because the pulls of both sides taken away together cancel.
    Passes: frames x (1 + 2 sides x fractions x 2 imputers).
    """
    each = [
        _Frame(subject, inputs).direction(field, (seed, place))
        for place, (inputs, field) in enumerate(zip(frames, fields, strict=True))
    ]
    return {imputer: np.array([one[imputer] for one in each]) for imputer in IMPUTERS}


class _Frame:
    """One frame under trial: its target, and its picture with each filling."""

    def __init__(self, subject: Subject, inputs: Inputs) -> None:
        self._subject, self._inputs = subject, inputs
        self._view, self._pixels = subject.view(inputs), subject.pixels(inputs)
        self._fillings = {imputer: fill(self._pixels) for imputer, fill in IMPUTERS.items()}

    def changes(self, maps: Maps, seed: tuple[int, ...]) -> dict[Key, NDArray[np.float64]]:
        orders = {name: [most_marked(field, seed) for field in fields] for name, fields in maps.items()}
        return {
            (name, way, imputer): np.mean([self._changes(order, way, imputer) for order in orders[name]], axis=0)
            for name in maps
            for way in WAYS
            for imputer in IMPUTERS
        }

    def direction(self, field: Field, seed: tuple[int, ...]) -> dict[Imputer, float]:
        sides = [np.clip(field, 0.0, None), np.clip(-field, 0.0, None)]
        up, down = (most_marked(part, seed)[: np.count_nonzero(part)] for part in sides)
        return {
            imputer: float(
                (self._targets(down, "deletion", imputer) - self._targets(up, "deletion", imputer)).mean() / 2
            )
            for imputer in IMPUTERS
        }

    def _changes(self, order: NDArray[np.intp], way: Way, imputer: Imputer) -> NDArray[np.float64]:
        found: NDArray[np.float64] = np.abs(self._targets(order, way, imputer) - self._view.target)
        return found

    def _targets(self, order: NDArray[np.intp], way: Way, imputer: Imputer) -> NDArray[np.float64]:
        """The target without the first pixels of `order`, or with them alone, for every fraction."""
        filling = self._fillings[imputer]
        ground, marked = (self._pixels, filling) if way == "deletion" else (filling, self._pixels)
        counts = pixel_counts(*ground.shape[:2])
        mixed = (self._subject.with_pixels(self._inputs, _put(ground, marked, order[:count])) for count in counts)
        return np.array([self._subject.target(each, self._view.index) for each in mixed])


def _put(ground: Pixels, marked: Pixels, where: NDArray[np.intp]) -> Pixels:
    mixed = ground.copy()
    mixed.reshape(-1, 3)[where] = marked.reshape(-1, 3)[where]
    return mixed
