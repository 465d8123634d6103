"""The page on worth against the report and its gates."""

from __future__ import annotations

import json
import re
from typing import get_args

import msgspec
import pytest

pytest.importorskip("onnx", reason="the report is written with the extra 'export'")

from export.report.report import Report
from export.worth.controls import CONTROLS, EDGES_ON_GRID
from export.worth.judge import FEWEST_FRAMES, INPUT_GRADIENT
from export.worth.verdict import Worth, WorthGates
from runtime.contracts.worth import Verdict
from tests.docs.pages import ROOT, table, text

PAGE = ROOT / "docs" / "worth.md"


def test_the_page_has_every_gate_with_its_default() -> None:
    shown = {row["key"]: json.loads(row["default"]) for row in table(PAGE, "key")}
    fields = msgspec.structs.fields(WorthGates)
    assert shown == {f"worth.gates.{field.name}": field.default for field in fields}


@pytest.mark.parametrize("struct", [Report, Worth], ids=lambda struct: struct.__name__)
def test_the_page_has_every_field_of_the_report(struct: type[msgspec.Struct]) -> None:
    tables = re.split(r"\| field \| what it is \|\n", text(PAGE))[1:]
    found = [sorted(re.findall(r"^\| `(\w+)` \|", part.split("\n\n")[0], re.MULTILINE)) for part in tables]
    assert sorted(struct.__struct_fields__) in found


def test_the_page_has_every_verdict_and_every_control() -> None:
    assert [row["verdict"] for row in table(PAGE, "verdict")] == list(get_args(Verdict))
    rows = {row["control"]: row["the verdict hangs on it"] for row in table(PAGE, "control")}
    assert set(rows) == {*CONTROLS, INPUT_GRADIENT}
    assert {name for name, hangs in rows.items() if hangs.startswith("no")} == {EDGES_ON_GRID, INPUT_GRADIENT}
    assert f"fewer than {FEWEST_FRAMES}" in text(PAGE)
