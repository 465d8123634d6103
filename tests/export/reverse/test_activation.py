"""Rules of functions of one tensor, judged by torch's autograd."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="its autograd is the judge")
pytest.importorskip("onnx", reason="export needs the extra 'export'")

from tests.export.reverse.cases import Build, Case, agree, applied, on


def _chain(*ops: str, shape: tuple[int, ...] = (2, 3)) -> Build:
    def build(c: Case) -> str:
        x = c.input(*shape)
        for op in ops:
            x = c.emit(op, x)
        return x

    return build


SMOOTH = "Sigmoid Tanh Softplus Softsign Exp Erf Sin Cos Sinh Cosh Atan Asinh Gelu Mish Neg Identity Selu"
KINKED = "Relu Abs LeakyRelu Elu Celu HardSigmoid HardSwish ThresholdedRelu"
CASES: dict[str, Build] = {
    **{op: on(op, 3, 4) for op in SMOOTH.split()},
    **{op: on(op, 3, 4, low=-5, high=5) for op in KINKED.split()},
    **{f"{op} at its kink": on(op, 4, 5, ties=True) for op in ("Relu", "LeakyRelu", "Abs", "Elu")},
    "Shrink": on("Shrink", 3, 9, lambd=0.7),
    "LeakyRelu steep": on("LeakyRelu", 9, alpha=0.3),
    "Elu alpha": on("Elu", 9, alpha=0.7),
    "Celu alpha": on("Celu", 9, alpha=0.4),
    "HardSigmoid of torch": on("HardSigmoid", 40, low=-6, high=6, alpha=1 / 6),
    "Gelu tanh": on("Gelu", 12, approximate="tanh"),
    "Tan": on("Tan", 5, low=-1, high=1),
    **{op: on(op, 7, low=-0.9, high=0.9) for op in ("Asin", "Acos", "Atanh")},
    **{op: on(op, 7, low=1.2, high=3) for op in ("Acosh", "Log", "Sqrt", "Reciprocal")},
    "PRelu": lambda c: c.emit("PRelu", c.input(1, 3, 2, 2), c.weights(3, 1, 1)),
    "Clip": applied("Clip", (6, 7), np.float32(-1), np.float32(1), ties=True),
    "Clip below": applied("Clip", (6, 7), np.float32(-1)),
    "Clip above": applied("Clip", (6, 7), "", np.float32(0.5)),
    "steps have no slope": _chain("Sin", "Floor"),
    "Cast": lambda c: c.emit("Cast", c.emit("Cast", c.input(3), to=11), to=1),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_agrees_with_autograd(name: str) -> None:
    agree(CASES[name], seed=len(name))  # another one for most
