"""Whether a Matroska or WebM file is whole (RFC 8794 EBML, RFC 9559 Matroska).

A whole file is a row of elements with nothing between them, none of which runs past the file's end. Sizes that are
unknown, as live recorders write them, are allowed. Nothing that the file holds raises.
"""

from __future__ import annotations

import math
import struct
from typing import BinaryIO

from runtime.sources.damage import FOREVER_NS, Damage

MAGIC = b"\x1a\x45\xdf\xa3"
_SEGMENT, _CLUSTER, _GROUP = 0x18538067, 0x1F43B675, 0xA0
_INFO, _TICK, _DURATION = 0x1549A966, 0x2AD7B1, 0x4489
_TRACKS, _TRACK, _NUMBER, _KIND = 0x1654AE6B, 0xAE, 0xD7, 0x83
_CLUSTER_TIME, _SIMPLE_BLOCK, _BLOCK = 0xE7, 0xA3, 0xA1
_CUES, _TAGS, _ATTACHMENTS, _CHAPTERS, _SEEK_HEAD, _VOID = (
    0x1C53BB6B,
    0x1254C367,
    0x1941A469,
    0x1043A770,
    0x114D9B74,
    0xEC,
)

_WITHOUT_FRAMES = frozenset({_CUES, _TAGS, _ATTACHMENTS, _CHAPTERS, _SEEK_HEAD, _VOID})
_ENTERED = frozenset({_SEGMENT, _CLUSTER, _GROUP, _INFO, _TRACKS, _TRACK})
_READ = frozenset({_TICK, _DURATION, _NUMBER, _KIND, _CLUSTER_TIME})
_BLOCKS = frozenset({_SIMPLE_BLOCK, _BLOCK})
_HEAD_BYTES = 12  # an id of at most 4, a size of at most 8
_VIDEO = 1
_SEARCHED_BYTES = 1 << 20
_MAX_SIGNS = 100
_DEFAULT_TICK_NS = 1_000_000
_EARLY = "the file ends early"


def matroska_damage(file: BinaryIO, size_bytes: int) -> Damage | None:
    """The signs that a Matroska file is not whole, None where there are none. Reads the head of every element."""
    header, surely_lost = _Header(), False
    signs: list[str] = []
    position, end = 0, size_bytes
    while position < end and len(signs) < _MAX_SIGNS:
        element = _element(file, position)
        if element is None:
            surely_lost = True
            if size_bytes - position < _HEAD_BYTES and _at(file, position, 1) != b"\0":
                signs.append(f"{_EARLY}: byte {size_bytes} is inside an element's head")
                break
            header.begin_hole()
            following = _next_cluster(file, position + 1)
            until = size_bytes if following is None else following
            signs.append(f"the file is damaged: bytes {position} to {until} are no Matroska elements")
            if following is None:
                break
            position = following
            continue
        kind, start, stop = element
        if kind == _SEGMENT and stop is not None:
            end = min(stop, size_bytes)
        if stop is not None and stop > size_bytes:
            surely_lost = surely_lost or kind not in _WITHOUT_FRAMES | {_SEGMENT}
            if not any(sign.startswith(_EARLY) for sign in signs):
                signs.append(f"{_EARLY}: it has {size_bytes} bytes, and an element in it ends at byte {stop}")
        if kind in _READ and stop is not None:
            header.take(kind, _at(file, start, min(stop - start, 8)))
        elif kind in _BLOCKS:
            header.take_block(_at(file, start, 10))
        position = start if kind in _ENTERED or stop is None else stop
    if not signs:
        return None
    if any(sign.startswith(_EARLY) for sign in signs):
        header.begin_hole()  # behind the last frame that is there
    return Damage(tuple(signs), header.holes(), surely_lost, header.end_ns(), header.video_only)


class _Header:
    """What elements say of tracks and times."""

    def __init__(self) -> None:
        self._tick_ns = _DEFAULT_TICK_NS
        self._duration_ticks = 0.0
        self._number = 0  # of the track that is being described
        self._kinds: dict[int, int] = {}
        self._cluster_ticks = 0
        self._first_ticks: int | None = None
        self._last_ticks = 0
        self._holes: list[tuple[int, int | None]] = []

    @property
    def video_only(self) -> bool:
        """Whether one video is the one track."""
        return list(self._kinds.values()) == [_VIDEO]

    def holes(self) -> tuple[tuple[int, int], ...]:
        """The holes, after the first video frame's time."""
        first = self._first_ticks or 0
        return tuple(
            ((start - first) * self._tick_ns, FOREVER_NS if end is None else (end - first) * self._tick_ns)
            for start, end in self._holes
        )

    def begin_hole(self) -> None:
        """From here on something is gone, until the next block."""
        if not self._holes or self._holes[-1][1] is not None:
            self._holes.append((self._last_ticks, None))

    def end_ns(self) -> int | None:
        """The end of the last frame after the first video frame's time, None where the header has no duration."""
        if not self._duration_ticks > 0.0 or self._first_ticks is None:
            return None
        end_ns = (self._duration_ticks - self._first_ticks) * self._tick_ns
        return round(end_ns) if math.isfinite(end_ns) else None

    def take(self, kind: int, content: bytes) -> None:
        """An element's content."""
        number = int.from_bytes(content, "big")
        if kind == _TICK:
            self._tick_ns = number or _DEFAULT_TICK_NS
        elif kind == _DURATION and len(content) in (4, 8):
            (self._duration_ticks,) = struct.unpack(">f" if len(content) == 4 else ">d", content)
        elif kind == _NUMBER:
            self._number = number
        elif kind == _KIND:
            self._kinds[self._number] = number
        elif kind == _CLUSTER_TIME:
            self._cluster_ticks = number

    def take_block(self, head: bytes) -> None:
        """The first bytes of a block: its track as an EBML number, its time in its cluster as 16 bits."""
        track, width = _number(head, 0)
        if track is not None and self._kinds.get(track) == _VIDEO and width + 2 <= len(head):
            ticks = self._cluster_ticks + int.from_bytes(head[width : width + 2], "big", signed=True)
            self._first_ticks = ticks if self._first_ticks is None else min(self._first_ticks, ticks)
            self._last_ticks = max(self._last_ticks, ticks)
            if self._holes and self._holes[-1][1] is None:
                self._holes[-1] = (self._holes[-1][0], ticks)


def _element(file: BinaryIO, position: int) -> tuple[int, int, int | None] | None:
    """An element's id, and where its content begins and ends (None: unknown); None where there is no element."""
    head = _at(file, position, _HEAD_BYTES)
    id_width = 9 - head[0].bit_length() if head else 0
    if not 0 < id_width <= 4 or len(head) <= id_width:
        return None
    kind = int.from_bytes(head[:id_width], "big")
    size, width = _number(head, id_width)
    if size is None:
        return None
    start = position + id_width + width
    unknown = size == (1 << 7 * width) - 1
    if unknown and kind not in _ENTERED:
        return None
    return kind, start, None if unknown else start + size


def _number(data: bytes, at: int) -> tuple[int | None, int]:
    """An EBML number of variable length and its width; None where it is broken off or none."""
    width = 9 - data[at].bit_length() if at < len(data) else 9
    if width > 8 or at + width > len(data):
        return None, 0
    return int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1), width


def _next_cluster(file: BinaryIO, position: int) -> int | None:
    mark = _CLUSTER.to_bytes(4, "big")
    while len(data := _at(file, position, _SEARCHED_BYTES)) >= len(mark):
        found = data.find(mark)
        if found >= 0:
            return position + found
        position += len(data) - len(mark) + 1
    return None


def _at(file: BinaryIO, position: int, size: int) -> bytes:
    file.seek(position)
    return file.read(size)
