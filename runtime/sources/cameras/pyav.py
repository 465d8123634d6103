"""A camera through PyAV (FFmpeg's libraries in a wheel), where there is no GStreamer."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.contracts.clock import Clock
from runtime.contracts.errors import SourceError
from runtime.contracts.source import Picture
from runtime.contracts.units import NS_PER_S
from runtime.sources.cameras.address import Address
from runtime.sources.cameras.host_time import HostTime
from runtime.sources.cameras.stream import Frame, StreamLostError
from runtime.sources.location import without_password

if TYPE_CHECKING:
    import av

_CONNECT_S = 10.0
_PATIENCE_S = 2.0
_INPUT_FORMATS = {"mjpeg": "mjpeg", "raw": "yuyv422"}


class PyAvStream:
    """One open input. Of a device the kernel's own timestamps are taken; a network stream has a clock of its own."""

    def __init__(self, address: Address, clock: Clock) -> None:
        """Connect and decode the first picture. Raises StreamLostError where that fails, SourceError where it never
        will.
        """
        import av
        import av.error

        self._clock, self._errors = clock, (av.error.FFmpegError, OSError)
        self._host_time = None if address.kind == "v4l2" else HostTime()
        self._decoded: deque[Frame] = deque()
        self._damaged = False
        try:
            self._container = _opened(av, address)
        except av.error.FFmpegError as error:
            raise StreamLostError(f"{error.strerror or error}") from error
        if not self._container.streams.video:
            self._container.close()
            uri = without_password(address.uri)
            raise SourceError(f"source {uri!r} has no picture in it, only other streams; give a camera's")
        self._video = self._container.streams.video[0]
        self._packets: Iterator[Any] = self._container.demux()  # of all streams: also where only the others go on
        try:
            self._decode(_CONNECT_S)
        except StreamLostError:
            self.close()
            raise

    def next(self) -> Frame:
        """See Stream."""
        if not self._decoded:
            self._decode(_PATIENCE_S)
        return self._decoded.popleft()

    def close(self) -> None:
        """See Stream."""
        self._container.close()

    def _decode(self, patience_s: float) -> None:
        """Read until there is a picture: packets may come that hold none, or of which none can be made."""
        until_ns = self._clock.monotonic_ns() + round(patience_s * NS_PER_S)
        try:
            for packet in self._packets:
                if packet.stream.index == self._video.index:
                    self._decoded.extend(self._frame(picture) for picture in packet.decode() if self._is_whole(picture))
                if self._decoded:
                    return
                if self._clock.monotonic_ns() >= until_ns:
                    raise StreamLostError(f"no picture for {patience_s:g} s")
        except self._errors as error:
            raise StreamLostError(f"{error.strerror or error}") from error
        raise StreamLostError("the stream ended")

    def _is_whole(self, picture: Any) -> bool:
        """Whether neither it nor one that it may refer to, since the last key picture, came damaged."""
        self._damaged = picture.is_corrupt or (self._damaged and not picture.key_frame)
        return not self._damaged

    def _frame(self, picture: Any) -> Frame:
        now_ns = self._clock.monotonic_ns()
        if picture.pts is None:
            return Frame(_pixels(picture), now_ns)
        told_ns = int(picture.pts * picture.time_base * NS_PER_S)
        moment_ns = min(told_ns, now_ns) if self._host_time is None else self._host_time.moment_ns(told_ns, now_ns)
        return Frame(_pixels(picture), moment_ns)


def _pixels(picture: Any) -> Picture:
    return np.ascontiguousarray(picture.to_ndarray(format="bgr24"))


def _opened(av: Any, address: Address) -> av.container.InputContainer:
    patience = (_CONNECT_S, _PATIENCE_S)
    if address.kind == "rtsp":
        options = {"rtsp_transport": "tcp", "fflags": "nobuffer", "max_delay": "100000"}
        return av.open(address.place, options=options, timeout=patience)  # type: ignore[no-any-return]
    shape = address.shape
    options = {"video_size": f"{shape.width}x{shape.height}", "framerate": str(shape.frame_rate_hz), "ts": "default"}
    if shape.format != "any":
        options["input_format"] = _INPUT_FORMATS[shape.format]
    return av.open(address.place, format="v4l2", options=options, timeout=patience)  # type: ignore[no-any-return]
