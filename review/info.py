"""What a drive holds, without deciding anything again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from review.incidents import listed_incidents
from review.reopen import find_drive, recorded_config, recorded_manifest, recorded_plan
from review.turned_away import turned_away
from review.verify.moment import utc
from runtime.access.account import SocketCounts
from runtime.contracts.engine import EngineFingerprint
from runtime.contracts.errors import SealError, SightlineError
from runtime.contracts.messages import Event, Gap
from runtime.contracts.topics import EVENT, LEDGER, STORED
from runtime.record.completeness import lacks
from runtime.record.deleted import DeletedSegment
from runtime.record.drive import Drive, TopicSummary, open_drive
from runtime.record.lock import in_use
from runtime.seal.chain import recorded_seals
from runtime.seal.statement import ClosingSeal, SegmentSeal, TombstoneSeal

_EVENTS_SHOWN = 200
_LACKS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """One segment: its file, whether it is sealed, its size, and its frames (None: it holds none)."""

    file: str
    sealed: bool
    size_bytes: int
    first_frame: int | None
    last_frame: int | None
    recovered: bool  # the recorder had died before it could close it
    part: bool = False  # of a bundle: not all of its messages were handed over


@dataclass(frozen=True, slots=True)
class LedgerInfo:
    """The ledger's totals; frames = decided + late + dropped. `dropped_by` and `late_by` count reasons, numbers in them
    left out."""

    frames: int
    decided: int
    late: int
    dropped: int
    dropped_by: dict[str, int]
    late_by: dict[str, int]


@dataclass(frozen=True, slots=True)
class DriveInfo:
    """The whole answer. Times are the source's unless UTC is named."""

    drive: str
    drive_id: str
    source: str
    cameras: tuple[str, ...]
    pacing: str
    mode: str
    assumed_speed_mps: float | None
    clock_domain: str
    start_utc: str
    utc_synchronised: bool | None
    duration_s: float
    model_name: str
    model_sha256: str
    model_file_sha256: str
    attribution_worth: str  # whether the explanation is worth showing; "" where the record is older than that word
    config_sha256: str
    fingerprint: EngineFingerprint
    sightline_version: str
    schema_version: int
    ledger: LedgerInfo
    ended: str  # why the drive ended; "" where it did not end in order, or has not
    in_use: bool  # it is being recorded, recovered or deleted from while this is told
    totals_agree: bool | None  # the ledger's and the drive's own; None where it did not end in order, or is not whole
    topics: tuple[TopicSummary, ...]
    segments: tuple[SegmentInfo, ...]
    deleted: tuple[DeletedSegment, ...]  # by the vehicle, to make room
    in_bundle: bool  # it is what was handed over of a drive
    gaps: tuple[Gap, ...]
    events: tuple[Event, ...]  # the first 200
    events_left_out: int
    incidents: int | None  # `sightline incidents` lists them; None: not known
    incidents_note: str  # where they are not those of the drive's list: why
    lacks: tuple[str, ...]  # where the record does not hold what was written into it; the first 20
    lacks_left_out: int
    sealed: str  # by which key, or why not; whether the seals hold is for `sightline verify`
    turned_away: SocketCounts  # at the sockets of its processes, as they counted
    not_as_it_drove: tuple[str, ...]  # the folder's model, configuration or plan, where it is not what the header names


def info(path: Path) -> DriveInfo:
    """Read a drive's account of itself. Raises RecordError where it is none, or a segment is damaged."""
    drive = open_drive(find_drive(path))
    # Before its end is looked for: a drive that ends meanwhile is told as one that goes on.
    used = in_use(drive.path) is True
    header, closing = drive.header, drive.closing()
    ledger = _ledger(drive)
    all_events = (message.decode() for message in drive.messages(EVENT))
    events = tuple(islice(all_events, _EVENTS_SHOWN))
    missing = lacks(drive)
    agree = None
    if closing is not None and not drive.deleted and not drive.in_bundle:
        own = (closing.frames, closing.decided, closing.late, closing.dropped)
        agree = own == (ledger.frames, ledger.decided, ledger.late, ledger.dropped)
    incidents, incidents_note = listed_incidents(drive)
    return DriveInfo(
        drive=str(drive.path),
        drive_id=header.drive_id,
        source=header.source_uri,
        cameras=header.cameras,
        pacing=header.pacing,
        mode=header.mode,
        assumed_speed_mps=header.assumed_speed_mps,
        clock_domain=header.clock_domain,
        start_utc=utc(header.utc_origin_ns),
        utc_synchronised=header.clock_tie.utc_synchronised,
        duration_s=drive.duration_s(),
        model_name=header.model_name,
        model_sha256=header.model_sha256,
        model_file_sha256=header.model_file_sha256,
        attribution_worth=header.attribution_worth,
        config_sha256=header.config_sha256,
        fingerprint=header.fingerprint,
        sightline_version=header.sightline_version,
        schema_version=header.schema_version,
        ledger=ledger,
        ended=closing.reason if closing is not None else "",
        in_use=used,
        totals_agree=agree,
        topics=tuple(topic for topic in drive.topics() if topic.topic != STORED.name),
        segments=tuple(_segments(drive)),
        deleted=drive.deleted,
        in_bundle=drive.in_bundle,
        gaps=tuple(drive.gaps()),
        events=events,
        events_left_out=sum(1 for _ in all_events),
        incidents=len(incidents) if incidents or not incidents_note else None,
        incidents_note=incidents_note,
        lacks=tuple(str(lack) for lack in islice(missing, _LACKS_SHOWN)),
        lacks_left_out=sum(1 for _ in missing),
        sealed=_sealed(drive, used=used),
        turned_away=turned_away(drive),
        not_as_it_drove=tuple(_changed(drive)),
    )


def _ledger(drive: Drive) -> LedgerInfo:
    counts = {"decided": 0, "late": 0, "dropped": 0}
    reasons: dict[str, dict[str, int]] = {"decided": {}, "late": {}, "dropped": {}}
    for message in drive.messages(LEDGER):
        line = message.decode()
        counts[line.disposition] += 1
        kind = _kind(line.reason)
        reasons[line.disposition][kind] = reasons[line.disposition].get(kind, 0) + 1
    return LedgerInfo(
        sum(counts.values()),
        counts["decided"],
        counts["late"],
        counts["dropped"],
        reasons["dropped"],
        reasons["late"],
    )


def _sealed(drive: Drive, *, used: bool) -> str:
    """Whether every segment has a seal and the last seal closes the drive, in words; no signature is checked."""
    try:
        seals = [seal for _, seal in recorded_seals(drive.path)]
    except SealError as error:
        return f"not whole: {error}"
    lasting = [seal for seal in seals if not isinstance(seal, TombstoneSeal)]
    closed = bool(lasting) and isinstance(lasting[-1], ClosingSeal)
    if used and not closed:
        return "not yet to its end: the drive is in use"
    if not seals:
        return "no: it was recorded without a key, or its seals were taken away"
    covered = {seal.segment for seal in seals if isinstance(seal, SegmentSeal)}
    without = sum(1 for file in drive.segments if file.index not in covered)
    if without:
        return f"not whole: {without} of {len(drive.segments)} segments have no seal"
    if not closed:
        return "not closed: the recorder has not ended, or has died"
    return f"{len(seals)} seals by the key {seals[-1].key_id[:16]}…, not verified here"


def _changed(drive: Drive) -> Iterator[str]:
    parts = (
        (recorded_manifest, drive.model_path),
        (recorded_config, drive.config_path),
        (recorded_plan, drive.engine_plan_path),
    )
    there = (part for part, path in parts if path.is_file() or not drive.in_bundle)
    yield from filter(None, (_problem(part, drive) for part in there))


def _problem(part: Callable[[Drive], object], drive: Drive) -> str:
    try:
        part(drive)
    except SightlineError as error:
        return str(error)
    return ""


def _kind(reason: str) -> str:
    """The reason without what differs from frame to frame, so that equal causes count together."""
    return re.sub(r"\d+(\.\d+)?", "#", reason)


def _segments(drive: Drive) -> Iterator[SegmentInfo]:
    for file in drive.segments:
        note = drive.note(file.index)
        if note is not None:
            first, last = note.first_frame, note.last_frame
        else:
            sequences = [frame.sequence for frame in drive.frames(LEDGER, segment=file.index)]
            first, last = min(sequences, default=-1), max(sequences, default=-1)
        yield SegmentInfo(
            file.path.name,
            file.sealed,
            file.path.stat().st_size,
            first if first >= 0 else None,
            last if last >= 0 else None,
            note is not None and note.recovered,
            file.part,
        )
