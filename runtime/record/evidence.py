"""What nobody may put a file into: a drive, or a bundle of one. Verifying would name it as foreign."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from runtime.contracts.errors import RecordError, UsageError
from runtime.record.deleted import deleted_segments
from runtime.record.segment import in_bundle, segment_files
from runtime.seal.part_file import BUNDLE_DRIVE


def refuse_in_evidence(path: Path, option: str = "--out") -> None:
    """Raise UsageError where a file or folder that is to be written, as an `option` names it, lies in a drive or in a
    bundle, or is one.
    """
    place = Path(os.path.realpath(path))  # unlike resolve(), it takes links that lead in a circle
    for folder in (*reversed(place.parents), place):  # the bundle before the drive in it
        whole = _is_drive(folder / BUNDLE_DRIVE) and in_bundle(folder / BUNDLE_DRIVE)
        if whole or _is_drive(folder):
            raise UsageError(
                f"{option} {path} is in the {'bundle' if whole else 'drive'} {folder}, which is evidence: whatever is "
                "put there, `sightline verify` names as foreign; choose a place outside of it"
            )


def _is_drive(folder: Path) -> bool:
    with contextlib.suppress(RecordError):  # what may not be listed
        return folder.is_dir() and bool(segment_files(folder) or deleted_segments(folder))
    return False
