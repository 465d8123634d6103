"""The products of what flows by a constant weight: found, and brought into the one form that INT8 kernels have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.graph.graph import Graph
from export.graph.values import Node

_WORTH_MULTIPLICATIONS = 4096  # below, INT8 saves nothing and costs accuracy all the same
VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity"})


@dataclass(frozen=True)
class Product:
    """A node to be computed in INT8: which of its inputs flows, which is the weight, and the weight's axis of output
    channels.
    """

    node: Node
    flowing: int
    weight: int
    axis: int


def products(graph: Graph, deciding: set[Node]) -> list[Product]:
    """The convolutions and matrix products among `deciding` that are large enough to gain; `deciding` is kept true.

    A Gemm whose weight stands first, by a column, is turned into one of a row by the weight; what flows and is added to
    a Gemm's product becomes an Add behind it. No engine has either as an INT8 kernel.
    """
    found = []
    for node in [node for node in graph.nodes if node in deciding]:
        product = _product(graph, node)
        if product is not None and node.op == "Gemm":
            upright = _row_by_weight(graph, node, deciding) if product.weight == 0 else node
            product = _product(graph, _without_sum(graph, upright, deciding)) if upright is not None else None
        if product is not None:
            found.append(product)
    return found


def root(graph: Graph, name: str) -> str:
    """The tensor that this one is only another view of: quantised there, all views of it are."""
    node = graph.producer(name)
    while node is not None and node.op in VIEWS:
        name = node.inputs[0]
        node = graph.producer(name)
    return name


def results(graph: Graph, found: Sequence[Product]) -> list[str]:
    """The result of each convolution that another product comes after, behind its ReLU where it has one.

    What the last ones give is read as numbers, whose sizes differ from channel to channel.
    """
    nodes = {product.node for product in found}
    before_another: set[Node] = set()
    for node in reversed(graph.nodes):
        readers = [reader for name in node.outputs for reader in graph.consumers(name)]
        if any(reader in nodes or reader in before_another for reader in readers):
            before_another.add(node)
    return [_behind_relu(graph, p.node) for p in found if p.node.op == "Conv" and p.node in before_another]


def _behind_relu(graph: Graph, node: Node) -> str:
    made = node.outputs[0]
    readers = graph.consumers(made)
    alone = len(readers) == 1 and readers[0].op == "Relu" and made not in graph.outputs
    return readers[0].outputs[0] if alone else made


def _product(graph: Graph, node: Node) -> Product | None:
    """The node as a product of what flows by a constant, None where it is none or too small to gain."""
    if node.op not in ("Conv", "Gemm", "MatMul") or node.domain:
        return None
    weight = next((at for at in (1, 0) if node.inputs[at] in graph.constants), None)
    if weight is None or (node.op == "Conv" and weight == 0) or node.inputs[1 - weight] in graph.constants:
        return None
    shape, made = graph.value(node.inputs[weight]).shape, graph.value(node.outputs[0])
    if made.dtype != np.float32 or len(shape) < 2:
        return None
    if node.op == "Conv":
        axis = 0
    elif node.op == "Gemm":
        axis = int(bool(node.attributes.get("transA"))) if weight == 0 else 1 - int(bool(node.attributes.get("transB")))
    else:
        axis = len(shape) - 1 if weight == 1 else len(shape) - 2
    summed = int(np.prod(shape[1:])) if node.op == "Conv" else shape[(2 * len(shape) - 3) - axis]
    return Product(node, 1 - weight, weight, axis) if summed * made.size >= _WORTH_MULTIPLICATIONS else None


def _row_by_weight(graph: Graph, node: Node, deciding: set[Node]) -> Node | None:
    """Weight by column as row by weight; None where what flows is no column."""
    rows, columns = graph.value(node.outputs[0]).shape
    if columns != 1:
        return None
    mark = len(graph.nodes)
    row = graph.emit("Reshape", node.inputs[1], graph.constant(np.array([1, -1], np.int64), "row"), hint="row")
    added = node.input(2)
    if added and graph.value(added).size == rows:
        added = _as_row(graph, added, rows)
    attributes: dict[str, Any] = {key: node.attributes[key] for key in ("alpha", "beta") if key in node.attributes}
    attributes["transB"] = 1 - int(bool(node.attributes.get("transA")))
    made = graph.emit("Gemm", row, node.inputs[0], added, hint=node.outputs[0], **attributes)
    gemm = graph.nodes[-1]
    column = graph.emit("Reshape", made, graph.constant(np.array([rows, 1], np.int64), "column"), hint=node.outputs[0])
    _stand_in(graph, node, column, mark, deciding)
    return gemm


def _as_row(graph: Graph, name: str, size: int) -> str:
    if name in graph.constants:
        return graph.constant(graph.constants[name].reshape(1, size), f"{name}_row")
    return graph.emit("Reshape", name, graph.constant(np.array([1, -1], np.int64), "row"), hint="row")


def _without_sum(graph: Graph, node: Node, deciding: set[Node]) -> Node:
    if not node.input(2) or node.input(2) in graph.constants:
        return node
    mark = len(graph.nodes)
    attributes = dict(node.attributes)
    added, beta = node.inputs[2], float(attributes.pop("beta", 1.0))
    if beta != 1.0:
        added = graph.emit("Mul", added, graph.constant(np.float32(beta), "beta"), hint="scaled")
    made = graph.emit("Gemm", *node.inputs[:2], hint=f"{node.outputs[0]}_product", **attributes)
    gemm = graph.nodes[-1]
    _stand_in(graph, node, graph.emit("Add", made, added, hint=node.outputs[0]), mark, deciding)
    return gemm


def _stand_in(graph: Graph, node: Node, name: str, mark: int, deciding: set[Node]) -> None:
    """Let a tensor take the name and the readers of what a node made; what was appended since `mark` decides."""
    was = node.outputs[0]
    deciding.update(graph.nodes[mark:])
    graph.replace_uses(was, name)
    graph.outputs = [name if each == was else each for each in graph.outputs]
    graph.remove(node)
    deciding.discard(node)
    graph.rename(name, was)
