"""The picture for people as H.264 (ITU-T H.264, Annex B), encoded by libx264 through FFmpeg.

One picture in, one access unit out: nothing is held back, and no picture waits for a later one (no B-frames), as
foxglove.CompressedVideo asks. Parameter sets stand before every key picture, so that decoding can begin at any of them.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol

import av
import av.error
import cv2
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from runtime.contracts.errors import LinkError
from runtime.contracts.source import Picture

FORMAT = "h264"
KEY_EVERY = 60  # pictures: a viewer that joins late, or lost one, sees again after so many

# OpenCV converts by BT.601 whatever the size; untold, players take pictures from 720 lines on for BT.709.
OPENCV_COLOURS = (Colorspace.ITU601, ColorRange.MPEG)

# Measured on a 960x540 road video: `superfast` takes 5 to 6 ms a picture, `veryfast` 8 to 9 for a fifth less data.
# x264's adaptive quantiser stays on: without it a quarter less data is as like on the whole (PSNR, SSIM) there, but the
# quiet half of the picture, road and shadow, is less so.
_PRESET = "superfast"
_X264 = f"keyint={KEY_EVERY}:min-keyint=1:scenecut=0:bframes=0:repeat-headers=1:annexb=1:threads=1"
_CLOCK = Fraction(1, 1000)
_START, _NAL_TYPE, _IDR = b"\x00\x00\x01", 0x1F, 5


class VideoEncoder(Protocol):
    """What encodes the pictures of one camera, all of one size. One thread at a time."""

    size: tuple[int, int]  # height and width
    quality: int

    def encode(self, picture: Picture, *, key: bool) -> bytes:
        """The access unit of a picture (uint8, height x width x 3, BGR), with start codes.

        `key`: it is to be decodable by itself. Raises LinkError where the encoder refuses, or gives none.
        """
        ...

    def close(self) -> None:
        """Give the encoder back. Idempotent."""
        ...


class H264Encoder:
    """Encodes the pictures of one camera, all of one size. One thread at a time.

    Chroma is halved both ways, so sides are made even: a picture of 101 x 51 pixels becomes one of 102 x 52, whose last
    column and row stand twice.
    """

    def __init__(self, height: int, width: int, quality: int) -> None:
        """`quality` is x264's constant rate factor: 0 (lossless) to 51. Raises LinkError where there is no encoder."""
        self.size, self.quality = (height, width), quality
        self._shape = (height + height % 2, width + width % 2)
        self._count = 0
        try:
            codec = av.CodecContext.create("libx264", "w")
            assert isinstance(codec, av.VideoCodecContext)
            codec.height, codec.width = self._shape
            codec.pix_fmt, codec.time_base, codec.framerate = "yuv420p", _CLOCK, Fraction(30)
            codec.colorspace, codec.color_range = OPENCV_COLOURS
            codec.thread_count = 1  # the other cores are the network's
            codec.options = {"preset": _PRESET, "tune": "zerolatency", "crf": str(quality), "x264-params": _X264}
            codec.open()
        except (av.error.FFmpegError, ValueError) as error:
            raise LinkError(f"pictures of {width} x {height} cannot be encoded as H.264: {error}") from error
        self._codec = codec

    def encode(self, picture: Picture, *, key: bool) -> bytes:
        """See VideoEncoder."""
        frame = av.VideoFrame.from_ndarray(planar(picture, self._shape), format="yuv420p")
        frame.pts, frame.time_base = self._count, _CLOCK
        frame.pict_type = PictureType.I if key else PictureType.NONE
        self._count += 1
        try:
            packets = self._codec.encode(frame)
        except av.error.FFmpegError as error:
            raise LinkError(f"a picture could not be encoded as H.264: {error}") from error
        if len(packets) != 1:
            raise LinkError(f"the H.264 encoder gave {len(packets)} access units for one picture")
        return bytes(packets[0])

    def close(self) -> None:
        """See VideoEncoder: FFmpeg gives everything back with the object."""


def is_key(access_unit: bytes) -> bool:
    """Whether decoding can begin here: it holds an IDR picture (NAL unit type 5; H.264, table 7-1)."""
    at = access_unit.find(_START)
    while 0 <= at < len(access_unit) - len(_START):
        if access_unit[at + len(_START)] & _NAL_TYPE == _IDR:
            return True
        at = access_unit.find(_START, at + len(_START))
    return False


def planar(picture: Picture, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture in YCbCr, 4:2:0 planar, `shape` (height, width, both even) in size.

    OpenCV does it in a twentieth of FFmpeg's time.
    """
    height, width = picture.shape[:2]
    if (height, width) != shape:
        edges = (0, shape[0] - height, 0, shape[1] - width)
        picture = cv2.copyMakeBorder(picture, *edges, cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)
    return cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420).astype(np.uint8, copy=False)
