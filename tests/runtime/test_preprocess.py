"""What the model sees of a picture: crop, size, colours and layout are its manifest's, and nothing else changes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from runtime.contracts.errors import SourceError
from runtime.contracts.model import Crop, ImageInput
from runtime.preprocess import preprocess


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_picture_of_the_right_size_passes_unchanged_and_is_copied() -> None:
    picture = noise(66, 200)
    tensor = preprocess(picture, ImageInput(name="image", width=200, height=66))
    assert tensor.shape == (1, 66, 200, 3)
    assert np.array_equal(tensor[0], picture)
    assert not np.shares_memory(tensor, picture)


def test_the_crop_is_taken_in_fractions_before_the_resize() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[40:80, 50:150] = 255
    crop = Crop(top=0.4, bottom=0.8, left=0.25, right=0.75)
    tensor = preprocess(picture, ImageInput(name="image", width=20, height=10, crop=crop))
    assert tensor.min() == 255
    assert picture[39, 50, 0] == 0


def test_area_averages_all_pixels_of_a_cell() -> None:
    picture = noise(8, 8)
    tensor = preprocess(picture, ImageInput(name="image", width=2, height=2))
    mean = picture.reshape(2, 4, 2, 4, 3).mean(axis=(1, 3))
    assert np.abs(tensor[0].astype(float) - mean).max() <= 1.0
    linear = preprocess(picture, ImageInput(name="image", width=2, height=2, interpolation="linear"))
    assert not np.array_equal(linear, tensor)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("colour", ["BGR", "RGB"])
def test_colour_and_layout_are_the_manifests(layout: Any, colour: Any) -> None:
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[..., 0] = 200  # blue
    tensor = preprocess(picture, ImageInput(name="image", width=6, height=4, layout=layout, colour=colour))
    blue = 0 if colour == "BGR" else 2
    channels = tensor[0] if layout == "NCHW" else tensor[0].transpose(2, 0, 1)
    assert tensor.shape == ((1, 4, 6, 3) if layout == "NHWC" else (1, 3, 4, 6))
    assert [int(channel.max()) for channel in channels] == [200 if i == blue else 0 for i in range(3)]
    assert tensor.flags.c_contiguous
    assert tensor.dtype == np.uint8


def test_the_same_picture_gives_the_same_bytes() -> None:
    image = ImageInput(name="image", width=200, height=66, crop=Crop(top=0.35))
    assert preprocess(noise(360, 640), image).tobytes() == preprocess(noise(360, 640), image).tobytes()


BAND = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)


@given(st.integers(1, 40), st.integers(1, 40), BAND, BAND)
def test_any_picture_and_crop_give_a_whole_tensor_or_a_clear_error(
    height: int, width: int, rows: list[float], columns: list[float]
) -> None:
    crop = Crop(top=rows[0], bottom=rows[1], left=columns[0], right=columns[1])
    image = ImageInput(name="image", width=7, height=5, crop=crop)
    try:
        assert preprocess(noise(height, width), image).shape == (1, 5, 7, 3)
    except SourceError as error:
        assert "leaves nothing" in str(error)
        assert (rows[1] - rows[0]) * height <= 1 or (columns[1] - columns[0]) * width <= 1


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)],
    ids=["grey", "alpha", "float"],
)
def test_what_is_no_picture_is_refused(wrong: Any) -> None:
    with pytest.raises(SourceError, match="uint8, height x width x 3"):
        preprocess(wrong, ImageInput(name="image", width=2, height=2))


def test_a_picture_that_is_no_array_of_its_own_is_read_right() -> None:
    wide = noise(20, 40)
    view = wide[::2, 4:24]
    image = ImageInput(name="image", width=20, height=10, interpolation="linear")
    assert np.array_equal(preprocess(view, image)[0], cv2.resize(view.copy(), (20, 10)))
