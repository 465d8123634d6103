"""Segments that the vehicle deleted from a drive to make room, as their tombstones tell. No signature is checked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runtime.contracts.errors import SealError
from runtime.seal.chain import read_seal
from runtime.seal.statement import SEAL_SUFFIX, SegmentSeal, TombstoneSeal

_LARGEST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class DeletedSegment:
    """One that is not there any more. Times are log_time."""

    index: int
    messages: int
    first_ns: int
    last_ns: int
    reason: str
    topics: dict[str, int]  # its messages; empty where its seal cannot be read


def deleted_segments(drive_dir: Path) -> tuple[DeletedSegment, ...]:
    """The deleted segments in their order. A tombstone that cannot be read tells of none: verifying names it."""
    found: dict[int, DeletedSegment] = {}
    for path in sorted(drive_dir.glob(f"tombstone-*{SEAL_SUFFIX}")):
        with contextlib.suppress(SealError, OSError):
            seal = read_seal(path)[1] if path.is_file() and path.stat().st_size <= _LARGEST_BYTES else None
            if isinstance(seal, TombstoneSeal) and not (drive_dir / f"segment-{seal.segment:04d}.mcap").exists():
                found[seal.segment] = DeletedSegment(
                    seal.segment,
                    seal.messages,
                    seal.first_log_time_ns,
                    seal.last_log_time_ns,
                    seal.reason,
                    _topics(drive_dir / f"segment-{seal.segment:04d}{SEAL_SUFFIX}"),
                )
    return tuple(found[index] for index in sorted(found))


def _topics(path: Path) -> dict[str, int]:
    with contextlib.suppress(SealError, OSError):
        seal = read_seal(path)[1] if path.is_file() and path.stat().st_size <= _LARGEST_BYTES else None
        if isinstance(seal, SegmentSeal):
            return seal.topics
    return {}


def in_words(deleted: Iterable[DeletedSegment]) -> str:
    """`segments 0 to 3, 7 (1234 messages) were deleted: room was short`; nothing where none was."""
    segments = tuple(deleted)
    if not segments:
        return ""
    messages = sum(one.messages for one in segments)
    reasons = "; ".join(dict.fromkeys(one.reason for one in segments))
    several = "segments" if len(segments) > 1 else "segment"
    were = "were" if len(segments) > 1 else "was"
    which = _ranges([one.index for one in segments])
    return f"{several} {which} ({messages} messages) {were} deleted by the vehicle: {reasons}"


def _ranges(indices: list[int]) -> str:
    spans: list[list[int]] = []
    for index in indices:
        if spans and index == spans[-1][-1] + 1:
            spans[-1] = [spans[-1][0], index]
        else:
            spans.append([index, index])
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in spans)
