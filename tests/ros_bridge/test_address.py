"""What a ROS source's URI says."""

from __future__ import annotations

import re

import pytest

from ros_bridge.address import Address, parse_address
from runtime.contracts.errors import SourceError


def test_a_topic_alone_is_a_shadow_drive_without_a_vehicle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    uri = "ros2://camera/image_raw"
    assert parse_address(uri) == Address(uri, "/camera/image_raw")
    assert parse_address("ros2:///camera/image_raw").topic == "/camera/image_raw"


def test_every_option_is_taken() -> None:
    uri = (
        "ros2://front?state=/odom&state=steering&command=/cmd&stamp=received&frame_id=rear_axle"
        "&domain=7&timeout_s=2.5&max_mib=8&speed_horizon_s=0.5&stop_mps2=2"
    )
    assert parse_address(uri) == Address(
        uri, "/front", ("/odom", "/steering"), "/cmd", "received", "rear_axle", 7, 2.5, 8 * 2**20, 0.5, 2.0
    )


def test_the_domain_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "42")
    assert parse_address("ros2://camera").domain == 42
    assert parse_address("ros2://camera?domain=3").domain == 3
    monkeypatch.setenv("ROS_DOMAIN_ID", "many")
    with pytest.raises(SourceError, match="ROS_DOMAIN_ID is 'many'"):
        parse_address("ros2://camera")


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("ros2://", "the topic is ''"),
        ("ros2://camera/9th", "which is no topic"),
        ("ros2://kam%C3%A9ra", "the topic is 'kaméra', which is no topic"),
        ("ros2://camera?command=/cmd", "no state= tells the speed"),
        (
            "ros2://camera?state=/odom&state=drive&command=/drive/",
            "commands /drive and listens there too: its own orders",
        ),
        ("ros2://camera?state=/odom&stop_mps2=2", "commands nothing, and so no stop either"),
        ("ros2://camera?state=/odom&command=/cmd&stop_mps2=0", "stop_mps2 is '0'; give a number from 0.1 to 20"),
        ("ros2://camera?speed=1", "unknown option 'speed'; known here: state, command"),
        ("ros2://camera?domain=1&domain=2", "gives 'domain' twice"),
        ("ros2://camera?domain=233", "domain is '233'; give a number from 0 to 232"),
        ("ros2://camera?domain=1.5", "domain is '1.5'"),
        ("ros2://camera?timeout_s=nan", "timeout_s is 'nan'"),
        ("ros2://camera?stamp=none", "stamp is 'none'; give header or received"),
        ("ros2://camera?frame_id=a%00b", "frame_id is 'a\\x00b', which no command could carry"),
        ("ros2://camera?frame_id=a\udce4", "frame_id is 'a\\udce4', which no command could carry"),
        ("ros2://camera?state=", "state is ''"),
    ],
)
def test_what_is_wrong_is_named_with_its_value(uri: str, why: str) -> None:
    with pytest.raises(SourceError, match=re.escape(why)):
        parse_address(uri)
