"""Who makes and who reads each tensor of a graph, and how one tensor takes another's place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from export.graph.graph import Graph
from export.graph.values import Array, Node


class Wiring:
    """A graph with the makers and readers of its tensors. Nodes that no output needs count as gone.

    Stale as soon as the graph is changed: a rule that changes something answers True, and a new one is made.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._makers = {name: node for node in graph.nodes for name in node.outputs if name}
        self.nodes = _needed(graph, self._makers)
        self._readers: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                self._readers.setdefault(name, []).append(node)
        self._outputs = set(graph.outputs)
        self._alive = set(self.nodes)

    def alive(self, node: Node) -> bool:
        """Whether an output needs what a node makes."""
        return node in self._alive

    def maker(self, name: str, *ops: str) -> Node | None:
        """The node that makes a tensor, where its operator is one of `ops` (any, where none is named)."""
        node = self._makers.get(name)
        return node if node is not None and (not ops or (node.op in ops and not node.domain)) else None

    def readers(self, name: str) -> Sequence[Node]:
        """The nodes that read a tensor."""
        return self._readers.get(name, ())

    def is_output(self, name: str) -> bool:
        return name in self._outputs

    def read_once(self, name: str) -> bool:
        """Whether one node alone reads a tensor, at one input, and it does not leave the graph."""
        readers = self.readers(name)
        return len(readers) == 1 and readers[0].inputs.count(name) == 1 and name not in self._outputs

    def private(self, name: str, *ops: str) -> Node | None:
        """The maker of a tensor that only one node reads: what is folded into that node is gone."""
        return self.maker(name, *ops) if self.read_once(name) else None

    def known(self, name: str) -> Array | None:
        """A constant's content, None for what is computed, fed or absent."""
        return self.graph.constants.get(name)

    def shape(self, name: str) -> tuple[int, ...]:
        return self.graph.value(name).shape

    def size(self, name: str) -> int:
        return prod(self.shape(name))

    def dtype(self, name: str) -> np.dtype[np.generic]:
        return self.graph.value(name).dtype

    def is_floating(self, name: str) -> bool:
        return bool(np.issubdtype(self.dtype(name), np.floating))

    def flowing(self, node: Node) -> tuple[str, Array] | None:
        """Of a node of two inputs of which one is constant: the other's name, and the constant."""
        if len(node.inputs) != 2:
            return None
        for name, other in (node.inputs, node.inputs[::-1]):
            array = self.known(other)
            if array is not None and self.known(name) is None:
                return name, array
        return None

    def constant(self, array: Array, like: str, hint: str = "folded") -> str:
        """A constant in another tensor's element type."""
        return self.graph.constant(np.ascontiguousarray(array, self.dtype(like)), hint)

    def ints(self, *values: int) -> str:
        return self.graph.constant(np.array(values, np.int64), "shape")

    def reshaped(self, name: str, shape: Sequence[int]) -> str:
        """As `reshape`; a constant is stored so."""
        array = self.known(name)
        return self.reshape(name, shape) if array is None else self.graph.constant(array.reshape(shape), name)

    def reshape(self, name: str, shape: Sequence[int]) -> str:
        """The same elements in another shape; nothing is written where they have it."""
        shape = tuple(shape)
        if self.shape(name) == shape:
            return name
        return self.graph.emit("Reshape", name, self.ints(*shape), hint=f"{name}_as")

    def substitute(self, old: str, new: str) -> None:
        """Let everything that reads `old` read `new`, of the same type and shape; an output keeps its name."""
        graph = self.graph
        graph.replace_uses(old, new)
        if old not in self._outputs:
            return
        outputs = list(graph.outputs)
        graph.rename(old, graph.fresh(f"{old}_unfolded"))
        if new in graph.inputs or new in graph.constants or new in outputs:
            graph.append(Node("Identity", (new,), (old,)))
        else:
            graph.rename(new, old)
        graph.outputs = outputs


Rule = Callable[[Wiring, Node], bool]
"""Tries to fold at one node; True where it changed the graph, which computes the same by fewer or cheaper nodes."""


def apply(graph: Graph, rules: Sequence[Rule]) -> bool:
    """Every rule at every node, in the order of the nodes, until none finds anything. True where one did."""
    changed = False
    again = True
    while again:
        again = False
        wiring = Wiring(graph)
        for node in list(wiring.nodes):
            if not wiring.alive(node):
                continue
            for rule in rules:
                if rule(wiring, node):
                    wiring, changed, again = Wiring(graph), True, True
                    break
        graph.prune()
    return changed


def _needed(graph: Graph, makers: dict[str, Node]) -> list[Node]:
    needed: set[Node] = set()
    stack = [makers[name] for name in graph.outputs if name in makers]
    while stack:
        node = stack.pop()
        if node not in needed:
            needed.add(node)
            stack.extend(makers[name] for name in node.inputs if name in makers)
    return [node for node in graph.nodes if node in needed]
