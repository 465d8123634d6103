"""Attention as a graph holds it: a softmax over tokens, and the values that it is multiplied with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from export.attribution.sight import ELEMENTWISE, RESHAPES
from export.graph.graph import Graph
from export.graph.values import Node


@dataclass(frozen=True)
class Attention:
    """The names of an attention matrix, queries x keys behind the heads, and of the values that it mixes."""

    matrix: str
    values: str


def attentions(graph: Graph, nodes: Iterable[Node]) -> list[Attention]:
    """Every attention that is written out among some nodes of a graph, as they run."""
    found = []
    for node in nodes:
        if node.op == "Softmax" and not node.domain and _over_last(graph, node):
            values = _values(graph, node.outputs[0])
            if values is not None:
                found.append(Attention(node.outputs[0], values))
    return found


def _over_last(graph: Graph, node: Node) -> bool:
    rank = len(graph.value(node.outputs[0]).shape)
    return rank >= 2 and int(node.attributes.get("axis", -1)) % rank == rank - 1


def _values(graph: Graph, matrix: str) -> str | None:
    """What a matrix is multiplied with, behind masks and reshapes."""
    names = [matrix]
    while names:
        name = names.pop()
        for consumer in graph.consumers(name):
            if consumer.op == "MatMul" and consumer.inputs[0] == name and consumer.inputs[1] not in graph.constants:
                return consumer.inputs[1]
            if consumer.op in ELEMENTWISE | RESHAPES:
                names.append(consumer.outputs[0])
    return None
