"""A drive's folder while it is written: recovery at the start, active journal, rotation, sealing beside the loop."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from runtime.contracts.config import RecordConfig
from runtime.contracts.messages import Header, Stored
from runtime.contracts.topics import HEADER, STORED, Topic
from runtime.contracts.units import NS_PER_S
from runtime.incident.windows import Span
from runtime.record.journal import Journal
from runtime.record.recovered import Recovered, take_up_segments
from runtime.record.sealing import Sealing, refused
from runtime.record.segment import journal_path
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
            self.recovered = self._take_up()
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

    def _take_up(self) -> Recovered | None:
        """Go on where an earlier recorder of this drive was. Its segments are sealed once what they say of incidents
        was taken up.
        """
        signer = self.sealing.signer
        found = take_up_segments(self._dir, self._session, signer)
        if found is not None:
            self._spans, self.last_log_time_ns = dict(found.spans), found.last_log_time_ns
            self.next_sequence = found.next_sequence
            for index, was_cut in found.unsealed.items():
                self.sealing.put_off(index, recovered=was_cut)
            if found.header is not None:
                self.keep_header(found.header)
        # The folder may not be asked: files are named in it meanwhile. Of a segment that was deleted the seal remains.
        self._index = 1 + max((*self._spans, *(() if signer is None else tuple(signer.segments))), default=-1)
        return found
