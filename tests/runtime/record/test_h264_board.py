"""What is around the board's encoder, with GStreamer's x264enc in its place; NVIDIA's element needs a Jetson."""

from __future__ import annotations

from collections.abc import Iterator

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from review.pictures import PictureDecoder
from runtime import gstreamer
from runtime.contracts.errors import LinkError, SourceError
from runtime.record.h264 import KEY_EVERY, H264Encoder, is_key
from runtime.record.h264_board import X264, BoardEncoder, by_board, open_encoder, works
from tests.runtime.record.test_h264 import IDR, PPS, SPS, message, road, units

SMPTE_170M = 6  # the other of the two names that H.264 has for BT.601's matrix (table E-5)


@pytest.fixture(autouse=True)
def with_gstreamer() -> None:
    try:
        if gstreamer.has("x264enc", "h264parse"):
            return
    except SourceError as error:
        pytest.skip(str(error))
    pytest.skip("GStreamer has no H.264 encoder here: sudo scripts/system-packages camera-tests")


@pytest.fixture
def encoder() -> Iterator[BoardEncoder]:
    encoder = BoardEncoder(90, 160, 23, X264)
    yield encoder
    encoder.close()


def test_every_picture_is_one_access_unit_that_gives_the_picture_again(encoder: BoardEncoder) -> None:
    decoder = PictureDecoder()
    for picture in road(20):
        shown = decoder.decode(message(encoder.encode(picture, key=False)))
        assert shown is not None
        assert cv2.PSNR(shown, picture) > 30.0


def test_a_key_picture_comes_when_asked_and_at_its_interval_with_its_parameters(encoder: BoardEncoder) -> None:
    given = [encoder.encode(picture, key=index in (0, 10)) for index, picture in enumerate(road(KEY_EVERY + 20))]
    assert [index for index, unit in enumerate(given) if is_key(unit)] == [0, 10, 10 + KEY_EVERY]
    assert {SPS, PPS, IDR} <= set(units(given[10]))


def test_sides_are_made_such_as_gstreamer_takes() -> None:
    encoder = BoardEncoder(51, 101, 10, X264)
    shown = PictureDecoder().decode(message(encoder.encode(road(1, 51, 101)[0], key=True)))
    encoder.close()
    assert shown is not None
    assert shown.shape == (52, 104, 3)


def test_it_tells_by_which_matrix_its_colours_are_read_whatever_the_size() -> None:
    encoder, decoder = BoardEncoder(720, 1280, 10, X264), av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    packet = av.Packet(encoder.encode(np.zeros((720, 1280, 3), np.uint8), key=True))
    encoder.close()
    [frame] = [*decoder.decode(packet), *decoder.decode(None)]
    assert frame.colorspace in (Colorspace.ITU601, SMPTE_170M)
    assert frame.color_range == ColorRange.MPEG


def test_an_encoder_that_gives_nothing_is_refused_in_words() -> None:
    encoder = BoardEncoder(90, 160, 23, "fakesink name=encoder  fakesrc num-buffers=0")
    with pytest.raises(LinkError, match="gave nothing for a picture"):
        encoder.encode(np.zeros((90, 160, 3), np.uint8), key=True)
    encoder.close()


@pytest.mark.skipif(works(), reason="this board has an encoder")
def test_without_one_libx264_takes_its_place_unless_the_boards_is_asked_for() -> None:
    assert [by_board("auto"), by_board("libx264"), by_board("board")] == [False, False, True]
    assert isinstance(open_encoder(90, 160, 23, by_board=False), H264Encoder)
    with pytest.raises(LinkError, match="nvvidconv"):
        open_encoder(90, 160, 23, by_board=True)
