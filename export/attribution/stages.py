"""The way from a layer to a finer one: which of the finer cells each coarser cell sees, and on how many ways."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.attribution.bounds import Bounds
from export.attribution.layers import Layer, Layers, between
from export.attribution.sight_rules import windows
from runtime.contracts.errors import ModelError

_WINDOWED = frozenset({"Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool"})


@dataclass(frozen=True)
class Sliding:
    """A window along one axis: `taps`, float64, says on how many ways a coarse cell sees each of the finer cells from
    its window's first to its last one; the first cell's window begins `pad` cells before the axis.
    """

    taps: NDArray[np.float64]
    stride: int
    pad: int

    def over(self, finer: Sliding) -> Sliding:
        """This window, slid over cells that themselves slide over finer ones."""
        apart = np.zeros((len(self.taps) - 1) * finer.stride + 1)
        apart[:: finer.stride] = self.taps
        pad = finer.pad + self.pad * finer.stride
        return Sliding(np.convolve(apart, finer.taps), self.stride * finer.stride, pad)

    def coverage(self, size: int) -> NDArray[np.float64]:
        """How often each of the finer cells is seen, 1 on the average, far from the border; it repeats with the stride.

        Where that changes from cell to cell (a kernel that its stride does not divide), what is laid down by windows is
        a checkerboard.
        """
        phases = np.array([self.taps[phase :: self.stride].sum() for phase in range(self.stride)])
        phases[phases == 0.0] = 1.0  # no window reaches these
        seen: NDArray[np.float64] = phases[(np.arange(size) + self.pad) % self.stride] / phases.mean()
        return seen


@dataclass(frozen=True)
class Stage:
    """How the coarser cells slide over the rows (`down`) and columns (`across`) of `finer`."""

    finer: Layer
    down: Sliding
    across: Sliding


def stage_between(layers: Layers, layer: Layer, finer: str | None) -> Stage:
    """The windows through which the cells of a layer see those of a finer one, over all that lies between.

    Args:
        layers: of the graph and target.
        layer: where the way begins.
        finer: where it ends; None: the first map with more cells.

    Raises:
        ModelError: there is no such map, or its cells are not seen through sliding windows.
    """
    way = _way_down(layers, layer, finer)
    coarse, down, across = layer, None, None
    for each in way:
        y, x = _slidings(layers, each, coarse)
        down, across = y if down is None else down.over(y), x if across is None else across.over(x)
        coarse = each
    assert down is not None
    assert across is not None
    return Stage(coarse, down, across)


def _way_down(layers: Layers, layer: Layer, finer: str | None) -> list[Layer]:
    """The maps on the way, coarse to fine; of those that share their windows the last before the coarser one."""
    if layer.places.tokens:
        raise ModelError(
            f"attribution: {layer.tensor!r} holds tokens, and a map of tokens is not carried up; use "
            "gradient-x-activation or attention-rollout"
        )
    gates = [each for each in layers.gates() if not each.places.tokens]
    tensors = [each.tensor for each in gates]
    if layer.tensor not in tensors:
        raise ModelError(
            f"attribution: not all of the picture goes through {layer.tensor!r}, so its map cannot be carried up; name "
            "another layer, or use gradient-x-activation"
        )
    before = gates[: tensors.index(layer.tensor)][::-1]
    end = None if finer is None else layers.named(finer).tensor
    if end is not None and end not in [each.tensor for each in before]:
        known = ", ".join(f"{each.tensor} ({each.places.rows} x {each.places.columns})" for each in before) or "none"
        raise ModelError(
            f"attribution: finer_layer {finer!r} is no map through which the whole picture goes on its way to "
            f"{layer.tensor!r}; there are {known}"
        )
    way: list[Layer] = []
    coarse = layer
    for each in before:
        if each.tensor == end and way and _same_windows(each, coarse):
            way[-1] = each
        elif not _same_windows(each, coarse):
            if end is None and way and _cells(way[-1]) > _cells(layer):
                break
            way.append(each)
            coarse = each
        if each.tensor == end:
            break
    if not way or _cells(way[-1]) <= _cells(layer):
        raise ModelError(
            f"attribution: no map with more cells than {layer.tensor!r} ({layer.places.rows} x {layer.places.columns}) "
            f"{'comes before it' if end is None else f'is {finer!r}'}; use gradient-x-activation"
        )
    return way


def _cells(layer: Layer) -> int:
    return layer.places.rows * layer.places.columns


def _same_windows(a: Layer, b: Layer) -> bool:
    p, q = a.places, b.places
    sizes = (p.rows, p.columns, p.field_y_px, p.field_x_px) == (q.rows, q.columns, q.field_y_px, q.field_x_px)
    return sizes and (p.origin_y_px, p.origin_x_px) == (q.origin_y_px, q.origin_x_px)


def _slidings(layers: Layers, finer: Layer, coarse: Layer) -> tuple[Sliding, Sliding]:
    box = layers.seen_of(finer, coarse.tensor)
    if box is None:
        raise ModelError(f"attribution: {coarse.tensor!r} does not depend on {finer.tensor!r}")
    places, dilations = coarse.places, _dilations(layers, finer, coarse)
    y = _sliding(box, 0, places.row_axis, places.rows, dilations[0])
    x = _sliding(box, 1, places.column_axis, places.columns, dilations[1])
    if y is None or x is None:
        raise ModelError(
            f"attribution: the cells of {coarse.tensor!r} see those of {finer.tensor!r} through no sliding window, so "
            "the map cannot be carried up; name another finer_layer, or use gradient-x-activation"
        )
    return y, x


def _sliding(box: Bounds, side: int, axis: int, size: int, dilation: int) -> Sliding | None:
    line = np.moveaxis(box, axis + 1, 1).reshape(4, box.shape[axis + 1], -1).min(axis=2)
    line = np.broadcast_to(line, (4, size))
    firsts, extents = line[side], -line[side + 2] - line[side] + 1
    steps = np.unique(np.diff(firsts))
    if len(steps) > 1 or (steps < 1).any() or (extents != extents[0]).any() or firsts[0] > 0:
        return None
    taps = np.zeros(int(extents[0]))
    taps[::dilation] = 1.0
    return Sliding(taps, int(steps[0]) if len(steps) else len(taps), -int(firsts[0]))


def _dilations(layers: Layers, finer: Layer, coarse: Layer) -> tuple[int, int]:
    """The dilation of the one windowed operator between two maps; 1 where there are several, whose windows overlap."""
    wide = []
    for node in between(layers.graph, finer.tensor, coarse.tensor):
        if node.op in _WINDOWED and not node.domain:
            found = windows(layers.graph, node)
            if any(window.kernel > 1 for window in found):
                wide.append(found)
    return (wide[0][0].dilation, wide[0][1].dilation) if len(wide) == 1 and len(wide[0]) == 2 else (1, 1)
