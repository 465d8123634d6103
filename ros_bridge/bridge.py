"""From a run's bus to ROS: overlay, map, events, diagnostics, and what a drive is.

It listens as any viewer does. It commands nothing: commands go out of the driving process, through the vehicle port.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

import cv2

from ros_bridge.messages import CompressedImage, DiagnosticArray, DiagnosticStatus, Image, Log, Message, String
from ros_bridge.outgoing import (
    OK,
    WARN,
    clean,
    describe,
    diagnostics_message,
    event_message,
    grid_message,
    overlay_message,
    status_of,
    trigger_message,
    values_of,
)
from ros_bridge.overlay import Scale, grid_of, with_map, with_words
from ros_bridge.shown import ShownPictures
from ros_bridge.transport import EVENTS, STATIC, SYSTEM_DEFAULT, Publication, Transport
from runtime.bus.publisher import BusMessage
from runtime.bus.viewed import BridgeOptions, BridgeReport, ViewedRun
from runtime.contracts import topics
from runtime.contracts.clock import Clock
from runtime.contracts.errors import ModelError, RecordError, SightlineError
from runtime.contracts.messages import Attribution, Decision, Health
from runtime.contracts.model import Manifest, read_manifest
from runtime.contracts.units import NS_PER_S

TOPICS = tuple(
    topic.name.partition("{")[0]
    for topic in (
        *(topics.PICTURE, topics.ATTRIBUTION, topics.DECISION),
        *(topics.EVENT, topics.TRIGGER, topics.HEALTH),
    )
)
"""What a bridge subscribes to (prefixes; pictures and videos share one)."""
QUEUE = 64

_SPEAK_ROS = ("ros2", "rclpy", "rosbag")  # sources whose times are ROS's own
_WAIT_MS = 100
_REMEMBERED = 64  # frames whose picture has not come yet
_STALE_S = 3.0
_EVERY_NS = NS_PER_S  # diagnostics
T = TypeVar("T")


class Bridge:
    """One run, bridged. Owns the transport."""

    def __init__(self, run: ViewedRun, options: BridgeOptions, transport: Transport, clock: Clock) -> None:
        self._run, self._options, self._transport, self._clock = run, options, transport, clock
        self._manifest = _manifest(run)
        self._own_times = run.source_name in _SPEAK_ROS
        self._published: Counter[str] = Counter()
        self.refused = 0
        self._pictures, self._scale = ShownPictures(), Scale()
        self._maps: OrderedDict[int, Attribution] = OrderedDict()
        self._decisions: OrderedDict[int, Decision] = OrderedDict()
        self._health: dict[str, tuple[Health, Health | None, int]] = {}  # newest, the one before, when it came
        self._due_ns = 0
        space = f"/{options.namespace.strip('/')}" if options.namespace.strip("/") else ""
        self._listener = run.listen(TOPICS, QUEUE)
        self._out: dict[str, Publication] = {
            "overlay": transport.advertise(f"{space}/overlay/compressed", CompressedImage, SYSTEM_DEFAULT),
            "attribution": transport.advertise(f"{space}/attribution", Image, SYSTEM_DEFAULT),
            "events": transport.advertise(f"{space}/events", Log, EVENTS),
            "drive": transport.advertise(f"{space}/drive", String, STATIC),
            "diagnostics": transport.advertise("/diagnostics", DiagnosticArray, SYSTEM_DEFAULT),
        }
        self._publish("drive", describe(run.drive_id, run.source_uri, self._manifest))
        self._handlers: dict[str, Callable[[BusMessage, Any], None]] = {
            topics.ATTRIBUTION.name: self._on_map,
            topics.DECISION.name: lambda message, decision: _remember(
                self._decisions, message.header.sequence, decision
            ),
            topics.EVENT.name: lambda _, event: self._publish("events", event_message(event)),
            topics.TRIGGER.name: lambda message, trigger: self._publish(
                "events", trigger_message(trigger, message.header.utc_ns)
            ),
            topics.HEALTH.name: self._on_health,
            topics.PICTURE.name: self._on_picture,
            topics.VIDEO.name: self._on_picture,
        }

    def serve(self, stopped: Callable[[], bool]) -> BridgeReport:
        """Give on what comes until the run is over, or it is stopped."""
        while not stopped():
            heard = self.step(_WAIT_MS)
            if not heard and self._run.is_over():
                break
        return self.report()

    def step(self, wait_ms: int) -> bool:
        """Give on one message, and the diagnostics where they are due. False where nothing came."""
        message = self._listener.receive(wait_ms)
        if message is not None:
            try:
                self._give_on(message)
            except SightlineError:
                self.refused += 1
        now_ns = self._clock.monotonic_ns()
        if now_ns >= self._due_ns:
            self._due_ns = now_ns + _EVERY_NS
            try:
                self._diagnose(now_ns)
            except SightlineError:
                self.refused += 1
        return message is not None

    def report(self) -> BridgeReport:
        """What was done so far."""
        return BridgeReport(dict(self._published), self.refused, self._listener.malformed)

    def close(self) -> None:
        """Stop listening, and leave the network. Idempotent."""
        self._listener.close()
        self._transport.close()

    def _give_on(self, message: BusMessage) -> None:
        topic = topics.find_topic(message.topic)
        handler = self._handlers.get(topic.name) if topic is not None else None
        if topic is None or handler is None:  # a subscription is a prefix
            return
        handler(message, topic.decode(message.data))

    def _on_map(self, message: BusMessage, attribution: Attribution) -> None:
        _remember(self._maps, message.header.sequence, attribution)
        frame_id = self._options.frame_id or attribution.camera
        self._publish("attribution", grid_message(attribution, self._stamp_ns(message), frame_id))

    def _on_health(self, _message: BusMessage, health: Health) -> None:
        before = self._health.get(health.process)
        self._health[health.process] = (health, before[0] if before else None, self._clock.monotonic_ns())

    def _on_picture(self, message: BusMessage, shown: Any) -> None:
        mapped = self._mapped_camera()
        if mapped is not None and shown.frame_id != mapped:
            return
        picture = self._pictures.decode(shown)
        if picture is None or not self._out["overlay"].listeners():  # no key picture yet, or nobody looks
            return
        attribution = self._maps.pop(message.header.sequence, None)
        if attribution is not None and self._manifest is not None:
            image = next((one for one in self._manifest.images if one.name == attribution.image), None)
            if image is not None:
                picture = with_map(picture, attribution, image, self._scale.after(grid_of(attribution)))
        drawn = with_words(picture.copy(), self._decisions.pop(message.header.sequence, None))
        coded, jpeg = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, self._options.jpeg_quality])
        if not coded:
            raise RecordError(f"a picture of {drawn.shape[1]} x {drawn.shape[0]} pixels cannot be coded as JPEG")
        frame_id = self._options.frame_id or shown.frame_id
        self._publish("overlay", overlay_message(jpeg.tobytes(), self._stamp_ns(message), frame_id))

    def _diagnose(self, now_ns: int) -> None:
        own = DiagnosticStatus(
            WARN if self.refused else OK,
            "sightline: bridge",
            f"{self.refused} messages could not be given on" if self.refused else "as it should be",
            "sightline",
            values_of({"drive_id": clean(self._run.drive_id), **self._published, "refused": self.refused}),
        )
        statuses = [
            status_of(health, before, (now_ns - came_ns) / NS_PER_S, _STALE_S)
            for health, before, came_ns in self._health.values()
        ]
        self._publish("diagnostics", diagnostics_message((*statuses, own), self._transport.now_ns()))

    def _mapped_camera(self) -> str | None:
        if self._manifest is None:
            return None
        mapped = self._manifest.attribution.image if self._manifest.attribution else self._manifest.images[0].name
        return next((image.camera for image in self._manifest.images if image.name == mapped), None)

    def _stamp_ns(self, message: BusMessage) -> int:
        """The frame's own time where its source speaks ROS, so that it joins with the camera's topic."""
        return message.header.t_source_ns if self._own_times else message.header.utc_ns

    def _publish(self, name: str, message: Message) -> None:
        self._out[name].publish(message)
        self._published[name] += 1


def _manifest(run: ViewedRun) -> Manifest | None:
    try:
        return read_manifest(run.model_path)
    except ModelError:
        return None


def _remember(kept: OrderedDict[int, T], sequence: int, value: T) -> None:
    kept[sequence] = value
    while len(kept) > _REMEMBERED:
        kept.popitem(last=False)
