"""Files of a drive's folder, read as evidence: plain files only, nothing that could hang or lead elsewhere."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

from runtime.contracts.errors import RecordError
from runtime.record.scan import mapped
from runtime.seal.statement import FileHash


def is_plain(path: Path) -> bool:
    """Whether the path is a file itself: no link, no pipe, no folder."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def read_plain(path: Path) -> bytes:
    """A file's bytes. Raises RecordError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror}") from error


def hash_blocks(path: Path, block_bytes: int) -> tuple[FileHash, tuple[bytes, ...]]:
    """A file's size and SHA-256, and the SHA-256 of each of its blocks. Raises RecordError."""
    whole = hashlib.sha256()
    blocks = []
    try:
        with mapped(path) as buffer:
            for start in range(0, len(buffer), block_bytes):
                block = bytes(buffer[start : start + block_bytes])
                whole.update(block)
                blocks.append(hashlib.sha256(block).digest())
            return FileHash(len(buffer), whole.hexdigest()), tuple(blocks)
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror}") from error


def hash_plain(path: Path) -> FileHash:
    """A file's size and SHA-256. Raises RecordError."""
    return hash_blocks(path, 1 << 20)[0]
