"""Charts: what is drawn lies where its axis says."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("onnx", reason="the report is made with the extra 'export'")

from export.report.charts import Chart, Line, svg


def drawn(**changes: object) -> str:
    fields: dict[str, object] = {
        "title": "t",
        "x_title": "x",
        "y_title": "y",
        "x_labels": ["1", "2"],
        "lines": [Line("a", [0.0, 1.0], "#000")],
        **changes,
    }
    return svg(Chart(**fields))  # type: ignore[arg-type]


def points(text: str) -> list[tuple[float, float]]:
    found = re.search(r'points="([^"]+)"', text)
    assert found is not None
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in found.group(1).split())]


def test_a_value_stands_at_the_height_of_its_tick() -> None:
    text = drawn(lines=[Line("a", [0.0, 0.5], "#000")], y_top=1.0)
    height = {label: float(y) for y, label in re.findall(r'y="([\d.]+)" text-anchor="end">([\d.]+)<', text)}
    (_, zero), (_, half) = points(text)
    middle = (height["0.4"] + height["0.6"]) / 2 if "0.4" in height else height["0.5"]
    assert zero == pytest.approx(height["0"] - 3.5, abs=0.2)
    assert half == pytest.approx(middle - 3.5, abs=0.2)


def test_places_are_as_far_apart_as_their_values() -> None:
    text = drawn(x_labels=["2", "5", "20"], x_at=[0.02, 0.05, 0.20], lines=[Line("a", [1.0, 1.0, 1.0], "#000")])
    (a, _), (b, _), (c, _) = points(text)
    assert (c - b) / (b - a) == pytest.approx(5.0, rel=0.02)


def test_a_value_that_is_not_there_leaves_a_gap_and_all_zero_lines_can_be_drawn() -> None:
    assert len(points(drawn(lines=[Line("a", [None, 0.0], "#000")]))) == 1


def test_names_are_written_as_text() -> None:
    assert "<b>" not in drawn(title="<b>", x_title="<b>", lines=[Line("<b>", [0.0, 1.0], "#000")])


def test_one_stage_alone_can_be_drawn() -> None:
    assert points(drawn(x_labels=["1"], lines=[Line("a", [0.3], "#000")], mark=0, mark_label="head", gate=0.5))
