"""What moves numbers without changing them: shapes, axes, parts and joints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.graph.values import Node
from export.reverse.tape import Gradients, Tape, rule, rule_of_many


@rule("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def _reshape(tape: Tape, node: Node, g: str) -> Gradients:
    before, after = tape.shape(node.inputs[0]), tape.shape(node.outputs[0])
    small = _without_ones(tape, g, before, after)
    return [small if small is not None else tape.reshape(tape.full(g, after), before)]


def _without_ones(tape: Tape, g: str, before: Sequence[int], after: Sequence[int]) -> str | None:
    """The gradient with its constant axes kept small, where only axes of extent 1 come and go."""
    if [n for n in before if n != 1] != [n for n in after if n != 1]:
        return None
    kept = iter(extent for extent, whole in zip(tape.shape(g), after, strict=True) if whole != 1)
    return tape.reshape(g, [1 if n == 1 else next(kept) for n in before])


@rule("Transpose")
def _transpose(tape: Tape, node: Node, g: str) -> Gradients:
    rank = len(tape.shape(g))
    order = node.attributes.get("perm") or list(range(rank))[::-1]
    return [tape.transpose(g, [order.index(axis) for axis in range(rank)])]


@rule("Expand")
def _expand(tape: Tape, node: Node, g: str) -> Gradients:
    return [tape.reduced(g, tape.shape(node.outputs[0]), tape.shape(node.inputs[0]))]


@rule("Tile")
def _tile(tape: Tape, node: Node, g: str) -> Gradients:
    before, after = tape.shape(node.inputs[0]), tape.shape(node.outputs[0])
    g = tape.full(g, after)
    split = [part for n, m in zip(before, after, strict=True) for part in (m // n, n)]
    summed = tape.sum_over(tape.reshape(g, split), list(range(0, 2 * len(before), 2)))
    return [tape.reshape(summed, before)]


@rule("Concat")
def _concat(tape: Tape, node: Node, g: str) -> Gradients:
    axis = node.attributes["axis"] % len(tape.shape(node.outputs[0]))
    sizes = [tape.shape(name)[axis] for name in node.inputs]
    if tape.shape(g)[axis] == 1:
        return [g] * len(sizes)
    ends = np.cumsum(sizes)
    return [
        part(tape, g, axis, int(end) - size, int(end)) if name in tape.needed else None
        for name, size, end in zip(node.inputs, sizes, ends, strict=True)
    ]


def part(tape: Tape, g: str, axis: int, start: int, end: int) -> str:
    """The places start to end along an axis."""
    if (start, end) == (0, tape.shape(g)[axis]):
        return g
    return tape.emit("Slice", g, tape.ints(start), tape.ints(end), tape.ints(axis))


@rule_of_many("Split")
def _split(tape: Tape, node: Node, gradients: Sequence[str | None]) -> Gradients:
    axis = node.attributes.get("axis", 0) % len(tape.shape(node.inputs[0]))
    like = next(g for g in gradients if g is not None)
    sizes = [tape.shape(name)[axis] if name else 0 for name in node.outputs]
    if sum(g is not None for g in gradients) == 1:
        at = next(i for i, g in enumerate(gradients) if g is not None)
        return [padded(tape, tape.along(like, axis, sizes[at]), tape.shape(node.inputs[0]), axis, sum(sizes[:at]))]
    parts = []
    for name, g in zip(node.outputs, gradients, strict=True):
        shape = tape.shape(name)
        parts.append(tape.full(g, shape) if g is not None else tape.array(np.zeros(shape), like))
    return [tape.emit("Concat", *parts, axis=axis)]


def padded(tape: Tape, g: str, whole: Sequence[int], axis: int, start: int) -> str:
    """A part of an axis, put where it was, zeros around it; other axes stay as small as they are."""
    size = tape.shape(g)[axis]
    if size == whole[axis]:
        return g
    pads = [0] * (2 * len(whole))
    pads[axis], pads[len(whole) + axis] = start, whole[axis] - start - size
    return tape.emit("Pad", g, tape.ints(*pads))
