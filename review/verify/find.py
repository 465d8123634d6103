"""Which folder is meant by the path of a drive or a bundle, also where every segment was taken out of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from runtime.contracts.errors import RecordError
from runtime.seal.part_file import BUNDLE_DRIVE, BUNDLE_MANIFEST

_MARKS = ("segment-*.mcap", "segment-*.mcap.journal", "*.seal.json")


def find_sealed(path: Path) -> Path:
    """The drive's folder: `path` itself, or the one drive in it. Raises RecordError."""
    return _the_one(path, _holds_record, "drives")


def find_drive_or_bundle(path: Path) -> Path:
    """The folder of a drive or a bundle: `path` itself, or the only one in it. Raises RecordError.

    A folder that is one itself is never passed over for one in it: whoever opens it opens that one. Of a bundle's part
    of the drive the bundle is meant: it alone says what was left out.
    """
    found = _the_one(path, lambda folder: is_bundle(folder) or _holds_record(folder), "drives or bundles")
    folder = found.resolve()
    return folder.parent if folder.name == BUNDLE_DRIVE and is_bundle(folder.parent) else found


def is_bundle(folder: Path) -> bool:
    """Whether a folder is a bundle's."""
    return (folder / BUNDLE_MANIFEST).is_file() and (folder / BUNDLE_DRIVE).is_dir()


def _the_one(path: Path, fits: Callable[[Path], bool], what: str) -> Path:
    if not path.is_dir():
        raise RecordError(f"{path} is no folder; give the folder of a drive, as `sightline run --out` makes it")
    try:
        if fits(path):
            return path
        found = sorted(entry for entry in path.iterdir() if entry.is_dir() and fits(entry))
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror}") from error
    if len(found) == 1:
        return found[0]
    if not found:
        raise RecordError(f"{path} holds no drive; give the folder of one, as `sightline run --out` makes it")
    names = ", ".join(one.name for one in found)
    raise RecordError(f"{path} holds {len(found)} {what} ({names:.200}); name one of them")


def _holds_record(folder: Path) -> bool:
    return any(next(folder.glob(mark), None) is not None for mark in _MARKS)
