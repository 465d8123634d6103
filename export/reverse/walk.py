"""The walk itself: which nodes lie between, and each one's rule applied in reverse order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from export.graph.graph import Graph
from export.graph.values import Node
from export.reverse.tape import RULES, Tape

# Constant between jumps: no gradient passes, and none is missing.
STEPS = frozenset(
    {"ArgMax", "ArgMin", "Ceil", "Equal", "Floor", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less"}
    | {"LessOrEqual", "Not", "And", "Or", "Xor", "Round", "Shape", "Sign", "Size", "NonZero"}
)


def between(graph: Graph, nodes: Sequence[Node], of: Iterable[str], wrt: Iterable[str]) -> list[Node]:
    """Those of some nodes, given in the order in which they run, that lie between tensors and what depends on them."""
    depends = set(wrt)
    for node in nodes:
        read = depends.intersection(node.inputs)
        if read and not _is_step(node):
            # A picture of integers stays one while it is turned and cut; what else is an integer was chosen or counted.
            # What was quantised is a number still, and not to be taken for one that has no slope.
            moved = not any(is_float(graph, name) for name in read) or "Quantize" in node.op
            depends.update(name for name in node.outputs if name and (is_float(graph, name) or moved))
    reaches = set(of)
    found = []
    for node in reversed(nodes):
        if reaches.intersection(node.outputs) and depends.intersection(node.outputs) and not _is_step(node):
            inputs = depends.intersection(node.inputs)
            if inputs:
                found.append(node)
                reaches.update(inputs)
    return found[::-1]


def walked(tape: Tape, nodes: Sequence[Node], seeds: Mapping[str, str]) -> Callable[[str], str | None]:
    """Apply the rules of nodes, given in the order in which they run, to the gradients of what comes out of them.

    Returns:
        From a tensor's name to its gradient, None where nothing that has one depends on it.
    """
    terms: dict[str, list[str]] = {name: [gradient] for name, gradient in seeds.items()}
    sums: dict[str, str | None] = {}

    def total(name: str) -> str | None:
        if name not in sums:
            sums[name] = tape.add(terms[name]) if name in terms else None
        return sums[name]

    for node in reversed(nodes):
        outputs = [total(name) if name else None for name in node.outputs]
        if any(outputs):
            for name, found in zip(node.inputs, RULES[node.op](tape, node, outputs), strict=False):
                if found is not None and name in tape.needed:
                    terms.setdefault(name, []).append(found)
    return total


def is_float(graph: Graph, name: str) -> bool:
    return bool(np.issubdtype(graph.value(name).dtype, np.floating))


def _is_step(node: Node) -> bool:
    return not node.domain and node.op in STEPS
