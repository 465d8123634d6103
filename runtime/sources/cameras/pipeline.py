"""GStreamer's pipeline for a camera, as the text that `gst-launch-1.0` takes. Pure.

What was never run, for want of a board: `csi` and `nvidia=True`. The element names and caps are those of NVIDIA's
Accelerated GStreamer guide (Jetson Linux 36).
"""

from __future__ import annotations

from runtime.sources.cameras.address import Address, Shape

SINK = "frames"

# Nothing is dropped here: the thread that reads takes every picture, and declares those that the decision had no time
# for. Four are less than the driver's own buffers, so that what is lost there shows in its count.
_TO_SINK = f"video/x-raw,format=BGR ! appsink name={SINK} max-buffers=4 drop=false sync=false"
_LATENCY_MS = 100  # rtspsrc's buffer against reordering
_RTP_PICTURES = "application/x-rtp,media=video"  # without it the stream that comes first is taken, sound also


def pipeline(address: Address, *, nvidia: bool) -> str:
    """The pipeline that ends in BGR pictures. `nvidia`: the board has NVIDIA's decoder and converter."""
    shape = address.shape
    size = f"width={shape.width},height={shape.height},framerate={shape.frame_rate_hz}/1"
    if address.kind == "csi":
        source = f"nvarguscamerasrc sensor-id={address.place} ! video/x-raw(memory:NVMM),{size}"
        return f"{source} ! {_converted(nvidia=True, flip=shape.flip)} ! {_TO_SINK}"
    if address.kind == "rtsp":
        source = f"rtspsrc location={_quoted(address.place)} protocols=tcp latency={_LATENCY_MS} ! {_RTP_PICTURES}"
        return f"{source} ! decodebin ! {_converted(nvidia=nvidia)} ! {_TO_SINK}"
    if address.kind == "videotest":
        source = f"videotestsrc is-live=true ! video/x-raw,{size}"
        return f"{source} ! {_converted(nvidia=False)} ! {_TO_SINK}"
    return f"v4l2src device={_quoted(address.place)} ! {_v4l2(shape, size, nvidia)} ! {_TO_SINK}"


def _v4l2(shape: Shape, size: str, nvidia: bool) -> str:
    if shape.format == "mjpeg":
        decoder = "nvv4l2decoder mjpeg=1" if nvidia else "jpegdec"
        return f"image/jpeg,{size} ! {decoder} ! {_converted(nvidia=nvidia)}"
    if shape.format == "raw":
        return f"video/x-raw,{size} ! {_converted(nvidia=nvidia)}"
    either = _quoted(f"video/x-raw,{size};image/jpeg,{size}")
    return f"capsfilter caps={either} ! decodebin ! {_converted(nvidia=nvidia)}"


def _converted(*, nvidia: bool, flip: int = 0) -> str:
    if not nvidia:
        return "videoconvert"
    turned = f" flip-method={flip}" if flip else ""
    return f"nvvidconv{turned} ! video/x-raw,format=BGRx ! videoconvert"


def _quoted(text: str) -> str:
    """As a string of GStreamer's launch syntax, whatever it holds."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
