"""Rules of reading at points, judged by torch's autograd."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="its autograd is the judge")
pytest.importorskip("onnx", reason="export needs the extra 'export'")

from tests.export.reverse.cases import Build, Case, agree


def _sampled(**attributes: Any) -> Build:
    """Points within, between and beside the pixels, some of them several times."""

    def build(c: Case) -> str:
        grid = c.rng.uniform(-1.4, 1.4, (2, 4, 6, 2)).astype(np.float32)
        grid[:, 0] = grid[:, 1]
        return c.emit("GridSample", c.input(2, 3, 5, 7), c.graph.constant(grid), **attributes)

    return build


def _sampled_where_a_tensor_says(c: Case) -> str:
    turned = c.emit("Floor", c.input(1, 4, 4, 2))
    return c.emit("GridSample", c.input(1, 2, 5, 5), c.emit("Mul", turned, c.graph.constant(np.float32(0.3))))


CASES: dict[str, Build] = {
    "GridSample": _sampled(),
    "GridSample to corners": _sampled(align_corners=1),
    "GridSample held at the border": _sampled(padding_mode="border"),
    "GridSample nearest": _sampled(mode="nearest"),
    "GridSample where a tensor says": _sampled_where_a_tensor_says,
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_agrees_with_autograd(name: str) -> None:
    agree(CASES[name], seed=len(name))  # another one for most
