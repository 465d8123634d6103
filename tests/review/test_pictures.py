"""Recorded pictures, JPEG or H.264, are shown from any frame on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from review.overlay import Selection, write_pictures
from review.pictures import PictureDecoder, decoder_at, first_shape
from runtime.contracts.topics import VIDEO
from runtime.record.drive import Drive, open_drive
from runtime.record.segment import sealed_path
from tests import models
from tests.review.drives import picture, record_drive

FRAMES = 90


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Drive:
    folder = tmp_path_factory.mktemp("pictures") / "drive"
    return open_drive(record_drive(folder, models.tiny_policy(), FRAMES, segment_s=3.0, video=True, dropped={20}))


@pytest.mark.parametrize("first", [0, 1, 20, 21, 59, 60, 61, 62, 75, FRAMES - 1])
def test_decoding_may_begin_at_any_frame(drive: Drive, first: int) -> None:
    decoder = decoder_at(drive, "front", first)
    for frame in drive.frames(VIDEO, first=first, last=first + 5):
        if frame.sequence == 20:
            assert frame.pictures == ()
            continue
        shown = decoder.decode(frame.pictures[0])
        assert shown is not None
        assert cv2.PSNR(shown, picture(frame.sequence)) > 20.0
        assert cv2.PSNR(shown, picture(frame.sequence + 1)) < 20.0


def test_a_segment_by_itself_can_be_shown_from_its_first_picture(drive: Drive) -> None:
    assert len(drive.segments) > 1
    for file in drive.segments:
        decoder = PictureDecoder()
        shown = [
            decoder.decode(one.pictures[0]) for one in drive.frames(VIDEO, segment=file.index) if one.sequence != 20
        ]
        assert shown
        assert all(one is not None for one in shown)


def test_an_overlay_of_a_part_shows_what_one_of_the_whole_shows(drive: Drive, tmp_path: Path) -> None:
    write_pictures(drive.path, tmp_path / "whole", Selection())
    write_pictures(drive.path, tmp_path / "part", Selection(40, 46, 3))
    names = sorted(path.name for path in (tmp_path / "part").iterdir())
    assert names == ["frame-000040.png", "frame-000043.png", "frame-000046.png"]
    for name in names:
        whole, part = (cv2.imread(str(tmp_path / folder / name)) for folder in ("whole", "part"))
        assert whole is not None
        assert part is not None
        assert np.array_equal(whole, part)


def test_the_size_is_that_of_the_first_picture_that_can_be_decoded(tmp_path: Path) -> None:
    drive = open_drive(record_drive(tmp_path / "drive", models.tiny_policy(), 65, segment_s=2.0, video=True))
    assert first_shape(drive, "front") == (160, 320)
    assert first_shape(drive, "rear") is None
    sealed_path(drive.path, 0).unlink()
    assert first_shape(open_drive(drive.path), "front") == (160, 320)
