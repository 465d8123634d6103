"""Arithmetic of several tensors, element by element with broadcasting, and what changes no number at all."""

from __future__ import annotations

from math import log

import numpy as np
import onnx

from export.graph.values import Node
from export.reverse.tape import Gradients, Impassable, Tape, rule


def _spread(tape: Tape, node: Node, gradients: list[str | None]) -> Gradients:
    """Gradients in the shape of the result, each brought to the shape of its input."""
    out = tape.shape(node.outputs[0])
    return [
        None if gradient is None or name not in tape.needed else tape.reduced(gradient, out, tape.shape(name))
        for name, gradient in zip(node.inputs, gradients, strict=True)
    ]


def _ranked(tape: Tape, name: str, node: Node) -> str:
    """A tensor with axes of extent 1 in front, so that a product with a gradient keeps the rank of the result."""
    rank = len(tape.shape(node.outputs[0]))
    shape = tape.shape(name)
    return tape.reshape(name, (1,) * (rank - len(shape)) + shape) if 0 < len(shape) < rank else name


@rule("Identity", "Dropout")
def _identity(tape: Tape, node: Node, g: str) -> Gradients:
    if node.input(2) and tape.known(node.input(2)) is None:
        raise Impassable(node, "it may be in training", "export the network in its evaluation mode")
    return [g]


@rule("Cast", "CastLike")
def _cast(tape: Tape, node: Node, g: str) -> Gradients:
    dtype = tape.dtype(node.inputs[0])
    if dtype == tape.dtype(g) or not np.issubdtype(dtype, np.floating):
        return [g]  # an integer counts as the number that it is cast to
    return [tape.emit("Cast", g, to=int(onnx.helper.np_dtype_to_tensor_dtype(dtype)))]


@rule("Add")
def _add(tape: Tape, node: Node, g: str) -> Gradients:
    return _spread(tape, node, [g, g])


@rule("Sub")
def _sub(tape: Tape, node: Node, g: str) -> Gradients:
    return _spread(tape, node, [g, tape.emit("Neg", g) if node.inputs[1] in tape.needed else None])


@rule("Sum")
def _sum(tape: Tape, node: Node, g: str) -> Gradients:
    return _spread(tape, node, [g] * len(node.inputs))


@rule("Mean")
def _mean(tape: Tape, node: Node, g: str) -> Gradients:
    return _spread(tape, node, [tape.scale(g, 1 / len(node.inputs))] * len(node.inputs))


@rule("Mul")
def _mul(tape: Tape, node: Node, g: str) -> Gradients:
    a, b = node.inputs
    ga = tape.multiply(g, _ranked(tape, b, node)) if a in tape.needed else None
    gb = tape.multiply(g, _ranked(tape, a, node)) if b in tape.needed else None
    return _spread(tape, node, [ga, gb])


@rule("Div")
def _div(tape: Tape, node: Node, g: str) -> Gradients:
    a, b = node.inputs
    array = tape.known(b)
    if array is not None:
        return [*_spread(tape, node, [tape.multiply(g, _ranked(tape, tape.emit("Reciprocal", b), node)), None])]
    ga = tape.emit("Div", g, _ranked(tape, b, node))
    gb = tape.emit("Neg", tape.emit("Mul", ga, node.outputs[0])) if b in tape.needed else None
    return _spread(tape, node, [ga if a in tape.needed else None, gb])


@rule("Pow")
def _pow(tape: Tape, node: Node, g: str) -> Gradients:
    base, exponent = node.inputs
    y = node.outputs[0]
    ga = gb = None
    if base in tape.needed:
        power = tape.known(exponent)
        value = float(power.reshape(-1)[0]) if power is not None and power.size == 1 else None
        if value == 2:
            slope = tape.scale(base, 2)
        elif value is not None:
            slope = tape.scale(tape.emit("Pow", base, tape.number(value - 1, base)), value)
        else:
            real = _in_type_of(tape, exponent, base)
            slope = tape.emit("Mul", real, tape.emit("Pow", base, tape.emit("Sub", real, tape.number(1, base))))
        ga = tape.multiply(g, _ranked(tape, slope, node))
    if exponent in tape.needed:
        known = tape.known(base)
        constant = known is not None and known.size == 1
        rate = (
            tape.number(log(float(known.reshape(-1)[0])), y)
            if constant and known is not None
            else tape.emit("Log", base)
        )
        gb = tape.emit("Mul", g, tape.emit("Mul", y, _ranked(tape, rate, node)))
    return _spread(tape, node, [ga, gb])


def _in_type_of(tape: Tape, name: str, like: str) -> str:
    if tape.dtype(name) == tape.dtype(like):
        return name
    return tape.emit("Cast", name, to=int(onnx.helper.np_dtype_to_tensor_dtype(tape.dtype(like))))


@rule("Where")
def _where(tape: Tape, node: Node, g: str) -> Gradients:
    condition, a, b = node.inputs
    condition, zero = _ranked(tape, condition, node), tape.number(0, g)
    ga = tape.emit("Where", condition, g, zero) if a in tape.needed else None
    gb = tape.emit("Where", condition, zero, g) if b in tape.needed else None
    return _spread(tape, node, [None, ga, gb])


@rule("Max", "Min")
def _extreme(tape: Tape, node: Node, g: str) -> Gradients:
    """A tie with a constant passes, as in torch.clamp; one of computed tensors is shared, as in torch.maximum."""
    y = node.outputs[0]
    computed = [name for name in node.inputs if tape.known(name) is None]
    if len(computed) == 1:
        hit = tape.emit("Equal", _ranked(tape, computed[0], node), y)
        passed = tape.emit("Where", hit, g, tape.number(0, g))
        return _spread(tape, node, [passed if name in tape.needed else None for name in node.inputs])
    like = tape.emit
    dtype = int(onnx.helper.np_dtype_to_tensor_dtype(tape.dtype(y)))
    hits = [like("Cast", like("Equal", _ranked(tape, name, node), y), to=dtype) for name in node.inputs]
    share = like("Div", g, tape.add(hits))
    return _spread(
        tape,
        node,
        [like("Mul", share, hit) if name in tape.needed else None for name, hit in zip(node.inputs, hits, strict=True)],
    )


@rule("Clip")
def _clip(tape: Tape, node: Node, g: str) -> Gradients:
    return [tape.emit("Where", tape.emit("Equal", node.inputs[0], node.outputs[0]), g, tape.number(0, g))]
