"""GStreamer's own test picture, and a network camera that dies and returns, through GStreamer and through PyAV."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runtime import gstreamer
from runtime.contracts.errors import SourceError
from runtime.contracts.source import Capture, Missing, SourceRequest
from runtime.sources.cameras.address import Library
from runtime.sources.cameras.live import LiveSource
from runtime.sources.cameras.open import open_source

SERVER = Path(__file__).with_name("rtsp_server.py")


def opened(uri: str) -> LiveSource:
    return open_source(SourceRequest(uri, ("front",), None))


@pytest.fixture(scope="module")
def with_gstreamer() -> None:
    try:
        gstreamer.load()
    except SourceError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def with_rtsp_server(with_gstreamer: None) -> None:
    import gi

    try:
        gi.require_version("GstRtspServer", "1.0")
    except ValueError:
        pytest.skip("no RTSP server to test against: sudo scripts/system-packages camera-tests")
    if not gstreamer.has("x264enc", "rtph264pay"):
        pytest.skip("GStreamer has no H.264 encoder here: sudo scripts/system-packages camera-tests")


class Server:
    """The server's process; it can be killed and started again on the same port."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(SERVER), str(self.port)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()

    def freeze(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)


@pytest.fixture
def server(with_rtsp_server: None) -> Iterator[Server]:
    server = Server()
    yield server
    server.kill()


def captures(source: LiveSource, count: int) -> list[Capture]:
    found: list[Capture] = []
    while len(found) < count:
        item = source.read()
        assert item is not None
        if isinstance(item, Capture):
            found.append(item)
    return found


@pytest.mark.parametrize("size", [(640, 480), (322, 241), (17, 16)])
def test_the_test_picture_comes_whole_at_its_time_whatever_its_size(
    with_gstreamer: None, size: tuple[int, int]
) -> None:
    width, height = size
    before_ns = time.monotonic_ns()
    source = opened(f"videotest://?width={width}&height={height}&frame_rate_hz=50")
    items = captures(source, 10)
    source.close()
    assert all(item.pictures["front"].shape == (height, width, 3) for item in items)
    bars = items[-1].pictures["front"][height // 4, [width // 14, 3 * width // 14]]
    assert np.abs(bars.astype(int) - [[255, 255, 255], [0, 255, 255]]).max() < 8, "white, then yellow"
    times = [item.t_source_ns for item in items]
    assert np.diff(times) == pytest.approx(20_000_000, rel=0.1)
    assert before_ns < times[0] < times[-1] <= time.monotonic_ns()


def test_a_pipeline_whose_element_is_missing_is_refused_with_its_text(with_gstreamer: None) -> None:
    if gstreamer.has("nvarguscamerasrc"):
        pytest.skip("this is a Jetson")
    with pytest.raises(
        SourceError, match=r"cannot build the pipeline 'nvarguscamerasrc sensor-id=0 .*nvarguscamerasrc"
    ):
        opened("csi://0")


def test_a_device_that_is_not_there_is_refused_by_its_name(with_gstreamer: None) -> None:
    for uri in ("v4l2+gstreamer:///dev/video99?format=raw", "v4l2+pyav:///dev/video99"):
        with pytest.raises(SourceError, match=r"cannot be opened: .*(video99|No such file)"):
            opened(uri)


@pytest.mark.parametrize("library", ["gstreamer", "pyav"])
def test_a_network_camera_that_dies_is_missing_and_comes_back(server: Server, library: Library) -> None:
    source = opened(f"rtsp+{library}://127.0.0.1:{server.port}/road")
    first = captures(source, 20)
    assert first[0].pictures["front"].shape == (240, 320, 3)
    assert first[-1].pictures["front"].max() > 200, "the ball is white"
    steps = np.diff([item.t_source_ns for item in first])
    assert np.median(steps) == pytest.approx(40_000_000, rel=0.25)
    server.kill()
    server.start()
    item = source.read()
    while isinstance(item, Capture):  # what was under way when it died
        item = source.read()
    assert isinstance(item, Missing)
    assert item.reasons["front"].startswith("the camera is away: ")
    after = captures(source, 5)
    assert after[0].sequence == item.sequence + 1
    assert after[0].t_source_ns > item.t_source_ns > first[-1].t_source_ns
    source.close()


@pytest.mark.parametrize("library", ["gstreamer", "pyav"])
def test_a_network_camera_that_freezes_counts_as_lost(server: Server, library: Library) -> None:
    source = opened(f"rtsp+{library}://127.0.0.1:{server.port}/road")
    captures(source, 5)
    server.freeze()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(source, "_wait", lambda *_: server.thaw())
            item = source.read()
            while isinstance(item, Capture):
                item = source.read()
    finally:
        server.thaw()
    assert isinstance(item, Missing)
    assert "the camera is away: " in item.reasons["front"]
    source.close()


@pytest.mark.parametrize("library", ["gstreamer", "pyav"])
def test_a_network_camera_that_nobody_serves_is_refused(with_gstreamer: None, library: Library) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(SourceError, match=r"cannot be opened: .*([Rr]efused|Failed to connect)"):
        opened(f"rtsp+{library}://127.0.0.1:{port}/road")


def test_without_its_binding_gstreamer_is_refused_with_the_mend_and_pyav_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "gi", None)
    gstreamer.load.cache_clear()
    try:
        with pytest.raises(SourceError, match=r"cannot be loaded .*scripts/system-packages camera"):
            opened("videotest://")
        with pytest.raises(SourceError, match="'v4l2:///dev/video99' cannot be opened: No such file or directory"):
            opened("v4l2:///dev/video99")
    finally:
        gstreamer.load.cache_clear()
