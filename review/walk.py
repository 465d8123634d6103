"""Checked frames in their order, added up; each must have been made on the memory that the one before it left."""

from __future__ import annotations

import math
from dataclasses import dataclass

from review.compare import Difference, Verdict
from review.frame_check import FrameCheck, Links, first_broken_link
from runtime.contracts.messages import NonFinite, recordable

RECORD = "record"
"""The field of a difference that is of the record itself: something in it is missing, or no message."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A frame that has nothing to replay: upon a dropped one nothing was decided; of another, something that the drive
    wrote is missing in the record (`reason`), or was left out of a bundle."""

    sequence: int
    reason: str = ""  # empty: dropped
    left_out: bool = False

    @property
    def dropped(self) -> bool:
        """Whether nothing was decided upon this frame."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """Where record and replay part first: frame, tensor or field, how far, and both values in words."""

    frame: int
    field: str
    distance: float | NonFinite
    recorded: str
    replayed: str


def incomplete(frame: int, reason: str) -> FirstDifference:
    """The difference of a frame that the record does not hold as it was written."""
    return FirstDifference(frame, RECORD, recordable(math.inf), "not what the vehicle wrote", reason)


class Walk:
    """Takes frame after frame. A drive begins with frame 0, on `initial`; where frames are missing in the record, what
    the next one should remember is not known, and only its own answer counts."""

    def __init__(self, initial: Links) -> None:
        """`initial` is the memory that a drive begins with."""
        self.frames = 0
        self.counts: dict[Verdict, int] = {"identical": 0, "within_tolerance": 0, "diverged": 0}
        self.max_abs_diff = 0.0
        self.first_difference: FirstDifference | None = None
        self.not_replayable: dict[str, int] = {}
        self.left_out = 0
        self._after = self._after_gap = initial
        self._next_sequence = 0
        self._known = True
        self._gap = False

    def take(self, step: FrameCheck | Passed) -> None:
        """The next frame of the record."""
        self._known = self._known and step.sequence == self._next_sequence
        self._next_sequence = step.sequence + 1
        if isinstance(step, FrameCheck):
            self._decided(step)
        elif step.dropped:
            self._gap = True
        elif step.left_out:
            self.left_out += 1
            self._known = False
        else:
            self.frames += 1
            self.not_replayable[step.reason] = self.not_replayable.get(step.reason, 0) + 1
            self._known = False
            if self.first_difference is None:
                self.first_difference = incomplete(step.sequence, step.reason)

    def _decided(self, check: FrameCheck) -> None:
        verdict, difference = check.verdict, check.difference
        if self._known:
            broken = first_broken_link(self._after_gap if self._gap else self._after, check.before)
            if broken is not None:
                verdict = "diverged"
                words = "not what the frame before it left"
                difference = difference or Difference(broken, math.inf, words, "as that frame left it")
        self.frames += 1
        self.counts[verdict] += 1
        self.max_abs_diff = max(self.max_abs_diff, check.max_abs_diff)
        if difference is not None and self.first_difference is None:
            self.first_difference = FirstDifference(
                check.sequence,
                difference.field,
                recordable(difference.distance),
                difference.recorded,
                difference.replayed,
            )
        self._after, self._after_gap = check.after, check.after_gap
        self._known, self._gap = True, False
