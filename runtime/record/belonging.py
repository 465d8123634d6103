"""Whether the segments in a folder are those of one drive, each once, in their order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runtime.contracts.errors import RecordError
from runtime.contracts.messages import Header, Stored
from runtime.contracts.topics import HEADER, STORED
from runtime.record.reading import read_messages
from runtime.record.segment import SegmentFile


@dataclass(frozen=True, slots=True)
class _Beginning:
    """A segment's header and first mark. None: it has none."""

    path: Path
    header: Header | None
    mark: Stored | None


def common_header(files: Iterable[SegmentFile]) -> Header | None:
    """The header of the drive that all segments belong to; None where no segment has one.

    Only the first chunk of each is read. Raises RecordError, naming both files, where a segment is another drive's or a
    copy, and where the first is damaged; another damaged one is passed over, and named when it is read.
    """
    first: _Beginning | None = None
    header: Header | None = None
    begun: list[_Beginning] = []  # those with marks
    for file in files:
        try:
            found = _beginning(file)
        except RecordError:
            if header is None:
                raise
            continue
        if header is None or first is None:
            first, header = found, found.header
        elif found.header is not None and found.header.drive_id != header.drive_id:
            raise RecordError(
                f"{found.path} is a segment of the drive {found.header.drive_id}, {first.path} one of "
                f"{header.drive_id}; give every drive a folder of its own"
            )
        if found.mark is not None:
            _refuse(begun, found, found.mark)
            begun.append(found)
    return header


def _beginning(file: SegmentFile) -> _Beginning:
    header: Header | None = None
    for message in read_messages(file, (HEADER, STORED)):
        if message.row is STORED:
            return _Beginning(file.path, header, message.decode())
        header = header or message.decode()
    return _Beginning(file.path, header, None)


def _refuse(begun: list[_Beginning], found: _Beginning, mark: Stored) -> None:
    """Raise RecordError where a segment cannot follow those before it."""
    if not begun:
        return
    before = begun[-1]
    assert before.mark is not None
    if mark.session != before.mark.session:
        raise RecordError(
            f"{found.path} was recorded by another run than {before.path} (session {mark.session[:8]}…, not "
            f"{before.mark.session[:8]}…); give every run's segments a folder of their own"
        )
    if mark.first <= before.mark.first:
        same = next((other for other in begun if other.mark is not None and other.mark.first == mark.first), None)
        if same is not None:
            raise RecordError(
                f"{found.path} and {same.path} both begin with set {mark.first} of the link: one is a copy of the "
                "other; take it out"
            )
        raise RecordError(
            f"{found.path} begins with set {mark.first} of the link, {before.path} before it with set "
            f"{before.mark.first}: they are not in their order; give them their own names back"
        )
