"""A camera through PyAV (FFmpeg's libraries in a wheel), where there is no GStreamer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.contracts.clock import Clock
from runtime.contracts.errors import SourceError
from runtime.contracts.units import NS_PER_S
from runtime.sources.cameras.address import Address
from runtime.sources.cameras.stream import Frame, StreamLostError
from runtime.sources.location import without_password

if TYPE_CHECKING:
    import av

_CONNECT_S = 10.0
_PATIENCE_S = 2.0
_INPUT_FORMATS = {"mjpeg": "mjpeg", "raw": "yuyv422"}


class PyAvStream:
    """One open input.

    Of a device the kernel's own timestamps are taken. A network stream tells its times since its own begin: its clock
    is laid to the host's by the picture that came soonest, so that none was seen before the light fell in.
    """

    def __init__(self, address: Address, clock: Clock) -> None:
        """Connect and decode the first picture. Raises StreamLostError where that fails, SourceError where it never
        will.
        """
        import av
        import av.error

        self._clock, self._errors = clock, (av.error.FFmpegError, OSError)
        self._origin_ns: int | None = 0 if address.kind == "v4l2" else None
        try:
            self._container = _opened(av, address)
        except av.error.FFmpegError as error:
            raise StreamLostError(f"{error.strerror or error}") from error
        if not self._container.streams.video:
            self._container.close()
            uri = without_password(address.uri)
            raise SourceError(f"source {uri!r} has no picture in it, only other streams; give a camera's")
        self._frames: Iterator[Any] = self._container.decode(video=0)
        self._first: Frame | None = None
        try:
            self._first = self._decoded()
        except StreamLostError:
            self.close()
            raise

    def next(self) -> Frame:
        """See Stream."""
        if self._first is not None:
            frame, self._first = self._first, None
            return frame
        return self._decoded()

    def close(self) -> None:
        """See Stream."""
        self._container.close()

    def _decoded(self) -> Frame:
        try:
            frame = next(self._frames)
        except StopIteration:
            raise StreamLostError("the stream ended") from None
        except self._errors as error:
            raise StreamLostError(f"{error.strerror or error}") from error
        now_ns = self._clock.monotonic_ns()
        told_ns = None if frame.pts is None else int(frame.pts * frame.time_base * NS_PER_S)
        if told_ns is None:
            moment_ns = now_ns
        else:
            self._origin_ns = now_ns - told_ns if self._origin_ns is None else min(self._origin_ns, now_ns - told_ns)
            moment_ns = self._origin_ns + told_ns
        return Frame(np.ascontiguousarray(frame.to_ndarray(format="bgr24")), moment_ns)


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
