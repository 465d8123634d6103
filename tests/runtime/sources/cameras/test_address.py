"""A camera's URI says which camera, through which library, with which picture; a wrong one says what is allowed."""

from __future__ import annotations

import pytest

from runtime.contracts.errors import SourceError
from runtime.sources.cameras.address import Shape, parse
from runtime.sources.cameras.pipeline import pipeline
from runtime.sources.location import without_password


def test_every_kind_of_camera_is_understood() -> None:
    csi = parse("csi://1?width=1920&height=1080&frame_rate_hz=60&flip=2")
    assert (csi.kind, csi.place, csi.library) == ("csi", "1", "gstreamer")
    assert csi.shape == Shape(1920, 1080, 60, "any", 2)
    usb = parse("v4l2:///dev/v4l/by-id/usb-046d_C920-index0?format=mjpeg")
    assert (usb.kind, usb.place, usb.library, usb.shape.format) == (
        "v4l2",
        "/dev/v4l/by-id/usb-046d_C920-index0",
        None,
        "mjpeg",
    )
    net = parse("rtsp+pyav://me:secret@10.0.0.7:8554/road?profile=1&width=7")
    assert (net.kind, net.place, net.library) == (
        "rtsp",
        "rtsp://me:secret@10.0.0.7:8554/road?profile=1&width=7",
        "pyav",
    )
    assert parse("rtsps://host/x").place == "rtsps://host/x"
    assert parse("videotest://").shape == Shape()


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("csi://front", "'front' is no CSI camera; give its number, csi://0"),
        ("csi://0?format=raw", "unknown option 'format'; known here: width, height, frame_rate_hz, flip"),
        ("csi://0?flip=8", "flip is '8'; give a whole number from 0 to 7"),
        ("v4l2://video0", "'video0' is no device; give its path, v4l2:///dev/video0"),
        ("v4l2:///dev/video0 ! filesink location=/etc/passwd", "is no device"),
        ("v4l2:///dev/video0?format=h265", "format is 'h265'; give one of any, raw, mjpeg"),
        ("v4l2:///dev/video0?width=1e3", "width is '1e3'; give a whole number from 16 to 8192"),
        ("v4l2:///dev/video0?frame_rate_hz=0", "frame_rate_hz is '0'; give a whole number from 1 to 240"),
        ("rtsp://", "names no host; give rtsp://HOST/PATH"),
        ("rtsp://me:secret@/road", "names no host"),
        ("videotest://1", "the test picture is at no place"),
        ("http://camera/", "is no camera; there are: csi://"),
    ],
)
def test_a_wrong_one_is_refused_with_what_is_allowed(uri: str, said: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse(uri)
    assert said in str(caught.value)


def test_a_password_is_not_recorded() -> None:
    assert without_password("rtsp://me:s3cret@host/road?x=a:b@c") == "rtsp://me:***@host/road?x=a:b@c"
    assert without_password("rtsp://me:s3:cr@t@host/road") == "rtsp://me:***@host/road"
    assert without_password('location="rtsp://a:b@c/d" ! x=f@g') == 'location="rtsp://a:***@c/d" ! x=f@g'
    assert without_password("rtsp://host:554/road") == "rtsp://host:554/road"
    assert without_password("v4l2:///dev/video0") == "v4l2:///dev/video0"
    assert (
        without_password("rtsp://host/live?user=me&Pwd=s3cret&channel=1")
        == "rtsp://host/live?user=me&Pwd=***&channel=1"
    )
    assert without_password("rtsp://host/user=me_password=s3cret_channel=1.sdp") == "rtsp://host/user=me_password=***"
    assert (
        without_password("pass=quant location='rtsp://c/?token=a' x") == "pass=quant location='rtsp://c/?token=***' x"
    )


SINK = "video/x-raw,format=BGR ! appsink name=frames max-buffers=4 drop=false sync=false"


@pytest.mark.parametrize(
    ("uri", "nvidia", "text"),
    [
        (
            "csi://0?flip=2",
            True,
            "nvarguscamerasrc sensor-id=0 ! video/x-raw(memory:NVMM),width=1280,height=720,framerate=30/1 "
            "! nvvidconv flip-method=2 ! video/x-raw,format=BGRx ! videoconvert",
        ),
        (
            "v4l2:///dev/video2?format=mjpeg&width=640&height=480",
            True,
            'v4l2src device="/dev/video2" ! image/jpeg,width=640,height=480,framerate=30/1 ! nvv4l2decoder mjpeg=1 '
            "! nvvidconv ! video/x-raw,format=BGRx ! videoconvert",
        ),
        (
            "v4l2:///dev/video2?format=mjpeg&width=640&height=480",
            False,
            'v4l2src device="/dev/video2" ! image/jpeg,width=640,height=480,framerate=30/1 ! jpegdec ! videoconvert',
        ),
        (
            "v4l2:///dev/video0?format=raw",
            False,
            'v4l2src device="/dev/video0" ! video/x-raw,width=1280,height=720,framerate=30/1 ! videoconvert',
        ),
        (
            'rtsp://host/a"b\\c',
            False,
            'rtspsrc location="rtsp://host/a\\"b\\\\c" protocols=tcp latency=100 ! application/x-rtp,media=video '
            "! decodebin ! videoconvert",
        ),
        (
            "videotest://?width=64&height=48",
            True,
            "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=30/1 ! videoconvert",
        ),
    ],
)
def test_a_camera_becomes_a_pipeline(uri: str, nvidia: bool, text: str) -> None:
    assert pipeline(parse(uri), nvidia=nvidia) == f"{text} ! {SINK}"


def test_a_usb_camera_of_any_format_is_asked_for_either() -> None:
    text = pipeline(parse("v4l2:///dev/video0"), nvidia=False)
    either = "video/x-raw,width=1280,height=720,framerate=30/1;image/jpeg,width=1280,height=720,framerate=30/1"
    assert text == f'v4l2src device="/dev/video0" ! capsfilter caps="{either}" ! decodebin ! videoconvert ! {SINK}'
