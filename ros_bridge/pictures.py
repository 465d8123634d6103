"""Pictures in: sensor_msgs Image and CompressedImage as blue-green-red arrays, or the reason why not."""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ros_bridge.messages import CompressedImage, Image, Message
from runtime.contracts.errors import SourceError
from runtime.contracts.link import LARGEST_SIDE_PX
from runtime.contracts.source import Picture

MAX_PIXELS = 64 * 2**20  # what a coded picture may unfold to: 192 MiB

# By encoding (sensor_msgs/image_encodings.hpp): channels, and OpenCV's way to blue-green-red (None: they are that).
_ENCODINGS: dict[str, tuple[int, int | None]] = {
    "bgr8": (3, None),
    "8UC3": (3, None),
    "rgb8": (3, cv2.COLOR_RGB2BGR),
    "bgra8": (4, cv2.COLOR_BGRA2BGR),
    "8UC4": (4, cv2.COLOR_BGRA2BGR),
    "rgba8": (4, cv2.COLOR_RGBA2BGR),
    "mono8": (1, cv2.COLOR_GRAY2BGR),
    "8UC1": (1, cv2.COLOR_GRAY2BGR),
    "bayer_rggb8": (1, cv2.COLOR_BayerRGGB2BGR),
    "bayer_bggr8": (1, cv2.COLOR_BayerBGGR2BGR),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGBRG2BGR),
    "bayer_grbg8": (1, cv2.COLOR_BayerGRBG2BGR),
    "yuv422": (2, cv2.COLOR_YUV2BGR_UYVY),
    "uyvy": (2, cv2.COLOR_YUV2BGR_UYVY),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2BGR_YUY2),
    "yuyv": (2, cv2.COLOR_YUV2BGR_YUY2),
}


def picture_of(message: Message) -> Picture:
    """The picture in a message. Raises SourceError where it is none, or in an encoding that is not read."""
    if isinstance(message, Image):
        return _raw(message)
    if isinstance(message, CompressedImage):
        return _coded(message)
    raise SourceError(f"a {message.ROS_TYPE} is no picture; give sensor_msgs Image or CompressedImage")


def _raw(image: Image) -> Picture:
    if image.encoding not in _ENCODINGS:
        raise SourceError(
            f"an Image in the encoding {image.encoding!r} is not read; convert it to one of {', '.join(_ENCODINGS)}"
        )
    channels, conversion = _ENCODINGS[image.encoding]
    height, width, step = image.height, image.width, image.step
    if not (0 < height <= LARGEST_SIDE_PX and 0 < width <= LARGEST_SIDE_PX):
        raise SourceError(f"an Image of {width} x {height} pixels; 1 to {LARGEST_SIDE_PX} are taken")
    if step < width * channels or len(image.data) != step * height:
        raise SourceError(
            f"an Image of {width} x {height} in {image.encoding} with a step of {step} holds {len(image.data)} bytes; "
            f"{height} rows of at least {width * channels} are wanted"
        )
    rows = np.frombuffer(image.data, np.uint8).reshape(height, step)[:, : width * channels]
    if conversion is None:
        return np.ascontiguousarray(rows.reshape(height, width, 3))
    try:
        return _converted(rows.reshape(height, width, channels), conversion)
    except cv2.error as error:  # an odd width in yuv422, a Bayer picture of one row
        raise SourceError(f"an Image of {width} x {height} in {image.encoding} cannot be read: {error.err}") from error


def _converted(pixels: NDArray[np.uint8], conversion: int) -> Picture:
    return cast(Picture, cv2.cvtColor(np.ascontiguousarray(pixels), conversion))


def _coded(image: CompressedImage) -> Picture:
    if "compressedDepth" in image.format:
        raise SourceError(f"a CompressedImage in {image.format!r} is a depth map, no picture")
    size = _coded_size(image.data)
    if size is None:
        raise SourceError(f"a CompressedImage in {image.format!r} of {len(image.data)} bytes is neither JPEG nor PNG")
    width, height = size
    if not 0 < width * height <= MAX_PIXELS:
        raise SourceError(f"a CompressedImage of {width} x {height} pixels; at most {MAX_PIXELS} are taken")
    try:
        decoded: Any = cv2.imdecode(np.frombuffer(image.data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise SourceError(f"a CompressedImage in {image.format!r} cannot be read: {error.err}") from error
    if decoded is None:
        raise SourceError(f"a CompressedImage in {image.format!r} of {len(image.data)} bytes does not decode")
    return cast(Picture, decoded)


def _coded_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that a JPEG (ITU-T T.81, B.2.2) or PNG (W3C PNG, 11.2.1) declares, before it is unfolded."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if not data.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 1 if marker == 0xFF else 2 + length
    return None
