"""The recorder's memory of incidents: watches what is recorded, keeps the list on the disk, tells what is pinned."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from runtime.contracts.config import IncidentConfig
from runtime.contracts.errors import RecordError
from runtime.contracts.incident import Incident, IncidentIndex, Mark, Marked, Trigger, TriggerKind
from runtime.contracts.topics import INCIDENT, TRIGGER, Topic
from runtime.contracts.units import NS_PER_S, ns_from_s
from runtime.incident import windows
from runtime.incident.index import read_index, write_index
from runtime.incident.triggers import REARM_NS, WATCHED, Moment, Watch, watch
from runtime.incident.windows import KEPT_MARKS, Incidents, Margin, Span
from runtime.record.reading import RecordedMessage, read_messages
from runtime.record.segment import SegmentFile, segment_files
from runtime.record.store import DriveStore
from runtime.retention.reserve import is_no_room

Write = Callable[[Topic, Trigger | Incident], None]
_LOOK_NS = NS_PER_S
_SALT_BYTES = 16
_ROWS = (*WATCHED, INCIDENT, TRIGGER)


class IncidentKeeper:
    """One drive's incidents. Triggers are found while a set is written and stand in it; the list goes to the disk
    before the set is acknowledged, and before its segment is sealed: of what is sealed nothing is taken up again.

    `pinned` may be read by another thread: the segments that must not be deleted, which are those of incidents and
    those that an incident would reach back to if it began now.

    `damage` says why an earlier list could not be read, "" where it could; it was then made anew from the record.
    """

    def __init__(self, drive_dir: Path, drive_id: str, config: IncidentConfig, store: DriveStore, write: Write) -> None:
        """`write` puts a message into the record, at its newest moment, and shows it to viewers."""
        self._dir, self._drive_id, self._config = drive_dir, drive_id, config
        self._store, self._write = store, write
        self._margin = Margin.of(config)
        self._watch = Watch()
        self._found: list[Trigger] = []  # in the set that is being written
        self._incidents: Incidents = ()
        self._untold: list[Trigger] = []  # marks that were taken, and the record does not hold
        self._written: dict[int, Incident] = {}  # as last written into the record, by number
        self._written_in: dict[int, int] = {}  # and in which set
        self._saved: Incidents = ()
        self._now = Moment(0, -1)
        self._looked_ns = 0  # when segments and ends of windows were last looked at
        self._looked_in = -1  # and in which segment
        self._growing = 0  # the newest segment when incidents were last held against segments
        self._over = store.recovered is not None and store.recovered.ended
        self.pinned: frozenset[int] = frozenset()
        self.damage = ""
        if store.recovered is not None:
            self._take_up(store.recovered.files)
        store.sealing.ask_leave(self.save)

    @property
    def incidents(self) -> Incidents:
        """All of them, in the order of their time."""
        return self._incidents

    @property
    def any_open(self) -> bool:
        """Whether one may still grow."""
        return any(one.open for one in self._incidents)

    def observe(self, topic: Topic, data: bytes, moment: Moment) -> None:
        """Look at a message that is being recorded. Raises RecordError on bytes that are none of its topic."""
        if topic in WATCHED:
            self._watch, found = watch(self._watch, topic.decode(data), moment, self._config)
            self._found += found

    def settle(self, moment: Moment) -> None:
        """All of a set was looked at: write what it set off behind it, before the set's mark."""
        self._now = moment if moment.sequence >= 0 else Moment(moment.t_source_ns, self._now.sequence)
        found, self._found = self._found, []
        new_segment = self._store.segment != self._looked_in  # small ones may come and go within a look's period
        if found or new_segment or abs(moment.t_source_ns - self._looked_ns) >= _LOOK_NS:
            self._looked_ns, self._looked_in = moment.t_source_ns, self._store.segment
            self._add(found)

    def tell(self, kind: TriggerKind, reason: str) -> None:
        """Something that no message says set an incident off, at the record's newest moment."""
        self._add([Trigger(kind, self._now.t_source_ns, self._now.sequence, reason)])

    def mark(self, marks: Sequence[Mark]) -> list[Marked]:
        """Take marks at the record's newest moment; each is answered once all are on the disk, or refused."""
        if self._over or self._store.header is None:
            why = "the drive is over" if self._over else "the drive has not begun: mark it again"
            return [Marked(mark.token, self._drive_id, -1, why) for mark in marks]
        known = {trigger.token for one in self._incidents for trigger in one.triggers}
        new = {mark.token: mark for mark in marks if mark.token not in known}
        met = windows.met_by(self._incidents, self._now.t_source_ns, self._margin)
        room = KEPT_MARKS - sum(trigger.kind == "mark" for one in met for trigger in one.triggers)
        self._add([self._marked(mark) for mark in list(new.values())[: max(0, room)]])
        refusal = self.save()
        return [self._answer(mark, refusal) for mark in marks]

    def tell_again(self, first_set: int) -> None:
        """What was written into the set `first_set` and those behind it is not in the record: tell it there now."""
        for number, in_set in self._written_in.items():
            if in_set >= first_set:
                self._written.pop(number, None)
        self._change(self._incidents)

    def save(self) -> str:
        """Bring the list to the disk, where it is not as it lies there; why it cannot be, "" where it is there."""
        if self._saved != self._incidents:
            try:
                self._write_index()
            except OSError as error:
                if is_no_room(error):
                    return "there is no room for the list of incidents"
                return f"the list of incidents cannot be written: {error.strerror or error}"
            self._saved = self._incidents
        return ""

    def close(self) -> None:
        """The drive is over: nothing that comes can belong to an incident any more."""
        self._over = True
        self._change(windows.closed(self._incidents, None, self._margin))

    def _write_index(self) -> None:
        """By way of the reserve where there is no room: what is not on the list may be deleted."""
        index = IncidentIndex(self._drive_id, self._incidents, secrets.token_hex(_SALT_BYTES))
        try:
            write_index(self._dir, index)
        except OSError as error:
            if not is_no_room(error) or not self._store.reserve.size_bytes:
                raise
            self._store.reserve.release()
            write_index(self._dir, index)

    def _marked(self, mark: Mark) -> Trigger:
        return Trigger("mark", self._now.t_source_ns, self._now.sequence, mark.reason, mark.by, mark.token)

    def _answer(self, mark: Mark, refusal: str) -> Marked:
        for one in self._incidents:
            if any(trigger.token == mark.token for trigger in one.triggers):
                return Marked(mark.token, self._drive_id, one.number, refusal)
        return Marked(mark.token, self._drive_id, -1, f"this incident has {KEPT_MARKS} marks already")

    def _add(self, triggers: Iterable[Trigger]) -> None:
        incidents = self._incidents
        for trigger in triggers:
            self._write(TRIGGER, trigger)
            incidents = windows.with_trigger(incidents, trigger, self._margin)
        self._change(windows.closed(incidents, self._now.t_source_ns, self._margin))

    def _change(self, incidents: Incidents) -> None:
        spans = self._source_spans()
        self._incidents = windows.touching(incidents, spans, self._incidents, self._growing)
        self._growing = self._store.segment
        untold, self._untold = self._untold, []
        for trigger in untold:
            self._write(TRIGGER, trigger)
        for one in self._incidents:
            if self._written.get(one.number) != one:
                self._written[one.number], self._written_in[one.number] = one, self._store.next_sequence
                self._write(INCIDENT, one)
        self._pin(spans)

    def _pin(self, spans: Mapping[int, Span]) -> None:
        reach_ns = self._now.t_source_ns - self._margin.before_ns
        recent = windows.meeting(spans, reach_ns, self._now.t_source_ns)
        self.pinned = recent.union(*(one.segments for one in self._incidents))

    def _source_spans(self) -> dict[int, Span]:
        """From when to when the segments reach, in the source's time by the header's law."""
        header = self._store.header
        if header is None:
            return {}
        ahead_ns = header.utc_origin_ns - header.t_source_origin_ns
        return {
            index: Span(span.first_ns - ahead_ns, span.last_ns - ahead_ns) for index, span in self._store.spans.items()
        }

    def _take_up(self, open_files: Iterable[SegmentFile]) -> None:
        """Go on with what an earlier recorder left: its list, and what stands in the segments that it left open."""
        files = (*self._just_sealed(), *open_files)
        try:
            index = read_index(self._dir)
            if index is not None and index.drive_id != self._drive_id:
                raise RecordError(f"the list of incidents in {self._dir} is the drive {index.drive_id}'s")
        except RecordError as error:
            self.damage = str(error)
            index, files = None, segment_files(self._dir)
        if index is not None:
            self._saved = self._incidents = index.incidents
        header = self._store.header
        if header is not None:
            ahead_ns = header.utc_origin_ns - header.t_source_origin_ns
            self._now = Moment(self._store.last_log_time_ns - ahead_ns, -1)
        for one in self._incidents:
            if not one.open and one.t_to_ns + self._margin.before_ns < self._now.t_source_ns:
                self._written[one.number] = one  # one that was closed after what is on the disk is told again
        told: set[str] = set()
        for file in files:
            self._read(file, told)
        since_ns = self._now.t_source_ns - self._memory_ns
        self._untold = [  # what a message sets off is found again in its set, and what stands further back was told
            trigger
            for one in self._incidents
            for trigger in one.triggers
            if trigger.kind == "mark" and trigger.t_source_ns >= since_ns and trigger.token not in told
        ]
        spans = self._source_spans()
        self._incidents = windows.touching(self._incidents, spans)
        self._pin(spans)

    def _just_sealed(self) -> tuple[SegmentFile, ...]:
        """Sealed segments with what is to be remembered still of conditions that hold."""
        spans = self._store.spans
        since_ns = self._store.last_log_time_ns - self._memory_ns
        return tuple(file for file in segment_files(self._dir) if file.sealed and spans[file.index].last_ns >= since_ns)

    @property
    def _memory_ns(self) -> int:
        """How long anything is to be remembered of a condition."""
        return max(REARM_NS, ns_from_s(self._config.deadline_window_s))

    def _read(self, file: SegmentFile, told: set[str]) -> None:
        """What a segment tells of incidents, and what is to be remembered of the messages in it. Its marks' tokens go
        into `told`.
        """
        try:
            for message in read_messages(file, _ROWS):
                if message.row is TRIGGER:
                    told.add(message.decode().token)
                else:
                    self._follow(message)
        except RecordError as error:  # a sealed one: the others are whole
            self.damage = self.damage or str(error)

    def _follow(self, message: RecordedMessage) -> None:
        """What a message sets off is told behind it, in the same set."""
        header = self._store.header
        if message.row is INCIDENT:
            one: Incident = message.decode()
            self._written[one.number] = one
            self._incidents = windows.with_told(self._incidents, one)
        elif header is not None:
            ahead_ns = header.utc_origin_ns - header.t_source_origin_ns
            moment = Moment(message.log_time_ns - ahead_ns, message.sequence)
            self._watch, _ = watch(self._watch, message.decode(), moment, self._config)
