"""Rules of normalisations, judged by torch's autograd."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="its autograd is the judge")
pytest.importorskip("onnx", reason="export needs the extra 'export'")

from tests.export.reverse.cases import Build, Case, agree, on


def _normalised(op: str, shape: tuple[int, ...], *scales: tuple[int, ...], **attributes: Any) -> Build:
    return lambda c: c.emit(op, c.input(*shape), *(c.weights(*s, low=0.2) for s in scales), **attributes)


def _newer(opset: int, build: Build) -> Build:
    def raised(c: Case) -> str:
        c.graph.opset = opset
        return build(c)

    return raised


CASES: dict[str, Build] = {
    "BatchNormalization": _normalised("BatchNormalization", (2, 3, 4, 5), (3,), (3,), (3,), (3,)),
    "BatchNormalization of rows": _normalised("BatchNormalization", (4, 3), (3,), (3,), (3,), (3,), epsilon=0.1),
    "InstanceNormalization": _normalised("InstanceNormalization", (2, 3, 4, 5), (3,), (3,)),
    "GroupNormalization": _newer(21, _normalised("GroupNormalization", (2, 6, 4, 3), (6,), (6,), num_groups=2)),
    "RMSNormalization": _newer(23, _normalised("RMSNormalization", (2, 5, 8), (8,))),
    "Swish": _newer(24, on("Swish", 9, alpha=1.5)),
    "LayerNormalization": _normalised("LayerNormalization", (2, 5, 8), (8,), (8,)),
    "LayerNormalization of planes": _normalised("LayerNormalization", (2, 5, 8), (5, 8), (5, 8), axis=1, epsilon=0.1),
    "LRN": on("LRN", 1, 8, 4, 4, size=5, alpha=0.3, beta=0.75, bias=2.0),
    "Softmax": on("Softmax", 2, 5, axis=-1),
    "Softmax over channels": on("Softmax", 1, 5, 3, axis=1),
    "LogSoftmax": on("LogSoftmax", 2, 5),
    "LpNormalization": on("LpNormalization", 2, 5, 3, axis=1),
    "LpNormalization 1": on("LpNormalization", 2, 5, 3, axis=1, p=1),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_agrees_with_autograd(name: str) -> None:
    agree(CASES[name], seed=len(name))  # another one for most
