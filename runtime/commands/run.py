"""`sightline run`: drive, explain, record."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.commands import console
from runtime.contracts.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from runtime.driving.progress import Progress
    from runtime.supervise.launch import DriveSummary

SUMMARY = "drive a source: decide and explain every frame, and record it"
EXAMPLE = "sightline run --source highway.mp4 --out drives/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("config", nargs="?", type=Path, help="a YAML file or a packaged one (default: bench.yaml)")
    parser.add_argument("--source", help="a video, a folder of images, a Udacity-simulator log, or a URI")
    parser.add_argument(
        "--model",
        help="an ONNX file with its manifest, or a packaged one's name (vit.onnx), in place of the configuration's",
    )
    parser.add_argument("--out", type=Path, default=Path("drives"), help="where the drive's folder goes (drives/)")
    parser.add_argument("--pacing", choices=("lockstep", "real-time"), help="files run in lockstep by default")


def run(args: argparse.Namespace) -> int:
    """Drive to the end of the source, or to the first Ctrl-C. Exit code 2 where the drive broke off."""
    import msgspec

    from runtime.contracts.config import DEFAULT_CONFIG, load_config, model_path
    from runtime.supervise.launch import run_drive

    config = load_config(args.config or Path(DEFAULT_CONFIG))
    if args.model is not None:
        config = msgspec.structs.replace(config, model=str(model_path(args.model)))
    source = args.source or config.source
    if source is None:
        raise UsageError("no source is named; add --source PATH_OR_URI, or `source:` to the configuration")
    with console.progress(None, "driving", quiet=args.json) as bar:

        def show(progress: Progress) -> None:
            bar.total = progress.expected
            bar.update(progress.frames - bar.n)

        summary = run_drive(config, source, args.out, args.pacing or config.pacing, show)
    if args.json:
        console.emit_json(summary)
    else:
        console.emit(describe(summary))
    return ExitCode.COULD_NOT if summary.warning else ExitCode.YES


def describe(summary: DriveSummary) -> str:
    """A drive's summary for people."""
    lines = [
        f"drive     {summary.drive}",
        f"frames    {summary.frames}: {summary.decided} decided, {summary.late} late, {summary.dropped} dropped",
        f"recorded  {summary.recorded} of {summary.frames}"
        + (f", {summary.deleted} more were, and were deleted to make room" if summary.deleted else "")
        + (f", {summary.gaps} declared gap(s)" if summary.gaps else ""),
    ]
    if summary.gap_reason:
        lines.append(f"gap       {summary.gap_reason}")
    if summary.incidents:
        lines.append(f"incidents {summary.incidents}: sightline incidents {summary.drive}")
    lines += [
        f"restarted {restart.name} (ended with {restart.returncode}) after {restart.after_s:g} s"
        for restart in summary.restarts
    ]
    if summary.refused:
        lines.append(f"refused   {summary.refused} connection(s); who may connect: sightline keys connections")
    if summary.malformed:
        lines.append(f"malformed {summary.malformed} message(s) on the run's sockets")
    lines += [f"earlier   {recovery}" for recovery in summary.recovered]
    if summary.stopped_by:
        lines.append(f"stopped   by {summary.stopped_by}")
    if summary.key_made:
        lines.append(
            f"key       this vehicle's first signing key was made in {summary.key_made}; keep its signing.pub "
            "elsewhere, for whoever is to verify its drives"
        )
    if summary.warning:
        lines.append(f"warning   {summary.warning}")
    return "\n".join([*lines, f"next      sightline replay {summary.drive}"])
