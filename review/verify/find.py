"""Which folder is meant by the path of a drive, also where every segment was taken out of it."""

from __future__ import annotations

from pathlib import Path

from runtime.contracts.errors import RecordError

_MARKS = ("segment-*.mcap", "segment-*.mcap.journal", "*.seal.json")


def find_sealed(path: Path) -> Path:
    """The drive's folder: `path` itself, or the one drive in it. Raises RecordError."""
    if not path.is_dir():
        raise RecordError(f"{path} is no folder; give the folder of a drive, as `sightline run --out` makes it")
    try:
        if _holds_record(path):
            return path
        drives = sorted(entry for entry in path.iterdir() if entry.is_dir() and _holds_record(entry))
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror}") from error
    if len(drives) == 1:
        return drives[0]
    if not drives:
        raise RecordError(f"{path} holds no drive; give the folder of one, as `sightline run --out` makes it")
    names = ", ".join(drive.name for drive in drives)
    raise RecordError(f"{path} holds {len(drives)} drives ({names}); name one of them")


def _holds_record(folder: Path) -> bool:
    return any(next(folder.glob(mark), None) is not None for mark in _MARKS)
