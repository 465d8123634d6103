"""The map over the picture."""

from __future__ import annotations

import numpy as np
import pytest

from ros_bridge.overlay import Scale, with_map, with_words
from runtime.attribution.grid import Box, to_camera
from runtime.contracts.messages import Attribution, NonFinite
from runtime.contracts.model import Crop, ImageInput

IMAGE = ImageInput(
    name="image", camera="front", width=40, height=20, crop=Crop(top=0.5, bottom=1.0, left=0.25, right=0.75)
)
GREY = np.full((120, 160, 3), 100, np.uint8)


def attribution(values: list[list[float | NonFinite]]) -> Attribution:
    rows = tuple(tuple(row) for row in values)
    return Attribution(0, 0, "image", "front", "m", "steering", rows, 5.0, 5.0, 10.0, 10.0, 10.0, 10.0)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 3), (1, 2)])
@pytest.mark.parametrize("value", [1.0, -1.0])
def test_a_cell_is_strongest_where_the_recorded_geometry_puts_it(row: int, column: int, value: float) -> None:
    values: list[list[float | NonFinite]] = [[0.0] * 4 for _ in range(2)]
    values[row][column] = value
    drawn = with_map(GREY, attribution(values), IMAGE, 1.0)
    change = np.abs(drawn.astype(int) - GREY).sum(axis=2)
    y, x = np.unravel_index(change.argmax(), change.shape)
    model_x, model_y = 5.0 + 10.0 * column, 5.0 + 10.0 * row
    there = to_camera(Box(model_x, model_y, model_x, model_y), IMAGE, 160, 120)
    assert abs(x - there.left_px) <= 1
    assert abs(y - there.top_px) <= 1
    blue, _, red = drawn[y, x].astype(int)
    assert (blue > red) == (value > 0), "azure pulled up, orange down"


def test_what_the_model_does_not_see_and_an_empty_map_change_nothing() -> None:
    full = attribution([[1.0] * 4 for _ in range(2)])
    drawn = with_map(GREY, full, IMAGE, 1.0)
    assert np.array_equal(drawn[:40], GREY[:40])
    assert not np.array_equal(drawn[60:], GREY[60:])
    assert np.array_equal(with_map(GREY, attribution([[0.0] * 4, [0.0] * 4]), IMAGE, 0.0), GREY)


def test_cells_that_are_no_numbers_stay_clear_and_infinities_are_full() -> None:
    clear = with_map(GREY, attribution([["NaN"] * 4, ["NaN"] * 4]), IMAGE, 1.0)
    assert np.array_equal(clear, GREY)
    endless = with_map(GREY, attribution([["Infinity"] * 4, ["Infinity"] * 4]), IMAGE, 1.0)
    assert np.array_equal(endless, with_map(GREY, attribution([[1.0] * 4, [1.0] * 4]), IMAGE, 1.0))


def test_the_scale_follows_the_strongest_maps_and_forgets() -> None:
    scale = Scale()
    assert scale.after(np.zeros((2, 2))) == 0.0
    for _ in range(300):
        last = scale.after(np.array([[0.1, np.nan], [-2.0, np.inf]]))
    assert last == 2.0
    for _ in range(300):
        last = scale.after(np.array([[0.1]]))
    assert last == pytest.approx(0.1)


def test_a_frame_without_a_decision_says_so_in_place() -> None:
    picture = GREY.copy()
    assert with_words(picture, None) is picture
    assert not np.array_equal(picture, GREY)
