"""Bags of ROS 1 and ROS 2, written by rosbags."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="rosbags is not installed (extra: ros)")

from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_typestore

from ros_bridge.bag import BagSource
from runtime.contracts.errors import SourceError
from runtime.contracts.source import Capture, Missing, SourceRequest
from runtime.contracts.units import NS_PER_S
from runtime.contracts.vehicle import Command, Control
from runtime.sources.open import open_source

RECORDED_NS = 1_700_000_000 * NS_PER_S


def stamped(types: dict[str, Any], t_ns: int, *, ros1: bool) -> Any:
    time = types["builtin_interfaces/msg/Time"](t_ns // NS_PER_S, t_ns % NS_PER_S)
    return types["std_msgs/msg/Header"](*((0,) if ros1 else ()), time, "lens")


def contents(types: dict[str, Any], *, ros1: bool, vehicle_is_stamped: bool = True) -> list[tuple[str, int, Any]]:
    """Three pictures a second apart and five odometries half a second apart, by topic and recorded time."""
    found: list[tuple[str, int, Any]] = []
    for number in range(3):
        header = stamped(types, (10 + number) * NS_PER_S, ros1=ros1)
        data = np.full(24, number, np.uint8)
        picture = types["sensor_msgs/msg/Image"](header, 2, 4, "bgr8", 0, 12, data)
        found.append(("/camera/image_raw", RECORDED_NS + number * NS_PER_S, picture))
    vector, quaternion = types["geometry_msgs/msg/Vector3"], types["geometry_msgs/msg/Quaternion"]
    pose = types["geometry_msgs/msg/PoseWithCovariance"](
        types["geometry_msgs/msg/Pose"](
            types["geometry_msgs/msg/Point"](0.0, 0.0, 0.0), quaternion(0.0, 0.0, 0.0, 1.0)
        ),
        np.zeros(36),
    )
    for number in range(5):
        twist = types["geometry_msgs/msg/Twist"](vector(float(number), 0.0, 0.0), vector(0.0, 0.0, 0.1))
        odometry = types["nav_msgs/msg/Odometry"](
            stamped(types, (10 * NS_PER_S + number * NS_PER_S // 2) * vehicle_is_stamped, ros1=ros1),
            "base_link",
            pose,
            types["geometry_msgs/msg/TwistWithCovariance"](twist, np.zeros(36)),
        )
        found.append(("/odom", RECORDED_NS + number * NS_PER_S // 2, odometry))
    return sorted(found, key=lambda one: one[1])


def rosbag1(folder: Path) -> Path:
    store = get_typestore(Stores.ROS1_NOETIC)
    path = folder / "drive.bag"
    with Writer1(path) as writer:
        connections: dict[str, Any] = {}
        for topic, t_ns, message in contents(dict(store.types), ros1=True):
            kind = message.__msgtype__
            connection = connections.get(topic) or writer.add_connection(topic, kind, typestore=store)
            connections[topic] = connection
            writer.write(connection, t_ns, store.serialize_ros1(message, kind))
    return path


def rosbag2(storage: StoragePlugin, *, vehicle_is_stamped: bool = True) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        store = get_typestore(Stores.ROS2_HUMBLE)
        path = folder / "drive"
        with Writer2(path, version=9, storage_plugin=storage) as writer:
            connections: dict[str, Any] = {}
            for topic, t_ns, message in contents(dict(store.types), ros1=False, vehicle_is_stamped=vehicle_is_stamped):
                kind = message.__msgtype__
                connection = connections.get(topic) or writer.add_connection(topic, kind, typestore=store)
                connections[topic] = connection
                writer.write(connection, t_ns, store.serialize_cdr(message, kind))
        return path

    return write


KINDS = {"rosbag1": rosbag1, "sqlite3": rosbag2(StoragePlugin.SQLITE3), "mcap": rosbag2(StoragePlugin.MCAP)}


def opened(uri: str) -> BagSource:
    source = open_source(SourceRequest(uri, ("front",), None))
    assert isinstance(source, BagSource)
    return source


@pytest.mark.parametrize("kind", KINDS)
def test_a_bag_is_a_source_of_its_pictures_and_a_log_of_its_vehicle(tmp_path: Path, kind: str) -> None:
    source = opened(str(KINDS[kind](tmp_path)))
    items = [source.read() for _ in range(4)]
    assert items.pop() is None
    for number, item in enumerate(items):
        assert isinstance(item, Capture)
        assert (item.sequence, item.t_source_ns) == (number, (10 + number) * NS_PER_S)
        assert (item.pictures["front"] == number).all()
    assert (source.clock_domain, source.expected_captures) == ("file", 3)
    vehicle = source.vehicle
    assert vehicle is not None
    assert not vehicle.obeys
    assert vehicle.state(10 * NS_PER_S - 1).speed_mps is None
    speed = vehicle.state(11 * NS_PER_S + 1).speed_mps
    assert speed is not None
    assert (speed.value, speed.t_source_ns) == (2.0, 11 * NS_PER_S)
    with pytest.raises(SourceError, match="cannot obey"):
        vehicle.apply(Command("drive/0", 0, Control(0.0, 0.0)))
    source.close()
    assert source.read() is None


def test_times_of_recording_are_taken_where_asked_for(tmp_path: Path) -> None:
    source = opened(f"rosbag://{rosbag1(tmp_path)}?stamp=received&image=/camera/image_raw&state=/odom")
    item = source.read()
    assert isinstance(item, Capture)
    assert item.t_source_ns == RECORDED_NS


def test_a_logged_speed_whose_driver_set_no_stamp_is_none_and_not_that_of_the_bags_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = rosbag2(StoragePlugin.MCAP, vehicle_is_stamped=False)(tmp_path)
    source = opened(str(bag))
    assert source.vehicle is not None
    assert source.vehicle.state(10 * NS_PER_S).speed_mps is None
    source.close()
    told = capsys.readouterr().err
    assert "5 messages of the vehicle were refused" in told
    assert "stamp=received" in told
    vehicle = opened(f"rosbag://{bag}?stamp=received").vehicle
    assert vehicle is not None
    speed = vehicle.state(RECORDED_NS + NS_PER_S).speed_mps
    assert speed is not None
    assert (speed.value, speed.t_source_ns) == (2.0, RECORDED_NS + NS_PER_S)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("image=/camera/left", r"no /camera/left of these types.*it has /camera/image_raw \(sensor_msgs/msg/Image\)"),
        ("state=/camera/image_raw", r"no /camera/image_raw of these types.*it has /odom \(nav_msgs/msg/Odometry\)"),
        ("speed=1", "speed='1' is no option; known here: image=TOPIC"),
        ("stamp=none", "stamp='none' is no option"),
    ],
)
def test_what_a_bag_does_not_have_is_named_with_what_it_has(tmp_path: Path, options: str, why: str) -> None:
    with pytest.raises(SourceError, match=why):
        opened(f"rosbag://{rosbag1(tmp_path)}?{options}")


def test_a_file_that_is_no_bag_and_one_that_is_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.bag").write_bytes(b"#ROSBAG V2.0\n" + bytes(100))
    with pytest.raises(SourceError, match=r"a\.bag cannot be read"):
        opened(str(tmp_path / "a.bag"))
    with pytest.raises(SourceError, match="no such file or folder"):
        opened("rosbag://nowhere.bag")


@pytest.mark.parametrize("kind", KINDS)
def test_a_bag_that_is_cut_anywhere_is_refused_or_read_as_far_as_it_goes(tmp_path: Path, kind: str) -> None:
    path = KINDS[kind](tmp_path)
    file = path if path.is_file() else next(one for one in path.iterdir() if one.suffix in (".db3", ".mcap"))
    whole = file.read_bytes()
    for cut in range(0, len(whole), max(1, len(whole) // 40)):
        file.write_bytes(whole[:cut])
        try:
            source = opened(str(path))
            while isinstance(item := source.read(), Capture | Missing):
                assert item.sequence < 3
            source.close()
        except SourceError:
            continue
