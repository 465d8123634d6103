"""A video file as a source, decoded by FFmpeg through OpenCV.

A frame's time is its presentation time from the first. A bare stream without a container (.h264 and its kin) has no
times: where FFmpeg makes none that go on, frames follow one another by its nominal rate (25 Hz, if none is told).
Pictures are upright as the file's rotation says. Nothing is known of the vehicle.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from runtime.contracts.clock import ClockDomain
from runtime.contracts.errors import SourceError
from runtime.contracts.source import Capture, Missing, SourceRequest
from runtime.contracts.units import NS_PER_MS, NS_PER_S
from runtime.sources.bitstream import Size
from runtime.sources.container import Promise, promise
from runtime.sources.location import DEFAULT_FRAME_RATE_HZ, located
from runtime.sources.quiet import quiet
from runtime.sources.timeline import Timeline
from runtime.sources.video_sizes import NO_PTS, VideoSizes
from runtime.sources.wholeness import Wholeness, is_without_times

_MAX_FRAME_RATE_HZ = 1000.0
_MAX_FAILURES = 256  # packets in a row that do not decode: behind them is nothing


def open_source(request: SourceRequest) -> VideoSource:
    """A video file. Raises SourceError where it is absent, empty, no video, or not one frame of it decodes."""
    location = located(request.uri)
    if len(request.cameras) != 1:
        raise SourceError(
            f"source {request.uri!r} has one camera and the model asks for {len(request.cameras)} "
            f"({', '.join(request.cameras)}); use a model with one image input"
        )
    if location.frame_rate_hz is not None:
        raise SourceError(f"source {request.uri!r}: a video has times of its own; leave frame_rate_hz out")
    if not location.path.is_file():
        raise SourceError(f"source {request.uri!r} is no regular file; give a video file")
    if location.path.stat().st_size == 0:
        raise SourceError(f"source {request.uri!r} is an empty file")
    # An absolute path cannot be taken for a protocol's URL.
    path = location.path.resolve()
    return VideoSource(request, _opened(path, request.uri), path, promise(path))


class VideoSource:
    """One camera whose frames come out of a video decoder."""

    def __init__(self, request: SourceRequest, video: cv2.VideoCapture, path: Path, promised: Promise | None) -> None:
        self._uri = request.uri
        self._camera = request.cameras[0]
        self._video: cv2.VideoCapture | None = video
        self._promised = promised
        self._period_ns = _nominal_period_ns(video, promised)
        self._pending: Iterator[Capture | Missing] = iter(())
        self._sequence = 0
        self._timeline = Timeline(round(self._period_ns))
        self._without_times = is_without_times(path)
        self._last_pts = -math.inf
        self._sizes = VideoSizes(path, self._without_times)
        self._wholeness = Wholeness(path, self._period_ns)
        self._first_size: Size | None = None
        # Only whoever decodes a frame knows that there is one.
        if not video.grab():
            self.close()
            raise SourceError(f"source {self._uri!r}: not one frame of it can be decoded; is it whole, and a video?")
        self._grabbed = True

    @property
    def uri(self) -> str:
        """What was opened."""
        return self._uri

    @property
    def clock_domain(self) -> ClockDomain:
        """File: presentation times."""
        return "file"

    @property
    def expected_captures(self) -> int | None:
        """What the file's index promises; without one, what its duration and rate come to."""
        if self._promised is not None:
            return self._promised.frames
        count = self._video.get(cv2.CAP_PROP_FRAME_COUNT) if self._video is not None else 0.0
        return int(count) if math.isfinite(count) and count > 0 else None

    @property
    def vehicle(self) -> None:
        """Nothing is known of it."""
        return

    def read(self) -> Capture | Missing | None:
        """The next frame.

        Missing, with the reason, is one that does not decode though the file's index promises it, one whose time does
        not go on (a repeated frame), and one of another size than the first.
        """
        item = next(self._pending, None)
        if item is not None or self._video is None:
            return item
        failures = self._grab(self._video)
        if failures is None:
            self.close()
            self._pending = self._rest()
        else:
            self._pending = self._decoded(self._video, failures)
        return next(self._pending, None)

    def close(self) -> None:
        """Give the decoder back. Idempotent."""
        if self._video is not None:
            self._video.release()
            self._sizes.close()
            self._video = None

    def _grab(self, video: cv2.VideoCapture) -> int | None:
        """Decode the next frame: how many in front of it did not decode, or None at the end."""
        if self._grabbed:
            self._grabbed = False
            return 0
        # A packet that does not decode looks like the end, which stays where it is.
        return next((failures for failures in range(_MAX_FAILURES) if video.grab()), None)

    def _decoded(self, video: cv2.VideoCapture, failures: int) -> Iterator[Capture | Missing]:
        """The frame that was grabbed, behind those that are missing in front of it."""
        gone: Iterator[Missing] = iter(())
        last_ns, stamp_ns = self._timeline.last_ns, self._stamp_ns(video)
        t_source_ns, problem = self._timeline.place(stamp_ns)
        size = self._sizes.size_at(video.get(cv2.CAP_PROP_PTS))
        self._first_size = self._first_size or size
        if size is not None and self._first_size is not None and size != self._first_size:
            (width, height), (first_width, first_height) = size, self._first_size
            problem = f"the picture is {width}x{height}, not {first_width}x{first_height} as the first was"
        elif not problem and last_ns is not None:
            gone = self._gap(last_ns, t_source_ns, failures)
        if problem:
            return iter((self._missing(t_source_ns, problem),))
        decoded, picture = video.retrieve()
        if not decoded or picture is None:
            return chain(gone, (self._missing(t_source_ns, "it was decoded, but gives no picture"),))
        seen = Capture(self._take_sequences(1), t_source_ns, {self._camera: np.asarray(picture, np.uint8)})
        return chain(gone, (seen,))

    def _stamp_ns(self, video: cv2.VideoCapture) -> int:
        # Of the frame that was grabbed last. Its PTS is far below zero where the stream has none (AV_NOPTS_VALUE);
        # where only the last frame of all has none, OpenCV keeps the PTS before it and says time zero.
        time_ms, pts, last_ns = video.get(cv2.CAP_PROP_POS_MSEC), video.get(cv2.CAP_PROP_PTS), self._timeline.last_ns
        untold = (
            pts < NO_PTS or not math.isfinite(time_ms) or (time_ms == 0.0 and pts == self._last_pts and bool(last_ns))
        )
        self._last_pts = pts
        stamp_ns = None if untold else round(time_ms * NS_PER_MS)
        if last_ns is None:
            return stamp_ns or 0
        if stamp_ns is None or (self._without_times and stamp_ns <= last_ns):
            return last_ns + round(self._period_ns)
        return stamp_ns

    def _gap(self, last_ns: int, t_source_ns: int, failures: int) -> Iterator[Missing]:
        """Frames between two decoded ones: by their times where an index tells the period or the file is damaged, else
        as counted."""
        lost, promised, reason = failures, self._promised, "it does not decode"
        if promised is None:
            gone, why = self._wholeness.gone_between(last_ns, t_source_ns)
            lost, reason = (gone, why) if gone > lost else (lost, reason)
        else:
            if promised.period_ns is not None:
                lost = round((t_source_ns - last_ns) / promised.period_ns) - 1
            lost = min(lost, promised.frames - self._sequence - 1)
        between_ns = (t_source_ns - last_ns) / (lost + 1) if lost > 0 else 0.0
        return self._gone(last_ns, between_ns, lost, reason)

    def _rest(self) -> Iterator[Missing]:
        """Frames after the last that decoded: those that an index promises, or that a file which is cut short lost."""
        last_ns = self._timeline.last_ns or 0
        if self._promised is not None:
            reason = f"the file's index promises {self._promised.frames} frames, and nothing decodes after this many"
            left = self._promised.frames - self._sequence
        else:
            left, reason = self._wholeness.gone_after(last_ns)
        return self._gone(last_ns, self._period_ns, left, reason)

    def _gone(self, last_ns: int, between_ns: float, count: int, reason: str) -> Iterator[Missing]:
        # Their sequences are taken now, and they are made one by one: a header can tell of millions.
        first = self._take_sequences(max(count, 0))
        return (Missing(first + i, last_ns + round((i + 1) * between_ns), {self._camera: reason}) for i in range(count))

    def _missing(self, t_source_ns: int, reason: str) -> Missing:
        return Missing(self._take_sequences(1), t_source_ns, {self._camera: reason})

    def _take_sequences(self, count: int) -> int:
        self._sequence += count
        return self._sequence - count


def _opened(path: Path, uri: str) -> cv2.VideoCapture:
    with quiet():
        video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not video.isOpened():
        raise SourceError(
            f"source {uri!r} is no video that can be read: no container or codec that is known, or cut short "
            "before its index; convert it with ffmpeg to H.264 in MP4"
        )
    return video


def _nominal_period_ns(video: cv2.VideoCapture, promised: Promise | None) -> float:
    if promised is not None and promised.period_ns is not None:
        return promised.period_ns
    rate = video.get(cv2.CAP_PROP_FPS)
    return NS_PER_S / (rate if 0.0 < rate <= _MAX_FRAME_RATE_HZ else DEFAULT_FRAME_RATE_HZ)
