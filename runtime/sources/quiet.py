"""OpenCV and FFmpeg without their own printing: what they say of a broken file becomes a reason or an error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2

_FFMPEG_QUIET = "-8"  # AV_LOG_QUIET
_OPENCV_SILENT = 0
_LOGGING: Any = getattr(cv2.utils, "logging", cv2)  # where OpenCV 5 has it, and where OpenCV 4 had it


@contextmanager
def quiet() -> Iterator[None]:
    """Keep OpenCV from printing; FFmpeg too, where it was not used before in this process."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", _FFMPEG_QUIET)
    level = _LOGGING.getLogLevel()
    _LOGGING.setLogLevel(_OPENCV_SILENT)
    try:
        yield
    finally:
        _LOGGING.setLogLevel(level)
