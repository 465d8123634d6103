"""Files that are ours alone: keys are read only where no other user can, and written so that none ever could."""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from runtime.contracts.errors import SightlineError
from runtime.record.on_disk import write_whole


@dataclass(frozen=True)
class Kept:
    """What is kept private, the harm of others getting at it, and which error tells so."""

    what: str
    harm: str
    error: type[SightlineError]


def read_private(path: Path, kept: Kept) -> bytes:
    """A file of a private folder: mode 0600 in 0700, both ours. Raises FileNotFoundError where there is none,
    `kept.error` where it cannot be used.
    """
    try:
        with path.open("rb") as file:
            refuse_open(path.parent, path.parent.stat(), 0o700, kept)
            refuse_open(path, os.fstat(file.fileno()), 0o600, kept)
            return file.read()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise kept.error(f"the {kept.what} {path} cannot be read: {error.strerror}") from error


def refuse_open(path: Path, status: os.stat_result, mode: int, kept: Kept) -> None:
    """Raise `kept.error` where others than its owner, or another owner than us, can use a file or a folder."""
    if status.st_uid != os.geteuid():
        raise kept.error(f"{path} belongs to another user (id {status.st_uid}); the {kept.what} must be ours alone")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise kept.error(
            f"{path} can be used by others (mode {stat.S_IMODE(status.st_mode):04o}); {kept.harm}: "
            f"chmod {mode:o} {path}"
        )


def private_file(folder: Path, name: str, data: bytes) -> Path:
    """A new file of ours alone, synced, under a name of its own; the caller moves it to `name`. Raises OSError."""
    descriptor, temporary = tempfile.mkstemp(prefix=f"{name}.", suffix=".tmp", dir=folder)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
    return Path(temporary)


def public_file(path: Path, data: bytes) -> None:
    """Bring a file that anybody may read to the disk, as two runs that start may do at once. Raises OSError."""
    write_whole(path, data, contended=True)
