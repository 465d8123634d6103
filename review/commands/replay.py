"""`sightline replay`: make every recorded decision again and compare it bit for bit."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.commands import console
from runtime.contracts.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from review.replay import ReplayReport

SUMMARY = "make every recorded decision again and compare it bit for bit (one a moment, whatever the cameras)"
EXAMPLE = "sightline replay drives/20261123T211500Z-9f3a01c4"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("drive", type=Path, metavar="DRIVE", help="a drive's folder, or one that holds a single drive")
    parser.add_argument(
        "--workers",
        type=int,
        default=None,
        metavar="N",
        help="processes (default: by the drive's length and the cores)",
    )
    parser.add_argument(
        "--backend", help="another back-end than the one that drove, e.g. onnxruntime: the verdict is by tolerance"
    )


def run(args: argparse.Namespace) -> int:
    """0: identical or within tolerance; 1: a frame diverged or is missing; 2: there was nothing to replay."""
    if args.workers is not None and args.workers < 1:
        raise UsageError(f"--workers {args.workers}: at least 1")
    from review.reopen import expected_frames, find_drive
    from review.replay import replay

    drive = find_drive(args.drive)
    with console.progress(expected_frames(drive), "replay", quiet=args.json) as bar:
        report = replay(drive, args.workers, bar.update, args.backend)
    if args.json:
        console.emit_json(report)
    else:
        console.emit(_words(report))
    if report.verdict == "nothing to replay":
        return ExitCode.COULD_NOT
    return ExitCode.NO if report.verdict == "diverged" else ExitCode.YES


def _words(report: ReplayReport) -> str:
    from review.walk import RECORD
    from runtime.record.deleted import in_words

    verdict = {
        "identical": "identical: every decision came out the same, bit for bit",
        "within_tolerance": "within tolerance: other bits, and no output further off than the model's tolerance",
        "diverged": "DIVERGED: this record does not follow from its inputs, or does not hold what was written into it",
        "nothing to replay": "nothing to replay: the record holds no decision with its inputs",
    }[report.verdict]
    cannot = "cannot be decided again: the bundle holds not all that it takes"
    counts = (
        f"{report.identical} identical, {report.within_tolerance} within tolerance, {report.diverged} diverged, "
        f"{report.not_replayable} not replayable"
    )
    lines = [
        f"{report.drive}: {verdict}",
        f"  frames      {report.frames}: {counts}",
        *(f"              {count} x {why}" for why, count in report.not_replayable_reasons.items()),
        *([f"  deleted     {in_words(report.deleted)}"] if report.deleted else []),
        *([f"  left out    {report.left_out} frames {cannot}"] if report.left_out else []),
        *(f"  missing     {lack}" for lack in report.lacks),
        *([f"              and {report.lacks_left_out} places more"] if report.lacks_left_out else []),
        f"  largest     {report.max_abs_diff} (of any element of any output)",
        f"  engine      {'the recorded fingerprint' if report.fingerprint_matches else 'another fingerprint'}",
        f"  speed       {report.realtime_factor:.1f} x real time ({report.duration_s:.1f} s in {report.wall_s:.2f} s)",
    ]
    first = report.first_difference
    if first is not None:
        values = f"recorded {first.recorded}, replayed {first.replayed}"
        words = first.replayed if first.field == RECORD else values
        lines.append(f"  first       frame {first.frame}, {first.field}: {words}")
    return "\n".join(lines)
