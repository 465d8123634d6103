"""Room that the recorder keeps back in the drive's filesystem, to have it where there is none: for a segment to be
sealed, for a tombstone before a deletion, for the gap and the last seal at the end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import threading
from pathlib import Path

_STEP_BYTES = 4 * 1024 * 1024
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


def is_no_room(error: BaseException | None) -> bool:
    """Whether the disk refused for want of room: the filesystem's, or the user's quota's."""
    return isinstance(error, OSError) and error.errno in _NO_ROOM


class Reserve:
    """Allocated blocks of a file without a name: nothing lies beside the evidence, and they are free again when the
    process ends, however it does. May be used by two threads.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._fd = -1
        self.size_bytes = 0

    def hold(self, wanted_bytes: int) -> None:
        """Have about as much as wanted; less where there is none to have."""
        wanted_bytes = -(-wanted_bytes // _STEP_BYTES) * _STEP_BYTES
        with self._lock:
            if wanted_bytes == self.size_bytes:
                return
            try:
                if self._fd < 0:
                    self._fd = _nameless(self._folder)
                if wanted_bytes < self.size_bytes:
                    os.ftruncate(self._fd, wanted_bytes)
                else:
                    os.posix_fallocate(self._fd, self.size_bytes, wanted_bytes - self.size_bytes)
                self.size_bytes = wanted_bytes
            except OSError:
                self._to_what_is_held()

    def release(self) -> None:
        """Give it back. Idempotent."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
            self._fd, self.size_bytes = -1, 0

    def _to_what_is_held(self) -> None:
        """Some filesystems leave a part allocated when they refuse."""
        with contextlib.suppress(OSError):
            if self._fd >= 0:
                os.ftruncate(self._fd, self.size_bytes)


def _nameless(folder: Path) -> int:
    with contextlib.suppress(OSError):  # not every filesystem has them
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fd, name = tempfile.mkstemp(prefix="segment-", suffix=".tmp", dir=folder)
    Path(name).unlink()
    return fd
