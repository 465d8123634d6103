"""Pictures in files: found, decoded, and refused where they are not whole."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from runtime.contracts.errors import SourceError
from runtime.contracts.source import Picture
from runtime.sources.quiet import quiet

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
_MAX_FILE_BYTES = 256 * 1024 * 1024
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_JPEG_SCAN, _JPEG_END = b"\xff\xda", b"\xff\xd9"


def is_picture(path: Path) -> bool:
    """Whether a name is that of a picture that `load_picture` reads (hidden files are not)."""
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")


def load_picture(path: Path) -> Picture:
    """A picture file as uint8, height x width x 3, blue-green-red, upright as its EXIF says.

    Grey becomes three equal channels, alpha is left out, 16 bits are scaled down to 8. Raises SourceError (its text is
    the reason) where the file is absent, no picture, or cut short: decoders fill up the rest of such a one with grey.
    """
    try:
        size_bytes = path.stat().st_size
        if size_bytes > _MAX_FILE_BYTES:
            raise SourceError(f"{path.name} has {size_bytes} bytes; pictures of up to {_MAX_FILE_BYTES} are read")
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SourceError(f"{path.name!r} cannot be read: {reason}") from error
    if not data:
        raise SourceError(f"{path.name} is empty")
    if _is_cut_short(data):
        raise SourceError(f"{path.name} is cut short after {len(data)} bytes")
    try:
        with quiet():
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise SourceError(f"{path.name} cannot be decoded: {error.err}") from error
    if picture is None:
        raise SourceError(f"{path.name} is no picture that can be decoded")
    return np.ascontiguousarray(picture, dtype=np.uint8)


def refuse_size(picture: Picture, first: tuple[int, ...]) -> None:
    """Raise SourceError where a picture has another shape than the first of its camera."""
    if picture.shape != first:
        (height, width), (first_height, first_width) = picture.shape[:2], first[:2]
        raise SourceError(f"the picture is {width}x{height}, not {first_width}x{first_height} as the first was")


def _is_cut_short(data: bytes) -> bool:
    if data.startswith(_JPEG):
        # Inside a scan 0xff is followed by 0x00 or a restart marker (ITU-T T.81, B.1.1.5): both are found for certain.
        return data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN)
    return data.startswith(_PNG) and b"IEND" not in data[-64 * 1024 :]
