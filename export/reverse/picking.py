"""Places picked, put, or mixed along axes by constants or by numbers that were computed."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from export.graph.inference import evaluate
from export.graph.values import Array, Node
from export.reverse.shaping import padded
from export.reverse.tape import Gradients, Impassable, Tape, rule, rule_of_many


def contracted(tape: Tape, g: str, axis: int, matrix: str) -> str:
    """An axis of n places replaced by m, by a matrix (n, m) that says what each of the n gives to each of the m."""
    shape = tape.shape(g)
    count = tape.shape(matrix)[1]
    if axis == len(shape) - 1:
        return tape.emit("MatMul", g, matrix)
    if axis == len(shape) - 2:
        return tape.emit("MatMul", tape.crossed(matrix), g)
    flat = tape.reshape(g, (prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])))
    return tape.reshape(tape.emit("MatMul", tape.crossed(matrix), flat), (*shape[:axis], count, *shape[axis + 1 :]))


def put_back(tape: Tape, g: str, axis: int, picked: Array, extent: int) -> str:
    """Each place of an axis given back to where it was picked from, zero where none was.

    Args:
        tape: where it is written.
        g: with as many places along the axis as were picked.
        axis: which one.
        picked: int (places,), each in 0..extent-1.
        extent: of the axis before picking.
    """
    if len(picked) and (np.diff(picked) == 1).all():
        whole = list(tape.shape(g))
        whole[axis] = extent
        return padded(tape, g, whole, axis, int(picked[0]))
    if len(set(picked.tolist())) < len(picked):
        return contracted(tape, g, axis, tape.array(np.eye(extent)[picked], g))
    source = np.full(extent, len(picked))  # where nothing was picked: the zero behind the last place
    source[picked] = np.arange(len(picked))
    if len(picked) < extent:
        longer = list(tape.shape(g))
        longer[axis] += 1
        g = padded(tape, g, longer, axis, 0)
    return tape.emit("Gather", g, tape.ints(*source.tolist()), axis=axis)


@rule("Slice")
def _slice(tape: Tape, node: Node, g: str) -> Gradients:
    shape, out = tape.shape(node.inputs[0]), tape.shape(node.outputs[0])
    starts, ends, axes, steps = _cuts(tape, node)
    pads = [0] * (2 * len(shape))
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        picked = np.arange(shape[axis])[slice(start, end, step)]
        if len(picked) == shape[axis] and step == 1:
            continue
        g = tape.along(g, axis, out[axis])
        if step == 1:
            pads[axis], pads[len(shape) + axis] = int(picked[0]), shape[axis] - 1 - int(picked[-1])
        else:
            g = put_back(tape, g, axis, picked, shape[axis])
    return [tape.emit("Pad", g, tape.ints(*pads)) if any(pads) else g]


def _cuts(tape: Tape, node: Node) -> tuple[list[int], list[int], list[int], list[int]]:
    known = [tape.known(name) if name else None for name in (*node.inputs[1:], "", "")[:4]]
    if any(array is None and name for array, name in zip(known, (*node.inputs[1:], "", ""), strict=False)):
        raise Impassable(node, "its bounds are computed", "export the network with constant bounds")
    starts, ends = ([int(i) for i in array] if array is not None else [] for array in known[:2])
    rank = len(tape.shape(node.inputs[0]))
    axes = [int(i) % rank for i in known[2]] if known[2] is not None else list(range(len(starts)))
    steps = [int(i) for i in known[3]] if known[3] is not None else [1] * len(starts)
    return starts, ends, axes, steps


@rule("Pad")
def _pad(tape: Tape, node: Node, g: str) -> Gradients:
    shape, out = tape.shape(node.inputs[0]), tape.shape(node.outputs[0])
    rank = len(shape)
    amounts = tape.known(node.inputs[1])
    if amounts is None:
        raise Impassable(node, "its amounts are computed", "export the network with constant padding")
    named = tape.known(node.input(3)) if node.input(3) else None
    axes = [int(axis) % rank for axis in named] if named is not None else list(range(rank))
    begin = dict(zip(axes, (int(n) for n in amounts[: len(axes)]), strict=True))
    end = dict(zip(axes, (int(n) for n in amounts[len(axes) :]), strict=True))
    if node.attributes.get("mode", "constant") != "constant":
        for axis in axes:
            if begin[axis] or end[axis]:
                matrix = _effect(tape, node, tape.ints(0, begin[axis], 0, end[axis]), shape[axis])
                g = contracted(tape, tape.along(g, axis, out[axis]), axis, tape.array(matrix.T, g))
        return [g]
    cut = [axis for axis in axes if begin[axis] > 0 or end[axis] > 0]
    lost = [0] * (2 * rank)
    for axis in axes:
        lost[axis], lost[rank + axis] = max(0, -begin[axis]), max(0, -end[axis])
        if begin[axis] or end[axis]:
            g = tape.along(g, axis, out[axis])
    if cut:
        starts = [max(0, begin[axis]) for axis in cut]
        ends = [out[axis] - max(0, end[axis]) for axis in cut]
        g = tape.emit("Slice", g, tape.ints(*starts), tape.ints(*ends), tape.ints(*cut))
    return [tape.emit("Pad", g, tape.ints(*lost)) if any(lost) else g]


def _effect(tape: Tape, node: Node, amounts: str, extent: int) -> Array:
    """What padding along one axis makes of each of its places: (extent, extent and padding)."""
    twin = Node("Pad", ("x", "amounts"), ("y",), {"mode": node.attributes["mode"]})
    probe = np.eye(extent, dtype=np.float32)
    (result,) = evaluate(twin, tape.graph.opset, [probe, tape.known(amounts)])
    return result


@rule("Resize")
def _resize(tape: Tape, node: Node, g: str) -> Gradients:
    """Interpolation is linear and works along one axis after the other: its gradient is the same with each turned."""
    shape, out = tape.shape(node.inputs[0]), tape.shape(node.outputs[0])
    if node.attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        raise Impassable(node, "it cuts a region out", "cut with a slice and resize with another mode")
    scales = tape.known(node.input(2)) if node.input(2) else None
    axes = [axis % len(shape) for axis in node.attributes.get("axes") or range(len(shape))]
    for axis, (before, after) in enumerate(zip(shape, out, strict=True)):
        if axis not in axes:
            continue
        scale = float(scales[axes.index(axis)]) if scales is not None and scales.size else None
        if before == after and (scale is None or scale == 1):
            continue
        matrix = _interpolation(tape, node, before, after, scale)
        g = contracted(tape, tape.along(g, axis, after), axis, tape.array(matrix.T, g))
    return [g]


def _interpolation(tape: Tape, node: Node, before: int, after: int, scale: float | None) -> Array:
    """What resizing along one axis makes of each of its places: (before, after)."""
    kept = ("antialias", "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside", "mode", "nearest_mode")
    attributes = {name: value for name, value in node.attributes.items() if name in kept}
    twin = Node("Resize", ("x", "", "scales") if scale else ("x", "", "", "sizes"), ("y",), attributes)
    probe = np.eye(before, dtype=np.float32).reshape(1, 1, before, before)
    by: Array = np.array([1, 1, 1, scale], np.float32) if scale else np.array([1, 1, before, after], np.int64)
    (result,) = evaluate(twin, tape.graph.opset, [probe, None, by] if scale else [probe, None, None, by])
    return result.reshape(before, after)


@rule("Gather")
def _gather(tape: Tape, node: Node, g: str) -> Gradients:
    data, indices = node.inputs
    shape, out = tape.shape(data), tape.shape(node.outputs[0])
    axis = node.attributes.get("axis", 0) % len(shape)
    picked = tape.known(indices)
    count = prod(tape.shape(indices))
    g = tape.reshape(tape.full(g, out), (*shape[:axis], count, *shape[axis + 1 :]))
    if picked is not None:
        return [put_back(tape, g, axis, picked.reshape(-1) % shape[axis], shape[axis])]
    values = tape.array(np.array([0, 1]), g)
    depth = tape.graph.constant(np.array(shape[axis], np.int64))
    return [contracted(tape, g, axis, tape.emit("OneHot", tape.reshape(indices, (count,)), depth, values, axis=-1))]


@rule("GatherElements")
def _gather_elements(tape: Tape, node: Node, g: str) -> Gradients:
    data, indices = node.inputs
    zeros = tape.array(np.zeros(tape.shape(data)), g)
    axis = node.attributes.get("axis", 0)
    return [tape.emit("ScatterElements", zeros, indices, tape.full(g, tape.shape(indices)), axis=axis, reduction="add")]


@rule("GatherND")
def _gather_nd(tape: Tape, node: Node, g: str) -> Gradients:
    data, indices = node.inputs
    if node.attributes.get("batch_dims", 0):
        raise Impassable(node, "it picks within batches", "pick with one batch")
    zeros = tape.array(np.zeros(tape.shape(data)), g)
    return [tape.emit("ScatterND", zeros, indices, tape.full(g, tape.shape(node.outputs[0])), reduction="add")]


@rule("ScatterElements", "ScatterND")
def _scatter(tape: Tape, node: Node, g: str) -> Gradients:
    data, indices, updates = node.inputs
    reduction = node.attributes.get("reduction", "none")
    if reduction not in ("none", "add"):
        raise Impassable(node, f"it combines by {reduction!r}", "write the numbers in place, or add them")
    g = tape.full(g, tape.shape(data))
    attributes = {"axis": node.attributes.get("axis", 0)} if node.op == "ScatterElements" else {}
    under = g
    if reduction == "none" and data in tape.needed:
        hidden = tape.array(np.zeros(tape.shape(updates)), g)
        under = tape.emit(node.op, g, indices, hidden, **attributes)
    picker = "GatherElements" if node.op == "ScatterElements" else "GatherND"
    over = tape.emit(picker, g, indices, **attributes) if updates in tape.needed else None
    return [under, None, over]


@rule_of_many("TopK")
def _largest(tape: Tape, node: Node, gradients: Sequence[str | None]) -> Gradients:
    x, (values, indices) = node.inputs[0], node.outputs
    g = gradients[0]
    if g is None:
        return [None]
    zeros = tape.array(np.zeros(tape.shape(x)), g)
    axis = node.attributes.get("axis", -1)
    return [tape.emit("ScatterElements", zeros, indices, tape.full(g, tape.shape(values)), axis=axis, reduction="add")]


@rule("DepthToSpace", "SpaceToDepth")
def _blocks(tape: Tape, node: Node, g: str) -> Gradients:
    size = node.attributes["blocksize"]
    g = tape.full(g, tape.shape(node.outputs[0]))
    if node.op == "SpaceToDepth":
        return [tape.emit("DepthToSpace", g, blocksize=size)]
    if node.attributes.get("mode", "DCR") == "DCR":
        return [tape.emit("SpaceToDepth", g, blocksize=size)]
    batch, channels, rows, columns = tape.shape(node.inputs[0])
    apart = tape.reshape(g, (batch, channels // size**2, rows, size, columns, size))
    return [tape.reshape(tape.transpose(apart, [0, 1, 3, 5, 2, 4]), (batch, channels, rows, columns))]
