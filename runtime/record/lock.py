"""Who may touch a drive's folder: its own processes share it, as do those who hand a part of it over; whoever recovers
it or deletes from it has it alone.

The lock is flock(2) on the folder itself, so that no file is added to the evidence, and it goes with the process that
held it, however that ended. Whether somebody has that lock can only be tried, and who tries keeps the others out
meanwhile; so each who changes a drive shows itself by a second one, of fcntl(2), which can be asked for without being
taken.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.contracts.errors import RecordError

_PATIENCE_S = 10.0  # whoever has a drive alone that is being started found nothing to do there
_POLL_S = 0.02
_CANNOT_LOCK = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF})


class DriveInUseError(RecordError):
    """Somebody else has the drive: it is being written, recovered, or deleted from."""


@contextmanager
def shared(drive_dir: Path) -> Iterator[None]:
    """Held by the processes that write a drive, all at once. Raises RecordError where the folder cannot be opened.

    Waits for whoever has it alone, 10 s at most, then DriveInUseError. A filesystem without locks gives none: there
    nobody gets a drive alone either.
    """
    with _with_others(drive_dir) as descriptor:
        _show(descriptor)
        yield


@contextmanager
def unchanged(drive_dir: Path) -> Iterator[None]:
    """As `shared`, for whoever reads a drive of which nothing may go meanwhile: it does not count as `in_use`."""
    with _with_others(drive_dir):
        yield


@contextmanager
def exclusive(drive_dir: Path) -> Iterator[None]:
    """Held by whoever changes a drive that is not its own. Never waits.

    Raises DriveInUseError where somebody has it, RecordError where the folder cannot be opened or locked at all.
    """
    descriptor = _opened(drive_dir)
    try:
        if not _taken(drive_dir, descriptor, fcntl.LOCK_EX):
            raise DriveInUseError(
                f"the drive {drive_dir} is in use: it is being written, recovered, deleted from or handed over"
            )
        _show(descriptor)
        yield
    finally:
        os.close(descriptor)


def in_use(drive_dir: Path) -> bool | None:
    """Whether it is being written, recovered or deleted from at this moment; None where that cannot be known.

    Takes nothing: who reads a drive stands in nobody's way.
    """
    try:
        descriptor = _opened(drive_dir)
    except RecordError:
        return None
    try:
        against = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _lock_of_all(fcntl.F_WRLCK))
    except OSError:  # a filesystem, or a system, without such locks cannot tell
        return None
    finally:
        os.close(descriptor)
    kind: int = struct.unpack_from("@h", against)[0]
    return kind != fcntl.F_UNLCK


@contextmanager
def _with_others(drive_dir: Path) -> Iterator[int]:
    descriptor = _opened(drive_dir)
    try:
        deadline_s = time.monotonic() + _PATIENCE_S
        while not _taken(drive_dir, descriptor, fcntl.LOCK_SH):
            if time.monotonic() > deadline_s:
                raise DriveInUseError(f"the drive {drive_dir} is being recovered or deleted from; wait for its end")
            time.sleep(_POLL_S)
        yield descriptor
    finally:
        os.close(descriptor)


def _opened(drive_dir: Path) -> int:
    try:
        return os.open(drive_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise RecordError(f"the drive {drive_dir} cannot be opened: {error.strerror}; give a drive's folder") from error


def _taken(drive_dir: Path, descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if kind == fcntl.LOCK_SH and error.errno in _CANNOT_LOCK:
            return True
        raise RecordError(
            f"the drive {drive_dir} cannot be locked: {error.strerror}; its filesystem has no flock(2), so it is not "
            "known whether somebody writes it"
        ) from error
    return True


def _show(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # a system without this kind has flock(2) still; nobody can be asked there
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _lock_of_all(fcntl.F_RDLCK))


def _lock_of_all(kind: int) -> bytes:
    """A `struct flock` (fcntl(2)) over the whole of what is open, as Linux lays it out."""
    return struct.pack("@hhqqi0q", kind, os.SEEK_SET, 0, 0, 0)
