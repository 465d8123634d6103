"""Who had a bundle, and one more line that says so."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from review.verify.custody import LARGEST_CUSTODY_BYTES, CustodyLine, custody_bytes, line_sha256, parse_custody
from review.verify.manifest import CUSTODY_NAME, LARGEST_MANIFEST_BYTES, MANIFEST_NAME
from review.verify.moment import utc
from review.verify.plain_file import is_plain, read_plain
from review.verify.unpack import opened
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
        if not one.is_bundle:
            raise RecordError(f"{path} is a drive as it was recorded; a custody log goes with a bundle")
        for name in (CUSTODY_NAME, MANIFEST_NAME):
            if not is_plain(one.folder / name):
                raise RecordError(f"the custody log of {path} cannot be read: {name} is not there, or no file itself")
        data = read_plain(one.folder / CUSTODY_NAME, LARGEST_CUSTODY_BYTES)
        manifest = read_plain(one.folder / MANIFEST_NAME, LARGEST_MANIFEST_BYTES)
    lines, wrong = parse_custody(data, hashlib.sha256(manifest).hexdigest())
    return CustodyReport(str(path), lines, wrong, line_sha256(lines[-1]) if lines else "")


def add_line(path: Path, what: str, by: str, note: str) -> CustodyReport:
    """Write one more line behind the others: who (`by`) did what, with a note.

    Raises RecordError where the log does not hold, or the disk refuses; UsageError for a zip file.
    """
    found = custody_of(path)
    if path.is_file():
        raise UsageError(f"{path} is a zip file; unpack it, and say it of the folder")
    if found.wrong:
        raise RecordError(f"the custody log of {path} does not hold ({found.wrong[0]}); nothing is added to it")
    last = found.lines[-1]
    now = utc(time.time_ns())
    if now < last.utc:
        raise RecordError(f"this machine's clock says {now}, and the log's last line {last.utc}; set it right")
    line = CustodyLine(now, printable(by), printable(what), printable(note), last.manifest_sha256, line_sha256(last))
    with opened(path) as one:
        try:
            with (one.folder / CUSTODY_NAME).open("ab") as file:
                file.write(custody_bytes(line))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RecordError(f"the custody log of {path} cannot be written: {error.strerror}") from error
    return custody_of(path)
