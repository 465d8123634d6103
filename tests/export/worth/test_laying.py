"""A map over the pixels, by the geometry in its contract."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx", reason="worth is judged with the extra 'export'")

from export.worth.laying import laid, pooled
from runtime.contracts.model import AttributionOutput, ImageInput

IMAGE = ImageInput(name="image", width=40, height=20)


def contract(origin_y_px: float = 4.0, origin_x_px: float = 6.0) -> AttributionOutput:
    return AttributionOutput(
        output="map",
        method="test",
        layer="",
        target="steering_angle_rad",
        image="image",
        rows=3,
        columns=4,
        origin_y_px=origin_y_px,
        origin_x_px=origin_x_px,
        stride_y_px=5.0,
        stride_x_px=8.0,
        field_y_px=6.0,
        field_x_px=9.0,
    )


def test_a_cell_s_value_stands_at_its_centre() -> None:
    grid: NDArray[np.float64] = np.arange(12.0).reshape(3, 4) - 5.0
    field = laid(grid, contract(), IMAGE)
    assert field.shape == (20, 40)
    for row in range(3):
        for column in range(4):
            assert field[4 + 5 * row, 6 + 8 * column] == pytest.approx(grid[row, column])


def test_between_two_centres_lies_their_mean_with_its_sign() -> None:
    grid = np.zeros((3, 4))
    grid[1, 1], grid[1, 2] = 2.0, -4.0
    assert laid(grid, contract(), IMAGE)[9, 18] == pytest.approx(-1.0)


def test_beyond_the_outermost_centre_it_fades_to_nothing_over_half_a_field() -> None:
    field = laid(np.ones((3, 4)), contract(), IMAGE)
    # Rows 4 to 14 are between centres; 3 px on, half a field, nothing is left.
    assert field[4, 6] == pytest.approx(1.0)
    assert 0.0 < field[2, 6] < 1.0
    assert field[1, 6] == pytest.approx(0.0)
    assert field[17, 6] == pytest.approx(0.0)


def test_what_is_no_finite_number_marks_nothing() -> None:
    grid = np.zeros((3, 4))
    grid[0, 0], grid[2, 3] = np.nan, np.inf
    assert not laid(grid, contract(), IMAGE).any()


def test_pooling_takes_the_mean_over_a_cell_s_stride() -> None:
    field = np.zeros((20, 40))
    field[2:7, 3:11] = 3.0  # around the first centre; its window reaches from 2 to 10, so half of columns 2 and 10
    grid = pooled(field, contract())
    assert grid.shape == (3, 4)
    assert grid[0, 0] == pytest.approx(3.0 * 7.5 / 8)
    assert grid[0, 1] == pytest.approx(3.0 * 0.5 / 8)
    assert grid[2, 3] == 0.0


def test_a_window_that_reaches_out_of_the_picture_is_averaged_over_what_is_in_it() -> None:
    grid = pooled(np.ones((20, 40)), contract(origin_y_px=0.0, origin_x_px=-100.0))
    assert grid[0, 0] == 0.0  # wholly outside
    assert pooled(np.ones((20, 40)), contract(origin_y_px=0.0))[0, 0] == pytest.approx(1.0)
