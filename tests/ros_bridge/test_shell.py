"""The rclpy shell against a thin stand-in of rclpy's interface: what that proves stands in docs/ros.md."""

from __future__ import annotations

import importlib
import queue
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ros_bridge import cdr
from ros_bridge.messages import TOP_LEVEL, Header, Image, Message, String, time_of
from ros_bridge.transport import COMMAND, EVENTS, SENSOR_DATA, STATIC, Quality, Received
from runtime.bus.viewed import BridgeOptions, ViewedRun
from runtime.contracts.errors import LinkError, SourceError
from runtime.contracts.source import Capture, SourceRequest
from tests.ros_bridge.test_source import Clock

SHELL = "ros_bridge.ament.node.rclpy_shell"


@dataclass
class Ros:
    """The stand-in's world: who listens where, and what was asked of rclpy."""

    listeners: dict[str, list[tuple[type, Callable[[bytes], None]]]] = field(default_factory=lambda: defaultdict(list))
    types: dict[str, list[str]] = field(default_factory=dict)
    published: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)  # parameters from the outside
    nodes: list[Any] = field(default_factory=list)
    inits: list[dict[str, Any]] = field(default_factory=list)
    now_ns: int = 0
    namespace: str = "/"  # of every node, from the outside
    under_way: list[str] = field(default_factory=list)  # topics of reliable messages that no listener has yet
    answer: Callable[[], bool] = lambda: True  # of the listeners, when they are waited for
    waited_s: list[float] = field(default_factory=list)  # at most so long, for what was under way
    work: queue.SimpleQueue[Callable[[], None]] = field(default_factory=queue.SimpleQueue)  # of the executor's thread
    lost: list[str] = field(default_factory=list)  # topics of reliable messages that went with their node
    mistakes: list[str] = field(default_factory=list)

    class WrongNameError(Exception):
        """rclpy.exceptions.NameValidationException."""


@dataclass
class Duration:
    """rclpy.duration.Duration."""

    seconds: float


class Node:
    """What the shell uses of rclpy.node.Node, with its signatures."""

    def __init__(self, ros: Ros, name: str, overrides: list[Any]) -> None:
        self.ros, self.name, self.alive = ros, name, True
        self.parameters = {"use_sim_time": False, **ros.given, **{one.name: one.value for one in overrides}}
        ros.nodes.append(self)

    def create_subscription(
        self, msg_type: type, topic: str, callback: Callable[[bytes], None], qos_profile: Any, *, raw: bool = False
    ) -> None:
        assert raw, "messages cross as bytes"
        self.ros.profiles[topic] = qos_profile
        self.ros.listeners[topic].append((msg_type, callback))

    def create_publisher(self, msg_type: type, topic: str, qos_profile: Any) -> Any:
        if " " in topic:
            raise self.ros.WrongNameError(topic)
        self.ros.profiles[topic] = qos_profile

        def publish(message: bytes) -> None:
            assert type(message) is bytes, "rclpy takes a message or bytes"
            if not self.alive:
                raise RuntimeError("publisher's context is invalid")
            self.ros.published[topic].append(message)
            if qos_profile["reliability"] is Policy.RELIABLE:
                self.ros.under_way.append(topic)

        def wait_for_all_acked(timeout: Duration) -> bool:
            assert self.alive
            assert 0 <= timeout.seconds <= 1, "less than 0 is for ever"
            self.ros.waited_s += [timeout.seconds] if topic in self.ros.under_way else []
            if not self.ros.answer():
                return False
            self.ros.under_way = [other for other in self.ros.under_way if other != topic]
            return True

        return SimpleNamespace(
            publish=publish,
            get_subscription_count=lambda: len(self.ros.listeners[topic]),
            wait_for_all_acked=wait_for_all_acked,
        )

    def get_publishers_info_by_topic(self, topic_name: str) -> list[Any]:
        return [SimpleNamespace(topic_type=one) for one in self.ros.types.get(topic_name, [])]

    def get_clock(self) -> Any:
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=self.ros.now_ns))

    def get_namespace(self) -> str:
        return self.ros.namespace

    def declare_parameter(self, name: str, value: Any) -> Any:
        self.parameters.setdefault(name, value)
        return self.get_parameter(name)

    def get_parameter(self, name: str) -> Any:
        return SimpleNamespace(value=self.parameters[name])

    def destroy_node(self) -> None:
        """What is under way goes with its publisher."""
        self.alive = False
        self.ros.lost += self.ros.under_way


class Executor:
    """Waits for work and does it. What it waits on is gone with its shutdown, and with its node."""

    def __init__(self) -> None:
        self.inside = threading.Lock()
        self.nodes: list[Node] = []

    def add_node(self, node: Node) -> bool:
        self.nodes.append(node)
        return True

    def spin_once(self, timeout_sec: float | None = None) -> None:
        with self.inside:
            with suppress(queue.Empty):
                self.nodes[0].ros.work.get(timeout=timeout_sec)()
            self.nodes[0].ros.mistakes += ["a node went while it was waited on" for one in self.nodes if not one.alive]

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        if self.inside.locked():
            self.nodes[0].ros.mistakes.append("the executor was ended under its thread")
        return True


class Policy(Enum):
    KEEP_LAST = 1
    RELIABLE = 2
    BEST_EFFORT = 3
    TRANSIENT_LOCAL = 4
    VOLATILE = 5


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ros]:
    """rclpy and the packages of messages, stood in for."""
    world = Ros()

    def init(
        *, args: list[str] | None = None, domain_id: int | None = None, signal_handler_options: Any = None
    ) -> None:
        world.inits.append({"args": args, "domain_id": domain_id, "signal_handler_options": signal_handler_options})

    modules: dict[str, dict[str, Any]] = {
        "rclpy": {
            "init": init,
            "ok": lambda: bool(world.inits),
            "create_node": lambda name, *, parameter_overrides=(): Node(world, name, list(parameter_overrides)),
        },
        "rclpy.duration": {"Duration": Duration},
        "rclpy.executors": {"SingleThreadedExecutor": Executor, "ExternalShutdownException": KeyError},
        "rclpy.exceptions": {"NameValidationException": Ros.WrongNameError},
        "rclpy.parameter": {"Parameter": lambda name, value: SimpleNamespace(name=name, value=value)},
        "rclpy.qos": {
            "QoSProfile": dict,
            "HistoryPolicy": Policy,
            "ReliabilityPolicy": Policy,
            "DurabilityPolicy": Policy,
        },
        "rclpy.signals": {"SignalHandlerOptions": SimpleNamespace(NO="no handlers")},
    }
    for kind in TOP_LEVEL:
        package, _, name = kind.ROS_TYPE.split("/")
        modules.setdefault(package, {})
        modules.setdefault(f"{package}.msg", {})[name] = type(name, (), {})
    for name, contents in modules.items():
        module = ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
    yield world
    sys.modules.pop(SHELL, None)
    assert world.mistakes == []


@pytest.fixture
def shell(ros: Ros) -> Any:
    """The shell, imported over the stand-in."""
    sys.modules.pop(SHELL, None)
    return importlib.import_module(SHELL)


def test_messages_cross_as_bytes_and_are_refused_as_over_dds(ros: Ros, shell: Any) -> None:
    transport = shell.RclpyTransport("node")
    heard: list[Received] = []
    transport.subscribe("/text", String, SENSOR_DATA, heard.append, 100)
    [(kind, callback)] = ros.listeners["/text"]
    assert kind is sys.modules["std_msgs.msg"].String
    for data in (cdr.encode(String("hello")), b"\0\1\0\0 nonsense", bytes(101)):
        callback(data)
    assert heard[0].message == String("hello")
    assert "this is no std_msgs/msg/String" in heard[1].refusal
    assert "at most 100 are taken" in heard[2].refusal
    out = transport.advertise("/text", String, SENSOR_DATA)
    out.publish(String("back"))
    assert ros.published["/text"] == [cdr.encode(String("back"))]
    assert out.listeners() == 1
    with pytest.raises(LinkError, match="carries std_msgs/msg/String"):
        out.publish(Header())
    with pytest.raises(LinkError, match="/my car cannot be published"):
        transport.advertise("/my car", String, SENSOR_DATA)
    transport.close()
    transport.close()
    assert not ros.nodes[0].alive
    with pytest.raises(LinkError, match="ROS did not take a std_msgs/msg/String: publisher's context is invalid"):
        out.publish(String("too late"))


def test_what_came_while_the_process_stood_still_is_refused_and_what_follows_is_heard(ros: Ros, shell: Any) -> None:
    clock = Clock()
    transport = shell.RclpyTransport("node", clock=clock)
    heard: list[Received] = []
    transport.subscribe("/text", String, SENSOR_DATA, heard.append, 100)
    [(_, callback)] = ros.listeners["/text"]
    done = threading.Event()
    for pause_s in (0.0, 6.0, 0.0, 0.5):

        def hear(pause_s: float = pause_s) -> None:
            clock.sleep(pause_s)
            callback(cdr.encode(String("hello")))

        ros.work.put(hear)
    ros.work.put(done.set)
    assert done.wait(20)
    transport.close()
    assert [one.message is not None for one in heard] == [True, False, False, True]
    assert "the process stood still for 6.0 s" in heard[1].refusal


@pytest.mark.parametrize("quality", [SENSOR_DATA, COMMAND, STATIC, EVENTS])
def test_a_topics_quality_is_told_in_rclpys_words(ros: Ros, shell: Any, quality: Quality) -> None:
    transport = shell.RclpyTransport("node")
    transport.advertise("/text", String, quality)
    assert ros.profiles["/text"] == {
        "history": Policy.KEEP_LAST,
        "depth": quality.depth,
        "reliability": Policy.RELIABLE if quality.reliable else Policy.BEST_EFFORT,
        "durability": Policy.TRANSIENT_LOCAL if quality.latched else Policy.VOLATILE,
    }
    transport.close()


def test_the_last_command_has_arrived_before_its_publisher_goes(ros: Ros, shell: Any) -> None:
    transport = shell.RclpyTransport("node")
    transport.advertise("/text", String, SENSOR_DATA).publish(String("whoever hears it"))
    transport.advertise("/cmd", String, COMMAND).publish(String("stand"))
    transport.close()
    assert (ros.under_way, ros.lost) == ([], [])


def test_a_listener_that_is_gone_and_a_ros_that_was_ended_do_not_hold_up_the_end(ros: Ros, shell: Any) -> None:
    def gone() -> bool:
        raise RuntimeError("the context is no longer valid")

    for answer in (lambda: False, gone):
        ros.answer = answer
        transport = shell.RclpyTransport("node")
        for topic in ("/cmd", "/again"):
            transport.advertise(topic, String, COMMAND).publish(String("stand"))
        transport.close()
        assert not ros.nodes[-1].alive
        assert len(ros.waited_s) == 2
        assert ros.waited_s[1] < ros.waited_s[0] <= 1, "a second in all, not for each"
        ros.waited_s.clear()
        ros.under_way.clear()


def test_it_leaves_the_processs_signal_handlers_alone(ros: Ros, shell: Any) -> None:
    shell.RclpyTransport("node").close()
    assert ros.inits == [{"args": None, "domain_id": None, "signal_handler_options": "no handlers"}]


def test_the_domain_that_is_asked_for_is_the_one_that_is_joined(ros: Ros, shell: Any) -> None:
    ros.types = {"/camera": [Image.ROS_TYPE]}
    shell.open_source(SourceRequest("rclpy://camera?domain=7", ("front",), None)).close()
    assert ros.inits[-1]["domain_id"] == 7


def test_the_bridge_joins_the_domain_that_it_is_told(ros: Ros, shell: Any, tmp_path: Path) -> None:
    shell.bridge(ended_run(tmp_path), BridgeOptions(domain=9), lambda: True)
    assert ros.inits[-1]["domain_id"] == 9


def test_rclpy_uris_are_sources(ros: Ros, shell: Any) -> None:
    ros.types = {"/camera/image_raw": [Image.ROS_TYPE, Image.ROS_TYPE]}
    source = shell.open_source(SourceRequest("rclpy://camera/image_raw", ("front",), None))
    [(_, callback)] = ros.listeners["/camera/image_raw"]
    callback(cdr.encode(Image(Header(time_of(9)), 1, 2, "rgb8", 0, 6, bytes(range(6)))))
    item = source.read()
    assert isinstance(item, Capture)
    assert item.pictures["front"].ravel().tolist() == [2, 1, 0, 5, 4, 3]
    source.close()
    with pytest.raises(SourceError, match="nobody publishes /other"):
        shell.open_source(SourceRequest("rclpy://other?timeout_s=0.1", ("front",), None))
    with pytest.raises(SourceError, match="unknown option 'comand'"):
        shell.check_address("rclpy://camera?comand=/x")


def test_the_bridge_runs_over_rclpy_until_the_run_is_over(ros: Ros, shell: Any, tmp_path: Path) -> None:
    ros.now_ns = 7_000_000_000
    report = shell.bridge(ended_run(tmp_path), BridgeOptions(sim_time=True), lambda: False)
    assert report.published == {"drive": 1, "diagnostics": 1}
    assert ros.nodes[-1].parameters["use_sim_time"] is True
    assert not ros.nodes[-1].alive
    told = _decoded(ros, "/diagnostics")
    assert told.header.stamp.ns == 7_000_000_000


def test_the_node_hands_its_parameters_to_the_verb(ros: Ros, shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []

    def command() -> int:
        called.append(sys.argv[1:])
        return 0

    monkeypatch.setattr("sightline.main", command)
    monkeypatch.setattr(sys, "argv", ["bridge", "--ros-args", "-p", "run:=drives"])
    ros.given = {"run": "drives", "frame_id": "lens", "use_sim_time": True}
    assert shell.main() == 0
    assert ros.inits[0]["args"] == ["bridge", "--ros-args", "-p", "run:=drives"]
    [arguments] = called
    assert arguments == [
        *("bridge", "--over", "rclpy", "--wait-s", "60.0", "--namespace", "sightline"),
        *("--run", "drives", "--frame-id", "lens", "--sim-time"),
    ]
    from tests.docs.test_commands import parser_of

    parser_of("bridge").parse_args(arguments[1:])


def test_the_nodes_topics_lie_in_its_namespace_unless_their_space_is_a_full_name(
    ros: Ros, shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def command() -> int:
        told.append(sys.argv[sys.argv.index("--namespace") + 1])
        return 0

    monkeypatch.setattr("sightline.main", command)
    for namespace, space in (("/", "sightline"), ("/car1", "sightline"), ("/car1", "/sightline"), ("/fleet/car1", "")):
        ros.namespace, ros.given = namespace, {"space": space}
        monkeypatch.setattr(sys, "argv", ["bridge"])
        shell.main()
    assert told == ["sightline", "car1/sightline", "sightline", "fleet/car1"]


def test_a_package_of_messages_that_is_not_installed_is_named(
    ros: Ros, shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ackermann_msgs.msg", None)
    with pytest.raises(LinkError, match="apt install ros-DISTRO-ackermann-msgs"):
        shell.message_class(next(kind for kind in TOP_LEVEL if kind.ROS_TYPE.startswith("ackermann")))


def test_the_parameters_file_names_the_nodes_parameters() -> None:
    import yaml

    folder = Path(__file__).parent.parent.parent / "ros_bridge" / "ament"
    told = yaml.safe_load((folder / "config" / "sightline.yaml").read_text(encoding="utf-8"))["/**"]["ros__parameters"]
    text = (folder / "node" / "rclpy_shell.py").read_text(encoding="utf-8")
    assert told.pop("use_sim_time") is False
    assert all(f'"{name}": {value!r}'.replace("'", '"') in text for name, value in told.items())


def ended_run(folder: Path) -> ViewedRun:
    """A run that says nothing and is over."""
    silence = SimpleNamespace(malformed=0, receive=lambda timeout_ms: None, close=lambda: None)
    return ViewedRun(
        "drive-1", "rclpy://camera", "rclpy", folder / "none.onnx", lambda topics, queue: silence, lambda: True
    )


def _decoded(ros: Ros, topic: str) -> Any:
    kinds: dict[str, type[Message]] = {"/diagnostics": next(k for k in TOP_LEVEL if k.__name__ == "DiagnosticArray")}
    return cdr.decode(kinds[topic], ros.published[topic][-1])
