"""What an earlier recorder of a drive left, taken up by the one that goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from runtime.contracts.errors import RecordError
from runtime.contracts.topics import CLOSING
from runtime.incident.windows import Span
from runtime.record.journal import survey, sync_directory
from runtime.record.reading import read_contents, read_header
from runtime.record.segment import TEMPORARY, SegmentFile, journal_path, read_note, segment_files
from runtime.seal.chain import DriveSealer


@dataclass(slots=True)
class Recovered:
    """Whole sets below `next_sequence`, the journals with whole sets that were left open, and how many bytes of an
    unfinished set were cut away.
    """

    next_sequence: int = 0
    files: list[SegmentFile] = field(default_factory=list)
    cut_bytes: int = 0
    damaged: list[str] = field(default_factory=list)  # sealed segments that cannot be read: nobody knows what they held
    spans: dict[int, Span] = field(default_factory=dict)  # from when to when each segment reaches
    unsealed: dict[int, bool] = field(default_factory=dict)  # segments without a seal, and whether each was cut off
    last_log_time_ns: int = 0
    header: bytes | None = None
    ended: bool = False  # the drive's closing is there: no set comes behind it

    @property
    def journals(self) -> int:
        """How many segments were open."""
        return len(self.files)


def take_up_segments(drive_dir: Path, session: str, signer: DriveSealer | None) -> Recovered | None:
    """Take up what lies in the folder, journals cut to whole sets; None where no segment does.

    An earlier recorder may have died between writing and syncing, and promises are built on what it wrote: so all is
    synced first. A sealed segment that the disk has damaged since costs itself alone: what is not known of it any more
    the driving process hands over again, or it is declared.

    Args:
        drive_dir: the drive's folder, which nobody else has.
        session: that of the run.
        signer: what signs the drive; None where it is not signed.

    Raises:
        RecordError: another run recorded the drive.
        OSError: the disk refuses.
    """
    for leftover in drive_dir.glob(f"*{TEMPORARY}"):
        leftover.unlink()
    files = segment_files(drive_dir)
    if not files:
        return None
    sync_directory(drive_dir)  # before a journal goes, its sealed file's name must be there for sure
    found = Recovered()
    for file in files:
        if file.sealed:
            _take_up_sealed(file, found, session, signer)
        else:
            _take_up_journal(file, found, session)
    if found.header is None:
        found.header = next(_headers(files), None)
    return found


def _take_up_sealed(file: SegmentFile, found: Recovered, session: str, signer: DriveSealer | None) -> None:
    try:
        note, contents = read_note(file.path), read_contents(file)
    except RecordError as error:
        found.damaged.append(str(error))
        seal = None if signer is None else signer.segments.get(file.index)
        span = Span(0, 0) if seal is None else Span(seal.first_log_time_ns, seal.last_log_time_ns)
    else:
        journal_path(file.path.parent, file.index).unlink(missing_ok=True)
        span = Span(contents.first_ns, contents.last_ns)
        if note.sets:
            _count(found, file, session, note.session, note.last_set)
            found.ended = any(topic.topic == CLOSING.name and topic.count for topic in contents.topics)
        if signer is not None and signer.unsealed([file.index]):
            found.unsealed[file.index] = note.recovered
    found.spans[file.index] = span
    found.last_log_time_ns = max(found.last_log_time_ns, span.last_ns)


def _take_up_journal(file: SegmentFile, found: Recovered, session: str) -> None:
    left = survey(file.path)
    found.cut_bytes += left.size_bytes - left.whole_bytes
    if left.mark is None:
        file.path.unlink()
        return
    _count(found, file, session, left.mark.session, left.mark.last)
    found.ended = left.closes
    found.files.append(file)
    found.spans[file.index] = Span(left.first_log_time_ns, left.last_log_time_ns)
    found.last_log_time_ns = max(found.last_log_time_ns, left.last_log_time_ns)
    found.header = left.header or found.header
    with file.path.open("r+b") as journal:
        journal.truncate(left.whole_bytes)
        os.fsync(journal.fileno())
    found.unsealed[file.index] = True


def _count(found: Recovered, file: SegmentFile, session: str, theirs: str, last: int) -> None:
    if theirs != session:
        raise RecordError(
            f"the drive {file.path.parent} was recorded by another run (session {theirs}); "
            "give every run a folder of its own"
        )
    found.next_sequence = max(found.next_sequence, last + 1)


def _headers(files: tuple[SegmentFile, ...]) -> Iterator[bytes]:
    """Those of the sealed segments that can be read."""
    for file in files:
        if file.sealed:
            try:
                header = read_header(file)
            except RecordError:
                continue
            if header is not None:
                yield header
