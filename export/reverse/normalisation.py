"""Normalisations, softmax among them: places share what they have, so each one's gradient depends on the others."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from export.graph.values import Node
from export.reverse.tape import Gradients, Impassable, Tape, rule

_EPSILON = 1e-5
_GROUP_SCALES_PER_CHANNEL = 21  # the opset in which GroupNormalization's scale became one per channel


def _per_channel(tape: Tape, name: str, rank: int) -> str:
    return tape.reshape(name, (1, -1 if not tape.shape(name) else tape.shape(name)[0], *[1] * (rank - 2)))


@rule("BatchNormalization")
def _batch(tape: Tape, node: Node, g: str) -> Gradients:
    x, scale, _, _, variance = node.inputs
    if node.attributes.get("training_mode", 0):
        raise Impassable(node, "it is in training", "export the network in its evaluation mode")
    spread = tape.emit("Add", variance, tape.number(node.attributes.get("epsilon", _EPSILON), variance))
    factor = tape.emit("Div", scale, tape.emit("Sqrt", spread))
    return [tape.multiply(g, _per_channel(tape, factor, len(tape.shape(x))))]


def _normalised(tape: Tape, x: str, g: str, axes: Sequence[int], epsilon: float, *, centred: bool = True) -> str:
    """The gradient of x from that of (x - mean) / sqrt(mean of squares + epsilon), both means over axes.

    After Ba, Kiros and Hinton, Layer normalization (arXiv 1607.06450).
    """
    deviation = tape.emit("Sub", x, tape.mean_over(x, axes)) if centred else x
    variance = tape.mean_over(tape.emit("Mul", deviation, deviation), axes)
    root = tape.emit("Sqrt", tape.emit("Add", variance, tape.number(epsilon, x)))
    unit = tape.emit("Div", deviation, root)
    common = tape.emit("Mul", unit, tape.mean_over(tape.emit("Mul", g, unit), axes))
    rest = tape.emit("Sub", g, tape.mean_over(g, axes)) if centred else g
    return tape.emit("Div", tape.emit("Sub", rest, common), root)


@rule("LayerNormalization", "RMSNormalization")
def _layer(tape: Tape, node: Node, g: str) -> Gradients:
    x, scale = node.inputs[:2]
    _weights_stay(tape, node)
    rank = len(tape.shape(x))
    axes = list(range(node.attributes.get("axis", -1) % rank, rank))
    epsilon = node.attributes.get("epsilon", _EPSILON)
    g = tape.multiply(g, scale)
    return [_normalised(tape, x, g, axes, epsilon, centred=node.op == "LayerNormalization")]


@rule("InstanceNormalization")
def _instance(tape: Tape, node: Node, g: str) -> Gradients:
    x, scale = node.inputs[:2]
    _weights_stay(tape, node)
    rank = len(tape.shape(x))
    g = tape.multiply(g, _per_channel(tape, scale, rank))
    return [_normalised(tape, x, g, range(2, rank), node.attributes.get("epsilon", _EPSILON))]


@rule("GroupNormalization")
def _group(tape: Tape, node: Node, g: str) -> Gradients:
    x, scale = node.inputs[:2]
    _weights_stay(tape, node)
    shape, groups = tape.shape(x), node.attributes["num_groups"]
    apart = (shape[0], groups, prod(shape[1:]) // groups)
    epsilon = node.attributes.get("epsilon", _EPSILON)
    if tape.graph.opset >= _GROUP_SCALES_PER_CHANNEL:
        g = tape.multiply(g, _per_channel(tape, scale, len(shape)))
        g = tape.reshape(tape.full(g, shape), apart)
    else:
        g = tape.multiply(tape.reshape(tape.full(g, shape), apart), tape.reshape(scale, (1, groups, 1)))
    return [tape.reshape(_normalised(tape, tape.reshape(x, apart), g, [2], epsilon), shape)]


def _weights_stay(tape: Tape, node: Node) -> None:
    if any(name in tape.needed for name in node.inputs[1:]):
        raise Impassable(node, "its scale depends on the input", "name a layer behind it, or another method")


@rule("LRN")
def _local_response(tape: Tape, node: Node, g: str) -> Gradients:
    """y = x d^-beta with d = bias + alpha / size * (sum of squares of the neighbouring channels).

    After Krizhevsky, Sutskever and Hinton, ImageNet classification with deep convolutional neural networks (2012).
    """
    x = node.inputs[0]
    shape, size = tape.shape(x), node.attributes["size"]
    alpha, beta = node.attributes.get("alpha", 1e-4), node.attributes.get("beta", 0.75)
    below, above = (size - 1) // 2, size - 1 - (size - 1) // 2
    distance = np.arange(shape[1])[None, :] - np.arange(shape[1])[:, None]  # of the channel read from that made
    near = ((distance >= -below) & (distance <= above)) * (alpha / size)
    places = [1] * (len(shape) - 2)
    bias = tape.array(np.full(shape[1], node.attributes.get("bias", 1.0)), x)
    reading = tape.array(near.reshape(*near.shape, *places), x)
    giving = tape.array((2 * beta * near.T).reshape(*near.shape, *places), x)
    total = tape.emit("Conv", tape.emit("Mul", x, x), reading, bias, kernel_shape=places)
    direct = tape.emit("Mul", g, tape.emit("Pow", total, tape.number(-beta, x)))
    shared = tape.emit("Div", tape.emit("Mul", direct, x), total)
    return [tape.emit("Sub", direct, tape.emit("Mul", x, tape.emit("Conv", shared, giving, kernel_shape=places)))]


@rule("Softmax")
def _softmax(tape: Tape, node: Node, g: str) -> Gradients:
    y = node.outputs[0]
    axis = node.attributes.get("axis", -1) % len(tape.shape(y))
    own = tape.emit("Mul", g, y)
    return [tape.emit("Sub", own, tape.emit("Mul", y, tape.sum_over(own, [axis])))]


@rule("LogSoftmax")
def _log_softmax(tape: Tape, node: Node, g: str) -> Gradients:
    y = node.outputs[0]
    shape = tape.shape(y)
    axis = node.attributes.get("axis", -1) % len(shape)
    total = tape.sum_over(tape.along(g, axis, shape[axis]), [axis])
    return [tape.emit("Sub", g, tape.emit("Mul", tape.emit("Exp", y), total))]


@rule("LpNormalization")
def _unit_length(tape: Tape, node: Node, g: str) -> Gradients:
    x, y = node.inputs[0], node.outputs[0]
    power, axis = node.attributes.get("p", 2), node.attributes.get("axis", -1)
    axis %= len(tape.shape(x))
    norm = tape.emit("ReduceL2" if power == 2 else "ReduceL1", x, tape.ints(axis), keepdims=1)
    direction = y if power == 2 else tape.emit("Sign", x)
    along = tape.sum_over(tape.emit("Mul", g, y), [axis])
    return [tape.emit("Div", tape.emit("Sub", g, tape.emit("Mul", direction, along)), norm)]
