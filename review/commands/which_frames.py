"""The options of the verbs that show frames of a drive: which ones, of which camera, how wide, and where they go."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.contracts.errors import UsageError

if TYPE_CHECKING:
    from review.overlay import Selection


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare them."""
    parser.add_argument("drive", type=Path, metavar="DRIVE", help="a drive's folder, or one that holds a single drive")
    parser.add_argument(
        "--from", dest="first", default=None, metavar="WHEN", help="first frame: a number, or seconds as in 12.5s"
    )
    parser.add_argument(
        "--to", dest="last", default=None, metavar="WHEN", help="last frame, as in --from (default: the end)"
    )
    parser.add_argument(
        "--incident",
        type=int,
        default=None,
        metavar="K",
        help="the window of an incident, as `sightline incidents` numbers them, in place of --from and --to",
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


def out_of(args: argparse.Namespace, drive: Path, suffix: str) -> Path:
    """Where the result goes: what `--out` says, else beside the drive, or beside the bundle that it lies in, under that
    one's name and `suffix`. Raises UsageError where it would go into a drive or a bundle.
    """
    from runtime.record.evidence import refuse_in_evidence
    from runtime.record.segment import in_bundle

    own = drive.resolve()
    whole = own.parent if in_bundle(own) else own
    out: Path = args.out or whole.with_name(whole.name + suffix)
    refuse_in_evidence(out)
    return out


def selection_of(args: argparse.Namespace, drive: Path) -> Selection:
    """The frames that they choose. Raises UsageError, RecordError."""
    from review.overlay import Selection, frame_at, incident_frames

    if args.every < 1:
        raise UsageError(f"--every {args.every}: at least 1")
    if args.width is not None and not 320 <= args.width <= 7680:
        raise UsageError(f"--width {args.width}: from 320 to 7680 pixels")
    if args.incident is not None:
        if args.first is not None or args.last is not None:
            raise UsageError("--incident is a window of time already; leave --from and --to out")
        first, last = incident_frames(drive, args.incident)
        return Selection(first, last, args.every)

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
