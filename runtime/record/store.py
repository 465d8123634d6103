"""A drive's folder while it is written: recovery at the start, active journal, rotation, sealing beside the loop."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from runtime.contracts.config import RecordConfig
from runtime.contracts.errors import RecordError, SealError
from runtime.contracts.messages import Header, SealHead, Stored
from runtime.contracts.topics import HEADER, STORED, Topic
from runtime.contracts.units import NS_PER_S
from runtime.incident.windows import Span
from runtime.record.journal import Journal, Survey, survey, sync_directory
from runtime.record.reading import read_contents
from runtime.record.segment import (
    TEMPORARY,
    SegmentFile,
    journal_path,
    read_header,
    read_note,
    seal,
    sealed_path,
    segment_files,
)
from runtime.seal.chain import DriveSealer

_MIB = 1024 * 1024
_LATEST_NS = 2**63 - 1  # MCAP's times have 64 bits without a sign, many readers' 63
_SEALS_UNDER_WAY = 4  # beyond it rotation waits: journals are as safe as segments, only larger


@dataclass(frozen=True, slots=True)
class Recovered:
    """What an earlier recorder of this drive left: whole sets below `next_sequence`, the journals with whole sets that
    it left open, bytes of an unfinished set cut."""

    next_sequence: int
    files: tuple[SegmentFile, ...]
    cut_bytes: int

    @property
    def journals(self) -> int:
        """How many segments were open."""
        return len(self.files)


class DriveStore:
    """Writes one drive. Methods raise RecordError where the disk refuses, after which the store is of no more use.

    `signer` signs each segment; without one they are rewritten and not signed.
    """

    def __init__(self, drive_dir: Path, session: str, config: RecordConfig, signer: DriveSealer | None = None) -> None:
        self._dir, self._session, self._config = drive_dir, session, config
        self._sealer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="seal")
        self._seals: list[Future[SealHead | None]] = []
        self._signer = signer
        self._heads: list[SealHead] = []
        self._journal: Journal | None = None
        self._in_set = 0
        self._index = 0
        self._header_bytes: bytes | None = None
        self._spans: dict[int, Span] = {}  # of closed segments
        self.header: Header | None = None
        self.next_sequence = 0
        self.last_log_time_ns = 0
        self.dirty = False
        self.seal_error: RecordError | None = None
        self.recovered = self._recover()

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
        try:
            journal = self._active(log_time_ns, publish_time_ns)
            journal.append(
                name, topic, data, log_time_ns=log_time_ns, publish_time_ns=publish_time_ns, sequence=sequence
            )
        except OSError as error:
            raise self._refused(error) from error
        self._in_set += 1
        self.last_log_time_ns = max(self.last_log_time_ns, log_time_ns)
        self.dirty = True

    def mark(self, first: int, last: int, *, frame_sequence: int, log_time_ns: int, publish_time_ns: int) -> None:
        """End the set (or the declared gap) `first` to `last`; a segment that is long or large enough ends with it."""
        mark = STORED.encode(Stored(self._session, first, last, frame_sequence, self._in_set))
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
                raise self._refused(error) from error
        self.dirty = False

    def rotate(self) -> None:
        """Close the active journal and have it sealed beside the loop."""
        if self._journal is None:
            return
        try:
            self._journal.close()
        except OSError as error:
            raise self._refused(error) from error
        self._spans = self.spans
        self._journal = None
        self.dirty = False
        self._in_set = 0  # what stands behind the last mark belongs to no set of the next segment
        self._seal(self._index, recovered=False)
        self._index += 1

    def sealing(self) -> bool:
        """Whether journals are still being sealed. One that could not be is in `seal_error`; it stays readable."""
        waiting: list[Future[SealHead | None]] = []
        for future in self._seals:
            if future.done():
                self._outcome(future)
            else:
                waiting.append(future)
        self._seals = waiting
        return bool(waiting)

    def take_heads(self) -> list[SealHead]:
        """The seals that were made since this was last asked, in their order."""
        heads, self._heads = self._heads, []
        return heads

    def finish(self) -> None:
        """Once nothing is being sealed any more: sign that the drive ends here. Raises RecordError."""
        if self._signer is None or self.seal_error is not None:
            return
        try:
            head = self._signer.close()
        except OSError as error:
            raise self._refused(error) from error
        if head is not None:
            self._heads.append(head)

    def close(self) -> None:
        """Wait for the last seal and close the chain. Raises RecordError where a seal failed; its journal stays
        readable.
        """
        self._sealer.shutdown(wait=True)
        self.sealing()
        if self.seal_error is not None:
            raise self.seal_error
        self.finish()

    def _active(self, log_time_ns: int, publish_time_ns: int) -> Journal:
        if self._journal is None:
            self._journal = Journal(journal_path(self._dir, self._index))
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

    def _is_full(self, journal: Journal) -> bool:
        first_ns = journal.first_log_time_ns or 0
        long_enough = journal.last_log_time_ns - first_ns >= self._config.segment_s * NS_PER_S
        return long_enough or journal.size_bytes >= self._config.segment_mib * _MIB

    def _seal(self, index: int, *, recovered: bool) -> None:
        self.sealing()
        while len(self._seals) >= _SEALS_UNDER_WAY:
            self._outcome(self._seals.pop(0))
        self._seals.append(self._sealer.submit(self._rewrite_and_sign, index, recovered=recovered))

    def _rewrite_and_sign(self, index: int, *, recovered: bool) -> SealHead | None:
        seal(self._dir, index, recovered=recovered)
        return self._sign(index, recovered=recovered)

    def _sign(self, index: int, *, recovered: bool, late: bool = False) -> SealHead | None:
        if self._signer is None:
            return None
        try:
            return self._signer.seal_segment(index, recovered=recovered, late=late)
        except OSError as error:
            raise SealError(f"segment {index} cannot be signed: {error.strerror}") from error

    def _outcome(self, future: Future[SealHead | None]) -> None:
        error = future.exception()
        if error is None:
            head = future.result()
            if head is not None:
                self._heads.append(head)
        else:
            why = error.strerror if isinstance(error, OSError) else error
            if isinstance(error, SealError):  # it is rewritten, and the next recorder signs it late
                self.seal_error = RecordError(f"a segment of {self._dir} is written and not sealed: {why}")
                return
            self.seal_error = RecordError(
                f"a segment of {self._dir} could not be sealed: {why}; its journal stays, and is readable as it is"
            )

    def _refused(self, error: OSError) -> RecordError:
        return RecordError(
            f"the drive {self._dir} cannot be written: {error.strerror or error}; make room or mend the disk"
        )

    def _recover(self) -> Recovered | None:
        """Take up what an earlier recorder of this drive left. Journals are cut to whole sets and sealed."""
        for leftover in self._dir.glob(f"segment-*{TEMPORARY}"):
            leftover.unlink()
        files = segment_files(self._dir)
        if not files:
            return None
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
                if self._signer is not None and self._signer.unsealed([file.index]):
                    self._seals.append(self._sealer.submit(self._sign, file.index, recovered=note.recovered, late=True))
                continue
            found = survey(file.path)
            if found.mark is not None:  # it holds a whole set
                journals.append(file)
            cut_bytes += found.size_bytes - found.whole_bytes
            self._take_up_journal(file.index, file.path, found)
        self._index = max((file.index for file in segment_files(self._dir)), default=-1) + 1
        if self._header_bytes is None:
            sealed = [file for file in files if sealed_path(self._dir, file.index).exists()]
            header = read_header(sealed[0].path) if sealed else None
            if header is not None:
                self.keep_header(header)
        return Recovered(self.next_sequence, tuple(journals), cut_bytes)

    def _take_up_journal(self, index: int, path: Path, found: Survey) -> None:
        if found.mark is None:
            path.unlink()
            sync_directory(self._dir)
            return
        self._took_up(found.mark.session, found.mark.last)
        self.last_log_time_ns = max(self.last_log_time_ns, found.last_log_time_ns)
        self._spans[index] = Span(found.first_log_time_ns, found.last_log_time_ns)
        if found.header is not None:
            self.keep_header(found.header)
        if found.whole_bytes < found.size_bytes:
            with path.open("r+b") as file:
                file.truncate(found.whole_bytes)
                os.fsync(file.fileno())
        self._seal(index, recovered=True)

    def _took_up(self, session: str, last: int) -> None:
        if session != self._session:
            raise RecordError(
                f"the drive {self._dir} was recorded by another run (session {session}); "
                "give every run a folder of its own"
            )
        self.next_sequence = max(self.next_sequence, last + 1)
