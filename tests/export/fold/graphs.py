"""Small graphs to fold, and what a fold has to keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from export.agreement import relative_error
from export.fold.wiring import Rule, apply
from export.graph.graph import Graph
from export.graph.values import Array
from export.session import Session

RELATIVE = 1e-6


class Small(Graph):
    """A graph that is written quickly: weights from a seed."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(7)

    def fed(self, *shape: int, dtype: type = np.float32, name: str = "x") -> str:
        return self.add_input(name, dtype, shape)

    def drawn(self, *shape: int) -> str:
        return self.constant(self.rng.normal(size=shape).astype(np.float32), "drawn")

    def number(self, *values: float) -> str:
        return self.constant(np.array(values if len(values) > 1 else values[0], np.float32), "number")

    def ints(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64), "ints")

    def out(self, name: str, called: str = "y") -> Small:
        self.rename(name, called)
        self.outputs.append(called)
        return self


def counts(graph: Graph) -> Counter[str]:
    """How many nodes of each operator."""
    return Counter(node.op for node in graph.nodes)


def answers(graph: Graph, seed: int = 3) -> dict[str, Array]:
    """Outputs for inputs drawn from a seed."""
    session = Session(graph.to_bytes(), optimisation="none")
    rng = np.random.default_rng(seed)
    fed: dict[str, NDArray[np.generic]] = {}
    for name, spec in session.inputs.items():
        drawn = rng.integers(0, 256, spec.shape) if spec.dtype == "uint8" else rng.normal(size=spec.shape)
        fed[name] = drawn.astype(spec.dtype)
    return session.run(fed)


def folded_by(graph: Graph, rules: Sequence[Rule], relative: float = RELATIVE) -> Graph:
    """A copy, folded by some rules alone; it has to answer the same, and stay as it is when it is folded again."""
    twin = graph.copy()
    assert apply(twin, rules), "nothing was folded"
    assert_same(graph, twin, relative)
    once = twin.to_bytes()
    assert not apply(twin, rules)
    assert twin.to_bytes() == once
    return twin


def assert_same(one: Graph, other: Graph, relative: float = RELATIVE) -> None:
    """Outputs of the same names, types and shapes, and values equal to rounding."""
    for name, wanted in answers(one).items():
        found = answers(other)[name]
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        assert relative_error(found, wanted) <= relative
