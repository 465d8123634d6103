"""The targets by name, what each may take, and how the inputs are shared out among them."""

from __future__ import annotations

from pathlib import Path

from benchmarks.fuzzing.target import Target
from benchmarks.fuzzing.worker import Bounds

SHARES: dict[str, float] = {
    "recorder": 0.5,
    "sender": 0.15,
    "viewer": 0.12,
    "ipc": 0.12,
    "tcp": 0.05,
    "reader": 0.03,
    "replay": 0.002,
    "verify": 0.02,
    "recovery": 0.01,
}
"""Of all inputs; those that cost microseconds have more."""

BOUNDS: dict[str, Bounds] = {
    "recorder": Bounds(5.0, 64.0),
    "sender": Bounds(10.0, 64.0),
    "viewer": Bounds(10.0, 64.0),
    "ipc": Bounds(30.0, 192.0),
    "tcp": Bounds(30.0, 192.0),
    "reader": Bounds(10.0, 768.0),
    "replay": Bounds(20.0, 768.0),
    "verify": Bounds(10.0, 768.0),
    "recovery": Bounds(10.0, 768.0),
}
"""What a case may take at most: a recorder keeps messages of the link up to its own bound, a chunk holds 256 MiB."""


def open_target(name: str, work: Path) -> Target:
    """A target by its name; it may write into `work`, and removes it."""
    if name == "recorder":
        from benchmarks.fuzzing.on_recorder import RecorderTarget

        return RecorderTarget(work)
    if name in ("sender", "viewer"):
        from benchmarks.fuzzing.on_sender import SenderTarget, SubscriberTarget

        return SenderTarget(work) if name == "sender" else SubscriberTarget(work)
    if name in ("tcp", "ipc"):
        from benchmarks.fuzzing.on_sockets import SocketsTarget

        return SocketsTarget(work, tcp=name == "tcp")
    from benchmarks.fuzzing.on_drive import ReaderTarget, RecoveryTarget, ReplayTarget, VerifyTarget

    kinds = {"reader": ReaderTarget, "replay": ReplayTarget, "verify": VerifyTarget, "recovery": RecoveryTarget}
    return kinds[name](work)
