"""Places read where a grid points, between pixels or beside the picture (Jaderberg et al., arXiv 1506.02025)."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from export.graph.values import Node
from export.reverse.tape import Gradients, Impassable, Tape, rule

_INT64 = 7  # ONNX's number for it
_MODES, _PADDINGS = ("linear", "bilinear", "nearest"), ("zeros", "border")


@rule("GridSample")
def _grid_sample(tape: Tape, node: Node, g: str) -> Gradients:
    """Each corner that a point read gets the gradient back, times the weight with which it was read."""
    x, grid = node.inputs
    shape, out = tape.shape(x), tape.shape(node.outputs[0])
    mode, padding = node.attributes.get("mode", "linear"), node.attributes.get("padding_mode", "zeros")
    if grid in tape.needed:
        raise Impassable(node, "where it reads depends on the input", "name a layer behind it, or another method")
    if len(shape) != 4 or mode not in _MODES or padding not in _PADDINGS:
        why = f"it is {mode} with padding {padding} in {len(shape) - 2} axes"
        raise Impassable(node, why, "read linearly or the nearest place, in two axes, padded by zeros or the border")
    points = prod(out[2:])
    corners = []
    for weight_y, row in _read(tape, node, 1, shape[2]):
        for weight_x, column in _read(tape, node, 0, shape[3]):
            index = tape.emit("Add", tape.emit("Mul", row, tape.number(shape[3], row)), column)
            corners.append((tape.emit("Mul", weight_y, weight_x), tape.emit("Cast", index, to=_INT64)))
    weights = _joined(tape, [weight for weight, _ in corners])
    indices = tape.full(_joined(tape, [index for _, index in corners]), (*shape[:2], len(corners) * points))
    flat = tape.reshape(tape.full(g, out), (*out[:2], points))
    given = tape.emit("Mul", _joined(tape, [flat] * len(corners)), weights)
    zeros = tape.array(np.zeros((*shape[:2], shape[2] * shape[3])), g)
    return [tape.reshape(tape.emit("ScatterElements", zeros, indices, given, axis=2, reduction="add"), shape)]


def _joined(tape: Tape, parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else tape.emit("Concat", *parts, axis=2)


def _read(tape: Tape, node: Node, part: int, extent: int) -> list[tuple[str, str]]:
    """Weights and places, (n, 1, points) each, of what every point reads along one axis; outside, a weight of zero."""
    grid = node.inputs[1]
    batch, rows, columns, _ = tape.shape(grid)
    at = tape.emit("Slice", grid, tape.ints(part), tape.ints(part + 1), tape.ints(3))
    at = tape.reshape(at, (batch, 1, rows * columns))
    middle = (extent - 1) / 2
    reach = middle if node.attributes.get("align_corners", 0) else extent / 2
    at = tape.emit("Add", tape.scale(at, reach), tape.number(middle, at))
    first, last = tape.number(0, at), tape.number(extent - 1, at)
    if node.attributes.get("padding_mode", "zeros") == "border":
        at = tape.emit("Clip", at, first, last)
    if node.attributes.get("mode", "linear") == "nearest":
        places = [(tape.graph.constant(np.ones((1, 1, 1), tape.dtype(at))), tape.emit("Round", at))]
    else:
        low = tape.emit("Floor", at)
        beyond = tape.emit("Sub", at, low)
        within = tape.emit("Sub", tape.number(1, at), beyond)
        places = [(within, low), (beyond, tape.emit("Add", low, tape.number(1, at)))]
    found = []
    for weight, place in places:
        inside = tape.emit("Clip", place, first, last)
        within_picture = tape.emit("Equal", inside, place)
        found.append((tape.emit("Where", within_picture, weight, tape.number(0, at)), inside))
    return found
