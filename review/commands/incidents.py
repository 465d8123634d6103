"""`sightline incidents`: what happened in a drive that is worth keeping."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.commands import console
from runtime.contracts.errors import ExitCode

if TYPE_CHECKING:
    from review.incidents import FoundIncident, IncidentReport

SUMMARY = "list a drive's incidents: when, what set them off, which segments are kept for them"
EXAMPLE = "sightline incidents drives/20261123T211500Z-9f3a01c4"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("drive", type=Path, metavar="DRIVE", help="a drive's folder, or one that holds a single drive")
    parser.add_argument("--expect-none", action="store_true", help="exit with 1 where there is any, for a test's sake")


def run(args: argparse.Namespace) -> int:
    """0; with `--expect-none` 1 where there are incidents, and 2 where that is not known."""
    from review.incidents import incidents

    found = incidents(args.drive)
    if args.json:
        console.emit_json(found)
    else:
        console.emit(console.lines(_words(found)))
    if not args.expect_none:
        return ExitCode.YES
    if found.incidents:
        return ExitCode.NO
    return ExitCode.COULD_NOT if found.note else ExitCode.YES


def _words(found: IncidentReport) -> Iterator[str]:
    yield f"drive      {found.drive_id}"
    if found.note:
        yield f"list       {found.note}"
    if not found.incidents:
        yield "incidents  not known" if found.note else "incidents  none"
        return
    yield f"incidents  {len(found.incidents)}"
    yield ""
    yield f"{'number':>6}{'from s':>10}{'to s':>10}  {'segments':<16}"
    for one in found.incidents:
        yield f"{one.number:>6}{one.from_s:>10.2f}{one.to_s:>10.2f}  {_segments(one):<16}"
        yield from (
            f"{'':>6}{trigger.t_s:>10.2f}  {trigger.kind}: {trigger.reason}"
            + (f" ({trigger.by})" if trigger.by else "")
            for trigger in one.triggers
        )
        if one.triggers_left_out:
            yield f"{'':>16}  and {one.triggers_left_out} triggers more, in the record on /incident/trigger"


def _segments(one: FoundIncident) -> str:
    words = f"{_ranges(one.segments) or 'none'}, "
    words += f"missing: {_ranges(one.missing)}" if one.missing else "all there"
    return words + (", still open" if one.open else "")


def _ranges(numbers: Iterable[int]) -> str:
    """`0-2, 5` of 0, 1, 2, 5."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
