"""A camera through GStreamer (PyGObject, appsink), with the driver's timestamps from the buffers."""

from __future__ import annotations

from typing import Any

import numpy as np

from runtime import gstreamer
from runtime.contracts.units import NS_PER_S
from runtime.sources.cameras.address import Address
from runtime.sources.cameras.pipeline import SINK, pipeline
from runtime.sources.cameras.stream import Frame, StreamLostError

_FIRST_PICTURE_S = 10.0
_PATIENCE_S = 2.0  # without a picture the camera counts as lost
_LOOK_S = 0.1  # how often the pipeline is asked for its troubles where no picture comes
_NVIDIA = ("nvvidconv", "nvv4l2decoder")


def pipeline_of(address: Address) -> str:
    """The pipeline that this machine runs for a camera. Raises SourceError where there is no GStreamer."""
    return pipeline(address, nvidia=gstreamer.has(*_NVIDIA))


class GStreamerStream:
    """One running pipeline."""

    def __init__(self, address: Address) -> None:
        """Start it and wait for its first picture.

        Raises SourceError where GStreamer or one of its elements is missing, StreamLostError where no picture comes.
        """
        gst = self._gst = gstreamer.load()
        self._pipeline = gstreamer.launched(pipeline_of(address))
        self._pipeline.connect("deep-element-added", _wait_for_whole_pictures)
        self._sink = self._pipeline.get_by_name(SINK)
        self._bus = self._pipeline.get_bus()
        self._pipeline.use_clock(gst.SystemClock.obtain())  # CLOCK_MONOTONIC, as the record's ties of clocks
        self._first: Frame | None = None
        try:
            if self._pipeline.set_state(gst.State.PLAYING) == gst.StateChangeReturn.FAILURE:
                raise StreamLostError(gstreamer.trouble(self._bus) or "the pipeline does not start")
            self._first = self._pulled(_FIRST_PICTURE_S)
        except StreamLostError:
            self.close()
            raise

    def next(self) -> Frame:
        """See Stream."""
        if self._first is not None:
            frame, self._first = self._first, None
            return frame
        return self._pulled(_PATIENCE_S)

    def close(self) -> None:
        """See Stream."""
        self._pipeline.set_state(self._gst.State.NULL)

    def _pulled(self, patience_s: float) -> Frame:
        for _ in range(round(patience_s / _LOOK_S)):
            sample = self._sink.emit("try-pull-sample", int(_LOOK_S * NS_PER_S))
            if sample is not None:
                if sample.get_buffer().has_flags(self._gst.BufferFlags.CORRUPTED):
                    continue
                return self._frame(sample)
            trouble = gstreamer.trouble(self._bus) or ("the stream ended" if self._sink.get_property("eos") else "")
            if trouble:
                raise StreamLostError(trouble)
        raise StreamLostError(f"no picture for {patience_s:g} s")

    def _frame(self, sample: Any) -> Frame:
        buffer, shape = sample.get_buffer(), sample.get_caps().get_structure(0)
        width, height = shape.get_value("width"), shape.get_value("height")
        mapped, info = buffer.map(self._gst.MapFlags.READ)
        if not mapped:
            raise StreamLostError("a picture's memory cannot be read")
        try:
            lines = np.frombuffer(info.data, np.uint8)
            stride = lines.size // height  # GStreamer pads a line to four bytes
            picture = lines[: stride * height].reshape(height, stride)[:, : 3 * width].reshape(height, width, 3).copy()
        finally:
            buffer.unmap(info)
        count = None if buffer.offset == self._gst.BUFFER_OFFSET_NONE else int(buffer.offset)
        return Frame(picture, self._moment_ns(sample, buffer), count)

    def _moment_ns(self, sample: Any, buffer: Any) -> int:
        """When the light fell in: the buffer's time in the pipeline's running time, on the pipeline's clock."""
        gst = self._gst
        now_ns = int(self._pipeline.get_clock().get_time())
        if buffer.pts == gst.CLOCK_TIME_NONE:
            return now_ns
        running = sample.get_segment().to_running_time(gst.Format.TIME, buffer.pts)
        return min(int(self._pipeline.get_base_time() + running), now_ns)  # a network's jitter buffer guesses ahead


def _wait_for_whole_pictures(_pipeline: Any, _bin: Any, element: Any) -> None:
    """Behind a packet that did not come, a network's picture and those that refer to it are made up: have none of them,
    up to the next key picture.
    """
    if element.find_property("wait-for-keyframe") is not None:
        element.set_property("wait-for-keyframe", True)
