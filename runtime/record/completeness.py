"""Whether a record holds all that was written into it: its marks say how many messages each set had, and which sets
there were. What a recorder declared as lost, what nobody wrote after a crash, what was deleted, and what is not in a
bundle is no lack.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runtime.contracts.messages import Stored
from runtime.contracts.topics import GAP, STORED
from runtime.record.drive import Drive
from runtime.record.reading import RecordedMessage, read_messages


@dataclass(frozen=True, slots=True)
class Lack:
    """One place where the record is not what was written."""

    frame: int  # the first frame that it concerns; -1: it lies between frames
    segment: str  # the file's name
    reason: str

    def __str__(self) -> str:
        """As a sentence's part: `frame 7 (segment-0000.mcap): 8 messages of set 9 are there, 9 were written`."""
        where = "between frames" if self.frame < 0 else f"frame {self.frame}"
        return f"{where} ({self.segment}): {self.reason}"


def lacks(drive: Drive) -> Iterator[Lack]:
    """Every such place, in the order of the record. Streams. Raises RecordError naming a damaged segment."""
    count = _Count()
    deleted = {one.index for one in drive.deleted}
    following = 0
    for file in drive.segments:
        if drive.in_bundle or deleted.issuperset(range(following, file.index)):
            count.pass_over(file.index - following)
        following = file.index + 1
        for message in read_messages(file, (STORED, GAP)):
            for frame, reason in count.take(message, whole=not file.part):
                yield Lack(frame, file.path.name, reason)


class _Count:
    """Follows the marks: sets and frames each come once, from 0, without a hole."""

    def __init__(self) -> None:
        self._next_set: int | None = 0  # None behind segments that were passed over
        self._next_frame: int | None = 0  # None behind a hole of sets: nobody knows how many frames it swallowed
        self._declared = False

    def pass_over(self, segments: int) -> None:
        """Segments that may be missing: how many sets and frames they held, nobody needs to know."""
        if segments:
            self._next_set, self._next_frame = None, None

    def take(self, message: RecordedMessage, *, whole: bool) -> Iterator[tuple[int, str]]:
        """The next mark, or declared gap; gives the frames concerned and the reasons. `whole`: its set was to be there
        with every message; of a part, that is for verifying.
        """
        if message.row is GAP:
            self._declared = True
            return
        mark: Stored = message.decode()
        frame, expected = mark.frame_sequence, self._next_frame
        declared, self._declared = self._declared, False
        awaited = mark.first if self._next_set is None else self._next_set
        if mark.first < awaited:
            yield frame, f"set {mark.first} of the link is there twice, or out of its order"
            return
        if mark.first > awaited:
            concerned = -1 if expected is None or frame == expected else expected
            sets = f"sets {awaited} to {mark.first - 1}"
            yield concerned, f"{sets} of the link are not there, and no gap declares their loss"
            self._next_frame = None
        elif expected is not None and frame > expected:
            yield expected, f"frames {expected} to {frame - 1} are not there, and no gap declares their loss"
        if whole and message.place != mark.messages:
            yield frame, f"{message.place} messages of set {mark.first} are there, {mark.messages} were written"
        self._next_set = mark.last + 1
        if frame >= 0:
            self._next_frame = frame + 1
        elif declared:
            self._next_frame = None
