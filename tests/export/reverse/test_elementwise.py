"""Rules of arithmetic, judged by torch's autograd."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="its autograd is the judge")
pytest.importorskip("onnx", reason="export needs the extra 'export'")

from tests.export.reverse.cases import Build, Case, agree, applied, binary


def _shared(c: Case) -> str:
    x = c.input(2, 3)
    return c.emit("Add", c.emit("Mul", x, c.emit("Sin", x)), c.emit("Sub", c.emit("Exp", x), x))


def _where(c: Case) -> str:
    a, b = c.input(2, 3), c.input(4, 1, 3)
    return c.emit("Where", c.emit("Greater", c.input(2, 1), c.graph.constant(np.float32(0))), a, b)


CASES: dict[str, Build] = {
    **{
        f"{op} {a} {b}": binary(op, a, b, low=0.5)
        for op in ("Add", "Sub", "Mul", "Div")
        for a, b in [((2, 3), (2, 3)), ((4, 1, 3), (2, 1)), ((1, 3), ()), ((3,), (2, 1, 3))]
    },
    "Sub from a constant": lambda c: c.emit("Sub", c.weights(3), c.input(2, 3)),
    "Div by a constant": lambda c: c.emit("Div", c.input(2, 3), c.weights(3, low=0.5)),
    "Div of a constant": lambda c: c.emit("Div", c.weights(3), c.input(2, 3, low=0.5)),
    "Pow 2": applied("Pow", (5,), np.float32(2)),
    "Pow 3 as an integer": applied("Pow", (5,), np.int64(3)),
    "Pow of arrays": applied("Pow", (3,), np.array([1, 2, 3], np.float32)),
    "Pow of both": binary("Pow", (2, 3), (3,), low=0.5),
    "Pow of a number": lambda c: c.emit("Pow", c.graph.constant(np.float32(2.5)), c.input(4)),
    "Sum": lambda c: c.emit("Sum", c.input(2, 3), c.input(3), c.input(4, 1, 1)),
    "Mean": lambda c: c.emit("Mean", c.input(2, 3), c.input(3)),
    "Max of two": lambda c: c.emit("Max", c.input(4, 5, ties=True), c.input(5, ties=True)),
    "Min of two": lambda c: c.emit("Min", c.input(4, 5, ties=True), c.input(5, ties=True)),
    "Max with a constant": applied("Max", (4, 5), np.float32(1), ties=True),
    "Min with a constant": applied("Min", (4, 5), np.float32(1), ties=True),
    "Where": _where,
    "a tensor read often": _shared,
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_agrees_with_autograd(name: str) -> None:
    agree(CASES[name], seed=len(name))  # another one for most
