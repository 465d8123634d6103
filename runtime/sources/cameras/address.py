"""What a camera's URI says: which camera, through which library, with which picture.

    csi://0                                    a CSI camera by its number (Jetson, GStreamer)
    v4l2:///dev/video0?format=mjpeg            a USB camera, or any that the kernel shows
    rtsp://user:word@10.0.0.7/stream           a network camera; what stands behind `?` is the camera's own
    videotest://?width=640&height=480          GStreamer's test picture, to prove the way without a camera

`v4l2+pyav` and `rtsp+pyav`, or `+gstreamer`, choose the library; without it GStreamer is taken where it is there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import Literal, cast, get_args
from urllib.parse import parse_qsl, unquote

from runtime.contracts.errors import SourceError
from runtime.sources.location import scheme_of, without_password

Kind = Literal["csi", "v4l2", "rtsp", "videotest"]
Library = Literal["gstreamer", "pyav"]
Format = Literal["any", "raw", "mjpeg"]

SCHEMES = ("csi", "v4l2", "v4l2+gstreamer", "v4l2+pyav", "rtsp", "rtsps", "rtsp+gstreamer", "rtsp+pyav", "videotest")
_DEVICE = re.compile(r"/dev/[A-Za-z0-9._:/-]+")
_SENSOR = re.compile(r"[0-9]{1,2}")
_LARGEST_SIDE_PX = 8192
_HIGHEST_RATE_HZ = 240


@dataclass(frozen=True, slots=True)
class Shape:
    """The picture that is asked of the camera, in pixels and whole pictures a second; its format on the wire; and for a
    CSI camera how it is turned (nvvidconv's flip-method, 0 to 7).
    """

    width: int = 1280
    height: int = 720
    frame_rate_hz: int = 30
    format: Format = "any"
    flip: int = 0


@dataclass(frozen=True, slots=True)
class Address:
    """One camera. `place` is the sensor's number, the device's path or the stream's URL; `library` None: either."""

    uri: str
    kind: Kind
    place: str
    library: Library | None
    shape: Shape


def parse(uri: str) -> Address:
    """The camera that a URI names. Raises SourceError with the value that is wrong and what is allowed."""
    scheme = scheme_of(uri) or ""
    if scheme not in SCHEMES:
        raise SourceError(f"source {uri!r} is no camera; there are: {', '.join(f'{name}://' for name in SCHEMES)}")
    base, _, chosen = scheme.partition("+")
    library = cast(Library, chosen) if chosen else None
    rest = uri.partition("://")[2]
    if base in ("rtsp", "rtsps"):
        if not rest.partition("/")[0].rpartition("@")[2]:
            raise SourceError(f"source {without_password(uri)!r} names no host; give rtsp://HOST/PATH")
        return Address(uri, "rtsp", f"{base}://{rest}", library, Shape())
    place, _, query = rest.partition("?")
    kind = cast(Kind, base)
    place = unquote(place)
    if kind == "csi" and not _SENSOR.fullmatch(place):
        raise SourceError(f"source {uri!r}: {place!r} is no CSI camera; give its number, csi://0")
    if kind == "v4l2" and not _DEVICE.fullmatch(place):
        raise SourceError(f"source {uri!r}: {place!r} is no device; give its path, v4l2:///dev/video0")
    if kind == "videotest" and place:
        raise SourceError(f"source {uri!r}: the test picture is at no place; give videotest://")
    return Address(uri, kind, place, "gstreamer" if kind in ("csi", "videotest") else library, _shape(uri, kind, query))


def _shape(uri: str, kind: Kind, query: str) -> Shape:
    known = [field.name for field in fields(Shape) if field.name != "flip" or kind == "csi"]
    known = [name for name in known if name != "format" or kind == "v4l2"]
    shape = Shape()
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in known:
            raise SourceError(f"source {uri!r}: unknown option {key!r}; known here: {', '.join(known)}")
        shape = _with(shape, uri, key, value)
    return shape


def _with(shape: Shape, uri: str, key: str, value: str) -> Shape:
    if key == "format":
        if value not in get_args(Format):
            raise SourceError(f"source {uri!r}: format is {value!r}; give one of {', '.join(get_args(Format))}")
        return replace(shape, format=cast(Format, value))
    lowest, highest = {"flip": (0, 7), "frame_rate_hz": (1, _HIGHEST_RATE_HZ)}.get(key, (16, _LARGEST_SIDE_PX))
    number = int(value) if value.isascii() and value.isdigit() and len(value) < 6 else -1
    if not lowest <= number <= highest:
        raise SourceError(f"source {uri!r}: {key} is {value!r}; give a whole number from {lowest} to {highest}")
    return replace(shape, **{key: number})  # type: ignore[arg-type]  # every key but `format` takes a number
