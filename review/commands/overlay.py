"""`sightline overlay`: the recorded pictures with decision and reason drawn over them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.commands import console
from runtime.contracts.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from review.overlay import Selection

SUMMARY = "draw decision and reason over the recorded pictures: PNG files, or an MP4 with a clock"
EXAMPLE = "sightline overlay drives/20261123T211500Z-9f3a01c4 --from 12.5s --to 18s --out incident.mp4"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("drive", type=Path, metavar="DRIVE", help="a drive's folder, or one that holds a single drive")
    parser.add_argument(
        "--out",
        type=Path,
        default=None,
        metavar="PATH",
        help="a folder for PNG files, or a name that ends in .mp4 (default: DRIVE-overlay beside the drive)",
    )
    parser.add_argument(
        "--from", dest="first", default=None, metavar="WHEN", help="first frame: a number, or seconds as in 12.5s"
    )
    parser.add_argument(
        "--to", dest="last", default=None, metavar="WHEN", help="last frame, as in --from (default: the end)"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="draw every N-th frame (default: 1)")
    parser.add_argument("--camera", default=None, help="which camera (default: the one that the map lies over)")
    parser.add_argument(
        "--width",
        type=int,
        default=None,
        metavar="PX",
        help="width of the result (default: the picture's, 960 at least)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the files and say where they are."""
    if args.every < 1:
        raise UsageError(f"--every {args.every}: at least 1")
    if args.width is not None and not 320 <= args.width <= 7680:
        raise UsageError(f"--width {args.width}: from 320 to 7680 pixels")
    from review.overlay import write_pictures, write_video
    from review.reopen import expected_frames, find_drive

    drive = find_drive(args.drive)
    selection = _selection(args, drive)
    expected = expected_frames(drive, selection.first or 0, selection.last)
    out = args.out or drive.parent / f"{drive.name}-overlay"
    write = write_video if out.suffix.lower() == ".mp4" else write_pictures
    total = None if expected is None else -(-expected // args.every)
    with console.progress(total, "overlay", quiet=args.json) as bar:
        report = write(drive, out, selection, camera=args.camera, width_px=args.width, progress=bar.update)
    if args.json:
        console.emit_json(report)
    else:
        console.emit(f"{report.frames} frames drawn, {report.width_px} x {report.height_px}: {out}")
    return ExitCode.YES


def _selection(args: argparse.Namespace, drive: Path) -> Selection:
    from review.overlay import Selection, frame_at

    def frame(option: str, text: str | None, *, after: bool) -> int | None:
        if text is None:
            return None
        try:
            if text.endswith("s"):
                return frame_at(drive, float(text[:-1]), after=after)
            return max(0, int(text))
        except ValueError:
            raise UsageError(f"{option} {text!r}: give a frame's number, or seconds as in 12.5s") from None

    return Selection(frame("--from", args.first, after=True), frame("--to", args.last, after=False), args.every)
