"""A run that is under way, as a bridge to another world sees it: what it says, and nothing that it could be told.

Bridges are found by name in the entry points `sightline.bridges`; `sightline bridge` finds the run, connects, and hands
it over, so that a bridge needs to know neither where runs lie nor which keys their sockets ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runtime.bus.publisher import BusMessage


class Listener(Protocol):
    """What `Subscriber` is to a bridge."""

    malformed: int

    def receive(self, timeout_ms: int) -> BusMessage | None:
        """The next message, None where none came in time."""
        ...

    def close(self) -> None:
        """Stop listening. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class ViewedRun:
    """One run. `source_uri`: without a password. `source_name`: under which its source is registered; "" where a plain
    path lies elsewhere by now, or for whoever asks. `model_path`: the drive's own copy, with its manifest. `listen`
    connects to all that the run says, for topics that begin so, with a queue of so many messages. `is_over`: it has
    ended, in order or not.
    """

    drive_id: str
    source_uri: str
    source_name: str
    model_path: Path
    listen: Callable[[Iterable[str], int], Listener]
    is_over: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """What a bridge can be told. `domain` None: as the environment says. `frame_id` "": the camera's name."""

    namespace: str = "sightline"
    frame_id: str = ""
    domain: int | None = None
    sim_time: bool = False
    jpeg_quality: int = 80


@dataclass(frozen=True, slots=True)
class BridgeReport:
    """What came of it: messages given on, by topic; messages that could not be; what the bus's own framing refused."""

    published: dict[str, int]
    refused: int
    malformed: int
