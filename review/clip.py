"""A part of a drive as a video that any browser plays: MP4, H.264, with decision, reason and clock drawn over it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.error
import cv2
import numpy as np

from review.drawing import draw
from review.lettering import Image
from review.overlay import Overlay, OverlayReport, Progress, Selection
from runtime.contracts.errors import RecordError
from runtime.record.h264 import OPENCV_COLOURS

_CLOCK = Fraction(1, 90_000)  # MPEG's
_LONGEST_STILL_S = 2.0  # how long a picture stands where no frame follows
_PARTIAL = ".part"
_OPTIONS = {"preset": "veryfast", "crf": "22"}


def write_clip(
    path: Path,
    out: Path,
    selection: Selection,
    *,
    camera: str | None = None,
    width_px: int | None = None,
    progress: Progress = lambda _: None,
) -> OverlayReport:
    """Write an MP4 in the source's time: every frame stands until the next one was captured, at most for two seconds.

    The file appears whole or not at all. Raises RecordError where the drive cannot be read, nothing of it was selected,
    or `out` cannot be written; UsageError on an unknown camera.
    """
    overlay = Overlay(path, camera, width_px)
    rate_hz = overlay.frame_rate_hz(selection)
    partial = out.with_name(out.name + _PARTIAL)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            frames = _mux(overlay, selection, partial, rate_hz, progress)
            partial.replace(out)
        finally:
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()
    except (OSError, av.error.FFmpegError) as error:
        raise RecordError(f"{out} cannot be written: {error}; choose another path with --out") from error
    return overlay.report(frames, (str(out),), rate_hz)


def _mux(overlay: Overlay, selection: Selection, partial: Path, rate_hz: float, progress: Progress) -> int:
    frames, usual = 0, round(1 / rate_hz / _CLOCK)
    with av.open(str(partial), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(rate_hz).limit_denominator(1001), options=_OPTIONS)
        stream.height, stream.width = overlay.size
        stream.pix_fmt, stream.time_base = "yuv420p", _CLOCK
        stream.codec_context.time_base = _CLOCK
        stream.codec_context.colorspace, stream.codec_context.color_range = OPENCV_COLOURS
        stream.codec_context.gop_size = max(1, round(rate_hz))  # a player jumps to any second
        for picture, begin, duration in _laid_out(overlay, selection, usual):
            planar = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420).astype(np.uint8, copy=False)
            frame = av.VideoFrame.from_ndarray(planar, format="yuv420p")
            frame.pts, frame.duration, frame.time_base = begin, duration, _CLOCK
            container.mux(stream.encode(frame))
            frames += 1
            progress(1)
        container.mux(stream.encode(None))
    return frames


def _laid_out(overlay: Overlay, selection: Selection, usual: int) -> Iterator[tuple[Image, int, int]]:
    """Each picture with its begin and its duration, in ticks of the clip's clock; the last one stands as is usual."""
    longest = round(_LONGEST_STILL_S / _CLOCK)
    before: tuple[Image, float] | None = None
    begin = 0
    for moment in overlay.moments(selection):
        if before is not None:
            duration = max(1, min(round((moment.t_source_s - before[1]) / _CLOCK), longest))
            yield before[0], begin, duration
            begin += duration
        before = draw(moment, overlay.setting), moment.t_source_s
    if before is not None:
        yield before[0], begin, usual
