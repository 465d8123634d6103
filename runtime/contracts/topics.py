"""The topics, in one table. Whoever publishes, records or shows a message finds here how.

A message is encoded once, where it is made, in its topic's encoding; the bus, the record and the viewers carry those
same bytes. JSON is the human view and what Foxglove decodes; tensors are MessagePack (registered with MCAP), because
JSON loses NaN, infinity and bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, TypeVar

import msgspec

from runtime.contracts import incident, messages
from runtime.contracts.errors import RecordError
from runtime.contracts.identity import CAMERA_NAME

Encoding = Literal["json", "msgpack"]
ShowsPeople = Literal["no", "yes", "when large"]  # when large: an image input beyond `PEOPLE_FROM_PX`
M = TypeVar("M", bound=msgspec.Struct)

# EN 62676-4 calls a known person recognisable from 125 px/m on. A camera of 60 degrees sees 2.3 m at a distance of 2 m:
# 288 px across. An image input whose longer side is at most this many pixels stays below that.
PEOPLE_FROM_PX = 256


class Topic(msgspec.Struct, frozen=True):
    """One row: name (may hold `{camera}`), message type, schema name in MCAP, encoding, rate, the viewers' queue and
    its policy.
    """

    name: str
    type: type[msgspec.Struct]
    schema_name: str
    encoding: Encoding
    rate: str  # expected
    viewer_queue: (
        int  # high-water mark of a viewer's socket; beyond it the newest is dropped (ZeroMQ PUB). 0: not shown
    )
    recorded: bool = True
    shows_people: ShowsPeople = "no"

    def encode(self, message: msgspec.Struct) -> bytes:
        """The message's one encoding."""
        return _JSON.encode(message) if self.encoding == "json" else _MSGPACK.encode(message)

    def decode(self, payload: bytes) -> Any:
        """The message back from its bytes. Raises RecordError on bytes that are not one."""
        try:
            return _decoder(self.type, self.encoding)(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RecordError(f"a message on {self.name} does not decode as {self.schema_name}: {error}") from error


@cache
def _decoder(kind: type[msgspec.Struct], encoding: Encoding) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(kind).decode if encoding == "json" else msgspec.msgpack.Decoder(kind).decode


_JSON = msgspec.json.Encoder()
_MSGPACK = msgspec.msgpack.Encoder()

HEADER = Topic("/drive/header", messages.Header, "sightline.Header", "json", "once a segment", 2)
CLOSING = Topic("/drive/closing", messages.Closing, "sightline.Closing", "json", "once a drive", 2)
PICTURE = Topic(
    "/camera/{camera}/image",
    messages.CompressedImage,
    "foxglove.CompressedImage",
    "json",
    "every frame",
    2,
    shows_people="yes",
)
VIDEO = Topic(
    "/camera/{camera}/video",
    messages.CompressedVideo,
    "foxglove.CompressedVideo",
    "json",
    "every frame",
    2,
    shows_people="yes",
)
MODEL_INPUT = Topic(
    "/model/input",
    messages.TensorSet,
    "sightline.TensorSet",
    "msgpack",
    "every frame",
    0,
    shows_people="when large",
)
MODEL_OUTPUT = Topic("/model/output", messages.TensorSet, "sightline.TensorSet", "msgpack", "every frame", 0)
VEHICLE = Topic("/vehicle/state", messages.VehicleSample, "sightline.VehicleSample", "json", "every frame", 2)
DECISION = Topic("/decision", messages.Decision, "sightline.Decision", "json", "every frame", 2)
ATTRIBUTION = Topic("/attribution", messages.Attribution, "sightline.Attribution", "json", "every frame", 2)
LEDGER = Topic("/ledger", messages.Disposition, "sightline.Disposition", "json", "every frame", 20)
GAP = Topic("/ledger/gap", messages.Gap, "sightline.Gap", "json", "a loss", 20)
STORED = Topic("/ledger/stored", messages.Stored, "sightline.Stored", "json", "every message set", 0)
TRUTH = Topic("/truth", messages.GroundTruth, "sightline.GroundTruth", "json", "every simulated frame", 2)
EVENT = Topic("/event", messages.Event, "foxglove.Log", "json", "an event", 20)
HEALTH = Topic("/health", messages.Health, "sightline.Health", "json", "1 Hz a process", 2)
TRIGGER = Topic("/incident/trigger", incident.Trigger, "sightline.Trigger", "json", "a trigger", 20)
INCIDENT = Topic("/incident", incident.Incident, "sightline.Incident", "json", "an incident's change", 20)
SEAL_HEAD = Topic(
    "/seal/head", messages.SealHead, "sightline.SealHead", "json", "a seal", 20, recorded=False
)  # the record cannot hold what vouches for it

TOPICS: tuple[Topic, ...] = (
    HEADER,
    PICTURE,
    VIDEO,
    MODEL_INPUT,
    MODEL_OUTPUT,
    VEHICLE,
    DECISION,
    ATTRIBUTION,
    LEDGER,
    GAP,
    STORED,
    TRUTH,
    EVENT,
    HEALTH,
    TRIGGER,
    INCIDENT,
    CLOSING,
    SEAL_HEAD,
)

_BY_NAME = {topic.name: topic for topic in TOPICS if "{camera}" not in topic.name}
_BY_CAMERA = tuple(
    (re.compile(topic.name.replace("{camera}", CAMERA_NAME.pattern)), topic)
    for topic in TOPICS
    if "{camera}" in topic.name
)


# All of them now: msgspec crashes where two threads meet a type for the first time at the same moment.
for _topic in TOPICS:
    _decoder(_topic.type, _topic.encoding)


def find_topic(name: str) -> Topic | None:
    """The row of a topic's full name (`/camera/front/image`), None where the table has none."""
    of_camera = (topic for pattern, topic in _BY_CAMERA if pattern.fullmatch(name))
    return _BY_NAME.get(name) or next(of_camera, None)
