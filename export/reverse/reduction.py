"""Many places made one: the gradient of each is that of the one, which stays as small as it is, times a slope."""

from __future__ import annotations

from math import prod

import onnx

from export.graph.values import Node
from export.reverse.tape import Gradients, Impassable, Tape, rule


def _axes(tape: Tape, node: Node) -> list[int]:
    rank = len(tape.shape(node.inputs[0]))
    given = node.attributes.get("axes")
    if node.input(1):
        known = tape.known(node.inputs[1])
        if known is None:
            raise Impassable(node, "its axes are computed", "export the network with constant axes")
        given = [int(axis) for axis in known]
    if not given:
        return [] if node.attributes.get("noop_with_empty_axes", 0) else list(range(rank))
    return sorted(axis % rank for axis in given)


def _kept(tape: Tape, node: Node, name: str) -> str:
    """A tensor of the result's shape, or of one with smaller axes, with the axes that were reduced put back as 1."""
    axes, shape = _axes(tape, node), tape.shape(name)
    rank = len(tape.shape(node.inputs[0]))
    if len(shape) == rank:
        return name
    rest = iter(shape)
    return tape.reshape(name, [1 if axis in axes else next(rest) for axis in range(rank)])


def _zero_where_silent(tape: Tape, rate: str, y: str) -> str:
    """At a norm of zero every direction is as steep; torch answers zero there."""
    return tape.emit("Where", tape.emit("Equal", y, tape.number(0, y)), tape.number(0, rate), rate)


@rule("ReduceSum")
def _sum(tape: Tape, node: Node, g: str) -> Gradients:
    return [_kept(tape, node, g)]


@rule("ReduceMean")
def _mean(tape: Tape, node: Node, g: str) -> Gradients:
    count = prod(tape.shape(node.inputs[0])[axis] for axis in _axes(tape, node))
    return [tape.scale(_kept(tape, node, g), 1 / count)]


@rule("ReduceSumSquare")
def _squares(tape: Tape, node: Node, g: str) -> Gradients:
    return [tape.emit("Mul", tape.scale(_kept(tape, node, g), 2), node.inputs[0])]


@rule("ReduceL1")
def _absolute(tape: Tape, node: Node, g: str) -> Gradients:
    return [tape.emit("Mul", _kept(tape, node, g), tape.emit("Sign", node.inputs[0]))]


@rule("ReduceL2")
def _length(tape: Tape, node: Node, g: str) -> Gradients:
    y = _kept(tape, node, node.outputs[0])
    rate = _zero_where_silent(tape, tape.emit("Div", _kept(tape, node, g), y), y)
    return [tape.emit("Mul", rate, node.inputs[0])]


@rule("ReduceLogSum")
def _log_sum(tape: Tape, node: Node, g: str) -> Gradients:
    return [tape.emit("Div", _kept(tape, node, g), tape.emit("Exp", _kept(tape, node, node.outputs[0])))]


@rule("ReduceLogSumExp")
def _log_sum_exp(tape: Tape, node: Node, g: str) -> Gradients:
    share = tape.emit("Exp", tape.emit("Sub", node.inputs[0], _kept(tape, node, node.outputs[0])))
    return [tape.emit("Mul", _kept(tape, node, g), share)]


@rule("ReduceProd")
def _product(tape: Tape, node: Node, g: str) -> Gradients:
    rate = tape.emit("Mul", _kept(tape, node, g), _kept(tape, node, node.outputs[0]))
    return [tape.emit("Div", rate, node.inputs[0])]


@rule("ReduceMax", "ReduceMin")
def _extreme(tape: Tape, node: Node, g: str) -> Gradients:
    """Places that tie share, as in torch.amax."""
    x = node.inputs[0]
    hit = tape.emit("Equal", x, _kept(tape, node, node.outputs[0]))
    hit = tape.emit("Cast", hit, to=int(onnx.helper.np_dtype_to_tensor_dtype(tape.dtype(x))))
    share = tape.emit("Div", _kept(tape, node, g), tape.sum_over(hit, _axes(tape, node)))
    return [tape.emit("Mul", share, hit)]


@rule("CumSum")
def _running_sum(tape: Tape, node: Node, g: str) -> Gradients:
    attributes = dict(node.attributes, reverse=1 - node.attributes.get("reverse", 0))
    return [tape.emit("CumSum", tape.full(g, tape.shape(node.inputs[0])), node.inputs[1], **attributes)]


@rule("Trilu")
def _triangle(tape: Tape, node: Node, g: str) -> Gradients:
    return [tape.emit("Trilu", tape.full(g, tape.shape(node.inputs[0])), *node.inputs[1:], **node.attributes)]
