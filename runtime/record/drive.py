"""A recorded drive, read: header, topics, messages, frames, gaps, ledger. Streams; no list grows with the drive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from runtime.contracts.errors import RecordError
from runtime.contracts.messages import (
    Attribution,
    Closing,
    CompressedImage,
    CompressedVideo,
    Decision,
    Disposition,
    Gap,
    GroundTruth,
    Header,
    TensorSet,
    VehicleSample,
)
from runtime.contracts.topics import (
    ATTRIBUTION,
    CLOSING,
    DECISION,
    GAP,
    HEADER,
    LEDGER,
    MODEL_INPUT,
    MODEL_OUTPUT,
    PICTURE,
    STORED,
    TRUTH,
    VEHICLE,
    VIDEO,
    Topic,
)
from runtime.contracts.units import s_from_ns
from runtime.record.belonging import common_header
from runtime.record.deleted import deleted_segments, in_words
from runtime.record.reading import RecordedMessage, read_contents, read_messages
from runtime.record.segment import SegmentFile, SegmentNote, find_note, in_bundle, segment_files
from runtime.supervise.plan import CONFIG_NAME, ENGINE_PLAN_NAME, MODEL_NAME


@dataclass(frozen=True)
class RecordedFrame:
    """Everything that the record holds of one frame, decoded when asked for. None: the record has no such message.

    `part`: of a bundle, where not every message of the frame was handed over.
    """

    sequence: int
    t_source_ns: int
    messages: tuple[RecordedMessage, ...]
    part: bool = False

    def raw(self, row: Topic) -> bytes | None:
        """The bytes of the frame's message of one row of the topics table."""
        return next((message.data for message in self.messages if message.row is row), None)

    @cached_property
    def input(self) -> TensorSet | None:
        """The tensors that entered the network, exactly."""
        tensors: TensorSet | None = self._decoded(MODEL_INPUT)
        return tensors

    @cached_property
    def output(self) -> TensorSet | None:
        """The tensors that left the network, exactly."""
        tensors: TensorSet | None = self._decoded(MODEL_OUTPUT)
        return tensors

    @cached_property
    def decision(self) -> Decision | None:
        """The decision with its chain."""
        decision: Decision | None = self._decoded(DECISION)
        return decision

    @cached_property
    def vehicle(self) -> VehicleSample | None:
        """The vehicle's state as sampled for this decision."""
        sample: VehicleSample | None = self._decoded(VEHICLE)
        return sample

    @cached_property
    def attribution(self) -> Attribution | None:
        """The signed map."""
        attribution: Attribution | None = self._decoded(ATTRIBUTION)
        return attribution

    @cached_property
    def truth(self) -> GroundTruth | None:
        """What the simulation knew."""
        truth: GroundTruth | None = self._decoded(TRUTH)
        return truth

    @cached_property
    def dispositions(self) -> tuple[Disposition, ...]:
        """The ledger's lines, one of each camera."""
        return tuple(message.decode() for message in self.messages if message.row is LEDGER)

    @cached_property
    def pictures(self) -> tuple[CompressedImage | CompressedVideo, ...]:
        """The pictures for people, one of each camera that has one."""
        return tuple(message.decode() for message in self.messages if message.row in (PICTURE, VIDEO))

    def _decoded(self, row: Topic) -> Any:
        data = self.raw(row)
        return None if data is None else row.decode(data)


@dataclass(frozen=True, slots=True)
class TopicSummary:
    """One topic of a drive. `rate_hz` is over the drive's duration, 0 where that is not known."""

    topic: str
    schema_name: str
    encoding: str
    count: int
    rate_hz: float


@dataclass(frozen=True, slots=True)
class LedgerTotals:
    """The ledger's lines in the record, by disposition."""

    decided: int
    late: int
    dropped: int

    @property
    def frames(self) -> int:
        """All lines: every frame that the source produced has one."""
        return self.decided + self.late + self.dropped


class Drive:
    """An opened drive. Methods that read segments raise RecordError naming a damaged one."""

    def __init__(self, path: Path, files: tuple[SegmentFile, ...], header: Header) -> None:
        self.path, self.header = path, header
        self.segments = files
        self.deleted = deleted_segments(path)
        self.in_bundle = in_bundle(path.resolve())  # what is not there was not handed over

    @property
    def model_path(self) -> Path:
        """The model that drove."""
        return self.path / MODEL_NAME

    @property
    def engine_plan_path(self) -> Path:
        """The plan that its engine ran, there where the header's fingerprint names one."""
        return self.path / ENGINE_PLAN_NAME

    @property
    def config_path(self) -> Path:
        """The configuration that drove."""
        return self.path / CONFIG_NAME

    def messages(self, *rows: Topic, segment: int | None = None) -> Iterator[RecordedMessage]:
        """The messages of the given rows (all, where none is given) in the order of their hand-over, which is that of
        log_time except where something was handed over late; of one segment (its index) or all.
        """
        for file in self._files(segment):
            yield from read_messages(file, rows or None)

    def frames(
        self, *rows: Topic, segment: int | None = None, first: int = 0, last: int | None = None
    ) -> Iterator[RecordedFrame]:
        """Frame by frame with the messages of the given rows (all, where none is given); of one segment, or of the
        sequences `first` to `last`, both included. A frame of which a bundle holds none of these is passed over.
        """
        wanted = (*rows, STORED) if rows else ()
        for file in self._files(segment):
            if not self._may_hold(file, first, last):
                continue
            messages: list[RecordedMessage] = []
            for message in read_messages(file, wanted or None):
                if message.row is not STORED:
                    if message.row is not HEADER:
                        messages.append(message)
                    continue
                sequence = STORED.decode(message.data).frame_sequence
                asked = sequence >= first and sequence >= 0 and (last is None or sequence <= last)
                if asked and (messages or not file.part):
                    yield RecordedFrame(sequence, self.t_source_ns(message.log_time_ns), tuple(messages), file.part)
                messages = []

    def segment_begin(self, sequence: int) -> int:
        """The first frame of the segment that holds a frame: no video reaches further back. 0 where none says more."""
        begin = 0
        for file in self.segments:
            note = find_note(file.path) if file.sealed else None
            if note is not None and 0 <= note.first_frame <= sequence:
                begin = note.first_frame if sequence <= note.last_frame else note.last_frame + 1
        return begin

    def topics(self) -> tuple[TopicSummary, ...]:
        """What the drive holds, by topic."""
        counts: dict[str, int] = {}
        about: dict[str, tuple[str, str]] = {}
        first_ns = last_ns = 0
        for file in self.segments:
            contents = read_contents(file)
            first_ns = min(filter(None, (first_ns, contents.first_ns)), default=0)
            last_ns = max(last_ns, contents.last_ns)
            for topic in contents.topics:
                counts[topic.topic] = counts.get(topic.topic, 0) + topic.count
                about[topic.topic] = (topic.schema_name, topic.encoding)
        duration_s = s_from_ns(last_ns - first_ns)
        return tuple(
            TopicSummary(name, *about[name], count, count / duration_s if duration_s > 0 else 0.0)
            for name, count in sorted(counts.items())
        )

    def duration_s(self) -> float:
        """From the first message to the last, in the source's time."""
        spans = [read_contents(file) for file in self.segments]
        starts = [span.first_ns for span in spans if span.first_ns]
        return s_from_ns(max((span.last_ns for span in spans), default=0) - min(starts)) if starts else 0.0

    def gaps(self) -> Iterator[Gap]:
        """The losses that the record declares."""
        for message in self.messages(GAP):
            yield message.decode()

    def ledger(self) -> LedgerTotals:
        """Totals of the ledger's lines in the record."""
        counts = {"decided": 0, "late": 0, "dropped": 0}
        for message in self.messages(LEDGER):
            counts[message.decode().disposition] += 1
        return LedgerTotals(**counts)

    def closing(self) -> Closing | None:
        """The drive's own totals, None where it did not end in order."""
        for file in reversed(self.segments):
            for message in read_messages(file, (CLOSING,)):
                closing: Closing = message.decode()
                return closing
            note = find_note(file.path) if file.sealed else None
            if note is None or note.sets:
                break  # a segment that holds the recorder's own words only may lie behind the drive's last
        return None

    def note(self, segment: int) -> SegmentNote | None:
        """A sealed segment's account of itself (sets and frames that it holds); None for a journal, and for a segment
        that another tool has rewritten without it.
        """
        file = self._files(segment)[0]
        return find_note(file.path) if file.sealed else None

    def t_source_ns(self, log_time_ns: int) -> int:
        """The source's time of a log_time, by the header's law."""
        return log_time_ns - self.header.utc_origin_ns + self.header.t_source_origin_ns

    def _files(self, segment: int | None) -> tuple[SegmentFile, ...]:
        if segment is None:
            return self.segments
        chosen = tuple(file for file in self.segments if file.index == segment)
        if not chosen:
            there = ", ".join(str(file.index) for file in self.segments)
            raise RecordError(f"the drive {self.path} has no segment {segment}; there are: {there}")
        return chosen

    def _may_hold(self, file: SegmentFile, first: int, last: int | None) -> bool:
        if not file.sealed or (first <= 0 and last is None):
            return True
        note = find_note(file.path)
        if note is None:
            return True
        return note.last_frame >= first and (last is None or note.first_frame <= last)


def open_drive(path: Path) -> Drive:
    """Open a drive's folder.

    Raises RecordError where it is none, its first segment is damaged, or its segments are not those of one drive, each
    once. Another damaged segment is named when it is read.
    """
    if not path.is_dir():
        raise RecordError(
            f"{path} is no drive: a drive is a folder of MCAP segments, as `sightline run --out` makes it"
        )
    files = segment_files(path)
    gone = "" if files else in_words(deleted_segments(path))
    if gone:
        raise RecordError(f"{path} holds nothing more: {gone}; what is left proves what there was (sightline verify)")
    if not files:
        raise RecordError(f"{path} holds no segment (segment-NNNN.mcap): nothing was recorded there, or it was moved")
    header = common_header(files)
    if header is None:
        raise RecordError(f"{path} has no header in any segment: it is not known how to read its times")
    return Drive(path, files, header)
