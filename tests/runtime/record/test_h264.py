"""The picture for people as H.264: one access unit a picture, decodable from every key picture on."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from review.pictures import PictureDecoder
from runtime.contracts.errors import LinkError
from runtime.contracts.messages import CompressedVideo, timestamp
from runtime.record.h264 import FORMAT, KEY_EVERY, OPENCV_COLOURS, H264Encoder

Picture = NDArray[np.uint8]
START_CODES = (b"\x00\x00\x00\x01", b"\x00\x00\x01")
SPS, PPS, IDR, SLICE = 7, 8, 5, 1


def road(count: int, height: int = 90, width: int = 160) -> list[Picture]:
    """A lane that moves through a textured picture."""
    texture = np.random.default_rng(1).normal(110, 20, (height, width + count, 1))
    smooth = cv2.GaussianBlur(texture, (9, 9), 0)[..., np.newaxis]
    pictures = []
    for step in range(count):
        view = np.repeat(smooth[:, step : step + width], 3, axis=2).clip(0, 255).astype(np.uint8)
        cv2.line(view, (width // 2 + step, 20), (width // 3 + step, height - 1), (40, 220, 230), 3)
        pictures.append(view)
    return pictures


def message(data: bytes, sequence: int = 0) -> CompressedVideo:
    return CompressedVideo(timestamp(0), "front", data, FORMAT, sequence)


def units(access_unit: bytes) -> list[int]:
    """The types of its NAL units."""
    bytes_after = access_unit.replace(START_CODES[0], START_CODES[1]).split(START_CODES[1])[1:]
    return [unit[0] & 0x1F for unit in bytes_after]


def test_every_picture_is_one_access_unit_that_gives_the_picture_again() -> None:
    encoder, decoder = H264Encoder(90, 160, 23), PictureDecoder()
    for picture in road(2 * KEY_EVERY + 5):
        data = encoder.encode(picture, key=False)
        assert data.startswith(START_CODES)
        shown = decoder.decode(message(data))
        assert shown is not None
        assert shown.shape == picture.shape
        assert cv2.PSNR(shown, picture) > 30.0


def test_a_key_picture_carries_its_parameters_and_comes_when_asked_and_at_its_interval() -> None:
    encoder = H264Encoder(90, 160, 23)
    keys = [
        index
        for index, picture in enumerate(road(KEY_EVERY + 20))
        if IDR in (found := units(encoder.encode(picture, key=index == 10))) and {SPS, PPS} <= set(found)
    ]
    assert keys == [0, 10, 10 + KEY_EVERY]


def test_it_tells_by_which_matrix_its_colours_are_read() -> None:
    picture = np.zeros((720, 1280, 3), np.uint8)
    picture[:] = (30, 200, 60)
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    data = [H264Encoder(720, 1280, 10).encode(picture, key=True)]
    frames = [frame for one in data for frame in (*decoder.decode(av.Packet(one)), *decoder.decode(None))]
    assert [(frame.colorspace, frame.color_range) for frame in frames] == [OPENCV_COLOURS]
    assert np.abs(frames[0].to_ndarray(format="bgr24").astype(int) - picture).max() < 8


def test_no_picture_waits_for_a_later_one() -> None:
    encoder = H264Encoder(90, 160, 23)
    for picture in road(20):
        assert units(encoder.encode(picture, key=False))[-1] in (IDR, SLICE)


def test_decoding_begins_at_any_key_picture_and_not_before() -> None:
    encoder = H264Encoder(90, 160, 23)
    pictures = road(30)
    data = [encoder.encode(picture, key=index == 20) for index, picture in enumerate(pictures)]
    decoder = PictureDecoder()
    shown = [decoder.decode(message(one)) for one in data[15:]]
    assert shown[:5] == [None] * 5
    for got, picture in zip(shown[5:], pictures[20:], strict=True):
        assert got is not None
        assert cv2.PSNR(got, picture) > 30.0


@pytest.mark.parametrize("gap", [range(9, 10), range(5, 12), range(14, 19)])
def test_behind_a_picture_that_is_not_there_none_is_shown_up_to_the_next_key_picture(gap: range) -> None:
    encoder, decoder = H264Encoder(90, 160, 23), PictureDecoder()
    data = [encoder.encode(picture, key=index == 20) for index, picture in enumerate(road(40))]
    shown = [decoder.decode(message(one)) is not None for index, one in enumerate(data) if index not in gap]
    assert shown == [*[True] * gap.start, *[False] * (20 - gap.stop), *[True] * 20]


@pytest.mark.parametrize("data", [b"", b"\x00\x00\x00\x01", b"no video at all", bytes(500)])
def test_bytes_that_are_no_picture_give_none_and_the_next_key_picture_is_shown(data: bytes) -> None:
    encoder, decoder = H264Encoder(90, 160, 23), PictureDecoder()
    [first, second] = road(2)
    assert decoder.decode(message(encoder.encode(first, key=True))) is not None
    assert decoder.decode(message(data)) is None
    assert decoder.decode(message(encoder.encode(second, key=True))) is not None


def test_a_side_that_is_odd_is_made_even() -> None:
    [picture] = road(1, 51, 101)
    shown = PictureDecoder().decode(message(H264Encoder(51, 101, 10).encode(picture, key=True)))
    assert shown is not None
    assert shown.shape == (52, 102, 3)
    assert cv2.PSNR(np.ascontiguousarray(shown[:51, :101]), picture) > 28.0


def test_a_worse_quality_is_smaller() -> None:
    def size(quality: int) -> int:
        encoder = H264Encoder(90, 160, quality)
        return sum(len(encoder.encode(picture, key=False)) for picture in road(10))

    assert size(20) > 1.5 * size(30)


def test_a_picture_that_no_encoder_takes_is_refused() -> None:
    with pytest.raises(LinkError, match="60000 x 60000"):
        H264Encoder(60_000, 60_000, 23)
