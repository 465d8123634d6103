"""Every recorded decision once more, from its recorded inputs, compared bit for bit."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from review.frame_check import FrameCheck, RecordedDecision, broken, check, links_of
from review.reopen import ReopenedDrive, find_drive, reopen
from review.walk import FirstDifference, Passed, Walk, incomplete
from runtime.contracts.errors import EngineError, RecordError
from runtime.contracts.messages import NonFinite, recordable
from runtime.contracts.topics import ATTRIBUTION, DECISION, LEDGER, MODEL_INPUT, MODEL_OUTPUT, VEHICLE
from runtime.record import drive as record
from runtime.record.completeness import Lack, lacks
from runtime.record.deleted import DeletedSegment
from runtime.record.segment import SegmentNote

Step = FrameCheck | Passed
ReplayVerdict = Literal["identical", "within_tolerance", "diverged", "nothing to replay"]
ROWS = (MODEL_INPUT, MODEL_OUTPUT, VEHICLE, DECISION, ATTRIBUTION, LEDGER)
_LACKS_SHOWN = 20
_PROCESSES_FROM = 6000
"""Frames from which on several processes are worth their start."""
_RANGES_EACH = 2
"""Ranges a process: few, since each reads its segment from the start, and enough to share the work evenly."""


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """The answer. frames = identical + within_tolerance + diverged + not_replayable.

    A frame is one decision: the pictures that several cameras took together are one. Losses that the record declares
    (gaps) are not counted. What it should hold and does not is in `lacks` and `not_replayable_reasons`, and makes the
    verdict `diverged`, since it may be what differs.

    `max_abs_diff` is over all elements of all output tensors; `realtime_factor` is the drive's duration in the source's
    time over the replay's wall time, its start included.
    """

    drive: str
    frames: int  # with a recorded decision
    identical: int
    within_tolerance: int
    diverged: int
    not_replayable: int
    max_abs_diff: float | NonFinite
    duration_s: float
    wall_s: float
    realtime_factor: float
    verdict: ReplayVerdict
    first_difference: FirstDifference | None
    fingerprint_matches: bool
    not_replayable_reasons: dict[str, int]
    lacks: tuple[str, ...]  # where the record does not hold what was written into it; the first 20
    lacks_left_out: int
    deleted: tuple[DeletedSegment, ...]  # by the vehicle, to make room: no lack
    left_out: int = 0  # frames of a bundle of which not all that replay needs was handed over; not counted in `frames`


def replay(
    path: Path,
    workers: int | None = None,
    progress: Callable[[int], object] = lambda _: None,
    backend: str | None = None,
) -> ReplayReport:
    """Replay a drive.

    Args:
        path: the drive's folder, or a folder that holds exactly one.
        workers: processes; None: one for a short drive, one for each core for a long one.
        progress: told how many frames more are done.
        backend: another back-end than the one that drove: then no answer is better than within tolerance, unless
            every bit is the same.

    Raises:
        RecordError: the record, its model or its configuration cannot be read or is not what its header names.
        ModelError, EngineError: the model cannot be run on this machine.
    """
    begin = time.perf_counter()
    folder = find_drive(path)
    opened = reopen(folder, backend)
    with closing(opened.engine):
        drive = opened.drive
        ranges = _ranges(drive, workers)
        walk = Walk(links_of(opened.policy.initial_memory()))
        alone = len(ranges) == 1
        for step in (
            _checked(opened, ranges[0]) if alone else _in_processes((folder, backend), ranges, workers or _cores())
        ):
            walk.take(step)
            progress(1)
        every = lacks(drive)
        missing = _Missing(tuple(islice(every, _LACKS_SHOWN)), sum(1 for _ in every))
        wall_s = time.perf_counter() - begin
        return _report(drive, walk, missing, wall_s, fingerprint_matches=opened.fingerprint_matches)


@dataclass(frozen=True, slots=True)
class _Range:
    """Frames `first` to `last` (both included; None: to the end) of a segment (None: of all)."""

    segment: int | None = None
    first: int = 0
    last: int | None = None


def _checked(opened: ReopenedDrive, part: _Range) -> Iterator[Step]:
    """A range's frames, each replayed and judged, in order."""
    same = opened.fingerprint_matches
    for frame in opened.drive.frames(*ROWS, segment=part.segment, first=part.first, last=part.last):
        try:
            found = _replayable(frame)
        except RecordError as error:
            yield broken(frame.sequence, str(error))
            continue
        if isinstance(found, Passed):
            yield found
        else:
            yield check(found, opened.policy, opened.manifest, same_fingerprint=same)


def _replayable(frame: record.RecordedFrame) -> RecordedDecision | Passed:
    lines = frame.dispositions
    decision = frame.raw(DECISION)
    nothing = all(frame.raw(row) is None for row in (DECISION, MODEL_INPUT, MODEL_OUTPUT, VEHICLE))
    if nothing and lines and lines[0].disposition == "dropped":
        return Passed(frame.sequence)
    inputs, outputs, vehicle = frame.input, frame.output, frame.vehicle
    if inputs is None or outputs is None or vehicle is None or decision is None or not lines:
        parts = {
            "model input": inputs,
            "model output": outputs,
            "vehicle state": vehicle,
            "decision": decision,
            "ledger line": lines or None,
        }
        lacking = ", ".join(name for name, part in parts.items() if part is None)
        return Passed(frame.sequence, f"the record holds no {lacking}", frame.part)
    return RecordedDecision(
        sequence=frame.sequence,
        t_source_ns=lines[0].t_source_ns,
        disposition=lines[0].disposition,
        inputs=inputs,
        outputs=outputs,
        vehicle=vehicle,
        decision=decision,
        attribution=frame.raw(ATTRIBUTION),
        attribution_left_out=frame.part or ATTRIBUTION.name in lines[0].left_out,
    )


def _ranges(drive: record.Drive, workers: int | None) -> list[_Range]:
    """The drive whole, or cut for several processes, in order.

    Segments' notes say only where one is cut: its first range begins at 0, each reaches up to the next one, the last
    has no end. So every frame lies in exactly one, also of a segment without a note: a journal, a part, one that
    another tool has rewritten.
    """
    notes = {file.index: drive.note(file.index) for file in drive.segments}
    frames = sum(_frames(note) for note in notes.values())
    wanted = workers or (_cores() if frames >= _PROCESSES_FROM else 1)
    if wanted == 1 or frames < 2 * wanted:
        return [_Range()]
    most = -(-frames // (wanted * _RANGES_EACH))
    return [part for index, note in notes.items() for part in _cut(index, note, most)]


def _frames(note: SegmentNote | None) -> int:
    return 0 if note is None or note.last_frame < 0 else max(0, note.last_frame - note.first_frame + 1)


def _cut(segment: int, note: SegmentNote | None, most: int) -> Iterator[_Range]:
    """A segment in ranges of `most` frames or fewer, as far as its note tells."""
    frames = _frames(note)
    first = 0
    if note is not None and frames:
        size = -(-frames // -(-frames // most))
        for begin in range(note.first_frame + size, note.last_frame + 1, size):
            yield _Range(segment, first, begin - 1)
            first = begin
    yield _Range(segment, first)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_opened: ReopenedDrive | None = None  # of a process of the pool


def _open_here(folder: Path, backend: str | None) -> None:
    global _opened  # noqa: PLW0603  (a pool's process keeps what its initialiser made)
    _opened = reopen(folder, backend)


def _checked_here(part: _Range) -> list[Step]:
    assert _opened is not None
    return list(_checked(_opened, part))


def _in_processes(drive: tuple[Path, str | None], ranges: list[_Range], workers: int) -> Iterator[Step]:
    # spawn: a forked child would inherit ONNX Runtime's threads in an unknown state.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _open_here, drive) as pool:
        try:
            for steps in pool.map(_checked_here, ranges):
                yield from steps
        except BrokenProcessPool as error:
            raise EngineError(
                f"a process of the replay of {drive[0]} died ({error}); try again with fewer (--workers 1)"
            ) from error


@dataclass(frozen=True, slots=True)
class _Missing:
    shown: tuple[Lack, ...]
    left_out: int


def _report(
    drive: record.Drive, walk: Walk, missing: _Missing, wall_s: float, *, fingerprint_matches: bool
) -> ReplayReport:
    duration_s = drive.duration_s()
    lost = sum(walk.not_replayable.values())
    verdict: ReplayVerdict = "identical"
    if walk.counts["diverged"] or lost or missing.shown:
        verdict = "diverged"
    elif walk.counts["within_tolerance"]:
        verdict = "within_tolerance"
    elif not walk.frames:
        verdict = "nothing to replay"
    return ReplayReport(
        drive=str(drive.path),
        frames=walk.frames,
        **walk.counts,
        not_replayable=lost,
        max_abs_diff=recordable(walk.max_abs_diff),
        duration_s=duration_s,
        wall_s=wall_s,
        realtime_factor=duration_s / wall_s if wall_s > 0 else 0.0,
        verdict=verdict,
        first_difference=_first(walk.first_difference, missing.shown),
        fingerprint_matches=fingerprint_matches,
        not_replayable_reasons=walk.not_replayable,
        lacks=tuple(str(lack) for lack in missing.shown),
        lacks_left_out=missing.left_out,
        deleted=drive.deleted,
        left_out=walk.left_out,
    )


def _first(difference: FirstDifference | None, missing: tuple[Lack, ...]) -> FirstDifference | None:
    """Where record and replay part first, be it that a value differs or that something is missing."""
    frames = [lack for lack in missing if lack.frame >= 0]
    if frames and (difference is None or frames[0].frame < difference.frame):
        return incomplete(frames[0].frame, frames[0].reason)
    return difference
