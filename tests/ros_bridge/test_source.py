"""A camera's topic as a source."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from ros_bridge.address import parse_address
from ros_bridge.messages import (
    AckermannDriveStamped,
    CompressedImage,
    Header,
    Image,
    Message,
    Odometry,
    PoseWithCovariance,
    Twist,
    TwistWithCovariance,
    Vector3,
    time_of,
)
from ros_bridge.source import RosSource
from ros_bridge.transport import COMMAND, SENSOR_DATA
from runtime.contracts.errors import SourceError
from runtime.contracts.source import Capture, Interruptible, Missing, SourceRequest, pacing_of
from runtime.contracts.units import NS_PER_S
from runtime.contracts.vehicle import Command, Control
from tests.ros_bridge.network import T_RECEIVED_NS, Network

CAMERA = "/camera/image_raw"


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now_ns = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    def utc_ns(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * NS_PER_S)


def opened(
    network: Network,
    uri: str,
    *,
    cameras: tuple[str, ...] = ("front",),
    meanwhile: Callable[[], None] | None = None,
    clock: Clock | None = None,
) -> RosSource:
    """The source of a URI; `meanwhile` happens while it waits."""
    clock = clock or Clock()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if meanwhile is not None:
            meanwhile()

    return RosSource.opened(SourceRequest(uri, cameras, None), parse_address(uri), network, clock, sleep)


def camera(types: tuple[str, ...] = (Image.ROS_TYPE,)) -> Network:
    network = Network()
    network.types = {CAMERA: types, "/odom": (Odometry.ROS_TYPE,)}
    return network


def image(t_ns: int, *, width: int = 4, value: int = 7, encoding: str = "bgr8") -> Image:
    return Image(Header(time_of(t_ns), "lens"), 2, width, encoding, 0, width * 3, bytes([value]) * (width * 6))


def odometry(t_ns: int, speed_mps: float) -> Odometry:
    twist = TwistWithCovariance(Twist(Vector3(speed_mps)))
    return Odometry(Header(time_of(t_ns)), "base_link", PoseWithCovariance(), twist)


def read(source: RosSource) -> Capture | Missing:
    item = source.read()
    assert item is not None
    return item


def test_pictures_come_with_their_own_times_and_consecutive_sequences() -> None:
    network = camera()
    source = opened(network, "ros2://camera/image_raw")
    for number in (1, 2):
        network.say(CAMERA, image(number * NS_PER_S, value=number))
    for number in (1, 2):
        item = read(source)
        assert isinstance(item, Capture)
        assert (item.sequence, item.t_source_ns) == (number - 1, number * NS_PER_S)
        assert np.array_equal(item.pictures["front"], np.full((2, 4, 3), number, np.uint8))
    assert network.qualities[CAMERA] == SENSOR_DATA
    assert source.vehicle is None
    assert pacing_of(source, None) == "real-time"


def test_with_stamp_received_the_arrival_is_the_time() -> None:
    network = camera()
    source = opened(network, "ros2://camera/image_raw?stamp=received")
    network.say(CAMERA, image(0))
    assert read(source).t_source_ns == T_RECEIVED_NS


@pytest.mark.parametrize("kind", [Image, CompressedImage])
def test_the_type_is_found_out_from_who_publishes_even_where_that_takes_a_while(kind: type[Message]) -> None:
    network = camera(())
    waits: list[None] = []

    def meanwhile() -> None:
        waits.append(None)
        if len(waits) == 3:
            network.types[CAMERA] = (kind.ROS_TYPE,)

    opened(network, "ros2://camera/image_raw", meanwhile=meanwhile)
    assert len(waits) == 3


@pytest.mark.parametrize(
    ("uri", "types", "why"),
    [
        ("ros2://camera/image_raw?timeout_s=1", (), "nobody publishes /camera/image_raw on domain .*waited 1 s"),
        (
            "ros2://camera/image_raw",
            ("sensor_msgs/msg/PointCloud2",),
            "/camera/image_raw is published as sensor_msgs/msg/PointCloud2; one of sensor_msgs/msg/Image or",
        ),
        ("ros2://camera/image_raw?state=/scan", (Image.ROS_TYPE,), "nobody publishes /scan"),
    ],
)
def test_a_topic_of_another_type_or_of_nobody_is_refused_and_the_network_is_left(
    uri: str, types: tuple[str, ...], why: str
) -> None:
    network = camera(types)
    with pytest.raises(SourceError, match=why):
        opened(network, uri)
    assert network.closed


def test_a_model_of_two_cameras_is_refused() -> None:
    with pytest.raises(SourceError, match="one camera and was asked for 2"):
        opened(camera(), "ros2://camera/image_raw", cameras=("left", "right"))


def test_without_a_command_topic_it_is_a_shadow_drive_and_none_is_opened() -> None:
    network = camera()
    source = opened(network, "ros2://camera/image_raw?state=/odom")
    network.say("/odom", odometry(NS_PER_S, 3.0))
    assert source.vehicle is not None
    assert not source.vehicle.obeys
    speed = source.vehicle.state(NS_PER_S).speed_mps
    assert speed is not None
    assert (speed.value, speed.t_source_ns) == (3.0, NS_PER_S)
    assert network.advertised == {}


def test_with_a_command_topic_commands_go_there() -> None:
    network = camera()
    source = opened(network, "ros2://camera/image_raw?state=/odom&command=/cmd")
    network.say("/odom", odometry(NS_PER_S, 3.0))
    assert source.vehicle is not None
    assert source.vehicle.obeys
    source.vehicle.state(NS_PER_S)
    source.vehicle.apply(Command("drive/0", NS_PER_S, Control(0.25, 1.0)))
    [message] = network.sent["/cmd"]
    assert isinstance(message, AckermannDriveStamped)
    assert (message.drive.steering_angle, message.drive.speed, message.drive.acceleration) == (0.25, 4.0, 1.0)
    assert network.qualities["/cmd"] == COMMAND


def test_what_is_no_picture_is_missing_in_its_place_with_the_reason() -> None:
    network = camera()
    source = opened(network, "ros2://camera/image_raw?max_mib=1")
    network.say(CAMERA, image(1 * NS_PER_S))
    network.say(CAMERA, image(2 * NS_PER_S, encoding="mono16"))
    network.say(CAMERA, b"\0\1\0\0 no picture")
    network.say(CAMERA, bytes(2**20 + 1))
    network.say(CAMERA, image(3 * NS_PER_S, width=5))
    assert isinstance(read(source), Capture)
    for number, why in enumerate(
        ("encoding 'mono16'", "this is no sensor_msgs/msg/Image", "at most 1048576 are taken", "it is 5 x 2 pixels"), 1
    ):
        item = read(source)
        assert isinstance(item, Missing)
        assert (item.sequence, item.t_source_ns) == (number, NS_PER_S)
        assert why in item.reasons["front"]


def test_what_comes_before_the_first_picture_is_told_at_its_time() -> None:
    network = camera()
    source = opened(network, "ros2://camera/image_raw")
    network.say(CAMERA, image(0))
    network.say(CAMERA, image(5 * NS_PER_S))
    first, second = read(source), read(source)
    assert isinstance(first, Missing)
    assert "stamp=received" in first.reasons["front"]
    assert [(one.sequence, one.t_source_ns) for one in (first, second)] == [(0, 5 * NS_PER_S), (1, 5 * NS_PER_S)]


def test_a_camera_without_one_good_picture_ends_the_drive_with_the_reason() -> None:
    network = camera()
    source = opened(network, "ros2://camera/image_raw")
    for _ in range(50):
        network.say(CAMERA, b"\0\1\0\0")
    with pytest.raises(
        SourceError, match=r"50 messages came and none is a picture: .*this is no sensor_msgs/msg/Image"
    ):
        source.read()


def test_what_the_network_lost_and_what_nobody_read_in_time_is_missing() -> None:
    network = camera()
    source = opened(network, "ros2://camera/image_raw")
    network.say(CAMERA, image(1 * NS_PER_S))
    assert isinstance(read(source), Capture)
    network.say(CAMERA, image(2 * NS_PER_S), lost=2)
    for number in range(3, 8):
        network.say(CAMERA, image(number * NS_PER_S))
    items = [read(source) for _ in range(8)]
    assert [item.sequence for item in items] == list(range(1, 9))
    missing = [item.reasons["front"] for item in items if isinstance(item, Missing)]
    assert [why.partition(":")[0] for why in missing] == ["lost on the network, which told so"] * 2 + [
        "overtaken by newer pictures"
    ]
    assert items[-1].t_source_ns == 7 * NS_PER_S


def test_a_picture_that_lay_here_while_the_process_stood_still_is_not_decided_upon() -> None:
    network, clock = camera(), Clock()
    source = opened(network, "ros2://camera/image_raw", clock=clock)
    network.say(CAMERA, image(1 * NS_PER_S))
    clock.sleep(6.0)
    network.say(CAMERA, image(2 * NS_PER_S))
    old, new = read(source), read(source)
    assert isinstance(old, Missing)
    assert (old.sequence, old.t_source_ns, old.reasons["front"]) == (
        *(0, 1 * NS_PER_S),
        "it lay here for 6.0 s until it was decoded",
    )
    assert isinstance(new, Capture)
    assert new.sequence == 1


def test_a_time_that_stands_still_or_goes_back_a_little_is_missing_and_one_that_begins_anew_ends_the_drive() -> None:
    network = camera()
    source = opened(network, "ros2://camera/image_raw")
    for t_ns in (9 * NS_PER_S, 9 * NS_PER_S, 9 * NS_PER_S - 40_000_000, NS_PER_S):
        network.say(CAMERA, image(t_ns))
    assert isinstance(read(source), Capture)
    for why in ("its time stands still", "its time goes back by 40 ms"):
        item = read(source)
        assert isinstance(item, Missing)
        assert why in item.reasons["front"]
    with pytest.raises(SourceError, match=r"went back by 8\.0 s.*start a new drive"):
        source.read()


def test_a_silent_camera_ends_the_drive_and_a_closed_one_gives_nothing() -> None:
    network = camera()
    source = opened(network, "ros2://camera/image_raw?timeout_s=0.1")
    with pytest.raises(SourceError, match=r"was silent for 0\.1 s"):
        source.read()
    source.close()
    assert source.read() is None
    assert network.closed


def test_whoever_stops_a_drive_does_not_wait_for_a_silent_camera() -> None:
    network = camera()
    source = opened(network, "ros2://camera/image_raw?timeout_s=3600")
    assert isinstance(source, Interruptible)
    told: list[Capture | Missing | None] = []
    reader = threading.Thread(target=lambda: told.append(source.read()), daemon=True)
    reader.start()
    source.interrupt()
    reader.join(20)
    assert told == [None]
    network.say(CAMERA, image(NS_PER_S))
    assert source.read() is None


@pytest.mark.parametrize(("options", "refused"), [("", 1), ("&stamp=received", 0)])
def test_a_speed_whose_driver_sets_no_stamp_is_none_unless_its_arrival_is_taken(options: str, refused: int) -> None:
    network = camera()
    source = opened(network, f"ros2://camera/image_raw?state=/odom{options}")
    network.say("/odom", odometry(0, 3.0))
    assert source.vehicle is not None
    assert (source.vehicle.state(T_RECEIVED_NS).speed_mps is None) == bool(refused)
    assert source.vehicle.states.refused == refused
    assert ("stamp=received" in source.vehicle.states.refusal) == bool(refused)


def test_refused_messages_of_the_vehicle_are_counted_and_told_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    network = camera()
    source = opened(network, "ros2://camera/image_raw?state=/odom")
    network.say("/odom", b"\0\1\0\0 nonsense")
    network.say("/odom", bytes(2**16 + 1))
    network.say("/odom", odometry(NS_PER_S, 3.0))
    assert source.vehicle is not None
    assert source.vehicle.states.refused == 2
    assert source.vehicle.state(NS_PER_S).speed_mps is not None
    source.close()
    source.close()
    told = capsys.readouterr().err
    assert (
        told.count("2 messages of the vehicle were refused, the last since a nav_msgs/msg/Odometry of 65537 bytes") == 1
    )
