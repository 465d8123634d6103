"""A drive's folder while it is written: recovery at the start, active journal, rotation, sealing beside the loop."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from runtime.contracts.config import RecordConfig
from runtime.contracts.errors import RecordError
from runtime.contracts.messages import Header, Stored
from runtime.contracts.topics import HEADER, STORED, Topic
from runtime.contracts.units import NS_PER_S
from runtime.incident.windows import Span
from runtime.record.journal import Journal, Survey, survey, sync_directory
from runtime.record.reading import read_contents, read_header
from runtime.record.recovered import Recovered
from runtime.record.sealing import Sealing, refused
from runtime.record.segment import (
    TEMPORARY,
    SegmentFile,
    journal_path,
    read_note,
    segment_files,
)
from runtime.retention.reserve import Reserve, is_no_room
from runtime.seal.chain import DriveSealer

_MIB = 1024 * 1024
_LATEST_NS = 2**63 - 1  # MCAP's times have 64 bits without a sign, many readers' 63


class DriveStore:
    """Writes one drive. Methods raise RecordError where the disk refuses, after which the store is of no more use.

    Want of room is no such end: then the store is `discarding`. The segment ends at what was synced, and what comes is
    counted and not written, until `resume`. `signer` signs each segment; without one they are not signed.
    """

    def __init__(self, drive_dir: Path, session: str, config: RecordConfig, signer: DriveSealer | None = None) -> None:
        self.folder = drive_dir
        self._dir, self._session, self._config = drive_dir, session, config
        self.reserve = Reserve(drive_dir)
        self.sealing = Sealing(drive_dir, signer, self.reserve)
        self._journal: Journal | None = None
        self._in_set = 0
        self._first_sequence = 0  # of the segment that is written
        self._index = 0
        self._header_bytes: bytes | None = None
        self._spans: dict[int, Span] = {}  # of closed segments
        self.header: Header | None = None
        self.next_sequence = 0
        self.last_log_time_ns = 0
        self.dirty = False
        self.discarding = False
        self.refusals = 0  # for want of room
        try:
            self.recovered = self._recover()
        except OSError as error:
            raise refused(self._dir, error) from error
        self.kept_sequence = self.next_sequence  # all sets below it are on the disk, or declared there

    @property
    def spans(self) -> dict[int, Span]:
        """From when to when (log_time) each segment reaches, the growing one included."""
        journal = self._journal
        if journal is None or journal.first_log_time_ns is None:
            return dict(self._spans)
        return {**self._spans, self._index: Span(journal.first_log_time_ns, journal.last_log_time_ns)}

    @property
    def segment(self) -> int:
        """The segment that is written now, or will be next."""
        return self._index

    def log_time_ns(self, t_source_ns: int, utc_ns: int) -> int:
        """The MCAP log_time of a moment by the header's law; `utc_ns` where no header is known yet."""
        if self.header is None:
            return utc_ns
        law_ns = self.header.utc_origin_ns + (t_source_ns - self.header.t_source_origin_ns)
        return min(max(0, law_ns), _LATEST_NS)

    def keep_header(self, data: bytes) -> None:
        """Take the header; from now on every segment begins with it. Raises RecordError on bytes that are none."""
        self.header = HEADER.decode(data)
        if self._header_bytes is None:
            self.rotate()  # readers look for it where a segment begins
        self._header_bytes = data

    def append(
        self, name: str, topic: Topic, data: bytes, *, log_time_ns: int, publish_time_ns: int, sequence: int
    ) -> None:
        """Add a message to the set that is being written."""
        self.last_log_time_ns = max(self.last_log_time_ns, log_time_ns)
        if self.discarding:
            return
        try:
            journal = self._active(log_time_ns, publish_time_ns)
            journal.append(
                name, topic, data, log_time_ns=log_time_ns, publish_time_ns=publish_time_ns, sequence=sequence
            )
        except OSError as error:
            self._run_out(error)
            return
        self._in_set += 1
        self.dirty = True

    def mark(self, first: int, last: int, *, frame_sequence: int, log_time_ns: int, publish_time_ns: int) -> None:
        """End the set (or the declared gap) `first` to `last`; a segment that is long or large enough ends with it."""
        crc32 = self._crc32(log_time_ns, publish_time_ns)
        mark = STORED.encode(Stored(self._session, first, last, frame_sequence, self._in_set, crc32))
        self.append(
            STORED.name,
            STORED,
            mark,
            log_time_ns=log_time_ns,
            publish_time_ns=publish_time_ns,
            sequence=frame_sequence,
        )
        self._in_set = 0
        self.next_sequence = last + 1
        journal = self._journal
        if journal is not None and self._is_full(journal):
            self.rotate()

    def sync(self) -> None:
        """Bring all that was appended to the disk."""
        if self._journal is not None and self.dirty:
            try:
                self._journal.sync()
            except OSError as error:
                self._run_out(error)
                return
            self.kept_sequence = self.next_sequence
        self.dirty = False

    def rotate(self) -> None:
        """Close the active journal and have it sealed beside the loop."""
        if self._journal is None:
            return
        try:
            self._journal.close()
        except OSError as error:
            self._run_out(error)
            return
        self.kept_sequence = self.next_sequence
        self._end_segment()

    def pause(self) -> None:
        """Write no more, for there is too little room: what comes is discarded. What is written already is kept."""
        self.rotate()
        self.discarding = True

    def resume(self) -> None:
        """Write again, in a new segment, and seal what waited for room. The caller declares what was discarded: the
        sets from `kept_sequence` up to `next_sequence`.
        """
        self.discarding = False
        self.sealing.retry()

    def forget(self, indices: Iterable[int]) -> None:
        """Segments that were deleted to make room."""
        for index in indices:
            self._spans.pop(index, None)

    @property
    def journal_bytes(self) -> int:
        """How much lies in the journal that grows: what its rewriting may take."""
        return 0 if self._journal is None else self._journal.size_bytes

    def _run_out(self, error: OSError) -> None:
        """The disk took something no more. For want of room: keep what was synced, discard what comes."""
        journal = self._journal
        if not is_no_room(error):
            if journal is not None:  # what it refused to sync can still be read, and would be taken for recorded
                with contextlib.suppress(OSError):
                    journal.abandon()
            raise refused(self._dir, error) from error
        self.discarding = True
        self.refusals += 1
        if journal is None:
            return
        try:
            is_there = journal.abandon()
            if is_there and self.kept_sequence <= self._first_sequence:  # no whole set, which recovery would leave out
                journal.path.unlink()
                is_there = False
        except OSError as fault:
            raise refused(self._dir, fault) from fault
        if is_there:
            self._end_segment()
        self._journal, self.dirty, self._in_set = None, False, 0

    def _end_segment(self) -> None:
        self._spans = self.spans
        self._journal = None
        self.dirty = False
        self._in_set = 0  # what stands behind the last mark belongs to no set of the next segment
        self.sealing.submit(self._index, recovered=False)
        self._index += 1

    def close(self) -> None:
        """Wait for the last seal and close the chain. Raises RecordError where a seal failed; its journal stays
        readable.
        """
        self.sealing.close()
        self.reserve.release()

    def _active(self, log_time_ns: int, publish_time_ns: int) -> Journal:
        if self._journal is None:
            self._journal = Journal(journal_path(self._dir, self._index))
            self._first_sequence = self.next_sequence
            if self._header_bytes is not None:
                self._journal.append(
                    HEADER.name,
                    HEADER,
                    self._header_bytes,
                    log_time_ns=log_time_ns,
                    publish_time_ns=publish_time_ns,
                    sequence=-1,
                )
        return self._journal

    def _crc32(self, log_time_ns: int, publish_time_ns: int) -> int | None:
        """Of what stands in the journal since the last mark: of its header too, where the set has no message."""
        if self.discarding:
            return None
        try:
            return self._active(log_time_ns, publish_time_ns).crc32
        except OSError as error:
            self._run_out(error)
            return None

    def _is_full(self, journal: Journal) -> bool:
        first_ns = journal.first_log_time_ns or 0
        long_enough = journal.last_log_time_ns - first_ns >= self._config.segment_s * NS_PER_S
        return long_enough or journal.size_bytes >= self._config.segment_mib * _MIB

    def _recover(self) -> Recovered | None:
        """Take up what an earlier recorder of this drive left. Journals are cut to whole sets; they are
        sealed later.

        It may have died between writing and syncing, and promises are built on what it wrote: so all is synced first.
        """
        for leftover in self._dir.glob(f"*{TEMPORARY}"):
            leftover.unlink()
        files = segment_files(self._dir)
        signer = self.sealing.signer
        if not files:
            self._index = self._first_free_index()
            return None
        sync_directory(self._dir)  # before a journal goes, its sealed file's name must be there for sure
        journals: list[SegmentFile] = []
        cut_bytes = 0
        for file in files:
            if file.sealed:
                journal_path(self._dir, file.index).unlink(missing_ok=True)
                note, contents = read_note(file.path), read_contents(file)
                self._spans[file.index] = Span(contents.first_ns, contents.last_ns)
                self.last_log_time_ns = max(self.last_log_time_ns, contents.last_ns)
                if note.sets:
                    self._took_up(note.session, note.last_set)
                if signer is not None and signer.unsealed([file.index]):
                    self.sealing.put_off(file.index, recovered=note.recovered)
                continue
            found = survey(file.path)
            if found.mark is not None:  # it holds a whole set
                journals.append(file)
            cut_bytes += found.size_bytes - found.whole_bytes
            self._take_up_journal(file.index, file.path, found)
        self._index = self._first_free_index()
        if self._header_bytes is None:
            sealed = [file for file in files if file.sealed]
            header = read_header(sealed[0]) if sealed else None
            if header is not None:
                self.keep_header(header)
        return Recovered(self.next_sequence, tuple(journals), cut_bytes)

    def _first_free_index(self) -> int:
        """Behind every segment that is there or was: the folder may not be asked any more while segments are sealed in
        it, and of one that was deleted the seal remains.
        """
        signer = self.sealing.signer
        return 1 + max((*self._spans, *(() if signer is None else tuple(signer.segments))), default=-1)

    def _take_up_journal(self, index: int, path: Path, found: Survey) -> None:
        if found.mark is None:
            path.unlink()
            return
        self._took_up(found.mark.session, found.mark.last)
        self.last_log_time_ns = max(self.last_log_time_ns, found.last_log_time_ns)
        self._spans[index] = Span(found.first_log_time_ns, found.last_log_time_ns)
        if found.header is not None:
            self.keep_header(found.header)
        with path.open("r+b") as file:
            file.truncate(found.whole_bytes)
            os.fsync(file.fileno())
        self.sealing.put_off(index, recovered=True)  # until what it says of incidents was taken up

    def _took_up(self, session: str, last: int) -> None:
        if session != self._session:
            raise RecordError(
                f"the drive {self._dir} was recorded by another run (session {session}); "
                "give every run a folder of its own"
            )
        self.next_sequence = max(self.next_sequence, last + 1)
