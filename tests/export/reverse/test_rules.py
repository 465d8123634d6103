"""Rules and their judges belong together."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

pytest.importorskip("torch", reason="its autograd is the judge")
pytest.importorskip("onnx", reason="export needs the extra 'export'")

from export.reverse import gradient  # noqa: F401 - importing it registers every rule
from export.reverse.tape import RULES
from tests.export import reverse
from tests.export.reverse.cases import Case


def _families() -> Iterator[ModuleType]:
    """The modules beside this one that hold cases, each for a family of rules."""
    for found in pkgutil.iter_modules(reverse.__path__, f"{reverse.__name__}."):
        module = importlib.import_module(found.name)
        if hasattr(module, "CASES"):
            yield module


def test_every_rule_has_a_case() -> None:
    ops: set[str] = set()
    for family in _families():
        for build in family.CASES.values():
            case = Case(0)
            build(case)
            ops.update(node.op for node in case.graph.nodes)
    elsewhere = {"Dropout", "CastLike", "GlobalLpPool"}
    assert set(RULES) - ops == elsewhere
