"""What of a drive is handed over: from what was asked for to segments, a window of log times, and topics left out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from review.incidents import incident_of
from review.verify.manifest import ALWAYS_HANDED_OVER, Asked
from runtime.contracts.errors import ModelError, UsageError
from runtime.contracts.incident import INDEX_NAME, Incident
from runtime.contracts.messages import Header
from runtime.contracts.model import read_manifest
from runtime.contracts.topics import PEOPLE_FROM_PX, find_topic
from runtime.contracts.units import NS_PER_S
from runtime.record.drive import Drive
from runtime.seal.statement import SegmentSeal, printable
from runtime.supervise.plan import ENGINE_PLAN_NAME, MODEL_NAME


@dataclass(frozen=True)
class Request:
    """What somebody asks for: an incident, segments, or a time of the drive in seconds (none of them: all of it).

    `cut`: of an incident's segments only its window. `topics` and `without_topics` may hold `*`; no topics: all.
    """

    incident: int | None = None
    segments: tuple[int, ...] = ()
    from_s: float | None = None
    to_s: float | None = None
    cut: bool = False
    topics: tuple[str, ...] = ()
    without_topics: tuple[str, ...] = ()
    without_people: bool = False
    without_model: bool = False
    without_incidents: bool = False


@dataclass(frozen=True)
class _Range:
    segments: tuple[int, ...]
    from_ns: int | None  # log times; None: not cut there
    to_ns: int | None
    words: str


def choose(drive: Drive, seals: Sequence[SegmentSeal], request: Request) -> Asked:
    """Settle a request. Raises UsageError where it names what the drive does not have, RecordError where its incidents
    cannot be read.
    """
    folder = drive.path
    span = _range(drive, seals, request)
    chosen = [one for one in seals if one.segment in span.segments]
    if not chosen:
        raise UsageError(f"nothing of the drive {drive.header.drive_id} lies there ({span.words})")
    there = sorted({topic for one in chosen for topic in one.topics})
    left_out = tuple(topic for topic in there if _is_left_out(topic, there, folder, request))
    files = _files(folder, request)
    words = [span.words]
    if request.topics:
        words.append(f"only {', '.join(request.topics)}")
    if request.without_topics:
        words.append(f"without {', '.join(request.without_topics)}")
    if request.without_people:
        words.append("without what shows people")
    if files:
        words.append(f"without {', '.join(files)}")
    return Asked(
        segments=tuple(one.segment for one in chosen),
        from_log_time_ns=span.from_ns,
        to_log_time_ns=span.to_ns,
        without_topics=left_out,
        without_files=files,
        without_people=request.without_people,
        words=printable("; ".join(words)),
    )


def _range(drive: Drive, seals: Sequence[SegmentSeal], request: Request) -> _Range:
    by_time = request.from_s is not None or request.to_s is not None
    if sum((request.incident is not None, bool(request.segments), by_time)) > 1:
        raise UsageError("--incident, --segment and --from/--to each choose a part of the drive; give one of them")
    if request.cut and request.incident is None:
        raise UsageError("--cut cuts an incident's segments to its window; give --incident NUMBER too")
    there = tuple(sorted(one.segment for one in seals))
    if request.segments:
        for index in request.segments:
            if index not in there:
                raise UsageError(f"the drive has no sealed segment {index}; there are: {', '.join(map(str, there))}")
        return _Range(request.segments, None, None, f"segments {', '.join(map(str, request.segments))}, whole")
    if by_time:
        return _by_time(drive.header, seals, request.from_s, request.to_s)
    if request.incident is not None:
        return _by_incident(incident_of(drive, request.incident), drive.header, seals, cut=request.cut)
    return _Range(there, None, None, "the whole drive")


def _by_time(header: Header, seals: Sequence[SegmentSeal], from_s: float | None, to_s: float | None) -> _Range:
    for option, value in (("--from", from_s), ("--to", to_s)):
        if value is not None and (not math.isfinite(value) or abs(value) > 1e9):
            raise UsageError(f"{option} {value}: seconds since the drive began")
    if from_s is not None and to_s is not None and to_s < from_s:
        raise UsageError(f"--to {to_s:g} lies before --from {from_s:g}")
    start = None if from_s is None else max(0, header.utc_origin_ns + round(from_s * NS_PER_S))
    end = None if to_s is None else max(0, header.utc_origin_ns + round(to_s * NS_PER_S))
    words = (
        f"{'the beginning' if from_s is None else f'{from_s:g} s'} to {'the end' if to_s is None else f'{to_s:g} s'}"
    )
    return _Range(tuple(_meeting(seals, start, end)), start, end, f"{words} of the drive")


def _by_incident(one: Incident, header: Header, seals: Sequence[SegmentSeal], *, cut: bool) -> _Range:
    offset = header.utc_origin_ns - header.t_source_origin_ns
    start, end = max(0, one.t_from_ns + offset), max(0, one.t_to_ns + offset)
    segments = sorted({*one.segments, *_meeting(seals, start, end)})
    kinds = ", ".join(dict.fromkeys(trigger.kind for trigger in one.triggers))
    words = f"incident {one.number} ({kinds}), {'its window only' if cut else 'its segments whole'}"
    if cut:
        return _Range(tuple(_meeting(seals, start, end)), start, end, words)
    return _Range(tuple(segments), None, None, words)


def _meeting(seals: Sequence[SegmentSeal], start: int | None, end: int | None) -> Iterator[int]:
    for one in seals:
        if (start is None or one.last_log_time_ns >= start) and (end is None or one.first_log_time_ns <= end):
            yield one.segment


def _is_left_out(topic: str, there: Sequence[str], folder: Path, request: Request) -> bool:
    for pattern in (*request.topics, *request.without_topics):
        if not any(fnmatchcase(one, pattern) for one in there):
            raise UsageError(f"no topic of what was chosen is {pattern}; there are: {', '.join(there)}")
    for pattern in request.without_topics:
        if topic in ALWAYS_HANDED_OVER and fnmatchcase(topic, pattern) and "*" not in pattern:
            raise UsageError(f"{topic} belongs to every part: without it nobody could tell what was left out")
    if topic in ALWAYS_HANDED_OVER:
        return False
    wanted = not request.topics or any(fnmatchcase(topic, pattern) for pattern in request.topics)
    unwanted = any(fnmatchcase(topic, pattern) for pattern in request.without_topics)
    return not wanted or unwanted or (request.without_people and _may_show_people(topic, folder))


def _may_show_people(topic: str, folder: Path) -> bool:
    """By the topics table; a topic that it does not know may show anything."""
    row = find_topic(topic)
    if row is None or row.shows_people == "yes":
        return True
    return row.shows_people == "when large" and _has_large_image(folder)


def _has_large_image(folder: Path) -> bool:
    """Whether an image input of the drive's model is large enough to recognise somebody; so where nobody can tell."""
    try:
        images = read_manifest(folder / MODEL_NAME).images
    except ModelError:
        return True
    return any(max(image.width, image.height) > PEOPLE_FROM_PX for image in images)


def _files(folder: Path, request: Request) -> tuple[str, ...]:
    model = (MODEL_NAME, ENGINE_PLAN_NAME, "model.report.json") if request.without_model else ()
    incidents = (INDEX_NAME,) if request.without_incidents else ()
    return tuple(name for name in (*model, *incidents) if (folder / name).is_file())
