"""Boxes: which rows and columns of a source each element of a tensor can see.

float32 arrays of shape (4, *tensor): first row, first column, minus the last row, minus the last column, counted in the
source's cells, so that the union of two boxes is their minimum. An element that sees nothing has +inf. An axis along
which all is alike may have size 1. Where a window reaches into padding the places beyond the edge are counted on (-1,
-2, ...), as if the source went on: the boxes of a convolution lie evenly up to its border.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Bounds = NDArray[np.float32]


def nothing(rank: int) -> Bounds:
    """The boxes of a tensor that does not depend on the source."""
    return np.full((4,) + (1,) * rank, np.inf, np.float32)


def of_cells(shape: Sequence[int], rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Bounds:
    """The boxes of the source itself: each element sees its own cell; `rows` and `columns` broadcast to `shape`."""
    bounds = np.empty((4, *np.broadcast_shapes(rows.shape, columns.shape)), np.float32)
    bounds[0], bounds[1], bounds[2], bounds[3] = rows, columns, -rows, -columns
    if bounds.ndim != len(shape) + 1:
        raise ValueError(f"the cells have the shape {bounds.shape[1:]}, the tensor {tuple(shape)}")
    return bounds


def sees(bounds: Bounds) -> NDArray[np.bool_]:
    """Which elements see anything."""
    seeing: NDArray[np.bool_] = np.isfinite(bounds[0])
    return seeing


def alike(bounds: Bounds) -> bool:
    """Whether all elements that see anything see the same."""
    seen = bounds.reshape(4, -1)[:, sees(bounds).ravel()]
    return bool((seen == seen[:, :1]).all())


def thin(bounds: Bounds) -> Bounds:
    """The same boxes, with size 1 on every axis along which all is alike."""
    for axis in range(1, bounds.ndim):
        first = bounds.take([0], axis)
        if bounds.shape[axis] > 1 and (bounds == first).all():
            bounds = first
    return bounds


def over(bounds: Bounds, axes: Sequence[int]) -> Bounds:
    """The union over tensor axes (0 is the tensor's first), kept with size 1."""
    return bounds.min(axis=tuple(axis + 1 for axis in axes), keepdims=True) if len(axes) else bounds


def joined(parts: Sequence[Bounds], rank: int) -> tuple[Bounds, bool]:
    """The boxes where tensors meet element by element (broadcast): the union, and whether something that sees the same
    from everywhere met something that does not.

    The latter (a gate over the whole picture, attention beside its residual) would make every element see everything,
    and nothing could be said of places any more. It is left out where an element has a place of its own.
    """
    aligned = [part.reshape(4, *(1,) * (rank + 1 - part.ndim), *part.shape[1:]) for part in parts]
    seeing = [part for part in aligned if sees(part).any()]
    placed = [part for part in seeing if not alike(part)]
    result = nothing(rank)
    if not placed or len(placed) == len(seeing):
        for part in seeing:
            result = np.minimum(result, part)
        return result, False
    for part in placed:
        result = np.minimum(result, part)
    everywhere = nothing(rank)
    for part in seeing:
        if alike(part):
            everywhere = np.minimum(everywhere, part)
    return np.where(np.isfinite(result[:1]), result, everywhere), True
