"""The size that a packet declares is read where its standard puts it, and nothing that is damaged raises."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.sources.bitstream import coded_size
from tests.runtime.sources.movies import frame, movie
from tests.runtime.sources.test_video import HIGHWAY

CODECS = ["mjpg", "mpg2", "fmp4", "h264", "hevc", "vp80", "vp90"]
# The beginning of an HEVC stream of 1280x720 as x265 writes it (sequence parameter set, main profile).
HEVC_720P = bytes.fromhex("0000000142010101600000030090000003000003005da00280802d1659000000000000")


def packets(path: Path) -> list[bytes]:
    """The packets of a video as OpenCV gives them undecoded."""
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    found = []
    while video.grab():
        _, packet = video.retrieve()
        found.append(packet.tobytes())
    return found


@pytest.mark.parametrize(
    ("name", "fourcc", "codec"),
    [
        ("a.avi", "MJPG", "mjpg"),
        ("a.ts", "mpg2", "mpg2"),
        ("a.avi", "XVID", "fmp4"),
        ("a.webm", "VP80", "vp80"),
        ("a.webm", "VP90", "vp90"),
    ],
)
@pytest.mark.parametrize("size", [(64, 48), (322, 182)])
def test_real_streams_tell_their_size(
    tmp_path: Path, name: str, fourcc: str, codec: str, size: tuple[int, int]
) -> None:
    sizes = {coded_size(codec, packet) for packet in packets(movie(tmp_path / name, 4, fourcc, size=size))}
    assert sizes - {None} == {size}


def test_h264_of_a_real_camera_tells_its_size_without_the_padding() -> None:
    if not HIGHWAY.is_file():
        pytest.skip("../shared/data/highway.mp4 is not here")
    sizes = [coded_size("h264", packet) for packet in packets(HIGHWAY)]
    assert sizes[0] == (960, 540)
    assert set(sizes) == {(960, 540), None}


def test_hevc_tells_its_size() -> None:
    assert coded_size("hevc", HEVC_720P) == (1280, 720)


def test_an_unknown_codec_declares_nothing() -> None:
    assert coded_size("av01", HEVC_720P) is None


@given(st.sampled_from(CODECS), st.binary(max_size=200))
def test_any_bytes_are_a_size_or_none(codec: str, packet: bytes) -> None:
    size = coded_size(codec, packet)
    assert size is None or min(size) > 0


@given(st.sampled_from([("hevc", HEVC_720P), ("mjpg", cv2.imencode(".jpg", frame(0))[1].tobytes())]), st.data())
def test_a_damaged_header_is_a_size_or_none(stream: tuple[str, bytes], data: st.DataObject) -> None:
    codec, packet = stream
    cut = data.draw(st.integers(0, len(packet)))
    changed = bytearray(packet[:cut])
    if changed:
        changed[data.draw(st.integers(0, cut - 1))] ^= data.draw(st.integers(1, 255))
    size = coded_size(codec, bytes(changed))
    assert size is None or min(size) > 0
