"""The size of every frame of a video as its packets declare it, read a little ahead of the decoder."""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path

import cv2

from runtime.sources.bitstream import Size, coded_size

NO_PTS = -(2.0**62)
"""OpenCV's presentation time of a frame that has none lies below this (AV_NOPTS_VALUE is -2^63)."""

_PACKETS_AS_THEY_ARE = -1  # CAP_PROP_FORMAT
_MAX_AHEAD = 256  # packets; coders reorder 16 pictures at most


class VideoSizes:
    """Follows a decoder of the same file through its packets. Asked in the decoder's order, with its times.

    A packet that declares a size begins a sequence: what is shown from its presentation time on has that size. In
    coding order it comes before all that is shown after it, so packets are read until one is shown later than the frame
    that is asked for. Where times start again (a second recording was appended), so does the order: they are compared
    within their recording. Without times, packets and frames are counted.
    """

    def __init__(self, path: Path, without_times: bool) -> None:
        self._without_times = without_times
        self._packets = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, _PACKETS_AS_THEY_ARE])
        fourcc = int(self._packets.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        self._codec = fourcc.to_bytes(4, "little").decode("latin-1").lower()
        self._read = self._asked = 0
        self._newest = self._shown = (0, -math.inf)  # recording, presentation time
        self._changes: deque[tuple[tuple[int, float], Size]] = deque()
        self._size: Size | None = None
        self._ended = not self._packets.isOpened()

    def size_at(self, pts: float) -> Size | None:
        """The size of the next frame, shown at `pts`; None where it is not declared in a way that is known."""
        self._asked += 1
        recording, last = self._shown
        pts = self._asked if self._without_times or pts < NO_PTS else pts
        self._shown = (recording + 1 if pts < last else recording, pts)
        while not self._ended and self._newest <= self._shown and self._read < self._asked + _MAX_AHEAD:
            self._read_packet()
        while self._changes and self._changes[0][0] <= self._shown:
            self._size = self._changes.popleft()[1]
        return self._size

    def close(self) -> None:
        """Give the file back. Idempotent."""
        self._ended = True
        self._packets.release()

    def _read_packet(self) -> None:
        if not self._packets.grab():
            self._ended = True
            return
        self._read += 1
        pts = self._packets.get(cv2.CAP_PROP_PTS)
        pts = self._read if self._without_times or pts < NO_PTS else pts
        found, packet = self._packets.retrieve()
        size = coded_size(self._codec, packet.tobytes()) if found and packet is not None else None
        recording, newest = self._newest
        if size is not None:
            recording += 1 if pts < newest else 0
            self._changes.append(((recording, pts), size))
        self._newest = max(self._newest, (recording, pts))
