"""Which messages of the link the record takes in: only what its readers can read again."""

from __future__ import annotations

from runtime.contracts.errors import RecordError
from runtime.contracts.link import Payload
from runtime.contracts.topics import GAP, INCIDENT, STORED, TRIGGER, find_topic
from runtime.record.scan import LARGEST_MESSAGE_BYTES

_OWN = (STORED, GAP, TRIGGER, INCIDENT)  # what the record rests on: only the recorder itself writes these


def refusal(payload: Payload) -> str:
    """Why a message cannot be recorded, in words; nothing where it can."""
    topic = find_topic(payload.topic)
    if topic is None or not topic.recorded:
        return f"a message on the unknown topic {payload.topic!r} was not recorded"
    if topic in _OWN:
        return f"a message on {payload.topic}, where only the recorder writes, was not recorded"
    if len(payload.data) > LARGEST_MESSAGE_BYTES:
        return f"a message of {len(payload.data)} bytes on {payload.topic} is too large to be read again; not recorded"
    try:
        topic.decode(payload.data)
    except RecordError as error:
        return f"{error}; it was not recorded"
    return ""
