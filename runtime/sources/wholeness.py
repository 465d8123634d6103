"""How many frames are gone from a file that has no index of them, told by its damage and the times of the others.

Without a sign of damage nothing is gone: a gap between times is then the recording's own. With one, gaps are counted
in frames where the others come at a steady rate; where they do not, or nothing tells how much is gone, one frame is
declared, and its reason says that the number is not known. The bytes are read when the first gap, or the end, asks.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from statistics import median

from runtime.contracts.units import NS_PER_S
from runtime.sources.damage import Damage
from runtime.sources.matroska import MAGIC, matroska_damage
from runtime.sources.transport_stream import is_transport_stream, transport_stream_damage

_HEAD_BYTES = 4096
_REMEMBERED_STEPS = 256
_STEADY_SHARE = 0.9
_GAP = 1.5  # periods
_REORDERED = 16  # frames; no coder reorders more
_MAX_COUNTED = 1_000_000  # more is a header that is wrong
_MAX_COUNTED_BETWEEN = 1_000  # more is another recording that was appended
_UNKNOWN = "; how many frames are gone is not known"


def damage(path: Path) -> Damage | None:
    """The signs that a file is not whole; None where there are none, or its container is none that is known here."""
    try:
        with path.open("rb") as file:
            size_bytes = file.seek(0, 2)
            file.seek(0)
            head = file.read(_HEAD_BYTES)
            if head.startswith(MAGIC):
                return matroska_damage(file, size_bytes)
            return transport_stream_damage(file, size_bytes) if is_transport_stream(head) else None
    except OSError as problem:
        return Damage((f"the file cannot be read to its end: {problem.strerror}",), (), True)


def is_without_times(path: Path) -> bool:
    """Whether a file is a bare video stream: start codes (H.264 Annex B and its kin) without a container."""
    with path.open("rb") as file:
        head = file.read(5).lstrip(b"\0")
    pack = 0xBA  # the start code of a program stream, which has times
    return len(head) in (2, 3) and head[:1] == b"\1" and head[1] != pack


class Wholeness:
    """Follows the times of one file's frames. Asked in their order."""

    def __init__(self, path: Path, nominal_period_ns: float) -> None:
        self._path = path
        self._nominal_period_ns = nominal_period_ns
        self._steps_ns: deque[int] = deque(maxlen=_REMEMBERED_STEPS)
        self._found: list[Damage | None] = []
        self._declared = False

    def gone_between(self, last_ns: int, t_ns: int) -> tuple[int, str]:
        """How many frames are gone between two that follow one another, and why."""
        step_ns, period_ns = t_ns - last_ns, self._period_ns()
        self._steps_ns.append(step_ns)
        if step_ns <= _GAP * (period_ns or self._nominal_period_ns):
            return 0, ""
        found = self._damage()
        if found is None or period_ns is None:
            return 0, ""
        near_ns = _REORDERED * period_ns
        if not any(start - near_ns <= t_ns and last_ns <= end + near_ns for start, end in found.holes):
            return 0, ""
        self._declared = True
        return _counted(round(step_ns / period_ns) - 1, _MAX_COUNTED_BETWEEN, found.reason)

    def gone_after(self, last_ns: int) -> tuple[int, str]:
        """How many frames are gone after the last, which was at `last_ns` from the first's time, and why."""
        found = self._damage()
        if found is None:
            return 0, ""
        period_ns = self._period_ns()
        reason, left = found.reason, None
        if found.end_ns is not None:
            left = (found.end_ns - last_ns) / (period_ns or self._nominal_period_ns)
            reason += (
                f"; its header tells a duration of {found.end_ns / NS_PER_S:.3f} s, "
                f"and its last frame is at {last_ns / NS_PER_S:.3f} s"
            )
        if left is not None and left <= _GAP:
            return 0, ""
        if left is not None and found.video_only and period_ns is not None:
            return _counted(round(left) - 1, _MAX_COUNTED, reason)
        passed = all(end <= last_ns + _GAP * (period_ns or self._nominal_period_ns) for _, end in found.holes)
        told = self._declared and passed
        return (1, reason + _UNKNOWN) if found.frames_surely_lost and not told else (0, "")

    def _period_ns(self) -> float | None:
        """The time between two frames, where it is steady."""
        if not self._steps_ns:
            return None
        usual = median(self._steps_ns)
        steady = sum(usual / _GAP < step < usual * _GAP for step in self._steps_ns)
        return float(usual) if steady >= _STEADY_SHARE * len(self._steps_ns) else None

    def _damage(self) -> Damage | None:
        if not self._found:
            self._found.append(damage(self._path))
        return self._found[0]


def _counted(count: int, most: int, reason: str) -> tuple[int, str]:
    return (count, reason) if count <= most else (1, reason + _UNKNOWN)
