"""Which segments are deleted to make room: the oldest first, and never one that an incident pins. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StoredSegment:
    """One sealed segment of one of the drives. `drive_began_ns` is the UTC of the drive's first sealed message, by the
    clock that the machine had then. `is_own`: of the drive that is being written here.

    `pinned`: an incident touches it, or would if it began now. `in_use`: its drive is being written by others, or it is
    the newest of the drive that is being written here.
    """

    drive: Path
    drive_began_ns: int
    index: int
    size_bytes: int
    pinned: bool = False
    in_use: bool = False
    is_own: bool = False

    @property
    def may_go(self) -> bool:
        """Whether it may be deleted at all."""
        return not self.pinned and not self.in_use


def choose(segments: Iterable[StoredSegment], room_bytes: int, wanted_bytes: int) -> tuple[StoredSegment, ...]:
    """The segments to delete, in this order, until there are `wanted_bytes` of room: as few as that takes of the oldest
    that may go; all of those where it is not enough.
    """
    chosen: list[StoredSegment] = []
    for one in sorted((one for one in segments if one.may_go), key=_age):
        if room_bytes >= wanted_bytes:
            break
        chosen.append(one)
        room_bytes += one.size_bytes
    return tuple(chosen)


def _age(segment: StoredSegment) -> tuple[bool, int, str, int]:
    """Drives by when they began, their segments by their number: a clock that was set back in mid-drive changes
    nothing. The drive that is being written is the newest, whatever its clock says: one without a battery may say 1970.
    """
    return (segment.is_own, segment.drive_began_ns, segment.drive.name, segment.index)
