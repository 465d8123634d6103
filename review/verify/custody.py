"""A bundle's custody log: who had it, when, and what they did with it. One line of JSON each, chained by their hashes.

It is not signed. It holds in itself; whoever keeps the last line's hash elsewhere can tell that no line before it was
changed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

LARGEST_CUSTODY_BYTES = 1024 * 1024
_UTC = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")  # sorts as time does


@dataclass(frozen=True)
class CustodyLine:
    """One line. `previous`: the SHA-256 of the line before it, "" of the first. `utc`: `2026-11-23T21:15:00.123Z`."""

    utc: str
    by: str
    what: str
    note: str
    manifest_sha256: str
    previous: str


def custody_bytes(line: CustodyLine) -> bytes:
    """A line with its end."""
    return json.dumps(dataclasses.asdict(line), sort_keys=True, separators=(",", ":")).encode() + b"\n"


def line_sha256(line: CustodyLine) -> str:
    """What the next line, and whoever keeps it elsewhere, names a line by."""
    return hashlib.sha256(custody_bytes(line)).hexdigest()


def parse_custody(data: bytes, manifest_sha256: str) -> tuple[tuple[CustodyLine, ...], tuple[str, ...]]:
    """The lines that are such, and what is wrong with the others, with their order, and with what they speak of."""
    if len(data) > LARGEST_CUSTODY_BYTES:
        return (), ("it is too large for a custody log",)
    lines: list[CustodyLine] = []
    wrong: list[str] = []
    for number, text in enumerate(data.splitlines(keepends=True), 1):
        line = _line(text)
        if line is None:
            wrong.append(f"line {number} is none, or spelled in another way than it was written")
            continue
        wrong += (f"line {number} {one}" for one in _wrong(line, lines, manifest_sha256))
        lines.append(line)
    if not lines:
        wrong.append("it has no line: who made the bundle is not told")
    return tuple(lines), tuple(wrong)


def _wrong(line: CustodyLine, before: list[CustodyLine], manifest_sha256: str) -> Iterator[str]:
    if line.previous != (line_sha256(before[-1]) if before else ""):
        yield "does not follow the line before it: one was changed or taken out"
    if before and line.utc < before[-1].utc:
        yield "is older than the line before it"
    if line.manifest_sha256 != manifest_sha256:
        yield "speaks of another manifest than the one that is here"


def _line(text: bytes) -> CustodyLine | None:
    try:
        fields = json.loads(text)
        if not isinstance(fields, dict) or not all(type(one) is str and one.isprintable() for one in fields.values()):
            return None
        line = CustodyLine(**fields)
    except (ValueError, TypeError, RecursionError):
        return None
    return line if _UTC.fullmatch(line.utc) and custody_bytes(line) == text else None
