"""The sealed segments of all drives in one folder, as they lie there: what there is to choose from."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from runtime.contracts.errors import RecordError, SealError
from runtime.incident.index import read_index
from runtime.record.segment import segment_files
from runtime.retention.choice import StoredSegment
from runtime.seal.chain import file_hash, read_seal
from runtime.seal.statement import (
    INCIDENTS_NAME,
    SEAL_SUFFIX,
    ClosingSeal,
    FileHash,
    SegmentSeal,
    leaves_name,
    seal_name,
)


def drives_in(folder: Path) -> Iterator[Path]:
    """The folders in it that hold a segment or a seal; no link is followed."""
    for entry in entries(folder):
        if entry.is_dir(follow_symlinks=False) and is_drive(entries(entry)):
            yield Path(entry.path)


def entries(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    """What lies in a folder; nothing where it cannot be read, or is gone."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def is_drive(found: list[os.DirEntry[str]]) -> bool:
    """Whether a folder's entries are a drive's."""
    return any(one.name.startswith("segment-") for one in found)


def has_end(found: list[os.DirEntry[str]]) -> bool:
    """Whether a drive's entries tell of its end."""
    return any(one.name.startswith("closing-") for one in found)


def is_closed(drive: Path) -> bool:
    """Whether a drive came to its end. One that did not is first taken up: what led to its end is an incident."""
    return has_end(entries(drive))


def segments_of(
    drive: Path, our_keys: Collection[str], *, pinned: Collection[int] | None = None
) -> list[StoredSegment]:
    """The sealed segments of one drive, none of them in use.

    Of a drive that another vehicle signed there is none, for only whoever seals a drive may delete from it.

    Args:
        drive: its folder.
        our_keys: identities of the vehicle's own keys, those that it had before included.
        pinned: what incidents pin, where the caller knows it; None: as the drive's list of incidents says. Where that
            cannot be read, or is not as it was sealed, all are pinned.

    Raises:
        RecordError: the folder cannot be read.
        SealError: its first seal cannot be, is none, or is another segment's.
    """
    files = [file for file in segment_files(drive) if file.sealed and (drive / _seal_of(file.index)).exists()]
    first = _first_seal(drive)
    if not files or not first:
        return []
    seal = read_seal(drive / first)[1]
    if not isinstance(seal, SegmentSeal) or seal.key_id not in our_keys:
        return []
    if seal_name(seal) != first:
        raise SealError(f"{drive / first} is the seal of segment {seal.segment}; put back the one that was there")
    kept = _pinned(drive) if pinned is None else pinned
    return [
        StoredSegment(
            drive,
            seal.first_log_time_ns,
            file.index,
            size_on_disk(file.path) + size_on_disk(drive / leaves_name(file.index)),
            pinned=kept is None or file.index in kept,
        )
        for file in files
    ]


def size_on_disk(file: Path | os.DirEntry[str]) -> int:
    """The bytes that a file's blocks take, 0 where there is no such file."""
    try:
        return file.stat(follow_symlinks=False).st_blocks * 512
    except OSError:
        return 0


def _pinned(drive: Path) -> Collection[int] | None:
    try:
        index = read_index(drive)
        was = _sealed_index(drive)
        if was != (None if index is None else file_hash(drive / INCIDENTS_NAME)):
            return None  # somebody who changed it could have the vehicle itself delete what an incident pins
    except (RecordError, OSError):
        return None
    return frozenset() if index is None else frozenset(one for found in index.incidents for one in found.segments)


def _sealed_index(drive: Path) -> FileHash | None:
    """The list of incidents as the drive's last closing seal has it; None where it had none."""
    names = [entry.name for entry in entries(drive) if entry.name.startswith("closing-")]
    seals = [read_seal(drive / name)[1] for name in names if name.endswith(SEAL_SUFFIX)]
    closings = [seal for seal in seals if isinstance(seal, ClosingSeal)]
    if not closings:
        return None
    return max(closings, key=lambda seal: seal.number).files.get(INCIDENTS_NAME)


def _first_seal(drive: Path) -> str:
    """The seal of the lowest segment that ever was: its file stays when the segment goes. "" where somebody takes the
    drive away meanwhile.
    """
    names = [entry.name for entry in entries(drive)]
    return min((name for name in names if name.startswith("segment-") and name.endswith(SEAL_SUFFIX)), default="")


def _seal_of(index: int) -> str:
    return f"segment-{index:04d}{SEAL_SUFFIX}"
