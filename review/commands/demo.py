"""`sightline demo`: from a road to an explained incident, in under a minute."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.commands import console
from runtime.contracts.errors import ExitCode

if TYPE_CHECKING:
    from review.demo import DemoReport, Incident
    from runtime.driving.progress import Progress

SUMMARY = "drive the proving ground into an incident, record it, replay it, draw it"
EXAMPLE = "sightline demo --out drives/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "--out", type=Path, default=Path("drives"), help="where the drive and the pictures go (drives/)"
    )


def run(args: argparse.Namespace) -> int:
    """Tell what happened in ten lines. Exit code 1 where the replay diverged."""
    from review.demo import demo

    with console.progress(None, "driving", quiet=args.json) as bar:

        def show(progress: Progress) -> None:
            bar.total = progress.expected
            bar.update(progress.frames - bar.n)

        report = demo(args.out, show)
    if args.json:
        console.emit_json(report)
    else:
        console.emit("\n".join(story(report, called(Path(sys.argv[0])))))
    return ExitCode.NO if report.replay.diverged else ExitCode.YES


def called(started: Path) -> str:
    """How this shell can call the command again: `make demo` starts it by its path, where PATH may lack it."""
    by_path = started.name == "sightline" and shutil.which("sightline") is None
    return shlex.quote(str(started)) if by_path else "sightline"


def story(report: DemoReport, command: str) -> list[str]:
    """The demonstration in ten lines; `command` is how to call the next verb."""
    drive, replay = report.drive, report.replay
    return [
        f"Drove {drive.frames} frames of a road whose markings end in the low sun: {drive.decided} decided, "
        f"{drive.dropped} dropped, {drive.recorded} recorded.",
        *what_happened(report.incident, drive.stopped_by),
        f"Replay    {replay.verdict}: {replay.identical} of {replay.frames} decisions repeat bit for bit, "
        f"at {replay.realtime_factor:.0f} x real time.",
        f"Drive     {drive.drive}",
        f"Pictures  {Path(report.clip).parent} ({len(report.pictures)} of them)",
        f"Clip      {report.clip}",
        f"Next      {command} info {drive.drive}",
        f"          {command} incidents {drive.drive}",
        f"          {command} replay {drive.drive}",
    ]


def what_happened(incident: Incident | None, stopped_by: str | None) -> list[str]:
    """The incident and the reason of the decision at its moment; `stopped_by` is the signal that ended the drive."""
    if incident is None:
        if stopped_by is not None:
            return [f"Incident  none so far: the drive was stopped by {stopped_by}."]
        return ["Incident  none: the car kept its lane to the end."]
    side = "left" if incident.lateral_offset_m > 0 else "right"
    alone_s = incident.t_source_s - incident.centred_until_s
    return [
        f"Incident  {incident.number}, at {incident.t_source_s:.2f} s (frame {incident.sequence}): the car left its "
        f"lane to the {side}, at {incident.speed_mps:.1f} m/s, {alone_s:.1f} s after it last held the middle.",
        f"Why       {incident.reason}.",
    ]
