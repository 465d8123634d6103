"""The road is continuous, bounded, endless, and agrees with itself about where a pose is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proving_ground.road import GRID_M, Road, RoadElement, RoadShape

SEEDS = (0, 1, 7, 12345)
ROAD = Road(RoadShape(), 3)


@pytest.mark.parametrize("seed", SEEDS)
def test_curvature_is_continuous_and_stays_within_its_bound(seed: int) -> None:
    shape = RoadShape()
    curvature = Road(shape, seed).points(np.arange(0.0, 14_000.0, GRID_M / 5)).curvature_per_m
    assert np.abs(curvature).max() <= shape.max_abs_curvature_per_m
    steepest = shape.max_abs_curvature_per_m / (shape.clothoid_m[0] - GRID_M)
    assert np.abs(np.diff(curvature)).max() <= steepest * GRID_M / 5 * 1.001


@pytest.mark.parametrize("seed", SEEDS)
def test_position_and_heading_are_the_integrals_of_curvature(seed: int) -> None:
    step = 0.01
    s = np.arange(0.0, 3000.0, step)
    at = Road(RoadShape(), seed).points(s)
    middle = (at.curvature_per_m[1:] + at.curvature_per_m[:-1]) / 2
    assert np.abs(np.diff(at.heading_rad) - middle * step).max() < 1e-9
    assert np.abs(np.hypot(np.diff(at.x_m), np.diff(at.y_m)) - step).max() < 1e-5
    assert np.abs(np.cumsum(np.cos(at.heading_rad)) * step - at.x_m).max() < 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_the_road_goes_on_for_twelve_kilometres_and_never_meets_itself(seed: int) -> None:
    at = Road(RoadShape(), seed).points(np.arange(0.0, 12_500.0, 1.0))
    assert np.diff(at.x_m).min() > 0.0


def test_every_kind_of_element_occurs() -> None:
    curvature = Road(RoadShape(), 5).points(np.arange(0.0, 5000.0, GRID_M)).curvature_per_m
    change = np.diff(curvature)
    assert ((curvature[1:] == 0) & (change == 0)).any(), "straights"
    assert ((curvature[1:] != 0) & (change == 0)).any(), "arcs"
    assert (change != 0).any(), "clothoids"
    assert curvature.max() > 0 > curvature.min(), "both sides"


def test_the_order_of_questions_does_not_change_the_road() -> None:
    far_first, near_first = Road(RoadShape(), 9), Road(RoadShape(), 9)
    s = np.arange(0.0, 9000.0, 3.3)
    far = far_first.points(s[::-1])
    near = [near_first.points(part) for part in np.array_split(s, 40)]
    assert np.array_equal(far.x_m[::-1], np.concatenate([part.x_m for part in near]))
    assert np.array_equal(far.y_m[::-1], np.concatenate([part.y_m for part in near]))


def test_another_seed_is_another_road() -> None:
    s = np.array([800.0])
    assert Road(RoadShape(), 1).points(s).y_m != Road(RoadShape(), 2).points(s).y_m


def test_a_left_arc_is_positive_and_leads_to_the_left() -> None:
    shape = RoadShape(opening=(RoadElement(20.0, 0.0), RoadElement(40.0, 1 / 100), RoadElement(60.0, 1 / 100)))
    at = Road(shape, 0).points(np.array([110.0]))
    assert at.curvature_per_m[0] == pytest.approx(1 / 100)
    assert at.heading_rad[0] > 0
    assert at.y_m[0] > 0


def test_an_arc_is_a_circle() -> None:
    shape = RoadShape(opening=(RoadElement(GRID_M, 1 / 50), RoadElement(60.0, 1 / 50)))
    at = Road(shape, 0).points(np.array([GRID_M, GRID_M + 50.0]))
    chord = math.hypot(at.x_m[1] - at.x_m[0], at.y_m[1] - at.y_m[0])
    assert chord == pytest.approx(2 * 50.0 * math.sin(0.5), abs=1e-4)


@settings(max_examples=200, deadline=None)
@given(
    s=st.floats(0.0, 3000.0),
    lateral=st.floats(-12.0, 12.0),
    heading_error=st.floats(-1.5, 1.5),
    hint=st.one_of(st.none(), st.floats(-40.0, 40.0)),
)
def test_projection_finds_the_place_again(s: float, lateral: float, heading_error: float, hint: float | None) -> None:
    x, y, heading = ROAD.pose_at(s, lateral)
    found = ROAD.project(x, y, heading + heading_error, None if hint is None else s + hint)
    assert found.s_m == pytest.approx(s, abs=1e-4)
    assert found.lateral_offset_m == pytest.approx(lateral, abs=1e-5)
    assert found.heading_error_rad == pytest.approx(heading_error, abs=1e-6)
    assert found.curvature_per_m == pytest.approx(ROAD.curvature_at(s), abs=1e-7)


def test_left_of_the_centre_is_a_positive_offset() -> None:
    found = ROAD.project(30.0, 1.0, 0.1)
    assert found.lateral_offset_m == pytest.approx(1.0)
    assert found.heading_error_rad == pytest.approx(0.1)
