"""The incidents that a drive holds: as its recorder listed them or, where that list is gone, as the record has them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from review.reopen import find_drive
from runtime.contracts.errors import RecordError, SealError, UsageError
from runtime.contracts.incident import INDEX_NAME, Incident, Trigger
from runtime.contracts.topics import INCIDENT
from runtime.contracts.units import s_from_ns
from runtime.incident.index import read_index
from runtime.record.drive import Drive, open_drive
from runtime.record.segment import segment_files
from runtime.seal.chain import recorded_seals


@dataclass(frozen=True, slots=True)
class FoundTrigger:
    """What set an incident off. `t_s` is since the drive's begin, `utc_ns` by the drive's clocks."""

    kind: str
    t_s: float
    utc_ns: int
    sequence: int  # -1: of no frame
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class FoundIncident:
    """One incident. `missing`: those of its segments that are not in the drive's folder."""

    number: int
    from_s: float  # since the drive's begin; below 0 where the window reaches back before it
    to_s: float
    triggers: tuple[FoundTrigger, ...]
    triggers_left_out: int
    segments: tuple[int, ...]
    missing: tuple[int, ...]
    open: bool  # the recorder had not closed it: it was still growing, or the recorder died


@dataclass(frozen=True, slots=True)
class IncidentReport:
    """A drive's incidents, in the order of their time. `note` says where the list was not had as it should be."""

    drive: str
    drive_id: str
    incidents: tuple[FoundIncident, ...]
    note: str


def incidents(path: Path) -> IncidentReport:
    """The incidents of a drive. Raises RecordError where there is none, or its record cannot be read."""
    drive = open_drive(find_drive(path))
    listed, note = listed_incidents(drive)
    there = {file.index for file in segment_files(drive.path)}
    found = tuple(_found(drive, one, there) for one in listed)
    return IncidentReport(str(drive.path), drive.header.drive_id, found, note)


def listed_incidents(drive: Drive) -> tuple[tuple[Incident, ...], str]:
    """The incidents in the order of their time, and why they are not those of the list, "" where they are.

    None and a note: which there are is not known. None without a note: there are none, and so there is no list.
    """
    note = ""
    try:
        index = read_index(drive.path)
        if index is not None and index.drive_id == drive.header.drive_id:
            return index.incidents, ""
        if index is not None:
            note = f"{INDEX_NAME} is the drive {index.drive_id}'s"
        elif _withheld(drive):
            note = f"{INDEX_NAME} was not handed over"
    except RecordError as error:
        note = str(error)
    counts = {topic.topic: topic.count for topic in drive.topics()}
    if not counts.get(INCIDENT.name):
        return (), note
    newest: dict[int, Incident] = {}
    for message in drive.messages(INCIDENT):
        one: Incident = message.decode()
        newest[one.number] = one
    found = tuple(sorted(newest.values(), key=lambda one: one.t_from_ns))
    there = "what was handed over of the record" if drive.in_bundle else "the record itself"
    return found, f"{note or f'{INDEX_NAME} is not there'}: this is what {there} holds"


def incident_of(drive: Drive, number: int) -> Incident:
    """One incident. Raises UsageError where the drive has none of that number, RecordError where it cannot be read."""
    listed, note = listed_incidents(drive)
    for one in listed:
        if one.number == number:
            return one
    there = ", ".join(str(one.number) for one in listed) or ("not known" if note else "none")
    why = f" ({note})" if note else ""
    raise UsageError(
        f"{drive.path} tells of no incident {number}; there are: {there}{why}; `sightline incidents` lists them, and "
        "--from and --to choose by time"
    )


def _withheld(drive: Drive) -> bool:
    """Whether a bundle leaves out a list that its drive had, as that one's seals say."""
    try:
        return drive.in_bundle and any(INDEX_NAME in seal.files for _, seal in recorded_seals(drive.path))
    except SealError:
        return True


def _found(drive: Drive, incident: Incident, there: set[int]) -> FoundIncident:
    return FoundIncident(
        number=incident.number,
        from_s=_since_begin_s(drive, incident.t_from_ns),
        to_s=_since_begin_s(drive, incident.t_to_ns),
        triggers=tuple(_trigger(drive, trigger) for trigger in incident.triggers),
        triggers_left_out=incident.triggers_left_out,
        segments=incident.segments,
        missing=tuple(index for index in incident.segments if index not in there),
        open=incident.open,
    )


def _trigger(drive: Drive, trigger: Trigger) -> FoundTrigger:
    t_s = _since_begin_s(drive, trigger.t_source_ns)
    utc_ns = drive.header.utc_origin_ns + trigger.t_source_ns - drive.header.t_source_origin_ns
    return FoundTrigger(trigger.kind, t_s, utc_ns, trigger.sequence, trigger.reason, trigger.by)


def _since_begin_s(drive: Drive, t_source_ns: int) -> float:
    return s_from_ns(t_source_ns - drive.header.t_source_origin_ns)
