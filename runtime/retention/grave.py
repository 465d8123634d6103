"""One segment deleted: its tombstone first, then its files."""

from __future__ import annotations

from pathlib import Path

from runtime.contracts.messages import SealHead
from runtime.record.journal import sync_directory
from runtime.record.on_disk import write_whole
from runtime.record.segment import sealed_path, segment_files
from runtime.retention.choice import StoredSegment
from runtime.seal.chain import DriveSealer
from runtime.seal.keys import rotation_files
from runtime.seal.statement import FileHash, key_name, leaves_name

REASON = "room was short, and it was the oldest that no incident pins"
_OF_THE_MODEL = "model."  # the model, its report, its plan


def bury(sealer: DriveSealer, segment: StoredSegment, *, in_use: bool) -> SealHead | None:
    """Delete a sealed segment; returns the chain's new head, None where its tombstone stood already.

    Who dies in between leaves a tombstone and files that are as they were sealed; the next deletion ends it. With the
    last segment of a drive that is not `in_use` goes its model, which nothing can be decided with any more.
    Raises OSError where the disk refuses.
    """
    drive, index = segment.drive, segment.index
    last = not in_use and all(file.index == index for file in segment_files(drive))
    gone = _model(drive, sealer) if last else {}
    head = None
    if index not in sealer.deleted:
        head = sealer.bury(index, REASON, freed_bytes=segment.size_bytes, gone=gone)
    sealed_path(drive, index).unlink(missing_ok=True)
    for deleted in sealer.deleted:
        if not sealed_path(drive, deleted).exists():
            (drive / leaves_name(deleted)).unlink(missing_ok=True)
    for name in gone:
        (drive / name).unlink(missing_ok=True)
    sync_directory(drive)
    return head


def show_rotations(sealer: DriveSealer, drive: Path, key_dir: Path) -> None:
    """Where the key was changed since a drive began, give it the statements that lead from its key to today's.

    Raises OSError.
    """
    shown = (drive / key_name(sealer.key_id)).exists()  # it was furnished for a key, before the first seal
    if shown and all(seal.key_id == sealer.key_id for seal in sealer.segments.values()):
        return
    for statement in rotation_files(key_dir):
        path = drive / statement.name
        if not path.exists():
            write_whole(path, statement.read_bytes())


def _model(drive: Path, sealer: DriveSealer) -> dict[str, FileHash]:
    """The model's files, as they were when the drive was sealed."""
    first = min(sealer.segments.values(), key=lambda seal: seal.number)
    return {
        name: was for name, was in first.files.items() if name.startswith(_OF_THE_MODEL) and (drive / name).is_file()
    }
