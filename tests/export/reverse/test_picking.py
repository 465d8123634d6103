"""Rules of picking, putting and resizing, judged by torch's autograd."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="its autograd is the judge")
pytest.importorskip("onnx", reason="export needs the extra 'export'")

from tests.export.reverse.cases import Build, Case, agree, applied


def _top(c: Case) -> str:
    return c.graph.emit_many("TopK", c.input(3, 8), c.ints(3), outputs=2, axis=1)[0]


def _gather_by(c: Case) -> str:
    x = c.input(3, 6)
    return c.emit(
        "Gather",
        x,
        c.graph.emit_many("TopK", c.emit("Slice", x, c.ints(0), c.ints(1)), c.ints(2), outputs=2)[1],
        axis=1,
    )


def _scatter(op: str, data: tuple[int, ...], indices: Any, updates: tuple[int, ...], **attributes: Any) -> Build:
    return lambda c: c.emit(op, c.input(*data), c.graph.constant(np.array(indices)), c.input(*updates), **attributes)


CASES: dict[str, Build] = {
    "Slice": applied("Slice", (4, 6), np.array([1, -4]), np.array([3, 2**62])),
    "Slice by steps": applied(
        "Slice", (4, 7), np.array([1, -1]), np.array([9, -8]), np.array([0, 1]), np.array([2, -2])
    ),
    "Gather one": applied("Gather", (4, 3), np.array(-1), axis=0),
    "Gather some": applied("Gather", (2, 5, 3), np.array([[3, 0], [4, 1]]), axis=1),
    "Gather in another order": applied("Gather", (2, 4), np.array([3, 0, 2, 1]), axis=1),
    "Gather some twice": applied("Gather", (2, 5, 3), np.array([3, 0, 3]), axis=1),
    "Gather by what was computed": _gather_by,
    "GatherElements": applied("GatherElements", (3, 4), np.array([[1, 1], [0, 3], [2, 2]]), axis=1),
    "GatherND": applied("GatherND", (3, 4, 2), np.array([[1, 1], [0, 3], [1, 1]])),
    "ScatterND": _scatter("ScatterND", (4, 3), [[2], [0]], (2, 3)),
    "ScatterND that adds": _scatter("ScatterND", (4, 3), [[2], [2]], (2, 3), reduction="add"),
    "ScatterElements": _scatter("ScatterElements", (3, 4), [[1, 2], [0, 3]], (2, 2), axis=1),
    "TopK": _top,
    "Pad": applied("Pad", (2, 3), np.array([1, 0, 2, 1])),
    "Pad that cuts": applied("Pad", (5, 6), np.array([1, -2, -1, 2])),
    "Resize nearest": applied(
        "Resize",
        (1, 2, 3, 4),
        "",
        np.array([1, 1, 2, 3], np.float32),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    ),
    "Resize linear": applied(
        "Resize",
        (1, 2, 5, 4),
        "",
        "",
        np.array([1, 2, 9, 7]),
        mode="linear",
        coordinate_transformation_mode="pytorch_half_pixel",
    ),
    "Resize linear to corners": applied(
        "Resize",
        (1, 2, 5, 4),
        "",
        "",
        np.array([1, 2, 9, 3]),
        mode="linear",
        coordinate_transformation_mode="align_corners",
    ),
    "Resize cubic": applied(
        "Resize",
        (1, 1, 5, 4),
        "",
        "",
        np.array([1, 1, 9, 8]),
        mode="cubic",
        cubic_coeff_a=-0.75,
        coordinate_transformation_mode="pytorch_half_pixel",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_agrees_with_autograd(name: str) -> None:
    agree(CASES[name], seed=len(name))  # another one for most
