"""What the bridge needs of a ROS 2 network, whoever carries it: DDS (`ros_bridge.dds`) or rclpy (colcon's package)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ros_bridge.messages import M, Message


@dataclass(frozen=True, slots=True)
class Quality:
    """A topic's quality of service, by ROS's words. History is always keep-last, `depth` messages."""

    reliable: bool
    latched: bool  # transient local: who comes late gets the last ones
    depth: int


SENSOR_DATA = Quality(reliable=False, latched=False, depth=5)
"""SensorDataQoS: what cameras and odometry are listened to with; it takes from reliable and best-effort publishers."""
SYSTEM_DEFAULT = Quality(reliable=True, latched=False, depth=10)
"""What is published: it reaches reliable and best-effort listeners (REP 2003)."""
COMMAND = Quality(reliable=True, latched=False, depth=1)
"""Only the newest command counts."""
STATIC = Quality(reliable=True, latched=True, depth=1)
"""What is said once, as maps and /tf_static are: transient local."""
EVENTS = Quality(reliable=True, latched=True, depth=100)
"""As /rosout: who opens a console later still sees the last lines."""


@dataclass(frozen=True, slots=True)
class Received:
    """What came in on a topic, as bytes that are taken apart by whoever needs them, or as a message already.

    `lost` counts those that the network told of and did not deliver, since the one before.
    """

    message: Message | None  # None: refused
    refusal: str  # "" where there is a message
    t_received_ns: int  # UTC
    lost: int = 0


class Publication(Protocol):
    """A topic that is written to."""

    def listeners(self) -> int:
        """How many listen now: what costs much is not made for nobody."""
        ...

    def publish(self, message: Message) -> None:
        """Send; returns at once. Raises LinkError where the middleware refuses, SourceError on an impossible value."""
        ...


class Transport(Protocol):
    """A participant in a ROS 2 network. Callbacks come from one thread of the transport's own."""

    def subscribe(
        self, topic: str, kind: type[M], quality: Quality, on_received: Callable[[Received], None], max_bytes: int
    ) -> None:
        """Listen on a topic for messages of `kind`. Those larger than `max_bytes`, or that are none, come as refusals.

        Raises LinkError where the topic's name is none that ROS allows.
        """
        ...

    def advertise(self, topic: str, kind: type[Message], quality: Quality) -> Publication:
        """Write to a topic. Raises LinkError as `subscribe`."""
        ...

    def publishers(self, topic: str) -> tuple[str, ...]:
        """The message types under which others publish on a topic now (`sensor_msgs/msg/Image`), sorted."""
        ...

    def now_ns(self) -> int:
        """The ROS clock: UTC, or the simulation's time where that was asked for (0 before the first /clock)."""
        ...

    def close(self) -> None:
        """Leave the network. Idempotent."""
        ...
