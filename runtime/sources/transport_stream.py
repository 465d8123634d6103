"""Whether an MPEG transport stream is whole (ISO/IEC 13818-1, 2.4.3).

It is a row of packets of 188 bytes, each of which begins with 0x47 and goes on with its stream's counter. No length is
declared: a stream that was cut between two packets looks whole. A counter that jumps shows lost packets, or that
another recording was appended, so it is no sure sign that frames were lost: that takes a gap in their times there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from runtime.contracts.units import NS_PER_S
from runtime.sources.damage import FOREVER_NS, Damage

_SYNC = 0x47
_STRIDES = ((188, 0), (192, 4))  # as broadcast, and with a time stamp in front (M2TS)
_PROBED_PACKETS = 5
_READ_PACKETS = 50_000
_NULL_PID = 0x1FFF
_VIDEO_STREAM = 0xE0
_TICKS_PER_S = 90_000
_REORDERED = 16  # frames; no coder reorders more
_MAX_SIGNS = 100
_JUMP = "the file is damaged: packets are missing at byte {}"


def is_transport_stream(head: bytes) -> bool:
    """Whether a file that begins so is one."""
    return _stride(head) is not None


def transport_stream_damage(file: BinaryIO, size_bytes: int) -> Damage | None:
    """The signs that a transport stream is not whole, None where there are none. Reads the whole file."""
    file.seek(0)
    found = _stride(file.read(_STRIDES[-1][0] * _PROBED_PACKETS))
    if found is None:
        return None
    stride, lead = found
    signs: list[str] = []
    surely_lost = False
    counters: dict[int, int] = {}
    times: list[tuple[int, int]] = []  # byte, presentation time of the video packet that begins there
    holes: list[tuple[int, int]] = []  # bytes
    position = 0
    while position + stride <= size_bytes and len(signs) < _MAX_SIGNS:
        file.seek(position)
        data = np.frombuffer(file.read(stride * _READ_PACKETS), np.uint8)
        packets = data[: data.size // stride * stride].reshape(-1, stride)[:, lead:]
        if not packets.size:
            break
        lost = np.flatnonzero(packets[:, 0] != _SYNC)
        good = packets if not lost.size else packets[: lost[0]]
        jumps = [position + stride * row for row in _jumps(good, counters)[:_MAX_SIGNS]]
        signs += [_JUMP.format(jump) for jump in jumps]
        holes += [(jump, jump) for jump in jumps]
        times += [(position + stride * row, pts) for row, pts in _video_times(good)]
        position += stride * len(good)
        if lost.size:
            following = _resynchronised(file, position, stride, lead, size_bytes)
            surely_lost = True
            counters.clear()
            signs.append(f"the file is damaged: bytes {position} to {following} are no transport stream")
            holes.append((position, following))
            position = following
    if position < size_bytes and len(signs) < _MAX_SIGNS:
        surely_lost = True
        signs.append(f"the file ends early: byte {size_bytes} is inside a packet")
        holes.append((position, size_bytes))
    return Damage(tuple(signs), _in_time(holes, times), surely_lost) if signs else None


def _video_times(packets: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """The rows where a video frame begins, and its presentation time in ticks (2.4.3.6)."""
    for row in np.flatnonzero((packets[:, 1] & 0x40 != 0) & (packets[:, 3] & 0x10 != 0)).tolist():
        packet = packets[row].tobytes()
        head = packet[4 + (1 + packet[4] if packet[3] & 0x20 else 0) :][:14]
        if len(head) == 14 and head[:3] == b"\0\0\1" and head[3] & 0xF0 == _VIDEO_STREAM and head[7] & 0x80:
            high, middle, low = head[9] >> 1 & 7, int.from_bytes(head[10:12], "big") >> 1, head[12:14]
            yield row, high << 30 | middle << 15 | int.from_bytes(low, "big") >> 1


def _in_time(holes: list[tuple[int, int]], times: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Holes in bytes as times from the first frame's."""
    positions = [position for position, _ in times]
    first = min((pts for _, pts in times[:_REORDERED]), default=0)
    found = []
    for start, end in holes:
        before, behind = bisect_left(positions, start), bisect_left(positions, end)
        start_ns = (times[before - 1][1] - first) * NS_PER_S // _TICKS_PER_S if before else 0
        end_ns = (times[behind][1] - first) * NS_PER_S // _TICKS_PER_S if behind < len(times) else FOREVER_NS
        if end_ns >= start_ns:  # else another recording began
            found.append((start_ns, end_ns))
    return tuple(found)


def _jumps(packets: NDArray[np.uint8], counters: dict[int, int]) -> list[int]:
    """The packets before which others of their stream are missing. `counters` are each stream's last, kept up."""
    pids = (packets[:, 1].astype(np.int32) & 0x1F) << 8 | packets[:, 2]
    with_content = packets[:, 3] & 0x10 != 0
    told = (packets[:, 3] & 0x20 != 0) & (packets[:, 4] > 0) & (packets[:, 5] & 0x80 != 0)
    rows: list[int] = []
    for pid in np.unique(pids[with_content]).tolist():
        if pid == _NULL_PID:
            continue
        at = np.flatnonzero((pids == pid) & with_content)
        count = packets[at, 3].astype(np.int32) & 0x0F
        before = np.concatenate(([counters.get(pid, int(count[0]) - 1)], count[:-1]))
        steps = (count - before) % 16
        # A packet may be sent twice, and a jump may be told.
        rows += at[(steps != 1) & (steps != 0) & ~told[at]].tolist()
        counters[pid] = int(count[-1])
    return sorted(rows)


def _resynchronised(file: BinaryIO, position: int, stride: int, lead: int, size_bytes: int) -> int:
    """Where the next packets begin, or the file's end."""
    while position < size_bytes:
        file.seek(position)
        data = np.frombuffer(file.read(stride * _READ_PACKETS), np.uint8) == _SYNC
        ahead = stride * (_PROBED_PACKETS - 1)
        rest = data[lead:]
        if rest.size <= ahead:
            break
        starts = rest[: rest.size - ahead].copy()
        for packet in range(1, _PROBED_PACKETS):
            starts &= rest[packet * stride : packet * stride + starts.size]
        if starts.any():
            return position + int(np.argmax(starts))
        position += starts.size
    return size_bytes


def _stride(head: bytes) -> tuple[int, int] | None:
    for stride, lead in _STRIDES:
        marks = head[lead : stride * _PROBED_PACKETS : stride]
        if len(marks) >= 2 and set(marks) == {_SYNC}:
            return stride, lead
    return None
