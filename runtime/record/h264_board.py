"""The picture for people as H.264 by the board's own encoder, through GStreamer: the processor is left alone.

NVIDIA's element (`nvv4l2h264enc`, Jetson) was never run, for want of a board; what is around it is tested with
`x264enc`. Constant quantisers take the place of x264's rate factor: a number means nearly the same picture.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from runtime import gstreamer
from runtime.contracts.config import H264Choice
from runtime.contracts.errors import LinkError, SourceError
from runtime.contracts.source import Picture
from runtime.contracts.units import NS_PER_MS
from runtime.record.h264 import KEY_EVERY, H264Encoder, VideoEncoder, planar

NVENC = (
    "nvvidconv ! video/x-raw(memory:NVMM),format=NV12 ! nvv4l2h264enc name=encoder preset-level=1 maxperf-enable=true "
    f"ratecontrol-enable=false quant-i-frames={{quality}} quant-p-frames={{quality}} num-B-Frames=0 "
    f"insert-sps-pps=true iframeinterval={KEY_EVERY} idrinterval=1"
)
X264 = (
    "x264enc name=encoder tune=zerolatency speed-preset=superfast pass=quant quantizer={quality} bframes=0 threads=1 "
    f"key-int-max={KEY_EVERY}"
)
_ANNEX_B = "h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au"
_PATIENCE_MS = 500


class BoardEncoder:
    """Encodes the pictures of one camera, all of one size. One thread at a time; close it.

    A width is made one of eight's: a picture of 101 x 51 pixels becomes one of 104 x 52, whose edges are repeated.
    """

    def __init__(self, height: int, width: int, quality: int, element: str = NVENC) -> None:
        """`quality` is the quantiser: 0 (best) to 51. Raises LinkError where the board has no such encoder."""
        self.size, self.quality = (height, width), quality
        self._shape = (height + height % 2, -(-width // 8) * 8)  # GStreamer's lines of half a width are of four bytes
        self._count = 0
        caps = (
            f"video/x-raw,format=I420,width={self._shape[1]},height={self._shape[0]},framerate=30/1,colorimetry=bt601"
        )
        text = (
            f"appsrc name=pictures format=time is-live=true caps={caps} ! {element.format(quality=quality)} "
            f"! {_ANNEX_B} ! appsink name=units sync=false"
        )
        try:
            self._gst = gstreamer.load()
            self._pipeline = gstreamer.launched(text)
        except SourceError as error:
            raise LinkError(str(error)) from error
        self._pictures, self._units, self._encoder = (
            self._pipeline.get_by_name(name) for name in ("pictures", "units", "encoder")
        )
        if self._pipeline.set_state(self._gst.State.PLAYING) == self._gst.StateChangeReturn.FAILURE:
            why = self._why()
            self.close()
            raise LinkError(f"the board's encoder does not start: {why}")

    def encode(self, picture: Picture, *, key: bool) -> bytes:
        """See VideoEncoder."""
        gst = self._gst
        if key and self._count:
            self._force_key()
        buffer = gst.Buffer.new_wrapped(planar(picture, self._shape).tobytes())
        buffer.pts = self._count * gst.SECOND // 30
        buffer.duration = gst.SECOND // 30
        self._count += 1
        self._pictures.emit("push-buffer", buffer)
        sample = self._units.emit("try-pull-sample", _PATIENCE_MS * NS_PER_MS)
        if sample is None:
            raise LinkError(f"the board's encoder gave nothing for a picture: {self._why()}")
        unit = sample.get_buffer()
        return bytes(unit.extract_dup(0, unit.get_size()))

    def close(self) -> None:
        """See VideoEncoder."""
        self._pipeline.set_state(self._gst.State.NULL)

    def _force_key(self) -> None:
        """Have the next picture be one that refers to none: by NVIDIA's signal, elsewhere by GStreamer's event."""
        if gstreamer.has_signal(self._encoder, "force-IDR"):
            self._encoder.emit("force-IDR")
            return
        structure = self._gst.Structure.new_from_string("GstForceKeyUnit, all-headers=(boolean)true")
        self._pictures.get_static_pad("src").push_event(
            self._gst.Event.new_custom(self._gst.EventType.CUSTOM_DOWNSTREAM, structure)
        )

    def _why(self) -> str:
        return gstreamer.trouble(self._pipeline.get_bus()) or f"none within {_PATIENCE_MS} ms"


@lru_cache(maxsize=1)
def works() -> bool:
    """Whether this board encodes by itself: by one picture. A Jetson may have the element and no encoder."""
    try:
        if not gstreamer.has("nvv4l2h264enc"):
            return False
        encoder = BoardEncoder(128, 128, 30)
    except (SourceError, LinkError):
        return False
    try:
        return bool(encoder.encode(np.zeros((128, 128, 3), np.uint8), key=True))
    except LinkError:
        return False
    finally:
        encoder.close()


def by_board(choice: H264Choice) -> bool:
    """Whether a configuration's choice means the board's own encoder here: of itself where that works."""
    return choice == "board" or (choice == "auto" and works())


def open_encoder(height: int, width: int, quality: int, *, by_board: bool) -> VideoEncoder:
    """The board's encoder, or libx264. Raises LinkError."""
    return BoardEncoder(height, width, quality) if by_board else H264Encoder(height, width, quality)
