"""One connection to a camera: pictures until it is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from runtime.contracts.source import Picture


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture with the time at which the light fell in, on the host's CLOCK_MONOTONIC as the driver tells it, and the
    driver's count of pictures where it has one.
    """

    picture: Picture
    t_monotonic_ns: int
    count: int | None = None


class StreamLostError(Exception):
    """The camera gives no more: why, in words."""


class Stream(Protocol):
    """An open connection. One thread at a time."""

    def next(self) -> Frame:
        """The next picture. Raises StreamLostError where none comes within the stream's patience, or none will."""
        ...

    def close(self) -> None:
        """Give the camera back. Idempotent."""
        ...


Open = Callable[[], Stream]
"""Connects. Raises StreamLostError where the camera does not answer now, SourceError where it never will."""
