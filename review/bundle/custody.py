"""Who had a bundle, and one more line that says so."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from review.verify.custody import LARGEST_CUSTODY_BYTES, CustodyLine, custody_bytes, line_sha256, parse_custody
from review.verify.manifest import CUSTODY_NAME, LARGEST_MANIFEST_BYTES, MANIFEST_NAME
from review.verify.moment import utc
from review.verify.plain_file import is_plain, read_plain
from review.verify.unpack import Opened, opened
from runtime.contracts.errors import RecordError, UsageError
from runtime.seal.statement import printable


@dataclass(frozen=True)
class CustodyReport:
    """A bundle's log. `head`: the SHA-256 of its last line; who keeps that elsewhere can hold the log against it."""

    bundle: str
    lines: tuple[CustodyLine, ...]
    wrong: tuple[str, ...]
    head: str


def custody_of(path: Path) -> CustodyReport:
    """The log of a bundle's folder or zip file. Raises RecordError where there is none."""
    with opened(path) as one:
        bundle = _bundle(one)
        for name in (CUSTODY_NAME, MANIFEST_NAME):
            if not is_plain(bundle / name):
                raise RecordError(f"the custody log of {path} cannot be read: {name} is not there, or no file itself")
        data = read_plain(bundle / CUSTODY_NAME, LARGEST_CUSTODY_BYTES)
        manifest = read_plain(bundle / MANIFEST_NAME, LARGEST_MANIFEST_BYTES)
    lines, wrong = parse_custody(data, hashlib.sha256(manifest).hexdigest())
    return CustodyReport(str(path), lines, wrong, line_sha256(lines[-1]) if lines else "")


def add_line(path: Path, what: str, by: str, note: str) -> CustodyReport:
    """Write one more line behind the others: who (`by`) did what, with a note. Waits for whoever writes one just now.

    Raises RecordError where the log does not hold, has no room for the line, or the disk refuses; UsageError for a zip
    file.
    """
    if path.is_file():
        raise UsageError(f"{path} is a zip file; unpack it, and say it of the folder")
    with opened(path) as one:
        bundle = _bundle(one)
        try:
            with _alone(bundle):
                _append(bundle / CUSTODY_NAME, _next_line(custody_of(path), what, by, note))
        except OSError as error:
            raise RecordError(f"the custody log of {path} cannot be written: {error.strerror}") from error
    return custody_of(path)


def _bundle(one: Opened) -> Path:
    if not one.is_bundle:
        raise RecordError(f"{one.shown} is a drive as it was recorded; a custody log goes with a bundle")
    return one.folder


def _next_line(found: CustodyReport, what: str, by: str, note: str) -> bytes:
    if found.wrong:
        raise RecordError(f"the custody log of {found.bundle} does not hold ({found.wrong[0]}); nothing is added to it")
    last = found.lines[-1]
    now = utc(time.time_ns())
    if now < last.utc:
        raise RecordError(f"this machine's clock says {now}, and the log's last line {last.utc}; set it right")
    line = CustodyLine(now, printable(by), printable(what), printable(note), last.manifest_sha256, line_sha256(last))
    data = custody_bytes(line)
    room = LARGEST_CUSTODY_BYTES - sum(len(custody_bytes(one)) for one in found.lines)
    if len(data) > room:
        raise RecordError(
            f"the custody log of {found.bundle} has room for {room} bytes more, and this line takes {len(data)}; "
            "say it in fewer words"
        )
    return data


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Held by whoever reads the last line to write the next: two that follow the same one would break the log.

    The lock is on the folder, so that no file is added to the evidence. Raises OSError.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _append(path: Path, data: bytes) -> None:
    """Write behind a file's end, all or nothing: a half line could neither be read nor be followed. Raises OSError.

    In place, since a second file beside it would be foreign to the bundle for whoever verifies or packs it meanwhile.
    """
    with path.open("ab", buffering=0) as file:  # a buffer would write what it holds once more when it is closed
        end = file.tell()
        try:
            left = data
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(end)
            raise
