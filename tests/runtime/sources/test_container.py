"""An index's promise is taken where it is one, and nothing that a file holds raises."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.sources.container import Promise, promise
from tests.runtime.sources.movies import faststart, movie, promising, trimmed, with_durations


@pytest.mark.parametrize(
    ("name", "fourcc"), [("a.mp4", "mp4v"), ("a.mov", "mp4v"), ("a.avi", "MJPG"), ("a.avi", "XVID")]
)
def test_an_index_promises_its_frames_and_their_period(tmp_path: Path, name: str, fourcc: str) -> None:
    assert promise(movie(tmp_path / name, 13, fourcc)) == Promise(13, 50_000_000.0)


@pytest.mark.parametrize(("name", "fourcc"), [("a.mkv", "mp4v"), ("a.webm", "VP80"), ("a.ts", "mpg2")])
def test_a_container_without_an_index_of_frames_promises_nothing(tmp_path: Path, name: str, fourcc: str) -> None:
    assert promise(movie(tmp_path / name, 5, fourcc)) is None


def test_an_index_in_front_survives_the_loss_of_the_frames(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mp4", 13)
    data = faststart(path.read_bytes())
    path.write_bytes(data[: len(data) // 2])
    assert promise(path) == Promise(13, 50_000_000.0)


def test_frames_of_differing_length_have_no_period(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mp4", 5)
    path.write_bytes(with_durations(path.read_bytes(), [512, 1024, 256, 256, 512]))
    assert promise(path) == Promise(5, None)


def test_a_timescale_that_divides_badly_is_steady(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mp4", 5)
    path.write_bytes(with_durations(path.read_bytes(), [500, 524, 500, 524, 512]))
    assert promise(path) == Promise(5, 50_000_000.0)


def test_an_edit_list_that_leaves_frames_out_promises_nothing(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mp4", 10)
    path.write_bytes(trimmed(path.read_bytes(), 4 * 512))
    assert promise(path) is None


def test_more_frames_than_the_file_has_room_for_are_no_promise(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mp4", 3)
    data, most = path.read_bytes(), path.stat().st_size // 4
    path.write_bytes(promising(data, most, 512))
    assert path.stat().st_size == len(data)
    assert promise(path) == Promise(most, 50_000_000.0)
    path.write_bytes(promising(data, most + 1, 512))
    assert promise(path) is None


def test_an_avi_header_of_more_frames_than_the_file_has_room_for_is_no_promise(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.avi", 3, "MJPG")
    data = bytearray(path.read_bytes())
    at = data.index(b"strh") + 8 + 32
    assert data[at : at + 4] == (3).to_bytes(4, "little")
    data[at : at + 4] = (20_000_000).to_bytes(4, "little")
    path.write_bytes(data)
    assert promise(path) is None


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_damaged_index_is_a_promise_or_none(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole = _whole()
        cut = data.draw(st.integers(0, len(whole)))
        changed = bytearray(whole[:cut])
        for _ in range(data.draw(st.integers(0, 8)) if changed else 0):
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
        path = Path(folder) / "a.mp4"
        path.write_bytes(changed)
        found = promise(path)
        assert found is None or found.frames > 0


@cache
def _whole() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        data = faststart(movie(Path(folder) / "a.mp4", 3).read_bytes())
        return data[: data.index(b"mdat")]
