"""The targets by name, what each may take, and how the inputs are shared out among them."""

from __future__ import annotations

from pathlib import Path

from benchmarks.fuzzing.target import Target
from benchmarks.fuzzing.worker import Bounds

SHARES: dict[str, float] = {"recorder": 0.4, "reader": 0.15, "replay": 0.01, "verify": 0.08, "recovery": 0.03}
BOUNDS: dict[str, Bounds] = {
    "sender": Bounds(10.0, 64.0),
    "viewer": Bounds(10.0, 64.0),
    "recorder": Bounds(5.0, 64.0),
    "reader": Bounds(10.0, 512.0),
    "replay": Bounds(20.0, 512.0),
    "verify": Bounds(10.0, 512.0),
    "recovery": Bounds(10.0, 512.0),
}


def open_target(name: str, work: Path) -> Target:
    """A target by its name; it may write into `work`, and removes it."""
    if name == "recorder":
        from benchmarks.fuzzing.on_recorder import RecorderTarget

        return RecorderTarget(work)
    if name in ("sender", "viewer"):
        from benchmarks.fuzzing.on_sender import SenderTarget, SubscriberTarget

        return SenderTarget(work) if name == "sender" else SubscriberTarget(work)
    from benchmarks.fuzzing.on_drive import ReaderTarget, RecoveryTarget, ReplayTarget, VerifyTarget

    kinds = {"reader": ReaderTarget, "replay": ReplayTarget, "verify": VerifyTarget, "recovery": RecoveryTarget}
    return kinds[name](work)
