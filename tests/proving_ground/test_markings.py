"""Markings stand still on the road, whoever passes and wherever the view begins."""

from __future__ import annotations

import numpy as np
import pytest

from proving_ground.markings import (
    DASH_M,
    DASH_PERIOD_M,
    Line,
    MarkingMix,
    Markings,
    MarkingSection,
    Stripe,
    hash_unit,
)


def _painted(stripes: list[Stripe], s_m: float) -> float:
    opacity = 0.0
    for stripe in stripes:
        on = (stripe.from_s_m <= s_m) & (s_m < stripe.to_s_m)
        opacity = max([opacity, *stripe.opacity[on]])
    return opacity


@pytest.mark.parametrize("line", list(Line))
def test_paint_at_a_place_does_not_depend_on_where_the_view_begins(line: Line) -> None:
    markings = Markings(MarkingMix(), 4)
    near, far = markings.stripes(line, 101.3, 180.0), markings.stripes(line, 57.0, 230.0)
    for s in np.arange(102.0, 179.0, 0.37):
        assert _painted(near, s) == _painted(far, s)


def test_a_solid_line_has_no_gap_and_a_missing_one_no_paint() -> None:
    markings = Markings(MarkingMix(), 4)
    solid = markings.stripes(Line.SOLID, 10.2, 90.7)
    assert all(_painted(solid, s) == 1.0 for s in np.arange(10.2, 90.7, 0.1))
    assert markings.stripes(Line.MISSING, 10.0, 90.0) == []


def test_dashes_cover_their_share_of_the_road() -> None:
    dashed = Markings(MarkingMix(), 4).stripes(Line.DASHED, 0.0, 1200.0)
    covered = sum(float((stripe.to_s_m - stripe.from_s_m).sum()) for stripe in dashed)
    assert covered == pytest.approx(1200.0 * DASH_M / DASH_PERIOD_M)


def test_a_worn_line_is_fainter_than_paint_and_has_holes() -> None:
    worn = Markings(MarkingMix(), 4).stripes(Line.WORN, 0.0, 1000.0)
    seen = np.array([_painted(worn, s) for s in np.arange(0.0, 1000.0, 0.5)])
    assert seen.max() < 0.7
    assert 0.1 < (seen == 0).mean() < 0.5


def test_sections_cover_the_range_once_and_in_order() -> None:
    plan = (MarkingSection(-np.inf, Line.SOLID, Line.SOLID), MarkingSection(50.0, Line.WORN, Line.MISSING))
    cut = Markings(plan, 0).sections(20.0, 90.0)
    assert [(begin, end, section.left) for begin, end, section in cut] == [
        (20.0, 50.0, Line.SOLID),
        (50.0, 90.0, Line.WORN),
    ]


def test_a_mix_gives_every_line_its_share() -> None:
    sections = [item[2] for item in Markings(MarkingMix(), 8).sections(0.0, 150.0 * 2000)]
    share = sum(section.left is Line.DASHED for section in sections) / len(sections)
    assert share == pytest.approx(0.5, abs=0.05)
    assert {section.right for section in sections} == {Line.SOLID, Line.DASHED, Line.WORN}


def test_hashed_numbers_are_uniform_and_belong_to_their_seed() -> None:
    index = np.arange(20_000)
    unit = hash_unit(index, 1)
    assert ((unit >= 0) & (unit < 1)).all()
    assert np.histogram(unit, 10, (0, 1))[0] == pytest.approx(2000, rel=0.1)
    assert abs(np.corrcoef(unit, hash_unit(index, 2))[0, 1]) < 0.03
