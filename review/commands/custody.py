"""`sightline custody`: who had a bundle, when, and what they did with it."""

from __future__ import annotations

import argparse
from pathlib import Path

from runtime.commands import console
from runtime.contracts.errors import ExitCode, UsageError

SUMMARY = "show a bundle's custody log, or say in it that it was received, copied or handed on"
EXAMPLE = 'sightline custody evidence/drive.evidence --add received --by "B. Expert"'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's folder, or (to be shown) its zip file")
    parser.add_argument("--add", default=None, metavar="WHAT", help="what was done: received, copied, handed on")
    parser.add_argument("--by", default="", metavar="NAME", help="by whom")
    parser.add_argument("--note", default="", metavar="TEXT", help="what they have to say")


def run(args: argparse.Namespace) -> int:
    """0: the log holds in itself; 1: it does not."""
    from review.bundle.custody import add_line, custody_of

    if args.add is None and (args.by or args.note):
        raise UsageError("--by and --note belong to a line; say what was done by --add WHAT")
    if args.add is not None and not args.by:
        raise UsageError("a line without a name tells nobody anything; give --by NAME")
    report = custody_of(args.bundle) if args.add is None else add_line(args.bundle, args.add, args.by, args.note)
    if args.json:
        console.emit_json(report)
    else:
        rows = [f"{line.utc}  {line.what} by {line.by or 'nobody named'}" for line in report.lines]
        notes = [f": {line.note}" if line.note else "" for line in report.lines]
        wrong = [f"NOT WHOLE  {one}" for one in report.wrong]
        text = [f"{row}{note}" for row, note in zip(rows, notes, strict=True)]
        console.emit("\n".join([*text, *wrong, f"the last line is {report.head}; keep it elsewhere"]))
    return ExitCode.NO if report.wrong else ExitCode.YES
