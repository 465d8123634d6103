"""What a vehicle deleted from a drive to make room, and whether it was allowed to: by its tombstones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from review.verify.plain_file import is_as, is_plain, is_there, read_plain
from review.verify.report import Deleted, Finding
from review.verify.seals import FoundSeal
from runtime.seal.statement import INCIDENTS_NAME, FileHash, SegmentSeal, TombstoneSeal, leaves_name

_LARGEST_INDEX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Deletions:
    """What may be missing: segments with an honest tombstone, and files that went with them, as they were."""

    tombstones: dict[int, FoundSeal]
    files: dict[str, FileHash]
    findings: tuple[Finding, ...]

    def excuses(self, folder: Path, seal: SegmentSeal) -> bool:
        """Whether the segment is not there, and by the vehicle's own word. A link in its place is no absence: whoever
        opens the drive would follow it.
        """
        return seal.segment in self.tombstones and not is_there(folder / seal.file_name)


def read_deletions(folder: Path, seals: tuple[FoundSeal, ...]) -> Deletions:
    """The tombstones among the seals, each held against its segment's seal and against the incidents."""
    sealed = {one.seal.segment: one.seal for one in seals if isinstance(one.seal, SegmentSeal)}
    pinned = pinned_segments(folder / INCIDENTS_NAME)
    tombstones: dict[int, FoundSeal] = {}
    files: dict[str, FileHash] = {}
    findings = []
    for one in seals:
        if not isinstance(one.seal, TombstoneSeal):
            continue
        index, was = one.seal.segment, sealed.get(one.seal.segment)
        if was is None or not _is_of(one.seal, was):
            text = f"it is a tombstone of segment {index} as no seal before it speaks of it"
            findings.append(Finding("deletion-wrong", one.name, text, segment=index))
            continue
        if index in pinned and not is_plain(folder / was.file_name):
            text = f"segment {index} was deleted, and incident {pinned[index]} pins it: that one is never to be deleted"
            findings.append(Finding("deletion-wrong", one.name, text, segment=index))
        tombstones[index] = one
        files |= one.seal.gone
    return Deletions(tombstones, files, tuple(findings))


def deleted(folder: Path, segments: tuple[SegmentSeal, ...], deletions: Deletions) -> Iterator[Deleted]:
    """The segments that are gone by their tombstones, for the answer."""
    for seal in segments:
        if deletions.excuses(folder, seal):
            one = deletions.tombstones[seal.segment]
            assert isinstance(one.seal, TombstoneSeal)
            times = (seal.first_log_time_ns, seal.last_log_time_ns)
            yield Deleted(seal.segment, one.name, seal.messages, *times, one.seal.reason)


def left_behind(folder: Path, seal: SegmentSeal) -> Iterator[Finding]:
    """Of a deleted segment the leaves may still be there: whoever deleted it died meanwhile."""
    name = leaves_name(seal.segment)
    path = folder / name
    if is_there(path) and not (is_plain(path) and is_as(path, seal.leaves_file)):
        yield Finding("file-changed", name, "the deleted segment's leaves are not as they were sealed", seal.segment)


def pinned_segments(path: Path) -> dict[int, int]:
    """The segments that incidents pin, each with the incident's number. A damaged index pins nothing: that it was
    changed, the closing seal tells.
    """
    try:
        if not is_plain(path):
            return {}
        incidents = json.loads(read_plain(path, _LARGEST_INDEX_BYTES))["incidents"]
        return {index: number for number, index in _pins(incidents)}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}


def _pins(incidents: Any) -> Iterator[tuple[int, int]]:
    for incident in incidents:
        for index in incident["segments"]:
            if type(index) is int and type(incident["number"]) is int:
                yield incident["number"], index


def _is_of(tombstone: TombstoneSeal, seal: SegmentSeal) -> bool:
    """Whether it speaks of the segment as it was sealed, and after that."""
    same = (tombstone.file_name, tombstone.file, tombstone.root, tombstone.messages) == (
        seal.file_name,
        seal.file,
        seal.root,
        seal.messages,
    )
    return same and tombstone.number > seal.number
