"""A video gives every frame once with its time, and declares what it promises and cannot give."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.contracts.errors import SourceError
from runtime.contracts.source import Capture, Missing, SourceRequest
from runtime.sources.video import VideoSource, open_source
from tests.runtime.sources.movies import (
    faststart,
    frame,
    index_of,
    movie,
    promising,
    trimmed,
    turned_right,
    with_durations,
)

HIGHWAY = Path(__file__).parents[4] / "shared" / "data" / "highway.mp4"
PERIOD_NS = 50_000_000
TICKS = 512  # of the timescale in which OpenCV writes MP4, per frame at 20 Hz


def opened(path: Path) -> VideoSource:
    return open_source(SourceRequest(str(path), ("front",), "lockstep"))


def read_all(source: VideoSource) -> list[Capture | Missing]:
    items = []
    while (item := source.read()) is not None:
        items.append(item)
    assert [item.sequence for item in items] == list(range(len(items)))
    times = [item.t_source_ns for item in items]
    assert times == sorted(times)
    assert source.read() is None
    source.close()
    source.close()
    return items


def captures(items: list[Capture | Missing]) -> list[Capture]:
    return [item for item in items if isinstance(item, Capture)]


def reasons(items: list[Capture | Missing]) -> list[str]:
    return [item.reasons["front"] for item in items if isinstance(item, Missing)]


def test_the_highway_has_221_captures_at_25_hz() -> None:
    if not HIGHWAY.is_file():
        pytest.skip("../shared/data/highway.mp4 is not here")
    source = opened(HIGHWAY)
    assert source.expected_captures == 221
    items = read_all(source)
    assert len(captures(items)) == len(items) == 221
    assert items[-1].t_source_ns == 220 * 40_000_000
    picture = captures(items)[0].pictures["front"]
    assert picture.shape == (540, 960, 3)
    assert picture.flags.c_contiguous


@pytest.mark.parametrize(
    ("name", "fourcc"),
    [("a.mp4", "mp4v"), ("a.mov", "mp4v"), ("a.mkv", "mp4v"), ("a.avi", "MJPG"), ("a.avi", "XVID"), ("a.webm", "VP80")],
)
def test_every_frame_comes_once_at_its_time(tmp_path: Path, name: str, fourcc: str) -> None:
    source = opened(movie(tmp_path / name, 12, fourcc))
    assert (source.clock_domain, source.vehicle) == ("file", None)
    items = read_all(source)
    assert [index_of(item.pictures["front"]) for item in captures(items)] == list(range(12))
    assert [item.t_source_ns for item in items] == [i * PERIOD_NS for i in range(12)]


def test_pictures_that_were_handed_over_do_not_change(tmp_path: Path) -> None:
    source = opened(movie(tmp_path / "a.mp4", 3))
    first = source.read()
    assert isinstance(first, Capture)
    kept = first.pictures["front"].copy()
    read_all_left = [source.read(), source.read()]
    assert all(isinstance(item, Capture) for item in read_all_left)
    assert np.array_equal(first.pictures["front"], kept)


def test_frames_that_an_index_promises_and_the_file_lacks_are_declared(tmp_path: Path) -> None:
    data = faststart(movie(tmp_path / "whole.mp4").read_bytes())
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) * 3 // 4])
    items = read_all(opened(cut))
    assert len(items) == 20
    assert 0 < len(captures(items)) < 20
    assert len(reasons(items)) == 20 - len(captures(items))
    assert all("promises 20 frames" in reason for reason in reasons(items))
    assert [item.t_source_ns for item in items] == [i * PERIOD_NS for i in range(20)]


def test_frames_that_an_avi_promises_and_lacks_are_declared(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.avi", 20, "MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    items = read_all(opened(path))
    assert 0 < len(captures(items)) < 20
    assert len(items) == 20


def test_a_frame_that_is_lost_in_the_middle_is_declared_where_it_is(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.avi", 10, "MJPG")
    data = bytearray(path.read_bytes())
    starts = [i for i in range(len(data)) if data[i : i + 4] == b"00dc" and data[i + 8 : i + 10] == b"\xff\xd8"]
    assert len(starts) == 10
    data[starts[4] + 8 : starts[5]] = bytes(starts[5] - starts[4] - 8)  # the fifth frame's bytes are gone
    path.write_bytes(data)
    items = read_all(opened(path))
    assert [index_of(item.pictures["front"]) for item in captures(items)] == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert isinstance(items[4], Missing)
    assert items[4].t_source_ns == 4 * PERIOD_NS
    assert "does not decode" in items[4].reasons["front"]


def test_frames_by_the_hundred_thousand_that_only_an_index_knows_are_declared_one_by_one(tmp_path: Path) -> None:
    path, count = movie(tmp_path / "a.mp4", 3), 100_000
    path.write_bytes(promising(path.read_bytes(), count, TICKS) + bytes(4 * count))
    source = opened(path)
    assert source.expected_captures == count
    assert [isinstance(source.read(), Capture) for _ in range(3)] == [True] * 3
    tracemalloc.start()
    try:
        items = [source.read() for _ in range(10)]
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_000_000
    assert [(item.sequence, item.t_source_ns) for item in items if item] == [(i, i * PERIOD_NS) for i in range(3, 13)]
    assert "promises 100000 frames" in reasons([item for item in items if item])[0]
    left = 0
    while (item := source.read()) is not None:
        left, last = left + 1, item
    assert (left, last.sequence) == (count - 13, count - 1)


def test_a_forged_count_declares_no_frame_that_the_file_has_no_room_for(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mp4", 3)
    path.write_bytes(promising(path.read_bytes(), 20_000_000, TICKS))
    items = read_all(opened(path))
    assert len(captures(items)) == len(items) == 3


def test_a_file_without_its_index_is_a_clear_error(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError, match=r"a\.mp4.*no video that can be read.*ffmpeg"):
        opened(path)


def test_changing_frame_durations_are_kept_and_invent_no_drops(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mp4", 5)
    path.write_bytes(with_durations(path.read_bytes(), [TICKS, 2 * TICKS, TICKS // 2, TICKS // 2, TICKS]))
    items = read_all(opened(path))
    assert [item.t_source_ns / PERIOD_NS for item in captures(items)] == [0, 1, 3, 3.5, 4]
    assert reasons(items) == []


def test_a_frame_whose_time_does_not_go_on_is_declared_as_repeated(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mp4", 5)
    path.write_bytes(with_durations(path.read_bytes(), [TICKS, 0, TICKS, TICKS, 2 * TICKS]))
    items = read_all(opened(path))
    assert [index_of(item.pictures["front"]) for item in captures(items)] == [0, 1, 3, 4]
    assert reasons(items) == ["a repeated frame: its time stands still"]
    assert [item.t_source_ns // PERIOD_NS for item in items] == [0, 1, 1, 2, 3]


def test_a_trimmed_file_promises_nothing(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mp4", 10)
    path.write_bytes(trimmed(path.read_bytes(), 4 * TICKS))
    items = read_all(opened(path))
    assert 0 < len(captures(items)) <= 10
    assert reasons(items) == []


def test_a_turned_video_stands_upright(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mp4", 3)
    path.write_bytes(turned_right(path.read_bytes()))
    picture = captures(read_all(opened(path)))[0].pictures["front"]
    assert picture.shape == (64, 48, 3)
    assert picture[:, :20].mean() > picture[:, 28:].mean()  # what was below is on the left
    assert picture.flags.c_contiguous


@pytest.mark.parametrize(("first", "then"), [((64, 48), (128, 96)), ((640, 480), (64, 48))])
def test_a_size_change_in_mid_stream_is_declared_frame_by_frame(
    tmp_path: Path, first: tuple[int, int], then: tuple[int, int]
) -> None:
    pictures = [frame(i, *first) for i in range(3)] + [frame(i, *then) for i in range(3, 5)] + [frame(5, *first)]
    path = tmp_path / "a.mjpeg"
    path.write_bytes(b"".join(cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures))
    items = read_all(opened(path))
    assert [index_of(item.pictures["front"]) for item in captures(items)] == [0, 1, 2, 5]
    names = [f"{width}x{height}" for width, height in (then, first)]
    assert reasons(items) == [f"the picture is {names[0]}, not {names[1]} as the first was"] * 2


def test_a_second_recording_of_another_size_is_declared(tmp_path: Path) -> None:
    small, large = movie(tmp_path / "a.ts", 12, "mpg2"), movie(tmp_path / "b.ts", 12, "mpg2", size=(128, 96))
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    items = read_all(opened(both))
    assert len(captures(items)) >= 11
    assert {item.pictures["front"].shape for item in captures(items)} == {(48, 64, 3)}
    assert set(reasons(items)) == {"the picture is 128x96, not 64x48 as the first was"}


def test_sizes_are_told_apart_though_every_recording_begins_at_the_same_time(tmp_path: Path) -> None:
    small = movie(tmp_path / "a.ts", 40, "mpg2").read_bytes()
    large = movie(tmp_path / "b.ts", 40, "mpg2", size=(128, 96)).read_bytes()
    path = tmp_path / "three.ts"
    path.write_bytes(small + large + small)
    items = read_all(opened(path))
    wrong = [reason for reason in reasons(items) if reason.startswith("the picture is 128x96")]
    assert 38 <= len(wrong) <= 40
    assert 76 <= len(captures(items)) <= 80
    assert len(reasons(items)) - len(wrong) == 1  # where the third recording begins


def test_a_second_recording_of_the_same_size_goes_on_after_the_first(tmp_path: Path) -> None:
    first = movie(tmp_path / "a.ts", 40, "mpg2").read_bytes()
    both = tmp_path / "both.ts"
    both.write_bytes(first + first)
    items = read_all(opened(both))
    assert len(reasons(items)) == 1
    assert "another recording" in reasons(items)[0]
    assert len(captures(items)) > 70
    assert items[-1].t_source_ns > 1.9 * 40 * PERIOD_NS


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "empty file"),
        (b"not a video\n" * 50, "no video that can be read"),
        (bytes(5000), "no video|not one frame"),
    ],
)
def test_what_is_no_video_is_a_clear_error(tmp_path: Path, content: bytes, match: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=match):
        opened(path)


def test_an_absent_file_and_a_folder_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.mp4.*no such file"):
        opened(tmp_path / "none.mp4")
    with pytest.raises(SourceError, match="no regular file"):
        opened(tmp_path)


def test_one_camera_is_served_under_the_name_asked_and_no_more_than_one(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mp4", 2)
    item = open_source(SourceRequest(str(path), ("roof",), "lockstep")).read()
    assert isinstance(item, Capture)
    assert list(item.pictures) == ["roof"]
    with pytest.raises(SourceError, match="left, right"):
        open_source(SourceRequest(str(path), ("left", "right"), "lockstep"))
