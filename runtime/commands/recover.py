"""`sightline recover`: take up drives that were killed."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.commands import console
from runtime.contracts.errors import ExitCode, RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.record.recover import Recovery

SUMMARY = "take up drives whose processes were killed: cut, declare the open end, seal"
EXAMPLE = "sightline recover drives/"


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, drive by drive."""

    drives: tuple[Recovery, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="DRIVE",
        default=[Path("drives")],
        help="a drive's folder; or one with drives, of which those that this vehicle began are taken up (drives/)",
    )
    parser.add_argument(
        "--key-dir",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="where the key is that signs (default: where the drive's own configuration says)",
    )


def run(args: argparse.Namespace) -> int:
    """0: nothing is left to do; 2: a drive is damaged, in use, or could not be sealed."""
    from runtime.record.recover import recover

    found = []
    for drive_dir in _drives(args.paths, args.key_dir):
        done = recover(drive_dir, args.key_dir)
        found.append(done)
        if not args.json:
            console.emit(str(done))
    if args.json:
        console.emit_json(Report(tuple(found)))
    elif not found:
        console.emit("no drive was left without its end")
    done_well = all(one.outcome in ("whole", "empty") or one.sealed for one in found)
    return ExitCode.YES if done_well else ExitCode.COULD_NOT


def _drives(paths: list[Path], key_dir: Path | None) -> Iterator[Path]:
    from runtime.record.leftover import leftovers
    from runtime.record.segment import in_bundle, segment_files
    from runtime.supervise.plan import CONFIG_NAME

    for path in paths:
        if not path.is_dir():
            raise RecordError(f"{path} is no folder; give a drive's folder, or one that holds drives")
        if in_bundle(path.resolve()):
            raise RecordError(
                f"{path} is what was handed over of a drive, in the bundle {path.resolve().parent}: nothing of it is "
                "taken up; give the drive itself, or verify the bundle"
            )
        if segment_files(path) or (path / CONFIG_NAME).is_file():
            yield path
        else:
            yield from leftovers(path, key_dir)
