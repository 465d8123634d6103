"""Rules of shapes, judged by torch's autograd."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="its autograd is the judge")
pytest.importorskip("onnx", reason="export needs the extra 'export'")

from tests.export.reverse.cases import Build, Case, agree, applied, on


def _split(c: Case) -> str:
    a, b, d = c.graph.emit_many("Split", c.input(2, 7, 3), c.ints(2, 4, 1), outputs=3, axis=1)
    return c.emit("Concat", c.emit("Exp", d), c.emit("Sin", a), axis=1) if b else ""


def _split_alone(c: Case) -> str:
    _, b = c.graph.emit_many("Split", c.input(6), c.ints(2, 4), outputs=2, axis=0)
    return c.emit("Tanh", b)


CASES: dict[str, Build] = {
    "Reshape": applied("Reshape", (2, 3, 4), np.array([0, -1])),
    "Flatten": on("Flatten", 2, 3, 4, axis=2),
    "Squeeze": applied("Squeeze", (1, 3, 1, 2), np.array([0, 2])),
    "Unsqueeze": applied("Unsqueeze", (3, 2), np.array([0, 3])),
    "Transpose": on("Transpose", 2, 3, 4, perm=[2, 0, 1]),
    "Expand": applied("Expand", (3, 1), np.array([2, 3, 4])),
    "Expand by less": applied("Expand", (3, 4), np.array([1, 1])),
    "Tile": applied("Tile", (2, 3), np.array([3, 2])),
    "Concat": lambda c: c.emit("Concat", c.input(2, 3), c.weights(2, 2), c.emit("Sin", c.input(2, 1)), axis=1),
    "Split": _split,
    "Split of which one part is used": _split_alone,
    "DepthToSpace DCR": on("DepthToSpace", 1, 8, 2, 3, blocksize=2),
    "DepthToSpace CRD": on("DepthToSpace", 1, 8, 2, 3, blocksize=2, mode="CRD"),
    "SpaceToDepth": on("SpaceToDepth", 1, 2, 4, 6, blocksize=2),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_agrees_with_autograd(name: str) -> None:
    agree(CASES[name], seed=len(name))  # another one for most
