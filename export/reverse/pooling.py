"""Pooling: each window gives its gradient back to the places that it read.

A mean is a convolution with equal weights. A maximum gives to the first largest place of its window, as torch does.
Which place that is, is found by laying every window's places side by side, so that windows may overlap, tie, and reach
into the padding. (ONNX's own way back, MaxUnpool, loses all but one of the windows that share a place.)
"""

from __future__ import annotations

from math import prod

import numpy as np

from export.graph.inference import evaluate
from export.graph.values import Array, Node
from export.reverse.convolution import Window, transposed, window
from export.reverse.tape import Gradients, Impassable, Tape, rule


def _window(tape: Tape, node: Node) -> Window:
    extents, outputs = tape.shape(node.inputs[0])[2:], tape.shape(node.outputs[0])[2:]
    return window(node, node.attributes["kernel_shape"], extents, outputs)


def _equal_weights(tape: Tape, like: str, channels: int, moved: Window, weight: float) -> str:
    return tape.array(np.full((channels, 1, *moved.kernel), weight), like)


@rule("GlobalAveragePool")
def _global_average(tape: Tape, node: Node, g: str) -> Gradients:
    return [tape.scale(g, 1 / prod(tape.shape(node.inputs[0])[2:]))]


@rule("AveragePool")
def _average(tape: Tape, node: Node, g: str) -> Gradients:
    shape = tape.shape(node.inputs[0])
    moved = _window(tape, node)
    counts, alone = _divisors(tape, node, moved)
    if alone:
        return [tape.scale(g, 1 / float(counts.item()))]
    g = tape.full(g, tape.shape(node.outputs[0]))
    uniform = bool((counts == counts.flat[0]).all())
    if not uniform:
        g = tape.emit("Mul", g, tape.array(1 / counts, g))
    weights = _equal_weights(tape, g, shape[1], moved, 1 / float(counts.flat[0]) if uniform else 1.0)
    return [transposed(tape, g, weights, moved, group=shape[1], extents=shape[2:])]


def _divisors(tape: Tape, node: Node, moved: Window) -> tuple[Array, bool]:
    """By what each window divides, (1, 1, *places), and whether there is but one window, which reads every place."""
    extents, outputs = tape.shape(node.inputs[0])[2:], tape.shape(node.outputs[0])[2:]
    read = np.ones((1, 1, *outputs))
    axes = zip(extents, outputs, moved.kernel, moved.strides, moved.dilations, moved.begin, strict=True)
    for axis, (extent, count, k, s, d, begin) in enumerate(axes):
        places = np.arange(count)[:, None] * s - begin + np.arange(k) * d
        real = ((places >= 0) & (places < extent)).sum(axis=1)
        read = read * real.reshape([-1 if at == axis + 2 else 1 for at in range(read.ndim)])
    counts = read
    if node.attributes.get("count_include_pad", 0):
        # Versions differ in whether they count what ceil_mode adds behind the padding: ask the engine itself.
        ones = np.ones((1, 1, *extents), tape.dtype(node.inputs[0]))
        (share,) = evaluate(node, tape.graph.opset, [ones])
        counts = np.round(read / share)
    return counts, prod(outputs) == 1 and int(read.flat[0]) == prod(extents)


@rule("MaxPool")
def _max(tape: Tape, node: Node, g: str) -> Gradients:
    x, y = node.inputs[0], node.outputs[0]
    shape, out = tape.shape(x), tape.shape(y)
    moved = _window(tape, node)
    spans = [(o - 1) * s + r for o, s, r in zip(out[2:], moved.strides, moved.reach, strict=True)]
    end = [max(0, span - e - b) for span, e, b in zip(spans, shape[2:], moved.begin, strict=True)]
    if any(moved.begin) or any(end):
        lowest = tape.number(float(np.finfo(tape.dtype(x)).min), x)
        x = tape.emit("Pad", x, tape.ints(0, 0, *moved.begin, 0, 0, *end), lowest)
    size, channels = prod(moved.kernel), shape[1]
    each_place = np.tile(np.eye(size).reshape(size, 1, *moved.kernel), (channels, *[1] * (len(shape) - 1)))
    weights = tape.array(each_place, g)
    laid_out = tape.emit(
        "Conv",
        x,
        weights,
        group=channels,
        kernel_shape=list(moved.kernel),
        strides=list(moved.strides),
        dilations=list(moved.dilations),
    )
    by_place = (shape[0], channels, size, prod(out[2:]))
    g = tape.reshape(tape.full(g, out), (*out[:2], 1, by_place[-1]))
    given = _to_first_largest(tape, tape.reshape(laid_out, by_place), g, axis=2)
    given = tape.reshape(given, (shape[0], channels * size, *out[2:]))
    return [transposed(tape, given, weights, moved, group=channels, extents=shape[2:])]


def _to_first_largest(tape: Tape, x: str, g: str, axis: int) -> str:
    """g where x is largest along an axis, at the first place of several; zero elsewhere."""
    places = np.arange(tape.shape(x)[axis]).reshape([-1 if i == axis else 1 for i in range(len(tape.shape(x)))])
    which = tape.emit("ArgMax", x, axis=axis, keepdims=1)
    return tape.emit("Where", tape.emit("Equal", which, tape.graph.constant(places)), g, tape.number(0, g))


@rule("GlobalMaxPool")
def _global_max(tape: Tape, node: Node, g: str) -> Gradients:
    x = node.inputs[0]
    shape = tape.shape(x)
    rows = tape.reshape(x, (*shape[:2], prod(shape[2:])))
    g = tape.reshape(tape.full(g, tape.shape(node.outputs[0])), (*shape[:2], 1))
    return [tape.reshape(_to_first_largest(tape, rows, g, axis=2), shape)]


@rule("LpPool", "GlobalLpPool")
def _power(tape: Tape, node: Node, g: str) -> Gradients:
    """y = (sum |x|^p)^(1/p), so dy/dx = sign(x) (|x| / y)^(p - 1)."""
    x, y = node.inputs[0], node.outputs[0]
    shape, power = tape.shape(x), node.attributes.get("p", 2)
    if power < 1:
        raise Impassable(node, f"its power is {power}", "use a power of 1 or more")
    if power > 1:
        silent = tape.emit("Equal", y, tape.number(0, y))
        rate = tape.emit("Div", g, tape.emit("Pow", y, tape.number(power - 1, y)))
        g = tape.emit("Where", silent, tape.number(0, g), rate)
    if node.op == "LpPool":
        moved = _window(tape, node)
        g = tape.full(g, tape.shape(y))
        weights = _equal_weights(tape, g, shape[1], moved, 1.0)
        g = transposed(tape, g, weights, moved, group=shape[1], extents=shape[2:])
    if power == 2:
        return [tape.multiply(g, x)]
    slope = tape.emit("Sign", x)
    if power > 1:
        slope = tape.emit("Mul", slope, tape.emit("Pow", tape.emit("Abs", x), tape.number(power - 1, x)))
    return [tape.multiply(g, slope)]
