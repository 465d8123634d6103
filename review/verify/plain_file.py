"""Files of a drive's folder, read as evidence: plain files only, nothing that could hang or lead elsewhere."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from runtime.contracts.errors import RecordError
from runtime.seal.statement import FileHash


def is_plain(path: Path) -> bool:
    """Whether the path is a file itself: no link, no pipe, no folder."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def is_there(path: Path) -> bool:
    """Whether anything has this name, a link that leads nowhere included."""
    try:
        path.lstat()
    except OSError:
        return False
    return True


def read_plain(path: Path, most_bytes: int) -> bytes:
    """A file's bytes, none where they are more than `most_bytes`: a file may be of any length and take no room on the
    disk. Raises RecordError where it cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
            return data if len(data) <= most_bytes else b""
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror}") from error


def is_as(path: Path, was: FileHash) -> bool:
    """Whether a plain file has this size and hash. One of another size is not read. Raises RecordError."""
    try:
        if path.lstat().st_size != was.size_bytes:
            return False
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror}") from error
    return hash_plain(path) == was


def hash_plain(path: Path) -> FileHash:
    """A file's size and SHA-256. Raises RecordError."""
    whole, size = hashlib.sha256(), 0
    for block in _blocks_of(path, 1 << 20):
        whole.update(block)
        size += len(block)
    return FileHash(size, whole.hexdigest())


def hash_blocks(path: Path, block_bytes: int, most: int) -> tuple[bytes, ...]:
    """The SHA-256 of each of a file's first `most` blocks. Raises RecordError."""
    return tuple(hashlib.sha256(block).digest() for block in islice(_blocks_of(path, block_bytes), most))


def _blocks_of(path: Path, block_bytes: int) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while block := file.read(block_bytes):
                yield block
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror}") from error
