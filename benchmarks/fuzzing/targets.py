"""The targets by name, what each may take, and how the inputs are shared out among them."""

from __future__ import annotations

from pathlib import Path

from benchmarks.fuzzing.target import Target
from benchmarks.fuzzing.worker import Bounds

SHARES: dict[str, float] = {"recorder": 0.4}
BOUNDS: dict[str, Bounds] = {"recorder": Bounds(5.0, 64.0)}


def open_target(name: str, work: Path) -> Target:
    """A target by its name; it may write into `work`, and removes it."""
    if name == "recorder":
        from benchmarks.fuzzing.on_recorder import RecorderTarget

        return RecorderTarget(work)
    raise KeyError(name)
