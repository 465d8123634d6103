"""How many frames a video file promises, where it says so in an index and does not merely estimate.

MP4 and QuickTime: ISO/IEC 14496-12, the sample tables of the one video track. AVI: the stream header of the one video
stream (Microsoft, AVI RIFF File Reference). Other containers have no count that can be trusted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from runtime.contracts.units import NS_PER_S

_MAX_BOXES = 100_000
_MAX_TABLE_ENTRIES = 10_000_000
_MAX_EDITS = 16
_MAX_FRAMES = 24 * 3600 * 240  # a day at 240 Hz
_LEAST_FRAME_BYTES = (
    4  # its entry in an MP4's table of sizes alone; a count that needs more file than there is, is forged
)


@dataclass(frozen=True, slots=True)
class Promise:
    """What an index promises: frames in all, and the time between two of them where it is the same throughout."""

    frames: int
    period_ns: float | None


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    start: int  # of its content
    end: int


def promise(path: Path) -> Promise | None:
    """The promise of a file's index, None where there is none to be trusted. Never raises on what the file holds."""
    try:
        with path.open("rb") as file:
            size_bytes = file.seek(0, 2)
            found = _avi(file, size_bytes) if _at(file, 0, 4) == b"RIFF" else _mp4(file, size_bytes)
    except (OSError, ValueError, struct.error, ZeroDivisionError):
        return None
    most = min(_MAX_FRAMES, size_bytes // _LEAST_FRAME_BYTES)
    return found if found is not None and 0 < found.frames <= most else None


def _mp4(file: BinaryIO, size_bytes: int) -> Promise | None:
    movie = next((box for box in _boxes(file, 0, size_bytes) if box.kind == b"moov"), None)
    if (
        movie is None or _child(file, movie, b"mvex") is not None
    ):  # mvex: fragments follow that this table does not count
        return None
    tracks = [box for box in _boxes(file, movie.start, movie.end) if box.kind == b"trak"]
    videos = [track for track in tracks if _is_video(file, track)]
    if len(videos) != 1:
        return None
    timescale = _timescale(file, _descend(file, videos[0], b"mdia", b"mdhd"))
    table = _descend(file, videos[0], b"mdia", b"minf", b"stbl")
    runs = list(_runs(file, _descend(file, table, b"stts")))
    if not runs or _is_trimmed(file, videos[0], movie, timescale, runs):
        return None
    # The last sample's duration may be anything: no frame follows it.
    deltas = [delta for _, delta in (runs if runs[-1][0] > 1 else runs[:-1] or runs)]
    frames = sum(count for count, _ in runs)
    steady = 0 < max(deltas) < 1.5 * min(deltas)  # timescales that divide badly: 20, 20, 21 at 29.97 Hz
    mean = sum(count * delta for count, delta in runs) / frames if frames else 0.0
    return Promise(frames, mean * NS_PER_S / timescale if steady else None)


def _is_trimmed(file: BinaryIO, track: _Box, movie: _Box, timescale: int, runs: list[tuple[int, int]]) -> bool:
    """Whether an edit list leaves samples out, so that fewer come than the table counts."""
    edits_box = _child(file, track, b"edts")
    edits = _child(file, edits_box, b"elst") if edits_box is not None else None
    if edits is None:
        return False
    wide = _at(file, edits.start, 1) == b"\1"
    (count,) = struct.unpack(">I", _at(file, edits.start + 4, 4))
    layout, size = (">Qqi", 20) if wide else (">Iii", 12)
    if count > _MAX_EDITS:
        return True
    entries = [struct.unpack(layout, _at(file, edits.start + 8 + i * size, size)) for i in range(count)]
    shown = [(duration, begin) for duration, begin, _ in entries if begin >= 0]  # -1: a delay before the first frame
    if len(shown) != 1:
        return True
    duration, begin = shown[0]
    offsets = _child(file, _descend(file, track, b"mdia", b"minf", b"stbl"), b"ctts")
    first = next(_runs(file, offsets, signed=True), (0, 0))[1] if offsets is not None else 0
    media_s = sum(count * delta for count, delta in runs) / timescale
    left_out_s = media_s - begin / timescale - duration / _timescale(file, _descend(file, movie, b"mvhd"))
    longest_s = max(delta for _, delta in runs) / timescale
    return bool(begin > first or left_out_s > longest_s)


def _avi(file: BinaryIO, size_bytes: int) -> Promise | None:
    header = next((box for box in _chunks(file, 12, size_bytes) if box.kind == b"hdrl"), None)
    if header is None or _at(file, 8, 4) != b"AVI ":
        return None
    streams = [
        _at(file, chunk.start, 48)
        for stream in _chunks(file, header.start, header.end)
        if stream.kind == b"strl"
        for chunk in _chunks(file, stream.start, stream.end)
        if chunk.kind == b"strh" and _at(file, chunk.start, 4) == b"vids"
    ]
    if len(streams) != 1:
        return None
    scale, rate, _, length = struct.unpack("<IIII", streams[0][20:36])
    return Promise(length, scale * NS_PER_S / rate)


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[_Box]:
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        size, kind = struct.unpack(">I4s", _at(file, start, 8))
        content = start + 8
        if size == 1:
            (size,) = struct.unpack(">Q", _at(file, content, 8))
            content += 8
        size = size or end - start
        if size < content - start:
            return
        yield _Box(kind, content, min(start + size, end))
        start += size


def _chunks(file: BinaryIO, start: int, end: int) -> Iterator[_Box]:
    """RIFF chunks; a LIST goes by the name of its kind."""
    for _ in range(_MAX_BOXES):
        if start + 12 > end:
            return
        kind, size, of = struct.unpack("<4sI4s", _at(file, start, 12))
        is_list = kind == b"LIST"
        yield _Box(of if is_list else kind, start + (12 if is_list else 8), min(start + 8 + size, end))
        start += 8 + size + size % 2


def _child(file: BinaryIO, box: _Box, kind: bytes) -> _Box | None:
    return next((child for child in _boxes(file, box.start, box.end) if child.kind == kind), None)


def _descend(file: BinaryIO, box: _Box, *kinds: bytes) -> _Box:
    for kind in kinds:
        child = _child(file, box, kind)
        if child is None:
            raise ValueError(f"no {kind!r} in {box.kind!r}")
        box = child
    return box


def _is_video(file: BinaryIO, track: _Box) -> bool:
    handler = _descend(file, track, b"mdia", b"hdlr")
    return _at(file, handler.start + 8, 4) == b"vide"


def _timescale(file: BinaryIO, header: _Box) -> int:
    """Of mvhd or mdhd, which begin alike."""
    wide = _at(file, header.start, 1) == b"\1"
    (timescale,) = struct.unpack(">I", _at(file, header.start + (20 if wide else 12), 4))
    return int(timescale)


def _runs(file: BinaryIO, table: _Box, *, signed: bool = False) -> Iterator[tuple[int, int]]:
    """The (count, value) pairs of a table such as stts or ctts."""
    (entries,) = struct.unpack(">I", _at(file, table.start + 4, 4))
    if entries > _MAX_TABLE_ENTRIES or table.start + 8 + entries * 8 > table.end:
        raise ValueError(f"a table of {entries} entries runs past its end")
    return struct.iter_unpack(">Ii" if signed else ">II", _at(file, table.start + 8, entries * 8))


def _at(file: BinaryIO, position: int, size: int) -> bytes:
    file.seek(position)
    return file.read(size)
