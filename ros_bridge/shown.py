"""The pictures for people as they come over the bus: JPEG, or H.264 one access unit a picture, decoded in order.

Who joins late sees from the next key picture on. One that was lost on the way (viewers may lose some) makes what
follows a little wrong up to the next key picture, some seconds later.
"""

from __future__ import annotations

from contextlib import suppress
from typing import cast

import av
import av.error
import cv2
import numpy as np

from runtime.contracts.messages import CompressedImage, CompressedVideo
from runtime.contracts.source import Picture


class ShownPictures:
    """Decodes one camera's pictures. One thread at a time."""

    def __init__(self) -> None:
        self._codec: av.VideoCodecContext | None = None

    def decode(self, shown: CompressedImage | CompressedVideo) -> Picture | None:
        """The picture; None where its bytes are none, or lack the key picture before."""
        if isinstance(shown, CompressedVideo):
            return self._of_video(shown.data)
        with suppress(cv2.error):  # no bytes at all
            return cast("Picture | None", cv2.imdecode(np.frombuffer(shown.data, np.uint8), cv2.IMREAD_COLOR))
        return None

    def _of_video(self, data: bytes) -> Picture | None:
        self._codec = self._codec or _decoder()
        try:
            frames = self._codec.decode(av.Packet(data)) if data else []
        except (av.error.FFmpegError, ValueError):
            self._codec = None
            return None
        if len(frames) != 1:
            return None
        planar = frames[0].reformat(format="yuv420p").to_ndarray().astype(np.uint8, copy=False)
        return cast(Picture, cv2.cvtColor(planar, cv2.COLOR_YUV2BGR_I420))


def _decoder() -> av.VideoCodecContext:
    codec = av.CodecContext.create("h264", "r")
    assert isinstance(codec, av.VideoCodecContext)
    codec.thread_count = 1  # threads hold pictures back
    codec.flags |= int(av.codec.context.Flags.low_delay)
    return codec
