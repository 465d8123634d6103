"""Pictures in."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ros_bridge.messages import CompressedImage, Header, Image, String
from ros_bridge.pictures import picture_of
from runtime.contracts.errors import SourceError

HEADER = Header()
COLOURS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)


def image(pixels: np.ndarray, encoding: str, *, padding: int = 0) -> Image:
    """A raw Image of pixels (height x width [x channels]), each row with some bytes behind it."""
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    padded = np.concatenate([rows, np.full((height, padding), 255, np.uint8)], axis=1)
    return Image(HEADER, height, width, encoding, 0, padded.shape[1], padded.tobytes())


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("bgr8", COLOURS),
        ("8UC3", COLOURS),
        ("rgb8", COLOURS[..., ::-1]),
        ("bgra8", np.dstack([COLOURS, COLOURS[..., :1]])),
        ("rgba8", np.dstack([COLOURS[..., ::-1], COLOURS[..., :1]])),
    ],
)
def test_colours_come_out_as_they_went_in(encoding: str, pixels: np.ndarray, padding: int) -> None:
    picture = picture_of(image(np.ascontiguousarray(pixels), encoding, padding=padding))
    assert picture.flags.c_contiguous
    assert np.array_equal(picture, COLOURS)


def test_grey_is_grey() -> None:
    grey = COLOURS[..., 0]
    picture = picture_of(image(grey, "mono8"))
    assert np.array_equal(picture, np.dstack([grey] * 3))


@pytest.mark.parametrize(
    ("encoding", "places"),  # where red, and where blue, lie in each 2 x 2 of the sensor (sensor_msgs/image_encodings)
    [
        ("bayer_rggb8", ((0, 0), (1, 1))),
        ("bayer_bggr8", ((1, 1), (0, 0))),
        ("bayer_gbrg8", ((1, 0), (0, 1))),
        ("bayer_grbg8", ((0, 1), (1, 0))),
    ],
)
def test_a_bayer_mosaic_of_pure_red_is_red(encoding: str, places: tuple[tuple[int, int], tuple[int, int]]) -> None:
    mosaic = np.zeros((8, 8), np.uint8)
    (row, column), _blue = places
    mosaic[row::2, column::2] = 200
    inner = picture_of(image(mosaic, encoding))[2:-2, 2:-2].reshape(-1, 3)
    assert (inner[:, 2] == 200).all()
    assert (inner[:, 0] == 0).all()


@pytest.mark.parametrize(("encoding", "luma"), [("uyvy", 1), ("yuv422", 1), ("yuyv", 0), ("yuv422_yuy2", 0)])
def test_packed_yuv_without_colour_is_as_bright_as_its_luma(encoding: str, luma: int) -> None:
    packed = np.full((4, 4, 2), 128, np.uint8)
    packed[..., luma] = 235
    assert (picture_of(image(packed, encoding)) == 255).all()


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_coded_pictures_are_decoded(suffix: str) -> None:
    smooth = cv2.resize(COLOURS, (60, 40), interpolation=cv2.INTER_CUBIC)
    data = cv2.imencode(suffix, smooth)[1].tobytes()
    picture = picture_of(CompressedImage(HEADER, "jpeg", data))
    assert picture.shape == smooth.shape
    assert np.abs(picture.astype(int) - smooth).mean() < 8


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (Image(HEADER, 4, 6, "mono16", 0, 12, bytes(48)), "encoding 'mono16' is not read; convert it to one of bgr8"),
        (Image(HEADER, 4, 6, "bgr8", 0, 18, bytes(71)), "4 rows of at least 18"),
        (Image(HEADER, 4, 6, "bgr8", 0, 17, bytes(68)), "4 rows of at least 18"),
        (Image(HEADER, 0, 6, "bgr8", 0, 18, b""), "6 x 0 pixels"),
        (Image(HEADER, 1, 70_000, "mono8", 0, 70_000, bytes(70_000)), "70000 x 1 pixels"),
        (Image(HEADER, 4, 5, "uyvy", 0, 10, bytes(40)), "cannot be read"),
        (CompressedImage(HEADER, "jpeg", b""), "0 bytes is neither JPEG nor PNG"),
        (CompressedImage(HEADER, "h264", b"\0\0\0\1\x67"), "neither JPEG nor PNG"),
        (CompressedImage(HEADER, "16UC1; compressedDepth png", b"\0" * 12), "a depth map"),
        (String("hello"), "a std_msgs/msg/String is no picture"),
    ],
)
def test_what_is_no_picture_is_refused_with_the_reason(message: Image, why: str) -> None:
    with pytest.raises(SourceError, match=why):
        picture_of(message)


def test_a_small_file_that_unfolds_to_an_enormous_picture_is_refused_before_it_does() -> None:
    size = struct.pack(">II", 60_000, 60_000) + b"\x08\x02\0\0\0"
    head = struct.pack(">I", 13) + b"IHDR" + size + struct.pack(">I", zlib.crc32(b"IHDR" + size))
    with pytest.raises(SourceError, match="60000 x 60000 pixels"):
        picture_of(CompressedImage(HEADER, "png", b"\x89PNG\r\n\x1a\n" + head))


@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xff\xff", b"\x89PNG\r\n\x1a\n"]))
@settings(max_examples=300, deadline=None)
def test_bytes_that_are_anything_are_refused_or_decoded(data: bytes, magic: bytes) -> None:
    try:
        assert picture_of(CompressedImage(HEADER, "jpeg", magic + data)).ndim == 3
    except SourceError:
        return
