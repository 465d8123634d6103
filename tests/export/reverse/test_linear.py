"""Rules of matrix products, judged by torch's autograd."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="its autograd is the judge")
pytest.importorskip("onnx", reason="export needs the extra 'export'")

from tests.export.reverse.cases import Build, Case, agree, applied, binary


def _attention(c: Case) -> str:
    x = c.input(1, 5, 8)
    heads = [
        c.emit(
            "Transpose", c.emit("Reshape", c.emit("MatMul", x, c.weights(8, 8)), c.ints(1, 5, 2, 4)), perm=[0, 2, 1, 3]
        )
        for _ in range(3)
    ]
    scores = c.emit("MatMul", heads[0], c.emit("Transpose", heads[1], perm=[0, 1, 3, 2]))
    mixed = c.emit("MatMul", c.emit("Softmax", scores, axis=-1), heads[2])
    return c.emit("Reshape", c.emit("Transpose", mixed, perm=[0, 2, 1, 3]), c.ints(1, 5, 8))


CASES: dict[str, Build] = {
    "Gemm": lambda c: c.emit("Gemm", c.input(1, 4), c.weights(4, 3), c.weights(3)),
    "Gemm turned": lambda c: c.emit(
        "Gemm", c.input(4, 2), c.weights(3, 4), c.weights(3), transA=1, transB=1, alpha=0.5
    ),
    "Gemm of computed factors": lambda c: c.emit(
        "Gemm", c.input(4, 2), c.input(3, 4), c.input(1, 3), transA=1, transB=1, beta=2.0
    ),
    "Gemm of computed factors, plain": lambda c: c.emit("Gemm", c.input(2, 4), c.input(4, 3), c.input(2, 1)),
    **{
        f"MatMul {a} {b}": binary("MatMul", a, b)
        for a, b in [
            ((2, 3), (3, 4)),
            ((5, 2, 3), (3, 4)),
            ((2, 1, 2, 3), (4, 3, 2)),
            ((3,), (3, 4)),
            ((2, 3), (3,)),
            ((3,), (3,)),
            ((5, 2, 3), (3,)),
            ((3,), (5, 3, 2)),
        ]
    },
    "MatMul with weights": lambda c: c.emit("MatMul", c.input(1, 5, 4), c.weights(4, 3)),
    "Einsum": applied("Einsum", (2, 3, 4), np.ones((4, 5), np.float32), equation="bij,jk->bik"),
    "Einsum of two": binary("Einsum", (2, 3, 4), (2, 5, 4), equation="bid,bjd->bij"),
    "Einsum that sums one letter alone": binary("Einsum", (2, 3), (3, 4), equation="ai,ij->j"),
    "Einsum without an arrow": binary("Einsum", (2, 3), (3, 4), equation="ij,jk"),
    "attention": _attention,
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_agrees_with_autograd(name: str) -> None:
    agree(CASES[name], seed=len(name))  # another one for most
