"""Two participants on DDS."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("cyclonedds", reason="cyclonedds is not installed (extra: dds; wheels for x86_64 only)")

from hypothesis import given, settings
from hypothesis import strategies as st

from ros_bridge import cdr
from ros_bridge.dds import DdsTransport, dds_topic_name
from ros_bridge.dds_types import dds_type, dds_type_name, ros_type
from ros_bridge.messages import TOP_LEVEL, Clock, CompressedImage, Header, Image, Message, String, time_of
from ros_bridge.source import open_source
from ros_bridge.transport import SENSOR_DATA, STATIC, SYSTEM_DEFAULT, Quality, Received
from runtime.contracts.errors import LinkError, SourceError
from runtime.contracts.source import Capture, SourceRequest
from tests.ros_bridge.samples import messages
from tests.ros_bridge.test_source import Clock as HostClock

GIVEN_UP_S = 20.0
RELIABLE = Quality(reliable=True, latched=True, depth=100)


@pytest.fixture
def pair(domain: int) -> Iterator[tuple[DdsTransport, DdsTransport]]:
    ours, theirs = DdsTransport(domain), DdsTransport(domain)
    yield ours, theirs
    ours.close()
    theirs.close()


def wait(until: Callable[[], Any]) -> None:
    """Until something is true. Fails after a time that is long for any machine."""
    given_up_s = time.monotonic() + GIVEN_UP_S
    while not until():
        assert time.monotonic() < given_up_s, "it did not come to be"
        time.sleep(0.005)


@pytest.mark.parametrize("kind", TOP_LEVEL, ids=lambda kind: kind.__name__)
def test_every_message_arrives_as_it_was_sent(pair: tuple[DdsTransport, DdsTransport], kind: type[Message]) -> None:
    ours, theirs = pair
    heard: list[Received] = []
    ours.subscribe("/one", kind, RELIABLE, heard.append, 2**20)
    out = theirs.advertise("/one", kind, RELIABLE)
    sent: list[Message] = []

    @given(messages(kind))
    @settings(max_examples=20, deadline=None, database=None)
    def send(message: Message) -> None:
        sent.append(message)
        out.publish(message)

    send()
    wait(lambda: len(heard) >= len(sent))
    assert [one.message for one in heard] == sent
    assert out.listeners() == 1


@given(st.one_of([messages(kind) for kind in TOP_LEVEL]))
@settings(max_examples=100, deadline=None)
def test_our_bytes_are_those_of_cyclonedds_itself(message: Message) -> None:
    assert dds_type(type(message)).__idl__.serialize(_theirs(message), use_version_2=False) == cdr.encode(message)


def _theirs(part: Any) -> Any:
    if isinstance(part, tuple):
        return [_theirs(one) for one in part]
    if not isinstance(part, Message):
        return part
    kind = dds_type(type(part))
    sample = kind.__new__(kind)
    for name in part.__dataclass_fields__:  # type: ignore[attr-defined]
        setattr(sample, name, _theirs(getattr(part, name)))
    return sample


def test_who_comes_late_still_gets_what_is_static(pair: tuple[DdsTransport, DdsTransport]) -> None:
    ours, theirs = pair
    theirs.advertise("/static", String, STATIC).publish(String("said once"))
    theirs.advertise("/passing", String, SYSTEM_DEFAULT).publish(String("said once"))
    heard: dict[str, list[Received]] = {"/static": [], "/passing": []}
    for topic, quality in (("/passing", SYSTEM_DEFAULT), ("/static", STATIC)):
        ours.subscribe(topic, String, quality, heard[topic].append, 1024)
    wait(lambda: heard["/static"])
    assert heard["/static"][0].message == String("said once")
    assert not heard["/passing"]


def test_a_publisher_of_another_type_is_not_heard_and_is_told_of_by_its_type(
    pair: tuple[DdsTransport, DdsTransport], domain: int
) -> None:
    ours, theirs = pair
    other = theirs.advertise("/camera", String, SYSTEM_DEFAULT)
    heard: list[Received] = []
    ours.subscribe("/camera", Image, SENSOR_DATA, heard.append, 2**20)
    wait(lambda: ours.publishers("/camera"))
    assert ours.publishers("/camera") == ("std_msgs/msg/String",)
    other.publish(String("no picture"))
    request = SourceRequest(f"ros2://camera?domain={domain}&timeout_s=0.3", ("front",), None)
    with pytest.raises(SourceError, match="/camera is published as std_msgs/msg/String; one of sensor_msgs/msg/Image"):
        open_source(request)
    assert other.listeners() == 0
    assert not heard


def test_an_oversized_message_is_refused_and_what_follows_is_heard(pair: tuple[DdsTransport, DdsTransport]) -> None:
    ours, theirs = pair
    heard: list[Received] = []
    ours.subscribe("/one", CompressedImage, RELIABLE, heard.append, 10_000)
    out = theirs.advertise("/one", CompressedImage, RELIABLE)
    good = CompressedImage(Header(), "jpeg", b"12345")
    out.publish(CompressedImage(Header(), "jpeg", bytes(20_000)))
    out.publish(good)
    wait(lambda: len(heard) >= 2)
    assert "at most 10000 are taken" in heard[0].refusal
    assert heard[1].message == good


def test_bytes_that_are_no_message_of_the_topics_type_do_not_leave_nor_arrive(
    pair: tuple[DdsTransport, DdsTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = pair
    heard: list[Received] = []
    ours.subscribe("/one", CompressedImage, RELIABLE, heard.append, 10_000)
    out = theirs.advertise("/one", CompressedImage, RELIABLE)
    good = CompressedImage(Header(), "jpeg", b"12345")
    with monkeypatch.context() as patched:
        patched.setattr(cdr, "encode", lambda _: b"\0\1\0\0" + b"\xff" * 64)
        with pytest.raises(LinkError, match="DDS did not take a sensor_msgs/msg/CompressedImage"):
            out.publish(good)
    with monkeypatch.context() as patched:  # right for DDS, with something behind it: another version of the type
        whole = cdr.encode(good)
        patched.setattr(cdr, "encode", lambda _: whole + bytes(8))
        out.publish(good)
    out.publish(good)
    wait(lambda: heard and heard[-1].message == good)
    assert len(heard) == 2
    assert "are left over" in heard[0].refusal


def test_what_came_while_the_process_stood_still_is_refused_and_what_follows_is_heard(domain: int) -> None:
    clock = HostClock()
    ours, theirs = DdsTransport(domain, clock=clock), DdsTransport(domain)
    heard: list[Received] = []

    def hear(received: Received) -> None:
        heard.append(received)
        if received.message == String("stop"):
            clock.sleep(6.0)

    ours.subscribe("/one", String, RELIABLE, hear, 1024)
    out = theirs.advertise("/one", String, RELIABLE)
    for text in ("stop", "meanwhile"):
        out.publish(String(text))
    wait(lambda: len(heard) == 2)
    assert heard[0].message == String("stop")
    assert heard[1].message is None
    assert "the process stood still for 6.0 s" in heard[1].refusal
    clock.sleep(0.5)
    out.publish(String("now"))
    wait(lambda: len(heard) == 3)
    assert heard[2].message == String("now")
    ours.close()
    theirs.close()


def test_a_ros2_uri_opens_a_camera_of_another_participant(domain: int) -> None:
    camera = DdsTransport(domain)
    out = camera.advertise("/camera/image_raw", Image, SYSTEM_DEFAULT)
    source = open_source(SourceRequest(f"ros2://camera/image_raw?domain={domain}", ("front",), None))
    wait(out.listeners)
    out.publish(Image(Header(time_of(5)), 2, 2, "bgr8", 0, 6, bytes(range(12))))
    item = source.read()
    assert isinstance(item, Capture)
    assert (item.t_source_ns, item.pictures["front"].ravel().tolist()) == (5, list(range(12)))
    source.close()
    camera.close()


def test_simulated_time_is_that_of_the_clock_topic(domain: int) -> None:
    simulator, ours = DdsTransport(domain), DdsTransport(domain, sim_time=True)
    assert ours.now_ns() == 0
    ticking = simulator.advertise("/clock", Clock, SYSTEM_DEFAULT)

    def tick() -> int:
        ticking.publish(Clock(time_of(2_500_000_000)))
        return ours.now_ns()

    wait(tick)
    assert ours.now_ns() == 2_500_000_000
    assert abs(simulator.now_ns() - time.time_ns()) < 60_000_000_000
    ours.close()
    simulator.close()


def test_names_are_those_that_ros_gives_its_topics_and_types_on_dds() -> None:
    assert dds_topic_name("/camera/image_raw") == "rt/camera/image_raw"
    assert dds_type_name("sensor_msgs/msg/Image") == "sensor_msgs::msg::dds_::Image_"
    assert ros_type("sensor_msgs::msg::dds_::Image_") == "sensor_msgs/msg/Image"
    assert ros_type("Foreign::Thing") == "Foreign::Thing"


@pytest.mark.parametrize("topic", ["camera", "/", "/9th", "/a//b", "/a b", "/a/", "/ä"])
def test_a_name_that_ros_does_not_allow_is_refused(pair: tuple[DdsTransport, DdsTransport], topic: str) -> None:
    with pytest.raises(LinkError, match="no full name of a ROS topic"):
        pair[0].advertise(topic, String, SYSTEM_DEFAULT)
    with pytest.raises(LinkError, match="no full name of a ROS topic"):
        pair[0].subscribe(topic, String, SYSTEM_DEFAULT, lambda _: None, 1024)


def test_a_message_of_another_type_is_not_published(pair: tuple[DdsTransport, DdsTransport]) -> None:
    out = pair[0].advertise("/one", String, SYSTEM_DEFAULT)
    with pytest.raises(LinkError, match="/one carries std_msgs/msg/String, and was given Clock"):
        out.publish(Clock(time_of(0)))


def test_who_has_left_is_not_there_any_more_and_publishes_nothing(pair: tuple[DdsTransport, DdsTransport]) -> None:
    ours, theirs = pair
    out = theirs.advertise("/leaving", String, SYSTEM_DEFAULT)
    wait(lambda: ours.publishers("/leaving"))
    theirs.close()
    wait(lambda: not ours.publishers("/leaving"))
    assert out.listeners() == 0
    with pytest.raises(LinkError, match="the network was left"):
        out.publish(String("too late"))
