"""A video file as a source, through OpenCV's FFmpeg."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.contracts.clock import ClockDomain
from runtime.contracts.errors import SourceError
from runtime.contracts.source import Capture, Missing, SourceRequest
from runtime.contracts.units import NS_PER_MS, NS_PER_S
from runtime.sources.location import located

if TYPE_CHECKING:
    import cv2
