"""Where the cells of a layer lie in the picture: rows and columns, or tokens, read off what each element sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.attribution.bounds import Bounds, of_cells, over, sees, thin
from export.attribution.sight import Sight, look
from export.graph.graph import Graph
from runtime.contracts.model import ImageInput

_NEARLY, _UNEVEN = 0.25, 0.6  # of a cell: how far a centre may lie from its place in an even grid, by either fit


@dataclass(frozen=True)
class Places:
    """A layer's cells over the picture, in pixels of the image input as the manifest counts them.

    `row_axis` and `column_axis` are the tensor's axes; where both are the same one it holds tokens, of which `first` is
    the top left cell's, and the next rows x columns are the others, row by row. `note` says where the places were not
    read off the graph, or are not all that a cell sees.
    """

    rows: int
    columns: int
    row_axis: int
    column_axis: int
    origin_y_px: float
    origin_x_px: float
    stride_y_px: float
    stride_x_px: float
    field_y_px: float
    field_x_px: float
    first: int = 0
    note: str = ""

    @property
    def tokens(self) -> bool:
        """Whether the cells are tokens along one axis."""
        return self.row_axis == self.column_axis


def sight_of(graph: Graph, image: ImageInput) -> Sight:
    """What every tensor sees of the picture."""
    shape = graph.value(image.name).shape
    rows, columns = np.arange(image.height), np.arange(image.width)
    if image.layout == "NHWC":
        return look(graph, image.name, of_cells(shape, rows[:, None, None][None], columns[:, None][None, None]))
    return look(graph, image.name, of_cells(shape, rows[:, None][None, None], columns[None, None, None]))


def places_of(bounds: Bounds, shape: tuple[int, ...], image: ImageInput, mixed: bool = False) -> Places | None:
    """The grid in which a tensor's elements see the picture; None where they lie in none.

    Args:
        bounds: what the tensor sees, of `sight_of`.
        shape: of the tensor.
        image: the picture's size.
        mixed: whether its places were mixed with all others on a second way.
    """
    box = np.broadcast_to(bounds, (4, *shape)) if bounds.shape[1:] == shape else bounds
    seen = thin(_own_places(box))
    down, across = (_strongest(seen, side) for side in (0, 1))
    if down is None and across is None:
        return None
    note = "cells see the rest of the picture as well, through layers that mix all places" if mixed else ""
    if down == across and down is not None:
        return _of_tokens(seen, down, image, note)
    if down is None and across is not None:
        down = across - 1 if across >= 1 and shape[across - 1] == 1 else None
    elif across is None and down is not None:
        across = down + 1 if down + 1 < len(shape) and shape[down + 1] == 1 else None
    if down is None or across is None:
        # One row or one column of tokens.
        only = across if down is None else down
        return _of_tokens(seen, only, image, note) if only is not None else None
    others = [axis for axis in range(len(shape)) if axis not in (down, across)]
    flat = over(seen, others)
    y, x = _line(flat, 0, down, across, image.height), _line(flat, 1, across, down, image.width)
    if y is None or x is None:
        return None
    return Places(shape[down], shape[across], down, across, y[0], x[0], y[1], x[1], y[2], x[2], note=note)


def even_tiling(shape: tuple[int, ...], image: ImageInput, why: str) -> Places | None:
    """Cells of equal size that cover the picture, for a layer whose places are not known; None for no map or tokens."""
    if len(shape) == 4 and shape[2] * shape[3] > 1:
        rows, columns, first, axes = shape[2], shape[3], 0, (2, 3)
    elif len(shape) == 3 and (found := _square(shape[1], image)):
        rows, columns, first, axes = *found, (1, 1)
    else:
        return None
    y, x = image.height / rows, image.width / columns
    note = f"places by an even tiling of the picture: {why}"
    return Places(rows, columns, *axes, (y - 1) / 2, (x - 1) / 2, y, x, y, x, first, note)


def _own_places(box: Bounds) -> Bounds:
    """Without the elements that see all that any sees, where others see less: a class token has no place."""
    union = over(box, range(box.ndim - 1))
    everything = (box == union).all(axis=0)
    seeing = sees(box)
    return np.where(everything & seeing, np.inf, box) if (seeing & ~everything).any() else box


def _strongest(box: Bounds, side: int) -> int | None:
    """The tensor axis along which the centres of the rows (side 0) or columns (1) that are seen move most."""
    seeing = sees(box)
    centres = np.subtract(box[side], box[side + 2], out=np.zeros_like(box[side]), where=seeing) / 2
    best, most = None, 0.0
    for axis, size in enumerate(centres.shape):
        lowest = np.where(seeing, centres, np.inf).min(axis=axis)
        highest = np.where(seeing, centres, -np.inf).max(axis=axis)
        moved = float(np.subtract(highest, lowest, out=np.zeros_like(lowest), where=highest >= lowest).max())
        if size > 1 and moved > most:
            best, most = axis, moved
    return best


def _line(flat: Bounds, side: int, axis: int, other: int, extent: int) -> tuple[float, float, float] | None:
    """(origin, stride, field) along one axis of a map; None where they are not even, or change across it."""
    ends = np.moveaxis(flat, (axis + 1, other + 1), (1, 2)).reshape(4, flat.shape[axis + 1], -1)
    firsts, lasts = ends[side], -ends[side + 2]
    if not np.isfinite(firsts).all() or not _same(firsts + lasts):
        return None
    return _even(firsts.min(axis=1), lasts.max(axis=1), extent)


def _same(across: NDArray[np.float32]) -> bool:
    """Whether twice the centre stays, within a pixel, as it is along the other axis."""
    return bool((np.ptp(across, axis=1) < 2.0).all())


def _even(firsts: NDArray[np.float32], lasts: NDArray[np.float32], extent: int) -> tuple[float, float, float] | None:
    """(origin, stride, field) of cells in a line, the field as wide as their even places need to hold what they see."""
    at, count = (firsts.astype(np.float64) + lasts) / 2, np.arange(len(firsts))
    if len(at) == 1:
        return float(at[0]), float(extent), float(lasts[0] - firsts[0]) + 1
    stride = float(np.median(np.diff(at)))
    origin = float(np.median(at - stride * count))
    if stride <= 0 or np.abs(origin + stride * count - at).max() > _NEARLY * stride:
        # Upsampled cells come in runs that see the same, or nearly so where they are interpolated.
        alike = np.unique(at)
        if len(alike) > 1 and (at == np.repeat(alike, -(-len(at) // len(alike)))[: len(at)]).all():
            run = len(at) / len(alike)
            stride, unevenness = float(np.median(np.diff(alike))) / run, run
            origin = float(at[0]) - stride * (run - 1) / 2
        else:
            stride, origin = (round(float(each), 6) for each in np.polyfit(count, at, 1))
            unevenness = _UNEVEN
        if stride <= 0 or np.abs(origin + stride * count - at).max() > unevenness * stride:
            return None
    places = origin + stride * count
    return origin, stride, 2 * float(np.maximum(places - firsts, lasts - places).max()) + 1


def _of_tokens(seen: Bounds, axis: int, image: ImageInput, note: str) -> Places | None:
    line = over(seen, [i for i in range(seen.ndim - 1) if i != axis]).reshape(4, -1)
    placed = np.flatnonzero(np.isfinite(line[0]))
    first, count = int(placed[0]), len(placed)
    if placed[-1] - first + 1 != count:
        return None
    line = line[:, first : first + count]
    down, across = line[0] - line[2], line[1] - line[3]
    columns = int(np.argmax(down != down[0])) or count
    if count % columns:
        return None
    rows = count // columns
    down, across = down.reshape(rows, columns), across.reshape(rows, columns)
    if not (_same(down) and _same(across.T)):
        return None
    top, left, bottom, right = (line * np.array([[1], [1], [-1], [-1]], np.float32)).reshape(4, rows, columns)
    y = _even(top.min(axis=1), bottom.max(axis=1), image.height)
    x = _even(left.min(axis=0), right.max(axis=0), image.width)
    if y is None or x is None:
        return None
    return Places(rows, columns, axis, axis, y[0], x[0], y[1], x[1], y[2], x[2], first, note)


def _square(tokens: int, image: ImageInput) -> tuple[int, int, int] | None:
    """(rows, columns, first) of patches that come nearest to squares, with a class token where there must be one."""
    best, cost = None, np.inf
    for first in (0, 1):
        count = tokens - first
        for rows in range(2, count // 2 + 1):
            if count % rows == 0:
                aspect = abs(np.log(image.height / rows * (count // rows) / image.width)) + 0.1 * first
                if aspect < cost:
                    best, cost = (rows, count // rows, first), aspect
    return best if cost < np.log(2.0) else None
