"""Rules of recurrent layers, judged by torch's autograd."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="its autograd is the judge")
pytest.importorskip("onnx", reason="export needs the extra 'export'")

from tests.export.reverse.cases import Build, Case, agree


def _recurrent(op: str, gates: int, output: int, directions: int = 1, **attributes: Any) -> Build:
    """All of the states, or the last ones, of a sequence of five; the first ones come from inputs."""

    def build(c: Case) -> str:
        weights = [c.weights(directions, gates * 3, n) for n in (4, 3)]
        first = [c.input(directions, 2, 3) for _ in range(2 if op == "LSTM" else 1)]
        inputs = (c.input(5, 2, 4), *weights, c.weights(directions, 2 * gates * 3), "", *first)
        outputs = 3 if op == "LSTM" else 2
        return c.graph.emit_many(op, *inputs, outputs=outputs, hidden_size=3, **attributes)[output]

    return build


CASES: dict[str, Build] = {
    "LSTM": _recurrent("LSTM", 4, 0),
    "LSTM's last cell, both ways": _recurrent("LSTM", 4, 2, directions=2, direction="bidirectional"),
    "LSTM backwards": _recurrent("LSTM", 4, 1, direction="reverse"),
    "GRU": _recurrent("GRU", 3, 0, linear_before_reset=1),
    "GRU's last state, both ways": _recurrent(
        "GRU", 3, 1, directions=2, direction="bidirectional", linear_before_reset=1
    ),
    "RNN": _recurrent("RNN", 1, 0, directions=2, direction="bidirectional"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_agrees_with_autograd(name: str) -> None:
    agree(CASES[name], seed=len(name))  # another one for most
