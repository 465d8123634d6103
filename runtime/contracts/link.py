"""The durable link's messages between the driving process (DEALER) and the recorder (ROUTER), as MessagePack.

The driving process hands over one `MessageSet` per frame. The recorder grants credit, acknowledges what is on the
disk, and sends nothing else. A set is identified by (session, sequence); sequences are consecutive from 0 and the
recorder takes them in that order only, so that one sent again after the recorder's return is written once and nothing
is skipped unseen: what it lacks, it asks for again (`Acknowledge.resend`), what is gone stands as a `LossNotice`.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from runtime.contracts.errors import LinkError
from runtime.contracts.messages import Gap

Name = Annotated[str, Meta(min_length=1, max_length=128)]
LAST_SEQUENCE = 2**62 - 1
Sequence = Annotated[int, Meta(ge=0, le=LAST_SEQUENCE)]
Count = Annotated[int, Meta(ge=0, le=LAST_SEQUENCE + 1)]  # the sequence after the last is one, too
FrameSequence = Annotated[int, Meta(ge=-1, le=LAST_SEQUENCE)]
FARTHEST_SOURCE_TIME_NS = 2**62
SourceTime = Annotated[int, Meta(ge=-FARTHEST_SOURCE_TIME_NS, le=FARTHEST_SOURCE_TIME_NS)]
UtcTime = Annotated[int, Meta(ge=0, le=2**63 - 1)]
LARGEST_SIDE_PX = 65_500  # what JPEG encoders take
Side = Annotated[int, Meta(ge=1, le=LARGEST_SIDE_PX)]


class Payload(msgspec.Struct, frozen=True, array_like=True):
    """One encoded message: its topic's full name, its sequence (the frame's, or -1), both times and the topic's own
    bytes.
    """

    topic: Name
    sequence: int
    t_source_ns: SourceTime
    utc_ns: UtcTime
    data: bytes


class PictureRef(msgspec.Struct, frozen=True, array_like=True):
    """A raw picture in the shared-memory ring: BGR uint8, height x width x 3, whole until the set is acknowledged."""

    camera: Name
    slot: Count
    height: Side
    width: Side


class MessageSet(msgspec.Struct, frozen=True, array_like=True, tag="set"):
    """All messages of one frame (or of one event between frames), handed over once."""

    session: Name
    sequence: Sequence
    frame_sequence: FrameSequence  # -1: belongs to no frame
    t_source_ns: SourceTime
    payloads: tuple[Payload, ...]
    pictures: tuple[PictureRef, ...] = ()


class LossNotice(msgspec.Struct, frozen=True, array_like=True, tag="loss"):
    """The sender gave up sets; the recorder writes the gap. Stands in the order where sets `gap.first` to `gap.last`
    stood; `gap.last` is never None here.
    """

    session: Name
    gap: Gap


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """The sender asks for credit; sent at the start and whenever the recorder has been silent. Names the oldest set
    it still holds, and the ring that the pictures lie in ("" before the first picture).
    """

    session: Name
    ring_path: str
    ring_slots: Count
    ring_slot_bytes: Count
    oldest_unacknowledged: Count


class Finish(msgspec.Struct, frozen=True, array_like=True, tag="finish"):
    """The drive is over: everything up to `sequence` (not included) was handed over; seal the record and answer
    `Finished`.
    """

    session: Name
    sequence: Count


class Acknowledge(msgspec.Struct, frozen=True, array_like=True, tag="ack"):
    """All sets below `next_sequence` are on the disk; `credit` more may be under way beyond it. With `resend`, whatever
    was sent from `next_sequence` on did not arrive.
    """

    session: Name
    next_sequence: Count
    credit: Count
    resend: bool = False


class Finished(msgspec.Struct, frozen=True, array_like=True, tag="finished"):
    """The record is sealed; with `unfinished`, why it is not yet: there was no room, or its list of incidents waits."""

    session: Name
    unfinished: str = ""


ToRecorder = MessageSet | LossNotice | Hello | Finish
ToDrive = Acknowledge | Finished

_ENCODER = msgspec.msgpack.Encoder()
_TO_RECORDER = msgspec.msgpack.Decoder(ToRecorder)
_TO_DRIVE = msgspec.msgpack.Decoder(ToDrive)


def encode(message: ToRecorder | ToDrive) -> bytes:
    """A link message's bytes."""
    return _ENCODER.encode(message)


def decode_to_recorder(data: bytes | memoryview) -> ToRecorder:
    """A message for the recorder. Raises LinkError on bytes that are none."""
    message: ToRecorder = _decode(_TO_RECORDER, data)
    return message


def decode_to_drive(data: bytes | memoryview) -> ToDrive:
    """A message for the driving process. Raises LinkError on bytes that are none."""
    message: ToDrive = _decode(_TO_DRIVE, data)
    return message


def _decode(decoder: Any, data: bytes | memoryview) -> Any:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LinkError(f"{len(data)} bytes on the durable link are no message of it: {error}") from error
