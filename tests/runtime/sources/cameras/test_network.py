"""A network camera with sound, whose clock is set, or whose pictures stop while the sound goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal

import numpy as np
import pytest

from runtime import gstreamer
from runtime.contracts.errors import SourceError
from runtime.contracts.source import Capture, Missing, SourceRequest
from runtime.sources.cameras.address import Library
from runtime.sources.cameras.live import LiveSource
from runtime.sources.cameras.open import open_source
from tests.runtime.sources.cameras.rtsp_by_hand import CLOCK_HZ, KEY_EVERY, RATE_HZ, Camera, true_picture


@pytest.fixture
def camera() -> Iterator[Camera]:
    camera = Camera()
    yield camera
    camera.close()


@pytest.fixture(params=["gstreamer", "pyav"])
def library(request: pytest.FixtureRequest) -> Library:
    if request.param == "gstreamer":
        try:
            has_h264 = gstreamer.has("rtspsrc", "avdec_h264")
        except SourceError as error:
            pytest.skip(str(error))
        if not has_h264:
            pytest.skip("GStreamer reads no H.264 from a network here: sudo scripts/system-packages camera-tests")
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def source(camera: Camera, library: Library) -> Iterator[LiveSource]:
    source = open_source(SourceRequest(f"rtsp+{library}://{camera.uri}", ("front",), None))
    yield source
    source.close()


def captures(source: LiveSource, count: int) -> list[Capture]:
    found: list[Capture] = []
    while len(found) < count:  # what is missing in between is the machine's, where it is busy
        item = source.read()
        assert item is not None
        if isinstance(item, Capture):
            found.append(item)
    return found


def test_its_pictures_are_taken_though_its_sound_comes_first(source: LiveSource) -> None:
    for _ in range(2 * RATE_HZ):
        [item] = captures(source, 1)
        assert item.pictures["front"].shape == (48, 64, 3)
        assert item.t_source_ns <= time.monotonic_ns(), "seen before its light fell in"


def test_time_goes_on_where_its_clock_is_set_back(camera: Camera, source: LiveSource) -> None:
    captures(source, 2 * RATE_HZ)
    camera.ahead_ticks = -CLOCK_HZ
    times = [item.t_source_ns for item in captures(source, RATE_HZ - 5)]
    assert np.median(np.diff(times)) == pytest.approx(1e9 / RATE_HZ, rel=0.5)


def test_it_counts_as_lost_where_only_its_sound_goes_on(camera: Camera, source: LiveSource) -> None:
    captures(source, 5)
    camera.blind = True
    item = source.read()
    while isinstance(item, Capture):  # what was under way
        item = source.read()
    assert isinstance(item, Missing)
    assert item.reasons == {"front": "the camera is away: no picture for 2 s"}


@pytest.mark.parametrize(("library", "harm"), [("gstreamer", "lost"), ("pyav", "cut")], indirect=["library"])
def test_what_refers_to_a_picture_that_did_not_come_whole_is_not_shown(
    camera: Camera, source: LiveSource, harm: Literal["lost", "cut"]
) -> None:
    true = [true_picture(count).astype(float) for count in range(64)]
    camera.harm = harm
    shown = 0
    while shown < 3 * KEY_EVERY or camera.harm:
        [item] = captures(source, 1)
        assert min(np.abs(item.pictures["front"] - one).mean() for one in true) < 10, "the camera never saw this"
        shown += 1
