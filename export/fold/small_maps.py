"""Windows over small maps, as one matrix: a product of a row costs a third of what a convolution has to prepare."""

from __future__ import annotations

import numpy as np

from export.fold.wiring import Rule, Wiring
from export.graph.inference import evaluate
from export.graph.values import Node

_MOST_PRODUCTS = (
    1 << 14
)  # numbers in the matrix: 64 KiB, and 0.5 us; a convolution of one channel takes 1 us, its transpose 2


def as_matrix(wiring: Wiring, node: Node) -> bool:
    """A convolution of one channel over few places, or its transpose, as a product by what it does to each place."""
    if node.op not in ("Conv", "ConvTranspose") or node.domain:
        return False
    x, y = node.inputs[0], node.outputs[0]
    before, after = wiring.size(x), wiring.size(y)
    others = [wiring.known(name) for name in node.inputs[1:] if name]
    if wiring.shape(x)[:2] != (1, 1) or before * after > _MOST_PRODUCTS or any(each is None for each in others):
        return False
    dtype, places = wiring.dtype(x), wiring.shape(x)[1:]
    each = np.concatenate([np.zeros((1, before)), np.eye(before)]).astype(dtype).reshape(before + 1, *places)
    (found,) = evaluate(node, wiring.graph.opset, [each, *others])
    found = found.reshape(before + 1, after)
    matrix = wiring.constant(found[1:] - found[:1], x, "windows")
    bias = [wiring.constant(found[0], x, "bias")] if found[0].any() else []
    row = wiring.graph.emit("Gemm" if bias else "MatMul", wiring.reshape(x, (1, before)), matrix, *bias)
    wiring.substitute(y, wiring.reshape(row, wiring.shape(y)))
    return True


RULES: tuple[Rule, ...] = (as_matrix,)
