"""The graph gives the pixels of `runtime.preprocess` to one grey level; here on the CPU's provider."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from runtime.contracts.errors import EngineError, SourceError
from runtime.contracts.model import Crop, ImageInput
from runtime.engines.preprocessing.session import PreprocessingSession
from runtime.preprocess import preprocess

CPU = "CPUExecutionProvider"


def on_the_cpu(image: ImageInput) -> PreprocessingSession:
    return PreprocessingSession(image, CPU, "cpu")


def noise(height: int, width: int, seed: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def far(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int16]:
    assert (one.shape, one.dtype) == (other.shape, other.dtype)
    return np.abs(one.astype(np.int16) - other.astype(np.int16))


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("colour", ["BGR", "RGB"])
@pytest.mark.parametrize("interpolation", ["area", "linear"])
def test_layout_colour_and_crop_are_those_of_the_cpu(layout: Any, colour: Any, interpolation: Any) -> None:
    crop = Crop(top=0.31, bottom=0.9, left=0.1, right=0.8)
    image = ImageInput(
        name="eye", width=200, height=66, layout=layout, colour=colour, interpolation=interpolation, crop=crop
    )
    session = on_the_cpu(image)
    for seed in range(2):
        picture = noise(360, 640, seed)
        tensor = session(picture)
        assert tensor.flags.c_contiguous
        assert far(tensor, preprocess(picture, image)).max() <= 1


@settings(max_examples=150, deadline=None)
@example(
    (26, 68), (54, 56), "area", 0
)  # grows in one direction and shrinks in the other, where OpenCV does not average
@example((159, 14), (50, 36), "area", 0)
@example((8, 98), (72, 10), "area", 0)
@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from(["area", "linear"]),
    st.integers(0, 9),
)
def test_any_size_is_resized_to_one_grey_level_of_opencv(
    given_size: tuple[int, int], wanted: tuple[int, int], interpolation: Any, seed: int
) -> None:
    image = ImageInput(name="eye", height=wanted[0], width=wanted[1], interpolation=interpolation)
    picture = noise(*given_size, seed)
    assert far(on_the_cpu(image)(picture), preprocess(picture, image)).max() <= 1


def test_black_and_white_stay_black_and_white() -> None:
    image = ImageInput(name="eye", width=200, height=66)
    session = on_the_cpu(image)
    for level in (0, 255):
        assert np.unique(session(np.full((381, 1277, 3), level, np.uint8))).tolist() == [level]


def test_the_same_picture_gives_the_same_bytes_and_keeps_them() -> None:
    session = on_the_cpu(ImageInput(name="eye", width=200, height=66))
    first = session(noise(360, 640))
    kept = first.tobytes()
    assert session(noise(360, 640, seed=4)).tobytes() != kept
    assert first.tobytes() == kept == session(noise(360, 640)).tobytes()


def test_a_picture_that_changes_its_size_is_refused_and_the_next_one_of_the_old_size_is_taken() -> None:
    session = on_the_cpu(ImageInput(name="eye", width=200, height=66))
    first = session(noise(360, 640))
    with pytest.raises(SourceError, match=r"640x361 pixels after pictures of 640x360.*engine\.preprocessing: cpu"):
        session(noise(361, 640))
    assert session(noise(360, 640)).tobytes() == first.tobytes()


def test_what_is_no_picture_is_refused_as_on_the_cpu() -> None:
    session = on_the_cpu(ImageInput(name="eye", width=200, height=66))
    with pytest.raises(SourceError, match="uint8, height x width x 3"):
        session(np.zeros((4, 4), np.uint8))


def test_a_provider_that_is_not_there_is_refused_with_its_mend() -> None:
    with pytest.raises(EngineError, match=r"CUDAExecutionProvider.*install onnxruntime-gpu"):
        PreprocessingSession(ImageInput(name="eye", width=200, height=66), "CUDAExecutionProvider", "cuda")
