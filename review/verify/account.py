"""What a bundle holds of a drive, and what it leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from review.verify.custody import CustodyLine

HandedOver = Literal["whole", "part", "unproven", "left out", "deleted"]  # unproven: a part without a proof that holds


@dataclass(frozen=True)
class Hole:
    """Messages that follow each other and were left out, both ends included, and the log times of the kept ones beside
    them (None: there is none). `asked`: they lie in a set that was asked for.
    """

    first: int
    last: int
    after_log_time_ns: int | None
    before_log_time_ns: int | None
    asked: bool

    @property
    def count(self) -> int:
        """How many."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class PartAccount:
    """What a bundle holds of one segment.

    Of those left out in sets that were asked for, `withheld` at least are of a topic that was asked for, and at most
    `unproven` may be: both are 0 where the seal's counts and the room in the sets rule that out.
    """

    segment: int
    handed: HandedOver
    messages: int  # sealed
    kept: int
    left_out: dict[str, int]  # by topic
    holes: tuple[Hole, ...]  # the first 1,000
    holes_left_out: int
    withheld: int
    unproven: int
    first_log_time_ns: int
    last_log_time_ns: int


@dataclass(frozen=True)
class BundleAccount:
    """A bundle, as far as it is more than its drive's part."""

    asked: str  # in its maker's words; "": its manifest does not tell
    segments: tuple[int, ...]  # those that were asked for
    without_topics: tuple[str, ...]
    from_log_time_ns: int | None
    to_log_time_ns: int | None
    without_people: bool
    parts: tuple[PartAccount, ...]  # every sealed segment of the drive
    files_left_out: tuple[str, ...]  # of those that the seals speak of
    custody: tuple[CustodyLine, ...]
    custody_head: str  # the SHA-256 of its last line; "": there is none
