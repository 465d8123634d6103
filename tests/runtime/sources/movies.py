"""Small real videos, and the surgery on MP4 boxes (ISO/IEC 14496-12) that makes them late, turned or cut short."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts"}


def frame(index: int, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """A picture that tells its index (0 to 11) by its brightness above; below there is bright noise."""
    picture = np.full((height, width, 3), 40 + 10 * (index % 12), np.uint8)
    below = picture[height // 2 :]
    below[:] = np.random.default_rng(index).integers(155, 256, below.shape, dtype=np.uint8)
    return picture


def index_of(picture: NDArray[np.uint8]) -> int:
    """The index that `frame` was given, from its upper half."""
    return round((float(picture[: picture.shape[0] // 3].mean()) - 39) / 10)


def movie(
    path: Path, count: int = 20, fourcc: str = "mp4v", rate_hz: float = 20.0, size: tuple[int, int] = (64, 48)
) -> Path:
    """A video file of `frame`s; skips the test where OpenCV has no such encoder."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*fourcc), rate_hz, size)
    if not writer.isOpened():
        pytest.skip(f"this OpenCV cannot encode {fourcc}")
    for index in range(count):
        writer.write(frame(index, *size))
    writer.release()
    return path


def faststart(data: bytes) -> bytes:
    """The same MP4 with its index in front of its frames."""
    boxes = _boxes(data)
    moov = next(content for kind, content in boxes if kind == b"moov")
    size = len(moov) + 8

    def moved(content: bytes) -> bytes:
        count = struct.unpack(">I", content[4:8])[0]
        return content[:8] + b"".join(
            struct.pack(">I", offset + size) for offset in struct.unpack(f">{count}I", content[8:])
        )

    index = _edited(_box(b"moov", moov), b"stco", moved)
    others = [_box(kind, content) for kind, content in boxes if kind != b"moov"]
    return others[0] + index + b"".join(others[1:])


def with_durations(data: bytes, durations: list[int]) -> bytes:
    """The same MP4 with these durations of its frames, in units of its timescale."""
    table = b"".join(struct.pack(">II", 1, duration) for duration in durations)
    return _edited(data, b"stts", lambda _: struct.pack(">II", 0, len(durations)) + table)


def promising(data: bytes, count: int, duration: int) -> bytes:
    """The same MP4, shown whole, with an index of `count` frames of one duration, in units of its timescale."""
    return _edited(data.replace(b"edts", b"free"), b"stts", lambda _: struct.pack(">IIII", 0, 1, count, duration))


def turned_right(data: bytes) -> bytes:
    """The same MP4, to be shown turned by 90 degrees clockwise."""
    matrix = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    return _edited(data, b"tkhd", lambda content: content[:40] + matrix + content[76:])


def trimmed(data: bytes, begin: int) -> bytes:
    """The same MP4 with an edit list that begins at this time of its track."""
    return _edited(data, b"elst", lambda content: content[:12] + struct.pack(">i", begin) + content[16:])


def _edited(data: bytes, kind: bytes, change: Callable[[bytes], bytes]) -> bytes:
    out = []
    for found, content in _boxes(data):
        if found == kind:
            out.append(_box(found, change(content)))
        else:
            out.append(_box(found, _edited(content, kind, change) if found in _CONTAINERS else content))
    return b"".join(out)


def _boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    boxes, position = [], 0
    while position < len(data):
        size, kind = struct.unpack(">I4s", data[position : position + 8])
        boxes.append((kind, data[position + 8 : position + size]))
        position += size
    return boxes


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content
