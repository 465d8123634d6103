"""What a power failure must not take back: a file that is whole or not there, a folder with those above it."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from runtime.record.journal import sync_directory


def write_whole(path: Path, data: bytes, *, contended: bool = False) -> None:
    """Bring a file to the disk in one step, in place of the one before, and all names in its folder. Raises OSError.

    Args:
        path: the file.
        data: all of it.
        contended: whether two processes may write it at the same time. Where not, what one that was killed leaves has
            a name that the next one writes over.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp" if contended else f"{path.name}.tmp")
    with replacing(path, temporary) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    sync_directory(path.parent)


@contextlib.contextmanager
def replacing(path: Path, temporary: Path) -> Iterator[BinaryIO]:
    """Write a file under a name of its own, which is then put in place of `path`. Before its end the caller brings the
    bytes to the disk, and afterwards the name in the folder. Where the disk refuses, nothing is left of it. Raises
    OSError.
    """
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):  # the room that it takes is missing elsewhere
            temporary.unlink()
        raise


def make_folders(folder: Path, mode: int = 0o777, *, exist_ok: bool = False) -> None:
    """Make a folder (with `mode`), and those above it that are not there, and bring their names to the disk. Raises
    OSError.
    """
    absent = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(mode, parents=True, exist_ok=exist_ok)
    for one in absent:
        sync_directory(one.parent)
