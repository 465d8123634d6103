"""What is given up, step by step, where room is short and nothing more may be deleted. Pure.

    0  everything is recorded
    1  pictures of a lower quality                               below min_free
    2  and only every n-th of them                               below 3/4
    3  no pictures, maps, or simulated truth                     below 1/2
    4  nothing: what comes is declared as one growing gap        below 1/4, or the disk refused to write

On the way back each bound is an eighth higher, so that what a step saves does not undo it at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

SMALLER_PICTURES, FEWER_PICTURES, ESSENTIALS, NOTHING = 1, 2, 3, 4
_BOUNDS = {
    SMALLER_PICTURES: Fraction(1),
    FEWER_PICTURES: Fraction(3, 4),
    ESSENTIALS: Fraction(1, 2),
    NOTHING: Fraction(1, 4),
}
_BACK = Fraction(9, 8)
_FIRST_RETRY_S, _LONGEST_RETRY_S = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class RoomSeen:
    """What is known of room: bytes that may still be written, the bytes that should be free, and whether nothing more
    may be deleted.
    """

    room_bytes: int
    min_free_bytes: int
    exhausted: bool


def next_step(step: int, seen: RoomSeen) -> int:
    """The step to take. As long as something may be deleted nothing is given up."""
    if not seen.exhausted:
        return 0
    room, full = seen.room_bytes, seen.min_free_bytes
    wanted = max((one for one, bound in _BOUNDS.items() if room < bound * full), default=0)
    while step > wanted and room >= _BOUNDS[step] * full * _BACK:
        step -= 1
    return max(step, wanted)


@dataclass(frozen=True, slots=True)
class Refusals:
    """How often, and when last, the disk refused to write: what to wait before it is tried again.

    Each refusal soon after a retry doubles the wait, up to a minute: a disk may say that it has room and have none.
    """

    wait_s: float = 0.0
    at_s: float = 0.0

    def another(self, now_s: float) -> Refusals:
        """One more, now."""
        soon = self.wait_s > 0 and now_s - self.at_s < 2 * self.wait_s + _FIRST_RETRY_S
        return Refusals(min(2 * self.wait_s, _LONGEST_RETRY_S) if soon else _FIRST_RETRY_S, now_s)

    def may_try(self, now_s: float) -> bool:
        """Whether it is time to try again."""
        return self.wait_s == 0 or now_s - self.at_s >= self.wait_s


def in_words(step: int, picture_every: int) -> str:
    """What a step leaves of the record, for the event."""
    return {
        0: "everything is recorded",
        SMALLER_PICTURES: "pictures are recorded at a lower quality",
        FEWER_PICTURES: f"one picture in {picture_every} is recorded, at a lower quality",
        ESSENTIALS: "no pictures, maps or simulated truth are recorded",
        NOTHING: "nothing is recorded",
    }[step]
