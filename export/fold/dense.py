"""Matrix products: additions go into them, and of several outputs that are cut out each is computed alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from export.fold.linear import linear
from export.fold.wiring import Rule, Wiring
from export.graph.values import Node


def with_addend(wiring: Wiring, node: Node) -> bool:
    """A product, plus something that flows: one Gemm. A constant that the product adds already goes to the addend."""
    if node.op != "Add" or node.domain:
        return False
    for product, addend in (node.inputs, node.inputs[::-1]):
        maker = wiring.private(product, "Gemm", "MatMul")
        found = linear(wiring, maker) if maker is not None else None
        if maker is None or found is None or found.bias is None or wiring.known(addend) is not None:
            continue
        if len(wiring.shape(addend)) != 2 or wiring.shape(product) != wiring.shape(node.outputs[0]):
            continue
        if found.bias.any():
            behind = wiring.private(addend, "Gemm", "MatMul")
            other = linear(wiring, behind) if behind is not None else None
            if other is None or other.bias is None or wiring.shape(addend) != wiring.shape(product):
                continue
            total_of = other.scaled_output(np.ones(other.outputs), found.bias).emit(wiring)
        else:
            total_of = addend
        attributes = {name: value for name, value in maker.attributes.items() if name != "beta"}
        total = wiring.graph.emit("Gemm", *maker.inputs[:2], total_of, **attributes)
        wiring.substitute(node.outputs[0], total)
        return True
    return False


def cut_outputs(wiring: Wiring, node: Node) -> bool:
    """A matrix product of which every reader cuts some outputs: each gets a product of its own, and no cut is left."""
    product = node.outputs[0]
    found = linear(wiring, node)
    readers = wiring.readers(product)
    if found is None or found.is_conv or found.column or wiring.is_output(product) or not readers:
        return False
    wanted = [_columns(wiring, reader, product) for reader in readers]
    rows = [each for each in wanted if each is not None]
    if (
        len(rows) < len(wanted)
        or sum(len(each) for each in rows) > found.outputs
        or (found.bias is None and node.input(2))
    ):
        return False
    for reader, each in zip(readers, rows, strict=True):
        wiring.substitute(reader.outputs[0], found.of_outputs(each).emit(wiring))
    return True


def _columns(wiring: Wiring, node: Node, name: str) -> NDArray[np.intp] | None:
    """Which places of the last axis a Slice takes; None where it is none of that axis alone."""
    if node.op != "Slice" or node.domain or node.inputs[0] != name:
        return None
    shape = wiring.shape(name)
    parts = [wiring.known(each) if each else None for each in (*node.inputs[1:], "", "")[:4]]
    starts, ends, axes, steps = parts
    if starts is None or ends is None or starts.size != 1 or (node.input(3) and axes is None):
        return None
    axis = 0 if axes is None else int(axes[0])
    if axis % len(shape) != len(shape) - 1:
        return None
    step = 1 if steps is None else int(steps[0])
    return np.arange(shape[-1])[slice(int(starts[0]), int(ends[0]), step)] if step > 0 else None


RULES: tuple[Rule, ...] = (with_addend, cut_outputs)
