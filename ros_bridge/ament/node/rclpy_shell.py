"""The shell around the bridge's converters where ROS is installed: rclpy carries, everything else is `ros_bridge`'s.

Messages cross rclpy as bytes both ways (`raw=True`, `publish(bytes)`; in rclpy from Foxy on): they are taken apart by
the same code, with the same bounds, as over DDS, and a picture is never turned into a list of numbers. For that the
middleware's serialisation has to be CDR, as it is of every rmw that ROS ships.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

import rclpy
from rclpy.duration import Duration
from rclpy.exceptions import NameValidationException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions

from ros_bridge import cdr
from ros_bridge.address import parse_address
from ros_bridge.bridge import Bridge
from ros_bridge.messages import M, Message
from ros_bridge.source import RosSource
from ros_bridge.standstill import Standstill
from ros_bridge.transport import Publication, Quality, Received
from runtime.bus.viewed import BridgeOptions, BridgeReport, ViewedRun
from runtime.contracts.clock import Clock, SystemClock
from runtime.contracts.errors import LinkError, SourceError
from runtime.contracts.source import SourceRequest

check_address = parse_address  # see `runtime.sources.open`
PARAMETERS: dict[str, Any] = {"run": "", "wait_s": 60.0, "space": "sightline", "frame_id": ""}
"""The node's parameters and their defaults; `use_sim_time` is every node's."""

_IDLE_S = 0.1  # how long the receiving thread may sleep beyond `close`
_HANG_S = 2.0
_ACKNOWLEDGED_S = 1.0  # how long `close` waits for listeners: one that is gone and not yet missed never answers


def main() -> int:
    """The node: read its parameters, and do what `sightline bridge --over rclpy` does. A `space` without a slash before
    it lies in the node's namespace, as every relative name of ROS does.
    """
    import sightline

    rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    asking = rclpy.create_node("sightline_bridge")
    told = {name: asking.declare_parameter(name, default).value for name, default in PARAMETERS.items()}
    sim_time = bool(asking.get_parameter("use_sim_time").value)
    space = told["space"] if told["space"].startswith("/") else f"{asking.get_namespace()}/{told['space']}"
    asking.destroy_node()
    arguments = ["bridge", "--over", "rclpy", "--wait-s", str(told["wait_s"]), "--namespace", space.strip("/")]
    arguments += ["--run", told["run"]] if told["run"] else []
    arguments += ["--frame-id", told["frame_id"]] if told["frame_id"] else []
    arguments += ["--sim-time"] if sim_time else []
    sys.argv = ["sightline", *arguments]
    return sightline.main()


def bridge(run: ViewedRun, options: BridgeOptions, stopped: Callable[[], bool]) -> BridgeReport:
    """See the entry points `sightline.bridges`. Raises LinkError where ROS cannot be reached."""
    transport = RclpyTransport("sightline_bridge", options.domain, sim_time=options.sim_time)
    one = Bridge(run, options, transport, SystemClock())
    try:
        return one.serve(lambda: stopped() or not rclpy.ok())
    finally:
        one.close()


def open_source(request: SourceRequest) -> RosSource:
    """See the entry points `sightline.sources`: `rclpy://TOPIC`, with the options of `ros2://`."""
    address = parse_address(request.uri)
    transport = RclpyTransport("sightline_drive", address.domain)
    return RosSource.opened(request, address, transport, SystemClock(), time.sleep)


class RclpyTransport:
    """See `ros_bridge.transport.Transport`. A node of its own with its own thread; it touches no signal handler.

    Args:
        name: of the node.
        domain: None: as the environment says, or as ROS was begun with in this process.
        sim_time: `now_ns` follows /clock.
        clock: tells when this process stood still.

    Raises LinkError where rclpy does not start.
    """

    def __init__(
        self, name: str, domain: int | None = None, *, sim_time: bool = False, clock: Clock | None = None
    ) -> None:
        try:
            if not rclpy.ok():
                rclpy.init(domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)
            overrides = [Parameter("use_sim_time", value=True)] if sim_time else []
            self._node = rclpy.create_node(name, parameter_overrides=overrides)
        except Exception as error:  # rclpy has exceptions of its own for each step
            raise LinkError(f"the node {name} cannot be made: {error}; is ROS set up in this shell?") from error
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._publishers: list[Any] = []
        self._closed = threading.Event()
        self._standstill = Standstill(clock or SystemClock())
        self._thread = threading.Thread(target=self._spin, name="rclpy", daemon=True)
        self._thread.start()

    def subscribe(
        self, topic: str, kind: type[M], quality: Quality, on_received: Callable[[Received], None], max_bytes: int
    ) -> None:
        """See Transport."""

        def take(data: bytes) -> None:
            now_ns, message, refusal = time.time_ns(), None, self._standstill.step()
            if not refusal:
                try:
                    message = cdr.decode(kind, data, max_bytes=max_bytes)
                except SourceError as error:
                    refusal = str(error)
            on_received(Received(message, refusal, now_ns))

        with _told(f"{topic} cannot be listened to"):
            self._node.create_subscription(message_class(kind), topic, take, profile_of(quality), raw=True)

    def advertise(self, topic: str, kind: type[Message], quality: Quality) -> Publication:
        """See Transport."""
        with _told(f"{topic} cannot be published"):
            publisher = self._node.create_publisher(message_class(kind), topic, profile_of(quality))
        self._publishers.append(publisher)
        return _Outbound(publisher, kind)

    def publishers(self, topic: str) -> tuple[str, ...]:
        """See Transport."""
        with _told(f"who publishes {topic} cannot be found out"):
            return tuple(sorted({one.topic_type for one in self._node.get_publishers_info_by_topic(topic)}))

    def now_ns(self) -> int:
        """See Transport."""
        return int(self._node.get_clock().now().nanoseconds)

    def close(self) -> None:
        """See Transport. What was published last, as the order to stand, goes with its publisher where it has not yet
        arrived: that is waited for, for a second in all. The executor is ended only once its thread is out of it: it
        takes away what that waits on.
        """
        if self._closed.is_set():
            return
        self._closed.set()
        given_up_s = time.monotonic() + _ACKNOWLEDGED_S
        for publisher in self._publishers:
            with suppress(RuntimeError):  # ROS was ended in this process, or its middleware does not tell
                publisher.wait_for_all_acked(Duration(seconds=max(0.0, given_up_s - time.monotonic())))
        self._thread.join(_HANG_S)
        if self._thread.is_alive():  # in a callback that hangs: what it uses stays
            return
        self._executor.shutdown()
        self._node.destroy_node()

    def _spin(self) -> None:
        try:
            while not self._closed.is_set():
                self._executor.spin_once(timeout_sec=_IDLE_S)
                self._standstill.step()
        except ExternalShutdownException:  # somebody ended ROS in this process
            return


class _Outbound:
    """One topic's publisher."""

    def __init__(self, publisher: Any, kind: type[Message]) -> None:
        self._publisher, self._kind = publisher, kind

    def listeners(self) -> int:
        return int(self._publisher.get_subscription_count())

    def publish(self, message: Message) -> None:
        if not isinstance(message, self._kind):
            raise LinkError(f"this topic carries {self._kind.ROS_TYPE}, and was given {type(message).__name__}")
        with _told(f"ROS did not take a {self._kind.ROS_TYPE}"):
            self._publisher.publish(cdr.encode(message))


@contextmanager
def _told(problem: str) -> Iterator[None]:
    """What rclpy raises, as LinkError: what comes from its C++ is a RuntimeError, and wrong names have their own."""
    try:
        yield
    except (RuntimeError, NameValidationException) as error:
        raise LinkError(f"{problem}: {error}") from error


def message_class(kind: type[Message]) -> Any:
    """ROS's own class of a message type: `sensor_msgs/msg/Image` is `sensor_msgs.msg.Image`. Raises LinkError where
    its package is not installed.
    """
    package, _, name = kind.ROS_TYPE.split("/")
    try:
        return getattr(import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise LinkError(
            f"{kind.ROS_TYPE} is not installed ({error}); apt install ros-DISTRO-{package.replace('_', '-')}"
        ) from error


def profile_of(quality: Quality) -> QoSProfile:
    """A quality in rclpy's words."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=quality.depth,
        reliability=ReliabilityPolicy.RELIABLE if quality.reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if quality.latched else DurabilityPolicy.VOLATILE,
    )
