"""The recorded pictures of one camera, decoded in the order of the record."""

from __future__ import annotations

from contextlib import suppress

import av
import av.error
import cv2
import numpy as np

from review.lettering import Image
from review.video_order import Order
from runtime.contracts.errors import RecordError
from runtime.contracts.messages import CompressedImage, CompressedVideo
from runtime.contracts.topics import PICTURE, VIDEO
from runtime.record.drive import Drive
from runtime.record.h264 import is_key

_LARGEST_SIDE_PX = 16_384

Shown = CompressedImage | CompressedVideo


class PictureDecoder:
    """Decodes the pictures of one camera. A video's have to be given all, in their order, from a key picture on."""

    def __init__(self) -> None:
        self._codec: av.VideoCodecContext | None = None
        self._order = Order()

    def decode(self, picture: Shown) -> Image | None:
        """The picture (uint8, height x width x 3, BGR); None where its bytes are none, or lack what stands before."""
        if isinstance(picture, CompressedVideo):
            return self._next_of_video(picture.data)
        try:
            return cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_COLOR)  # type: ignore[return-value]
        except cv2.error:  # no bytes at all
            return None

    def _next_of_video(self, data: bytes) -> Image | None:
        if not self._order.follows(data):
            self._codec = None  # FFmpeg would draw it upon a picture that is not its own, and say nothing
            return None
        if self._codec is None:
            self._codec = _decoder()
        try:
            frames = self._codec.decode(av.Packet(data))
        except (av.error.FFmpegError, ValueError):
            self._codec = None  # what follows stands on nothing, up to the next key picture
            return None
        if len(frames) != 1 or frames[0].is_corrupt or max(frames[0].width, frames[0].height) > _LARGEST_SIDE_PX:
            return None
        planar = frames[0].reformat(format="yuv420p").to_ndarray().astype(np.uint8, copy=False)
        return cv2.cvtColor(planar, cv2.COLOR_YUV2BGR_I420).astype(np.uint8, copy=False)


def decoder_at(drive: Drive, camera: str, sequence: int) -> PictureDecoder:
    """A decoder that has been given all that stands before a frame, from the key picture on."""
    before: list[Shown] = []
    if sequence > 0:
        for frame in drive.frames(VIDEO, first=drive.segment_begin(sequence), last=sequence - 1):
            with suppress(RecordError):  # what does not decode is said where it is shown
                for picture in frame.pictures:
                    if picture.frame_id == camera:
                        before = [picture] if is_key(picture.data) else [*before, picture]
    decoder = PictureDecoder()
    for picture in before:
        decoder.decode(picture)
    return decoder


def first_shape(drive: Drive, camera: str) -> tuple[int, int] | None:
    """Height and width of the camera's first picture that can be decoded; None where there is none."""
    decoder = PictureDecoder()
    for frame in drive.frames(PICTURE, VIDEO):
        with suppress(RecordError):
            for picture in frame.pictures:
                image = decoder.decode(picture) if picture.frame_id == camera else None
                if image is not None:
                    return image.shape[0], image.shape[1]
    return None


def _decoder() -> av.VideoCodecContext:
    codec = av.CodecContext.create("h264", "r")
    assert isinstance(codec, av.VideoCodecContext)
    codec.thread_count = 1  # threads hold pictures back
    codec.flags |= int(av.codec.context.Flags.low_delay)
    return codec
