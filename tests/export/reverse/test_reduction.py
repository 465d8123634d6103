"""Rules of what makes one of many, judged by torch's autograd."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="its autograd is the judge")
pytest.importorskip("onnx", reason="export needs the extra 'export'")

from tests.export.reverse.cases import Build, agree, applied, on

CASES: dict[str, Build] = {
    **{
        f"{op} {axes} {keep}": applied(op, (2, 3, 4), *([np.array(axes)] if axes else []), keepdims=keep)
        for op in ("ReduceSum", "ReduceMean", "ReduceL2")
        for axes, keep in (([1], 0), ([0, -1], 1), ([], 0))
    },
    "ReduceL1": applied("ReduceL1", (2, 3), np.array([1])),
    "ReduceL2 of nothing": lambda c: c.emit("ReduceL2", c.emit("Relu", c.input(2, 3, low=-2, high=-1)), c.ints(1)),
    "ReduceSumSquare": applied("ReduceSumSquare", (2, 3), np.array([1]), keepdims=0),
    "ReduceLogSum": lambda c: c.emit("ReduceLogSum", c.input(2, 3, low=0.5), c.ints(1)),
    "ReduceLogSumExp": applied("ReduceLogSumExp", (2, 3), np.array([0]), keepdims=0),
    "ReduceProd": applied("ReduceProd", (2, 3, 2), np.array([1, 2])),
    "ReduceMax": applied("ReduceMax", (3, 4, 5), np.array([1, 2]), ties=True),
    "ReduceMin": applied("ReduceMin", (3, 4, 5), np.array([1]), ties=True, keepdims=0),
    "CumSum": applied("CumSum", (3, 4), np.int64(1)),
    "Trilu": on("Trilu", 2, 4, 4, upper=0),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_agrees_with_autograd(name: str) -> None:
    agree(CASES[name], seed=len(name))  # another one for most
