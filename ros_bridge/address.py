"""What a ROS source's URI says: `ros2://camera/image_raw?state=/odom&command=/ackermann_cmd`."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from ros_bridge import cdr
from ros_bridge.messages import Header
from ros_bridge.stamp import Stamp
from runtime.contracts.errors import SourceError

_NUMBERS = {  # key: least, most
    "domain": (0.0, 232.0),
    "timeout_s": (0.1, 3600.0),
    "max_mib": (1.0, 1024.0),
    "speed_horizon_s": (0.05, 10.0),
    "stop_mps2": (0.1, 20.0),
}
_KEYS = ("state", "command", "stamp", "frame_id", *_NUMBERS)


@dataclass(frozen=True, slots=True)
class Address:
    """A camera's topic and what goes with it.

    `states` are topics that tell of the vehicle; without one its speed is assumed. `command` is where commands go;
    without it the drive is a shadow drive and nothing is commanded. `stamp`: whether a message's time is its own or
    that of its arrival. `speed_horizon_s`: see `ros_bridge.vehicle.command_message`.
    `stop_mps2`: the deceleration at which the vehicle is ordered to stand when the drive ends; None: no such order.
    """

    uri: str
    topic: str
    states: tuple[str, ...] = ()
    command: str | None = None
    stamp: Stamp = "header"
    frame_id: str = "base_link"
    domain: int = 0
    timeout_s: float = 10.0
    max_bytes: int = 64 * 2**20
    speed_horizon_s: float = 1.0
    stop_mps2: float | None = None


def parse_address(uri: str) -> Address:
    """The address in `SCHEME://TOPIC?KEY=VALUE&…`. Raises SourceError naming the key, its value and what is allowed."""
    _, _, rest = uri.partition("://")
    place, _, query = rest.partition("?")
    topic = _topic(unquote(place), uri, "the topic")
    states: list[str] = []
    given: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in _KEYS:
            raise SourceError(f"source {uri!r}: unknown option {key!r}; known here: {', '.join(_KEYS)}")
        if key == "state":
            states.append(_topic(value, uri, key))
        elif key in given:
            raise SourceError(f"source {uri!r} gives {key!r} twice; give it once")
        else:
            given[key] = value
    stamp: Stamp = "received" if given.get("stamp") == "received" else "header"
    if given.get("stamp", stamp) != stamp:
        raise SourceError(f"source {uri!r}: stamp is {given['stamp']!r}; give header or received")
    command = _topic(given["command"], uri, "command") if "command" in given else None
    if command is not None and not states:
        raise SourceError(f"source {uri!r} commands {command}, and no state= tells the speed; add state=/odom")
    if command in states:
        raise SourceError(
            f"source {uri!r} commands {command} and listens there too: its own orders would be taken for what was "
            "measured; name the odometry as state="
        )
    if "stop_mps2" in given and command is None:
        raise SourceError(
            f"source {uri!r} commands nothing, and so no stop either; leave out stop_mps2, or add command="
        )
    return Address(
        uri=uri,
        topic=topic,
        states=tuple(states),
        command=command,
        stamp=stamp,
        frame_id=_frame_id(given.get("frame_id", "base_link"), uri),
        domain=int(_number(given, "domain", float(domain_of_environment()), uri)),
        timeout_s=_number(given, "timeout_s", 10.0, uri),
        max_bytes=round(_number(given, "max_mib", 64.0, uri) * 2**20),
        speed_horizon_s=_number(given, "speed_horizon_s", 1.0, uri),
        stop_mps2=_number(given, "stop_mps2", 0.0, uri) if "stop_mps2" in given else None,
    )


def domain_of_environment() -> int:
    """ROS_DOMAIN_ID, 0 where it is not set. Raises SourceError where it is no number that DDS has ports for."""
    text = os.environ.get("ROS_DOMAIN_ID", "") or "0"
    if not (text.isdecimal() and int(text) <= 232):
        raise SourceError(f"ROS_DOMAIN_ID is {text!r}; set it to a whole number from 0 to 232")
    return int(text)


def _topic(text: str, uri: str, what: str) -> str:
    topic = f"/{text.strip('/')}"
    if (
        topic == "/"
        or not topic.isascii()
        or any(not part.replace("_", "a").isalnum() or part[0].isdecimal() for part in topic[1:].split("/"))
    ):
        raise SourceError(f"source {uri!r}: {what} is {text!r}, which is no topic; write it like /camera/image_raw")
    return topic


def _frame_id(text: str, uri: str) -> str:
    try:
        cdr.encode(Header(frame_id=text))
    except SourceError as error:
        raise SourceError(f"source {uri!r}: frame_id is {text!r}, which no command could carry: {error}") from error
    return text


def _number(given: dict[str, str], key: str, default: float, uri: str) -> float:
    if key not in given:
        return default
    least, most = _NUMBERS[key]
    try:
        value = float(given[key])
    except ValueError:
        value = math.nan
    if not least <= value <= most or (key == "domain" and not value.is_integer()):
        raise SourceError(f"source {uri!r}: {key} is {given[key]!r}; give a number from {least:g} to {most:g}")
    return value
