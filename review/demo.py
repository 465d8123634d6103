"""The demonstration: a drive of the proving ground that ends in a real incident, recorded, replayed and drawn.

Nothing is staged but the road: its markings wear off and end in a bend into the low sun, which the reference policy was
never trained on. The recorded command alone moves the car.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from review.clip import write_clip
from review.incidents import listed_incidents
from review.overlay import Selection, write_pictures
from review.replay import ReplayReport, replay
from runtime.contracts.config import default_config
from runtime.contracts.errors import RecordError
from runtime.contracts.messages import Decision, GroundTruth
from runtime.contracts.topics import DECISION, LEDGER, TRUTH
from runtime.contracts.units import NS_PER_S, s_from_ns
from runtime.driving.progress import Progress
from runtime.record.drive import Drive, RecordedFrame, open_drive
from runtime.supervise.launch import DriveSummary, run_drive

SCENARIO = "proving-ground://worn-into-sun?seed=0"
_BEFORE_S, _AFTER_S = 6.0, 3.0  # of the incident, in the clip
_PICTURES_A_SECOND = 2


@dataclass(frozen=True, slots=True)
class Incident:
    """The first moment at which a wheel left the lane, as the recorder kept it, and what was decided then. Times are
    since the drive's begin.
    """

    number: int  # as `sightline incidents` lists it
    sequence: int
    t_source_s: float
    lateral_offset_m: float  # positive left
    speed_mps: float
    reason: str  # of the decision at that moment
    centred_until_s: float  # the last time before it that the car was within half a metre of the lane's centre


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What the demonstration did, and where everything is."""

    drive: DriveSummary
    incident: Incident | None
    replay: ReplayReport
    pictures: tuple[str, ...]
    clip: str


def demo(out: Path, on_progress: Callable[[Progress], None]) -> DemoReport:
    """Drive, record, replay and draw, all under `out`. From the main thread: it starts processes."""
    summary = run_drive(default_config(), SCENARIO, out, "lockstep", on_progress)
    folder = Path(summary.drive)
    drive = open_drive(folder)
    incident = find_incident(drive)
    report = replay(folder)
    pictures_dir = out / f"{summary.drive_id}-pictures"
    rate_hz = _rate_hz(drive)
    selection = _around(incident, rate_hz, summary.recorded)
    clip = write_clip(folder, pictures_dir / "incident.mp4", selection).files[0]
    every = max(1, round(rate_hz / _PICTURES_A_SECOND))
    pictures = write_pictures(folder, pictures_dir, Selection(selection.first, selection.last, every)).files
    return DemoReport(summary, incident, report, pictures, clip)


def find_incident(drive: Drive) -> Incident | None:
    """The first incident of a drive that began with a departure from the lane; None where there is none."""
    departures = (
        (one.number, trigger.sequence)
        for one in listed_incidents(drive)[0]
        for trigger in one.triggers
        if trigger.kind == "departure"
    )
    number, sequence = next(departures, (-1, -1))
    centred_s = 0.0
    for frame in drive.frames(TRUTH, DECISION, last=sequence) if number >= 0 else ():
        truth = frame.truth
        if truth is None:
            continue
        t_s = _since_begin_s(drive, frame)
        if truth.sequence == sequence:
            return _incident(number, truth, frame.decision, t_s, centred_s)
        if abs(truth.lateral_offset_m) < 0.5:
            centred_s = t_s
    return None


def _incident(number: int, truth: GroundTruth, decision: Decision | None, t_s: float, centred_s: float) -> Incident:
    return Incident(
        number=number,
        sequence=truth.sequence,
        t_source_s=t_s,
        lateral_offset_m=truth.lateral_offset_m,
        speed_mps=truth.speed_mps,
        reason=decision.reason if decision is not None else "",
        centred_until_s=centred_s,
    )


def _since_begin_s(drive: Drive, frame: RecordedFrame) -> float:
    return s_from_ns(frame.t_source_ns - drive.header.t_source_origin_ns)


def _around(incident: Incident | None, rate_hz: float, frames: int) -> Selection:
    """The frames around the incident; without one, the drive's last seconds."""
    middle = frames if incident is None else incident.sequence
    return Selection(
        first=max(0, middle - math.ceil(_BEFORE_S * rate_hz)),
        last=min(frames - 1, middle + math.ceil(_AFTER_S * rate_hz)),
    )


def _rate_hz(drive: Drive) -> float:
    times = [frame.t_source_ns for frame in drive.frames(LEDGER)]
    if len(times) < 2 or times[-1] <= times[0]:
        raise RecordError(f"{drive.path} holds {len(times)} frame(s): too few for a demonstration")
    return (len(times) - 1) * NS_PER_S / (times[-1] - times[0])
