"""`sightline clip`: a part of a drive as a video, with decision, reason and clock."""

from __future__ import annotations

import argparse
from pathlib import Path

from review.commands import which_frames
from runtime.commands import console
from runtime.contracts.errors import ExitCode, UsageError

SUMMARY = "make a video of a drive or of one of its incidents: MP4 with decision, reason and clock"
EXAMPLE = "sightline clip drives/20261123T211500Z-9f3a01c4 --incident 0 --out incident.mp4"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    which_frames.add_arguments(parser)
    parser.add_argument(
        "--out",
        type=Path,
        default=None,
        metavar="FILE",
        help="the MP4 (default: DRIVE.mp4 beside the drive or its bundle)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the file and say where it is."""
    from review.clip import write_clip
    from review.reopen import expected_frames, find_drive
    from runtime.record.deleted import in_words

    drive = find_drive(args.drive)
    out = which_frames.out_of(args, drive, ".mp4")
    if out.suffix.lower() != ".mp4":
        raise UsageError(f"--out {out}: a clip is an MP4; give a name that ends in .mp4")
    selection = which_frames.selection_of(args, drive)
    expected = expected_frames(drive, selection.first or 0, selection.last)
    total = None if expected is None else -(-expected // args.every)
    with console.progress(total, "clip", quiet=args.json) as bar:
        report = write_clip(drive, out, selection, camera=args.camera, width_px=args.width, progress=bar.update)
    if args.json:
        console.emit_json(report)
    else:
        if report.deleted:
            console.emit(f"not shown: {in_words(report.deleted)}")
        console.emit(f"{report.frames} frames, {report.width_px} x {report.height_px}: {out}")
    return ExitCode.YES
