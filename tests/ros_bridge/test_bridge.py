"""From a run's bus, over real sockets, to ROS."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from ros_bridge.bridge import Bridge
from ros_bridge.messages import CompressedImage, DiagnosticArray, Image, Log, String
from ros_bridge.outgoing import OK, WARN
from ros_bridge.transport import EVENTS, STATIC
from runtime.bus.publisher import Publisher, Subscriber
from runtime.bus.viewed import BridgeOptions, ViewedRun
from runtime.contracts import messages, topics
from runtime.contracts.clock import SystemClock, tie
from runtime.contracts.config import packaged
from runtime.contracts.errors import LinkError
from runtime.contracts.incident import Trigger
from runtime.contracts.link import Payload
from runtime.contracts.model import read_manifest
from runtime.contracts.topics import Topic
from runtime.contracts.vehicle import Control
from runtime.record.h264 import FORMAT, H264Encoder
from tests.ros_bridge.network import Network, Publication

MODEL = packaged("concepts.onnx") or Path()
T_NS = 5_000_000_000
UTC_NS = 1_700_000_000_000_000_000
PICTURE = np.full((90, 160, 3), 100, np.uint8)
CAMERA = read_manifest(MODEL).cameras[0]


class Bench:
    """A bus with a bridge on it."""

    def __init__(self, folder: Path, source_name: str, options: BridgeOptions) -> None:
        self.network = Network()
        endpoint = f"ipc://{folder}/viewers"
        self.publisher = Publisher(endpoint, "session", 100)
        self.over = False

        def listen(prefixes: Iterable[str], queue: int) -> Subscriber:
            return Subscriber([endpoint], prefixes, queue)

        run = ViewedRun("drive-1", "monday.bag", source_name, MODEL, listen, lambda: self.over)
        self.bridge = Bridge(run, options, self.network, SystemClock())

    def say(self, topic: Topic, message: msgspec.Struct, *, sequence: int = 0, name: str | None = None) -> None:
        self.say_bytes(name or topic.name, topic.encode(message), sequence)

    def say_bytes(self, name: str, data: bytes, sequence: int = 0) -> None:
        self.publisher.publish(Payload(name, sequence, T_NS, UTC_NS, data))

    def until(self, done: Callable[[], object]) -> None:
        """Turn the bridge until something is there."""
        given_up_s = time.monotonic() + 20
        while not done():
            assert time.monotonic() < given_up_s, "it did not come to be"
            self.bridge.step(20)

    def connect(self) -> None:
        """A PUB socket drops what it says before somebody has subscribed: repeat until it is heard."""

        def heard() -> bool:
            self.say(topics.EVENT, event("hello"))
            return bool(self.network.sent["/sightline/events"])

        self.until(heard)

    def close(self) -> None:
        self.bridge.close()
        self.publisher.close()


def event(text: str) -> messages.Event:
    return messages.Event(messages.timestamp(UTC_NS), 2, text, "drive", "test")


def attribution() -> messages.Attribution:
    contract = read_manifest(MODEL).attribution
    assert contract is not None
    rows = tuple((0.01,) * contract.columns for _ in range(contract.rows))
    return messages.Attribution(
        0, T_NS, contract.image, CAMERA, contract.method, contract.target, rows,
        contract.origin_y_px, contract.origin_x_px, contract.stride_y_px, contract.stride_x_px,
        contract.field_y_px, contract.field_x_px,
    )  # fmt: skip


def decision() -> messages.Decision:
    proposal = messages.Proposal(0.1, 0.0)
    return messages.Decision("drive-1/0", 0, T_NS, "shadow", proposal, (), Control(0.1, 0.0), "why")


def shown() -> messages.CompressedImage:
    jpeg = cv2.imencode(".jpg", PICTURE)[1].tobytes()
    return messages.CompressedImage(messages.timestamp(UTC_NS), CAMERA, jpeg, "jpeg", 0)


@pytest.fixture
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    with closing(Bench(tmp_path, getattr(request, "param", "ros2"), BridgeOptions())) as one:
        yield one


def test_a_drive_is_described_at_once_for_who_comes_late(bench: Bench) -> None:
    [told] = bench.network.sent["/sightline/drive"]
    assert isinstance(told, String)
    assert '"drive-1"' in told.data
    assert bench.network.qualities["/sightline/drive"] == STATIC
    assert bench.network.qualities["/sightline/events"] == EVENTS


@pytest.mark.parametrize(
    ("bench", "stamp_ns"),
    [("ros2", T_NS), ("rclpy", T_NS), ("rosbag", T_NS), ("video", UTC_NS), ("", UTC_NS)],
    indirect=["bench"],
)
def test_a_frames_overlay_and_map_carry_its_stamp_where_its_source_speaks_ros(bench: Bench, stamp_ns: int) -> None:
    bench.connect()
    bench.say(topics.ATTRIBUTION, attribution())
    bench.say(topics.DECISION, decision())
    bench.say(topics.PICTURE, shown(), name=f"/camera/{CAMERA}/image")
    bench.until(lambda: bench.network.sent["/sightline/overlay/compressed"])
    [overlay], [grid] = (
        bench.network.sent["/sightline/overlay/compressed"],
        bench.network.sent["/sightline/attribution"],
    )
    assert isinstance(overlay, CompressedImage)
    assert isinstance(grid, Image)
    assert (overlay.header.stamp.ns, grid.header.stamp.ns) == (stamp_ns, stamp_ns)
    assert (overlay.header.frame_id, grid.encoding) == (CAMERA, "32FC1")
    drawn = cv2.imdecode(np.frombuffer(overlay.data, np.uint8), cv2.IMREAD_COLOR)
    assert drawn is not None
    middle = drawn[45, 80].astype(int)
    assert middle[0] > middle[2] + 50, "a map that pulls left everywhere is azure"


def test_without_its_map_the_picture_goes_on_bare(bench: Bench) -> None:
    bench.connect()
    bench.say(topics.PICTURE, shown(), sequence=9, name=f"/camera/{CAMERA}/image")
    bench.until(lambda: bench.network.sent["/sightline/overlay/compressed"])


def test_a_video_is_shown_from_the_first_key_picture_that_is_heard(bench: Bench) -> None:
    encoder = H264Encoder(*PICTURE.shape[:2], quality=25)
    units = [encoder.encode(PICTURE, key=sequence in (0, 2)) for sequence in range(4)]
    bench.connect()
    for sequence in (1, 2, 3):  # the first was said before anybody listened
        video = messages.CompressedVideo(messages.timestamp(UTC_NS), CAMERA, units[sequence], FORMAT, sequence)
        bench.say(topics.VIDEO, video, sequence=sequence, name=f"/camera/{CAMERA}/video")
    bench.say(topics.EVENT, event("all was said"))
    bench.until(lambda: "all was said" in str(bench.network.sent["/sightline/events"][-1]))
    overlays = bench.network.sent["/sightline/overlay/compressed"]
    assert len(overlays) == 2
    for overlay in overlays:
        assert isinstance(overlay, CompressedImage)
        drawn = cv2.imdecode(np.frombuffer(overlay.data, np.uint8), cv2.IMREAD_COLOR)
        assert drawn is not None
        assert abs(drawn[45, 80].astype(int) - PICTURE[45, 80]).max() < 10


def test_what_sets_off_an_incident_and_what_a_process_counts_are_given_on(bench: Bench) -> None:
    bench.connect()
    bench.say(topics.TRIGGER, Trigger("takeover", T_NS, 3, "the driver took over"))
    bench.say(topics.HEALTH, messages.Health("drive", tie(SystemClock()), decided=10, late=2))

    def told() -> bool:
        latest = bench.network.sent["/diagnostics"][-1]
        assert isinstance(latest, DiagnosticArray)
        return len(latest.status) == 2

    bench.until(told)
    latest = bench.network.sent["/diagnostics"][-1]
    assert isinstance(latest, DiagnosticArray)
    assert {one.name: one.level for one in latest.status} == {"sightline: drive": WARN, "sightline: bridge": OK}
    lines = [one for one in bench.network.sent["/sightline/events"] if isinstance(one, Log)]
    assert lines[-1].msg == "the driver took over"


def test_what_cannot_be_given_on_is_counted_and_the_bridge_goes_on(bench: Bench) -> None:
    bench.connect()
    bench.say_bytes(topics.DECISION.name, b"no decision")
    bench.say_bytes(topics.EVENT.name + "/unknown", b"no topic")
    bench.say_bytes(f"/camera/{CAMERA}/image", topics.PICTURE.encode(msgspec.structs.replace(shown(), data=b"no JPEG")))
    before = len(bench.network.sent["/sightline/events"])
    bench.say(topics.EVENT, event("still here"))
    bench.until(lambda: len(bench.network.sent["/sightline/events"]) > before and bench.bridge.refused)
    report = bench.bridge.report()
    assert (report.refused, report.malformed) == (1, 0)
    assert "overlay" not in report.published


def test_a_network_that_refuses_what_it_is_given_ends_no_bridge(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: object, _message: object) -> None:
        raise LinkError("the network takes nothing")

    with monkeypatch.context() as patched:
        patched.setattr(Publication, "publish", refuse)
        bench.bridge.step(0)
    assert bench.bridge.refused == 1, "its diagnostics were due"
    bench.connect()


def test_it_ends_when_the_run_is_over_or_it_is_stopped(bench: Bench) -> None:
    assert bench.bridge.serve(lambda: True).published == {"drive": 1}
    bench.over = True
    assert bench.bridge.serve(lambda: False).published["drive"] == 1
    bench.bridge.close()
    assert bench.network.closed
