"""How boxes pass the operators that look at more than one place: windows, sums over axes, products. See `bounds`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from export.attribution.bounds import Bounds, nothing, over
from export.attribution.windows import Window, extended, resize_places, resized, same_pads, slid, spread
from export.graph.graph import Graph
from export.graph.values import Node

Shape = tuple[int, ...]
Rule = Callable[[Graph, Node, list[Bounds], Shape], Bounds]
"""(graph, node, boxes of its inputs, shape of its first output) -> boxes of that output."""


def windows(graph: Graph, node: Node) -> tuple[Window, ...]:
    """The window of a Conv, ConvTranspose or pool along each spatial axis, automatic pads settled."""
    inside, outside = graph.value(node.inputs[0]).shape[2:], graph.value(node.outputs[0]).shape[2:]
    transposed = node.op == "ConvTranspose"
    attributes, count = node.attributes, len(inside)
    weighted = transposed or node.op == "Conv"
    kernel = graph.value(node.inputs[1]).shape[2:] if weighted else attributes["kernel_shape"]
    strides, dilations = attributes.get("strides") or [1] * count, attributes.get("dilations") or [1] * count
    pads = attributes.get("pads") or [0] * (2 * count)
    auto = attributes.get("auto_pad", "NOTSET")
    found = []
    for i in range(count):
        window = Window(int(kernel[i]), int(strides[i]), int(dilations[i]), int(pads[i]), int(pads[i + count]))
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            # Transposed, the larger side's places are the ones that the window would slide over.
            begin, end = same_pads((outside if transposed else inside)[i], window, upper=auto == "SAME_UPPER")
            window = Window(window.kernel, window.stride, window.dilation, begin, end)
        found.append(window)
    return tuple(found)


def _whole(box: Bounds, axis: int, size: int) -> Bounds:
    """The boxes with an axis in its full size."""
    return np.broadcast_to(box, (*box.shape[: axis + 1], size, *box.shape[axis + 2 :]))


def _convolved(graph: Graph, node: Node, boxes: list[Bounds], shape: Shape) -> Bounds:
    box, groups = boxes[0], int(node.attributes.get("group", 1))
    inside = graph.value(node.inputs[0]).shape
    if box.shape[2] > 1 and groups > 1:
        box = box.reshape(4, box.shape[1], groups, -1, *box.shape[3:]).min(axis=3)
        box = np.repeat(box, shape[1] // groups, axis=2)
    else:
        box = over(box, [1])
    move = spread if node.op == "ConvTranspose" else slid
    for axis, window in enumerate(windows(graph, node), start=2):
        box = move(_whole(box, axis, inside[axis]), axis, window, shape[axis])
    return box


def _pooled(graph: Graph, node: Node, boxes: list[Bounds], shape: Shape) -> Bounds:
    box, inside = boxes[0], graph.value(node.inputs[0]).shape
    for axis, window in enumerate(windows(graph, node), start=2):
        box = slid(_whole(box, axis, inside[axis]), axis, window, shape[axis])
    return box


def _padded(graph: Graph, node: Node, boxes: list[Bounds], shape: Shape) -> Bounds:
    box, rank, pads = boxes[0], len(shape), graph.constants.get(node.input(1))
    if pads is None:
        return over(box, range(rank))
    given, before = graph.constants.get(node.input(3)), graph.value(node.inputs[0]).shape
    axes = [int(axis) % rank for axis in (range(rank) if given is None else given)]
    for i, axis in enumerate(axes):
        begin, end = int(pads[i]), int(pads[i + len(axes)])
        if begin or end:
            box = extended(_whole(box, axis, before[axis]), axis, begin, end)
    return box


def _resized(graph: Graph, node: Node, boxes: list[Bounds], shape: Shape) -> Bounds:
    box, before, words = boxes[0], graph.value(node.inputs[0]).shape, node.attributes
    scales = graph.constants.get(node.input(2))
    for axis, (small, large) in enumerate(zip(before, shape, strict=True)):
        if small != large and box.shape[axis + 1] > 1:
            scale = float(scales[axis]) if scales is not None and scales.size == len(shape) else large / small
            mode, nearest = words.get("mode", "nearest"), words.get("nearest_mode", "round_prefer_floor")
            transformation = words.get("coordinate_transformation_mode", "half_pixel")
            box = resized(
                box, axis, resize_places(small, large, scale, mode=mode, transformation=transformation, nearest=nearest)
            )
    return box


def _reduced(graph: Graph, node: Node, boxes: list[Bounds], shape: Shape) -> Bounds:
    rank = len(graph.value(node.inputs[0]).shape)
    axes: Sequence[int] | None
    if node.op.startswith("Global"):
        axes = range(2, rank)
    elif node.op in ("ArgMax", "ArgMin"):
        axes = [int(node.attributes.get("axis", 0))]
    else:
        given = graph.constants.get(node.input(1))
        axes = node.attributes.get("axes") if given is None else [int(axis) for axis in given.ravel()]
    settled = sorted({axis % rank for axis in axes or range(rank)})
    box = over(boxes[0], settled)
    return box if len(shape) == rank else np.squeeze(box, tuple(axis + 1 for axis in settled))


def _multiplied(graph: Graph, node: Node, boxes: list[Bounds], shape: Shape) -> Bounds:
    a, b = boxes[:2]
    if node.op == "Gemm":
        a = a.swapaxes(1, 2) if node.attributes.get("transA") else a
        b = b.swapaxes(1, 2) if node.attributes.get("transB") else b
    row, column = a.ndim == 2, b.ndim == 2  # a vector is a matrix of one row, or of one column
    a, b = a[:, np.newaxis] if row else a, b[:, :, np.newaxis] if column else b
    rank = max(a.ndim, b.ndim)
    a, b = (part.reshape(4, *(1,) * (rank - part.ndim), *part.shape[1:]) for part in (a, b))
    result: Bounds = np.minimum(a.min(axis=-1, keepdims=True), b.min(axis=-2, keepdims=True))
    for bias in boxes[2:]:
        result = np.minimum(result, bias.reshape(4, *(1,) * (rank - bias.ndim), *bias.shape[1:]))
    gone = [axis for axis, absent in ((-2, row), (-1, column)) if absent]
    return result.squeeze(tuple(gone)) if gone else result


def _contracted(graph: Graph, node: Node, boxes: list[Bounds], shape: Shape) -> Bounds:
    text, rank = node.attributes["equation"].replace(" ", ""), len(shape)
    if "->" not in text or "." in text:
        union: Bounds = np.minimum.reduce([over(box, range(box.ndim - 1)).reshape(4, *(1,) * rank) for box in boxes])
        return union
    terms, out = text.split("->")
    result = nothing(rank)
    for box, term in zip(boxes, terms.split(","), strict=True):
        kept = over(box, [i for i, label in enumerate(term) if label not in out])
        order = [1 + term.index(label) for label in out if label in term]
        summed = [1 + i for i, label in enumerate(term) if label not in out]
        sizes = iter(np.squeeze(kept.transpose(0, *order, *summed), tuple(range(1 + len(order), kept.ndim))).shape[1:])
        placed = kept.transpose(0, *order, *summed).reshape(4, *(next(sizes) if label in term else 1 for label in out))
        result = np.minimum(result, placed)
    return result


def _softened(graph: Graph, node: Node, boxes: list[Bounds], shape: Shape) -> Bounds:
    return over(boxes[0], [int(node.attributes.get("axis", -1)) % len(shape)])


RULES: dict[str, Rule] = {
    "Conv": _convolved,
    "ConvTranspose": _convolved,
    "Pad": _padded,
    "Resize": _resized,
    "MatMul": _multiplied,
    "Gemm": _multiplied,
    "Einsum": _contracted,
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), _pooled),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "ArgMax", "ArgMin"), _reduced),
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd"), _reduced),
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"), _reduced),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _softened),
}
