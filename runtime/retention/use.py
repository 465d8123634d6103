"""What the drives in one folder take on the disk, and what may still be written there."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from runtime.contracts.units import NS_PER_S
from runtime.record.journal import SUFFIX
from runtime.retention.listing import entries, has_end, is_drive, size_on_disk

# A change within the same tick of the clock leaves a folder's time as it was, and some filesystems book blocks late.
_SETTLED_NS = 10 * NS_PER_S


@dataclass(frozen=True, slots=True)
class _Measured:
    """One drive. `changed_ns`: when a file last came into its folder, or went. `is_over`: none grows there any more."""

    changed_ns: int
    size_bytes: int
    is_over: bool


class DiskUse:
    """Asked once a second: of drives that are over only those are walked again whose folder has changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._over: dict[str, _Measured] = {}  # by the drive's name

    def room_bytes(self, quota_bytes: int | None) -> int:
        """How much may still be written: what is free on the filesystem or, where that is less, what is left of the
        quota. Raises OSError.
        """
        status = os.statvfs(self._folder)
        free = status.f_bavail * status.f_frsize
        return free if quota_bytes is None else min(free, quota_bytes - self.used_bytes())

    def used_bytes(self) -> int:
        """What the drives take. Files that come and go meanwhile are passed over."""
        used, now_ns = 0, time.time_ns()
        before, self._over = self._over, {}
        for drive in entries(self._folder):
            if not drive.is_dir(follow_symlinks=False):
                continue
            changed_ns = _changed_ns(drive)
            known = before.get(drive.name)
            if known is None or known.changed_ns != changed_ns:
                known = _measured(drive, changed_ns)
            if known.is_over and now_ns - changed_ns > _SETTLED_NS:
                self._over[drive.name] = known
            used += known.size_bytes
        return used


def _measured(folder: os.DirEntry[str], changed_ns: int) -> _Measured:
    found = entries(folder)
    if not is_drive(found):
        return _Measured(changed_ns, 0, is_over=False)
    grows = any(one.name.endswith(SUFFIX) for one in found)  # it was taken up again
    size_bytes = sum(size_on_disk(entry) for entry in found)
    return _Measured(changed_ns, size_bytes, is_over=has_end(found) and not grows)


def _changed_ns(folder: os.DirEntry[str]) -> int:
    try:
        return folder.stat(follow_symlinks=False).st_mtime_ns
    except OSError:
        return 0
