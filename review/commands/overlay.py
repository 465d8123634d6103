"""`sightline overlay`: the recorded pictures with decision and reason drawn over them."""

from __future__ import annotations

import argparse
from pathlib import Path

from review.commands import which_frames
from runtime.commands import console
from runtime.contracts.errors import ExitCode

SUMMARY = "draw decision and reason over the recorded pictures, as PNG files"
EXAMPLE = "sightline overlay drives/20261123T211500Z-9f3a01c4 --from 12.5s --to 18s --out pictures/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    which_frames.add_arguments(parser)
    parser.add_argument(
        "--out",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="where the PNG files go (default: DRIVE-overlay beside the drive or its bundle)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the files and say where they are."""
    from review.overlay import write_pictures
    from review.reopen import expected_frames, find_drive
    from runtime.record.deleted import in_words

    drive = find_drive(args.drive)
    out = which_frames.out_of(args, drive, "-overlay")
    selection = which_frames.selection_of(args, drive)
    expected = expected_frames(drive, selection.first or 0, selection.last)
    total = None if expected is None else -(-expected // args.every)
    with console.progress(total, "overlay", quiet=args.json) as bar:
        report = write_pictures(drive, out, selection, camera=args.camera, width_px=args.width, progress=bar.update)
    if args.json:
        console.emit_json(report)
    else:
        if report.deleted:
            console.emit(f"not drawn: {in_words(report.deleted)}")
        console.emit(f"{report.frames} frames drawn, {report.width_px} x {report.height_px}: {out}")
    return ExitCode.YES
