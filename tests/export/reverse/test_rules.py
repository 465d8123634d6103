"""Rules and their judges belong together."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="its autograd is the judge")
pytest.importorskip("onnx", reason="export needs the extra 'export'")

from export.reverse import gradient  # noqa: F401 - importing it registers every rule
from export.reverse.tape import RULES
from tests.export.reverse import (
    test_activation,
    test_convolution,
    test_elementwise,
    test_linear,
    test_normalisation,
    test_picking,
    test_pooling,
    test_recurrent,
    test_reduction,
    test_sampling,
    test_shaping,
)
from tests.export.reverse.cases import Case

FAMILIES = (
    test_activation,
    test_convolution,
    test_elementwise,
    test_linear,
    test_normalisation,
    test_picking,
    test_pooling,
    test_recurrent,
    test_reduction,
    test_sampling,
    test_shaping,
)


def test_every_rule_has_a_case() -> None:
    ops: set[str] = set()
    for family in FAMILIES:
        for build in family.CASES.values():
            case = Case(0)
            build(case)
            ops.update(node.op for node in case.graph.nodes)
    elsewhere = {"Dropout", "CastLike", "GlobalLpPool"}
    assert set(RULES) - ops == elsewhere
