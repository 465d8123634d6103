"""Where frames come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from runtime.contracts.clock import ClockDomain
from runtime.contracts.errors import SourceError
from runtime.contracts.messages import GroundTruth
from runtime.contracts.vehicle import VehiclePort

Picture = NDArray[np.uint8]
"""uint8, height x width x 3, blue-green-red, C-contiguous. Not written to after it was handed over."""

Pacing = Literal["lockstep", "real-time"]
"""`lockstep`: the source waits for the decision and for the recorder's credit, so a run repeats itself bit for bit.
`real-time`: the source waits for nobody; frames can be late or dropped."""


@dataclass(frozen=True, slots=True)
class Capture:
    """Pictures taken together, one of each camera that was asked for."""

    sequence: int
    t_source_ns: int
    pictures: Mapping[str, Picture]  # by camera
    truth: GroundTruth | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """Pictures that should have come at `sequence` and did not, or not all: every camera's reason, in words."""

    sequence: int
    t_source_ns: int
    reasons: Mapping[str, str]  # by camera, all that were asked for


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """What is asked of a source when it is opened.

    `cameras` are the names that the model's image inputs ask for; a source with one camera serves it under the one
    name asked. `pacing` None: as the source can; `pacing_of` says which.
    """

    uri: str
    cameras: tuple[str, ...]
    pacing: Pacing | None


class Source(Protocol):
    """A stream of captures with consecutive sequences from 0. Every sequence is answered once, by a Capture or a
    Missing.
    """

    @property
    def uri(self) -> str:
        """What was opened, for the record."""
        ...

    @property
    def clock_domain(self) -> ClockDomain:
        """Where `t_source_ns` comes from."""
        ...

    @property
    def expected_captures(self) -> int | None:
        """How many captures will come, where that is known: for progress only."""
        ...

    @property
    def vehicle(self) -> VehiclePort | None:
        """The vehicle that the cameras sit in, or None where nothing is known of it (a bare video)."""
        ...

    def read(self) -> Capture | Missing | None:
        """The next capture, or None at the end. Raises SourceError where nothing more can be had and that is no
        regular end.
        """
        ...

    def close(self) -> None:
        """Give back files and devices. Idempotent."""
        ...


@runtime_checkable
class Interruptible(Protocol):
    """What a source may have besides: whoever stops a drive need not wait for one that waits for its camera."""

    def interrupt(self) -> None:
        """Have a `read` that waits give None soon, and each later one at once. From any thread; returns at once. It may
        come more than once, and after `close`, where it does nothing.
        """
        ...


def pacing_of(source: Source, asked: Pacing | None) -> Pacing:
    """The pacing of a source: the one that was asked for, else lockstep where the source can wait, which a running
    camera cannot. Raises SourceError where lockstep is asked of one.
    """
    can_wait = source.clock_domain != "real"
    if asked == "lockstep" and not can_wait:
        raise SourceError(f"{source.uri!r} is a running camera, which waits for nobody; use --pacing real-time")
    return asked or ("lockstep" if can_wait else "real-time")
