"""`sightline bundle`: a part of a drive, handed over so that it can still be verified."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.commands import console
from runtime.contracts.errors import ExitCode

if TYPE_CHECKING:
    from review.bundle.make import BundleReport

SUMMARY = "hand over a part of a drive (an incident, a time, some topics) that still verifies against its seals"
EXAMPLE = "sightline bundle drives/20261123T211500Z-9f3a01c4 --incident 0 --without-people --out evidence/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("drive", type=Path, metavar="DRIVE", help="a drive's folder, or one that holds a single drive")
    parser.add_argument("--incident", type=int, metavar="NUMBER", help="the segments of an incident, whole")
    parser.add_argument("--cut", action="store_true", help="with --incident: its window only, not the whole segments")
    parser.add_argument(
        "--segment", type=int, action="append", default=[], metavar="NUMBER", help="a segment, whole; may be repeated"
    )
    parser.add_argument(
        "--from", type=_seconds, dest="from_s", metavar="SECONDS", help="from this second of the drive on (12.5s)"
    )
    parser.add_argument("--to", type=_seconds, dest="to_s", metavar="SECONDS", help="up to this second; cut there")
    parser.add_argument("--topics", nargs="+", default=[], metavar="TOPIC", help="these topics only; may hold *")
    parser.add_argument("--without-topics", nargs="+", default=[], metavar="TOPIC", help="not these; may hold *")
    parser.add_argument(
        "--without-people",
        action="store_true",
        help="no pictures, no model input that is large enough to recognise somebody, no topic that is not known",
    )
    parser.add_argument("--without-model", action="store_true", help="not the model that drove, nor its plan or report")
    parser.add_argument("--without-incidents", action="store_true", help="not the list of the drive's incidents")
    parser.add_argument("--by", default="", metavar="NAME", help="who hands it over, for the custody log")
    parser.add_argument("--note", default="", metavar="TEXT", help="what they have to say, for the custody log")
    parser.add_argument("--zip", action="store_true", help="make one file of it in place of a folder")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the bundle goes")


def _seconds(text: str) -> float:
    return float(text.removesuffix("s"))


_seconds.__name__ = "number of seconds"  # what argparse calls it


def run(args: argparse.Namespace) -> int:
    """0: made, and it verifies; 1: made, but the drive itself does not hold against its seals."""
    from review.bundle.choice import Request
    from review.bundle.make import make_bundle

    request = Request(
        incident=args.incident,
        segments=tuple(dict.fromkeys(args.segment)),
        from_s=args.from_s,
        to_s=args.to_s,
        cut=args.cut,
        topics=tuple(args.topics),
        without_topics=tuple(args.without_topics),
        without_people=args.without_people,
        without_model=args.without_model,
        without_incidents=args.without_incidents,
    )
    with console.progress(None, "bundle", quiet=args.json) as bar:
        bar.unit, bar.unit_scale = "B", True
        report = make_bundle(
            args.drive, request, args.out, by=args.by, note=args.note, as_zip=args.zip, on_bytes=bar.update
        )
    if args.json:
        console.emit_json(report)
    else:
        console.emit(_words(report))
    return ExitCode.NO if report.findings else ExitCode.YES


def _words(report: BundleReport) -> str:
    from review.verify.words import bundle_words

    return "\n".join(
        [
            f"bundle     {report.bundle} ({report.size_bytes / 1e6:.1f} MB)",
            *bundle_words(report.account),
            f"custody    {report.account.custody_head}: keep it, and nobody changes the log up to here unseen",
            f"head       {report.head}",
            *(f"NOT INTACT {one}" for one in report.findings),
            f"next       sightline verify {report.bundle} --key signing.pub",
        ]
    )
