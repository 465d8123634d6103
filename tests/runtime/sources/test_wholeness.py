"""What a file without an index of frames lost is declared, and a whole one loses nothing."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.contracts.source import Missing
from runtime.sources.wholeness import damage
from tests.runtime.sources.movies import index_of, movie
from tests.runtime.sources.test_video import PERIOD_NS, captures, opened, read_all, reasons

BARE_H264 = Path(__file__).parent / "fixtures" / "bare.h264"
"""The first twelve `movies.frame`s: ffmpeg -f rawvideo -pix_fmt bgr24 -s 64x48 -r 20 -i FRAMES -c:v libx264
-pix_fmt yuv420p -crf 40 -x264-params info=0 bare.h264"""

SEGMENT, CLUSTER, CUES, DURATION = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75", b"\x1c\x53\xbb\x6b", b"\x44\x89\x88"
UNKNOWN_SIZE = b"\x01" + b"\xff" * 7
NOT_KNOWN = "how many frames are gone is not known"
TS_PACKET = 188


def blocks(data: bytes | bytearray) -> list[int]:
    """Where the one video track's 20 blocks begin in an MKV as OpenCV writes it: their id, size, and track 1."""
    found = [i for i in range(len(data)) if data[i] == 0xA3 and data[i + 3] == 0x81 and data[i + 6] in (0x00, 0x80)]
    assert len(found) == 20
    return found


def live(data: bytes) -> bytes:
    """The same MKV as a recorder writes it that cannot go back: no size of the segment, no duration, no cues."""
    at, duration = data.index(SEGMENT) + 4, data.index(DURATION)
    data = data[:at] + UNKNOWN_SIZE + data[at + 8 : data.rindex(CUES)]
    return data[:duration] + b"\xec\x89" + bytes(9) + data[duration + 11 :]  # a void in its place


def later(data: bytes) -> bytes:
    """The same MKV with ever longer steps between its frames of the second cluster."""
    out = bytearray(data)
    for step, at in enumerate(i for i in blocks(data) if i > data.rindex(CLUSTER)):
        (ticks,) = struct.unpack(">h", out[at + 4 : at + 6])
        out[at + 4 : at + 6] = struct.pack(">h", ticks + 100 * step * step)
    at = data.index(DURATION) + len(DURATION)
    out[at : at + 8] = struct.pack(">d", 10_000.0)
    return bytes(out)


def test_frames_that_a_cut_matroska_file_lost_are_declared_by_its_duration(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mkv")
    whole = path.read_bytes()
    for cut in range(blocks(whole)[2], len(whole), 431):
        path.write_bytes(whole[:cut])
        items = read_all(opened(path))
        assert len(items) == 20
        assert [item.t_source_ns for item in items] == [i * PERIOD_NS for i in range(20)]
        assert all("ends early" in reason and "duration of 1.000 s" in reason for reason in reasons(items))
        lost = sum(at > cut for at in blocks(whole))
        assert lost <= len(reasons(items)) <= lost + 1


def test_a_matroska_file_that_lost_only_its_cues_lost_no_frame(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mkv")
    path.write_bytes(path.read_bytes()[:-10])
    assert damage(path) is not None
    items = read_all(opened(path))
    assert len(captures(items)) == len(items) == 20


def test_zeros_in_the_middle_of_a_matroska_file_are_declared(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mkv")
    data = bytearray(path.read_bytes())
    starts = blocks(data)
    data[starts[5] : starts[9]] = bytes(starts[9] - starts[5])
    path.write_bytes(data)
    items = read_all(opened(path))
    assert len(items) == 20
    assert [index_of(item.pictures["front"]) for item in captures(items)][:5] == [0, 1, 2, 3, 4]
    assert all(isinstance(item, Missing) for item in items[5:12])  # to the next cluster
    assert all("are no Matroska elements" in reason for reason in reasons(items))
    assert [item.t_source_ns for item in items] == [i * PERIOD_NS for i in range(20)]


def test_a_hole_before_the_end_of_a_live_recording_is_declared_there_alone(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mkv")
    data = bytearray(live(path.read_bytes()))
    starts = blocks(data)
    data[starts[5] : starts[9]] = bytes(starts[9] - starts[5])
    path.write_bytes(data)
    items = read_all(opened(path))
    assert len(items) == 20
    assert [i for i, item in enumerate(items) if isinstance(item, Missing)] == list(range(5, 12))


@pytest.mark.parametrize("change", [live, later])
def test_a_whole_matroska_file_without_sizes_or_steady_times_lost_nothing(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    path = movie(tmp_path / "a.mkv")
    path.write_bytes(change(path.read_bytes()))
    items = read_all(opened(path))
    assert len(captures(items)) == len(items) == 20
    assert damage(path) is None


@pytest.mark.parametrize("change", [live, later])
def test_where_nothing_tells_how_many_frames_a_cut_file_lost_one_says_so(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    path = movie(tmp_path / "a.mkv")
    data = change(path.read_bytes())
    path.write_bytes(data[: blocks_end(data) - 100])
    items = read_all(opened(path))
    assert len(reasons(items)) == 1
    assert isinstance(items[-1], Missing)
    assert "the file ends early" in reasons(items)[0]
    assert NOT_KNOWN in reasons(items)[0]


def blocks_end(data: bytes) -> int:
    """Where the last cluster ends."""
    cues = data.rindex(CUES)  # the first is named by the seek head
    return cues if cues > data.rindex(CLUSTER) else len(data)


def test_a_transport_stream_cut_in_a_packet_declares_its_early_end(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.ts", 40, "mpg2")
    whole = path.read_bytes()
    assert damage(path) is None
    path.write_bytes(whole[: len(whole) // 2 // TS_PACKET * TS_PACKET + 100])
    items = read_all(opened(path))
    assert 15 < len(captures(items)) < 25
    assert isinstance(items[-1], Missing)
    assert all("is inside a packet" in reason for reason in reasons(items))
    assert [NOT_KNOWN in reason for reason in reasons(items)].count(True) == 1
    assert NOT_KNOWN in reasons(items)[-1]


@pytest.mark.parametrize(("kept", "reason"), [(True, "are no transport stream"), (False, "packets are missing")])
def test_a_hole_in_a_transport_stream_is_declared_where_it_is(tmp_path: Path, kept: bool, reason: str) -> None:
    path = movie(tmp_path / "a.ts", 40, "mpg2")
    data = path.read_bytes()
    start, end = (len(data) // TS_PACKET * part // 10 * TS_PACKET for part in (4, 6))
    path.write_bytes(data[:start] + (bytes(end - start) if kept else b"") + data[end + (0 if kept else TS_PACKET) :])
    items = read_all(opened(path))
    gone = [i for i, item in enumerate(items) if isinstance(item, Missing)]
    assert 38 <= len({item.t_source_ns for item in items}) <= 40
    assert 4 <= len(gone) <= 14
    assert 12 <= gone[0] <= gone[-1] <= 28
    told = [text for text in reasons(items) if not text.startswith("its time goes back")]  # the decoder's, at the hole
    assert len(told) >= len(gone) - 1
    assert all(reason in text for text in told)


def test_an_appended_recording_makes_no_drop_of_a_pause_elsewhere(tmp_path: Path) -> None:
    first, second = movie(tmp_path / "a.ts", 40, "mpg2").read_bytes(), movie(tmp_path / "b.ts", 30, "mpg2").read_bytes()
    path = tmp_path / "both.ts"
    path.write_bytes(first + second[: len(second) // TS_PACKET // 2 * TS_PACKET])
    assert (found := damage(path)) is not None
    assert found.holes == ()
    assert not found.frames_surely_lost


def test_a_program_stream_keeps_its_last_frame_though_it_has_no_time(tmp_path: Path) -> None:
    items = read_all(opened(movie(tmp_path / "a.mpg", 12, "mpg2")))
    assert [index_of(item.pictures["front"]) for item in captures(items)] == list(range(12))
    assert [item.t_source_ns for item in items] == [i * PERIOD_NS for i in range(12)]


def test_a_bare_stream_has_every_frame_at_its_nominal_rate() -> None:
    items = read_all(opened(BARE_H264))
    assert [index_of(item.pictures["front"]) for item in captures(items)] == list(range(12))
    assert [item.t_source_ns for item in items] == [i * 40_000_000 for i in range(12)]


def test_a_bare_stream_whose_times_are_made_by_its_rate_keeps_them(tmp_path: Path) -> None:
    items = read_all(opened(movie(tmp_path / "a.m2v", 12, "mpg2")))
    assert len(captures(items)) == len(items) == 12
    times = [item.t_source_ns for item in items]
    assert [later - sooner for sooner, later in pairwise(times[:-1])] == [PERIOD_NS] * 10


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([("a.mkv", "mp4v"), ("a.ts", "mpg2")]), st.data())
def test_whatever_a_file_holds_its_damage_is_told_or_none(kind: tuple[str, str], data: st.DataObject) -> None:
    whole = _whole(*kind)
    changed = bytearray(whole[: data.draw(st.integers(8, len(whole)))])
    for _ in range(data.draw(st.integers(0, 8))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / kind[0]
        path.write_bytes(changed)
        found = damage(path)
    assert found is None or found.reason


@cache
def _whole(name: str, fourcc: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return movie(Path(folder) / name, 3, fourcc).read_bytes()
