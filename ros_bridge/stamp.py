"""When a message is of: by its own header, or by when it came."""

from __future__ import annotations

from typing import Any, Literal

from ros_bridge.messages import Message
from runtime.contracts.errors import SourceError

Stamp = Literal["header", "received"]


def time_told(message: Message, stamp: Stamp, t_received_ns: int) -> int:
    """A message's time in nanoseconds, above 0. Raises SourceError where its driver sets none: 0 is before every frame,
    so that the last speed in a bag would hold for all of them.
    """
    header: Any = getattr(message, "header")  # noqa: B009  (every type of pictures and vehicles has one)
    t_ns: int = header.stamp.ns if stamp == "header" else t_received_ns
    if t_ns <= 0:
        raise SourceError(
            f"its stamp is {t_ns} ns: its driver sets none; mend the driver, or take the arrival: stamp=received"
        )
    return t_ns
