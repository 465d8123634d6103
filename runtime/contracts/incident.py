"""What is worth keeping of a drive: what set it off, and the window of time around it.

Times are the source's, as everywhere in the record; `sequence` is the frame's, -1 where no frame is concerned.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

INDEX_NAME = "incidents.json"  # in the drive's folder; the closing seal covers it

TriggerKind = Literal[
    "hard-brake",  # measured or commanded deceleration
    "envelope",  # the decision chain's envelope changed what was proposed by more than a little
    "takeover",  # the driver overrode, or autonomous driving ended
    "trust",  # what the network said was not taken, or the trust step raised its alarm
    "deadline",  # commands were late, could not be given or not be decided, several in a short time
    "collision",  # the vehicle's signal, or the simulation's truth
    "departure",  # by the simulation's truth a wheel is beyond the lane's edge
    "lost",  # the driving process died without a farewell: what led to it must be kept
    "mark",  # somebody said so
]


class Trigger(msgspec.Struct, frozen=True):
    """One cause: what happened, when, and in words with its value and its bound."""

    kind: TriggerKind
    t_source_ns: int
    sequence: int
    reason: str
    by: str = ""  # who marked it; "" where nobody did
    token: str = ""  # of the mark


class Incident(msgspec.Struct, frozen=True):
    """One window of time: `before_s` before its first trigger to `after_s` after its last. Windows that overlap are
    one incident.

    `segments` are those that the window touches, as far as they were recorded; they are never deleted. An incident
    grows while it is `open` and is published and recorded anew each time; `number` stays.
    """

    number: int  # in the drive, from 0
    t_from_ns: int
    t_to_ns: int
    triggers: tuple[Trigger, ...]
    segments: tuple[int, ...]
    open: bool
    triggers_left_out: int = 0  # beyond what is kept of one kind; the window spans them, the record holds them


class IncidentIndex(msgspec.Struct, frozen=True):
    """A drive's incidents, as they lie in its folder."""

    drive_id: str
    incidents: tuple[Incident, ...] = ()
    salt: str = (
        ""  # random: the closing seal has the file's hash, and who is not given the list cannot try guesses on it
    )


class Mark(msgspec.Struct, frozen=True, array_like=True, tag="mark"):
    """Somebody marks this moment. Sent to the recorder, which answers `Marked` once the trigger is on the disk."""

    token: Annotated[str, Meta(min_length=1, max_length=64)]  # the sender's, so that one sent again counts once
    reason: Annotated[str, Meta(min_length=1, max_length=500)]
    by: Annotated[str, Meta(max_length=100)] = ""


class Marked(msgspec.Struct, frozen=True, array_like=True, tag="marked"):
    """The mark is on the disk, in this incident of this drive; with `refusal`, why it is not."""

    token: str
    drive_id: str
    incident: int
    refusal: str = ""
