"""The map lies where the manifest says, in the right colour, on the scale that is given."""

from __future__ import annotations

import math

import numpy as np
import pytest

from review.heat import DOWN, UP, draw_heat
from review.lettering import Image
from runtime.attribution.grid import Grid, message
from runtime.contracts.messages import Attribution
from runtime.contracts.model import AttributionOutput, Crop, ImageInput

IMAGE = ImageInput(name="image", width=200, height=66, crop=Crop(top=0.31, bottom=0.9))
SIZES = [(320, 160), (640, 360), (960, 540), (1280, 720)]


def a_map(values: Grid, field_px: float = 45.0) -> Attribution:
    contract = AttributionOutput(
        output="a",
        method="m",
        layer="l",
        target="steering_angle_rad",
        image="image",
        rows=3,
        columns=20,
        origin_y_px=22.0,
        origin_x_px=22.0,
        stride_y_px=8.0,
        stride_x_px=8.0,
        field_y_px=field_px,
        field_x_px=field_px,
    )
    return message(0, 0, values, contract, IMAGE)


def grey(width: int, height: int) -> Image:
    return np.full((height, width, 3), 128, np.uint8)


def coloured(row: int, column: int, value: float, size: tuple[int, int], scale: float = 1.0) -> Image:
    values = np.zeros((3, 20))
    values[row, column] = value
    return draw_heat(grey(*size), a_map(values), IMAGE, scale)


def strength(image: Image) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """How far a pixel is from grey."""
    signed = image.astype(np.int64)
    spread: np.ndarray[tuple[int, int], np.dtype[np.int64]] = signed.max(axis=2) - signed.min(axis=2)
    return spread


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 10), (2, 19)])
def test_a_cell_is_brightest_at_its_place_in_the_camera_picture(size: tuple[int, int], row: int, column: int) -> None:
    at = strength(coloured(row, column, 1.0, size))
    ys, xs = np.nonzero(at >= at.max() - 2)
    x = ((22 + 8 * column) + 0.5) / 200 * size[0]
    y = (0.31 + ((22 + 8 * row) + 0.5) / 66 * (0.9 - 0.31)) * size[1]
    assert abs(np.median(xs) - x) <= size[0] / 200 * 3
    assert ys.min() - 4 <= y <= ys.max() + 4


def test_left_and_right_have_their_colours() -> None:
    left, right = coloured(1, 5, 1.0, (640, 360)), coloured(1, 5, -1.0, (640, 360))
    place = np.unravel_index(strength(left).argmax(), left.shape[:2])
    assert np.abs(left[place].astype(int) - UP).max() < 30
    assert np.abs(right[place].astype(int) - DOWN).max() < 30


def test_strength_follows_the_scale_that_is_given_and_not_the_frame() -> None:
    weak, strong = (int(strength(coloured(1, 5, value, (640, 360))).max()) for value in (0.25, 1.0))
    assert weak < strong / 2
    assert strength(coloured(1, 5, 2.5, (640, 360), scale=10.0)).max() == weak
    assert strength(coloured(1, 5, 0.01, (640, 360))).max() == 0


def test_what_the_network_does_not_see_is_never_coloured() -> None:
    image = draw_heat(grey(640, 360), a_map(np.ones((3, 20)), field_px=150.0), IMAGE, 1.0)
    assert strength(image)[int(360 * 0.31) + 4].max() > 0
    assert strength(image)[: int(360 * 0.31) - 4].max() == 0
    assert strength(image)[int(360 * 0.9) + 4 :].max() == 0


def test_maps_of_zeros_and_of_nan_leave_the_picture_grey() -> None:
    for values in (np.zeros((3, 20)), np.full((3, 20), math.nan)):
        for scale in (1.0, 0.0):
            assert strength(draw_heat(grey(640, 360), a_map(values), IMAGE, scale)).max() == 0
