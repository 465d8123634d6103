"""Files of a drive's folder, read as evidence: plain files only, nothing that could hang or lead elsewhere."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
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


def read_plain(path: Path) -> bytes:
    """A file's bytes. Raises RecordError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror}") from error


def hash_plain(path: Path) -> FileHash:
    """A file's size and SHA-256. Raises RecordError."""
    whole, size = hashlib.sha256(), 0
    for block in _blocks_of(path, 1 << 20):
        whole.update(block)
        size += len(block)
    return FileHash(size, whole.hexdigest())


def hash_blocks(path: Path, block_bytes: int) -> tuple[bytes, ...]:
    """The SHA-256 of each of a file's blocks. Raises RecordError."""
    return tuple(hashlib.sha256(block).digest() for block in _blocks_of(path, block_bytes))


def _blocks_of(path: Path, block_bytes: int) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while block := file.read(block_bytes):
                yield block
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror}") from error
