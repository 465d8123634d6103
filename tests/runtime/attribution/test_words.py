"""The map in words names the right places, the right way, in the right unit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from runtime.attribution.grid import Grid
from runtime.attribution.words import ZONES, account, action, pulls, steering
from runtime.contracts.model import OutputQuantity
from runtime.contracts.vehicle import Control

DEG = math.radians(1.0)


def a_map(rows: int = 3, columns: int = 20, **cells: float) -> Grid:
    """Zeros but for `r{row}c{column}` cells."""
    values = np.zeros((rows, columns))
    for where, value in cells.items():
        row, column = where[1:].split("c")
        values[int(row), int(column)] = value
    return values


def words_of(values: Grid, target: OutputQuantity) -> str:
    return account(values, target).words


def test_shares_of_attention_pull_no_way() -> None:
    values = a_map(r2c0=0.5, r0c19=0.25, r1c10=0.25)
    assert account(values, "attention").words == "attended most to the near left (50%)"


def test_the_strongest_zone_each_way_is_named_with_its_degrees() -> None:
    values = a_map(r2c0=1.0 * DEG, r2c1=0.4 * DEG, r0c19=-0.3 * DEG)
    assert words_of(values, "steering_angle_rad") == (
        "pulled left by the near left (+1.4 deg), against it the far right (-0.3 deg)"
    )


def test_a_pull_to_the_right_is_named_right() -> None:
    assert words_of(a_map(r1c10=-2.0 * DEG), "steering_angle_rad") == "pulled right by the middle centre (-2.0 deg)"


def test_a_map_of_the_acceleration_speaks_of_speed() -> None:
    values = a_map(r0c10=-1.25, r2c10=0.5)
    assert words_of(values, "acceleration_mps2") == (
        "pulled slower by the far centre (-1.25 m/s2), against it the near centre (+0.50 m/s2)"
    )


def test_what_hardly_pulls_is_not_named() -> None:
    assert "against" not in words_of(a_map(r2c0=1.0, r0c19=-0.04), "steering_angle_rad")


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("columns", [1, 2, 3, 7, 20])
def test_the_corners_and_the_centre_of_any_grid_lie_in_the_zones_of_that_name(rows: int, columns: int) -> None:
    values = np.zeros((rows, columns))
    values[rows // 2, columns // 2] = 1.0
    found = max(pulls(values).zones, key=lambda zone: zone.net)
    if rows % 2 and columns % 2:
        assert found.zone == "middle centre"
    if rows > 1 and columns > 1:
        values = np.zeros((rows, columns))
        values[0, 0], values[-1, -1] = 1.0, -1.0
        assert max(pulls(values).zones, key=lambda zone: zone.net).zone == "far left"
        assert min(pulls(values).zones, key=lambda zone: zone.net).zone == "near right"


@given(npst.arrays(np.float64, npst.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.floats(-1e3, 1e3)))
def test_zones_add_up_to_the_map(values: Grid) -> None:
    found = pulls(values)
    assert [zone.zone for zone in found.zones] == list(ZONES)
    assert found.net == pytest.approx(values.sum(), abs=1e-6)
    assert found.up == pytest.approx(values[values > 0].sum(), abs=1e-6)
    assert found.down == pytest.approx(values[values < 0].sum(), abs=1e-6)
    if np.abs(values).sum() > 0:
        assert sum(zone.share for zone in found.zones) == pytest.approx(1.0)


@given(npst.arrays(np.float64, (3, 20), elements=st.floats(allow_nan=True, allow_infinity=True)))
def test_no_map_breaks_the_words_of(values: Grid) -> None:
    assert words_of(values, "steering_angle_rad")
    assert pulls(values).not_finite == np.count_nonzero(~np.isfinite(values))


def test_cells_that_are_no_numbers_are_left_out_and_counted() -> None:
    values = a_map(r2c0=1.0 * DEG, r2c1=math.nan, r0c19=math.inf)
    assert words_of(values, "steering_angle_rad") == (
        "pulled left by the near left (+1.0 deg) (2 of 60 cells are no numbers)"
    )
    assert words_of(np.full((3, 20), math.nan), "steering_angle_rad") == "the map holds no number"


def test_a_map_of_zeros_pulls_nowhere() -> None:
    assert words_of(a_map(), "steering_angle_rad") == "nothing in the picture pulled either way"


@pytest.mark.parametrize(
    ("angle_rad", "words"),
    [
        (2.1 * DEG, "steers 2.1 deg left"),
        (-2.1 * DEG, "steers 2.1 deg right"),
        (0.0, "steers straight"),
        (-0.04 * DEG, "steers straight"),
    ],
)
def test_steering_is_positive_to_the_left(angle_rad: float, words: str) -> None:
    assert steering(angle_rad) == words


def test_an_action_names_speeding_up_and_slowing_down() -> None:
    assert action(Control(0.0, 1.25)) == "steers straight and speeds up by 1.2 m/s2"
    assert action(Control(0.0, -1.5)) == "steers straight and slows down by 1.5 m/s2"
    assert action(Control(0.0, 0.01)) == "steers straight"


def test_zones_are_added_one_after_the_other_whatever_python_adds_them() -> None:
    values = np.zeros((3, 3))
    values[0] = 1e16, 1.0, -1e16
    assert pulls(values).net == 0.0  # from Python 3.12 on, sum() would say 1.0
