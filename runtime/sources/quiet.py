"""OpenCV and FFmpeg without their own printing: what they say of a broken file becomes a reason or an error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

_FFMPEG_QUIET = "-8"  # AV_LOG_QUIET


@contextmanager
def quiet() -> Iterator[None]:
    """Keep OpenCV from printing; FFmpeg too, where it was not used before in this process."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", _FFMPEG_QUIET)
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
