"""What is computed twice is computed once; what hangs on constants alone is computed now."""

from __future__ import annotations

import numpy as np

from export.fold.wiring import Rule, Wiring
from export.graph.graph import Graph
from export.graph.inference import evaluate
from export.graph.values import Node

_NEVER_COMPUTED = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}
    | {"QuantizeLinear", "DequantizeLinear"}
)
_MAX_COMPUTED = 1 << 22  # elements: a larger result is cheaper made where it is needed than stored in the file


def computed(wiring: Wiring, node: Node) -> bool:
    """An operator on constants is evaluated."""
    arrays = [wiring.known(name) if name else None for name in node.inputs]
    missing = any(name and array is None for name, array in zip(node.inputs, arrays, strict=True))
    if missing or node.domain or node.op in _NEVER_COMPUTED or any(wiring.is_output(name) for name in node.outputs):
        return False
    largest = max((array.size for array in arrays if array is not None), default=0)
    if sum(wiring.size(name) for name in node.outputs if name) > max(_MAX_COMPUTED, largest):
        return False
    results = iter(evaluate(node, wiring.graph.opset, arrays))
    for name in node.outputs:
        if name:
            wiring.substitute(name, wiring.graph.constant(next(results), name))
    return True


def share(graph: Graph) -> bool:
    """Of nodes that do the same with the same, one stays. True where there were such."""
    changed = False
    wiring = Wiring(graph)
    first: dict[object, Node] = {}
    for node in list(wiring.nodes):
        key = (node.op, node.domain, node.inputs, len(node.outputs), _text(node))
        twin = first.setdefault(key, node)
        if twin is node or node.op in _NEVER_COMPUTED or any(wiring.is_output(name) for name in node.outputs):
            continue
        for name, other in zip(node.outputs, twin.outputs, strict=True):
            if name and other:
                wiring.substitute(name, other)
        changed = True
    graph.prune()
    return changed


def _text(node: Node) -> str:
    parts = sorted(node.attributes.items())
    return repr([(name, v.tobytes() if isinstance(v, np.ndarray) else str(v)) for name, v in parts])


RULES: tuple[Rule, ...] = (computed,)
