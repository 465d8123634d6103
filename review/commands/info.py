"""`sightline info`: what a drive holds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.commands import console
from runtime.contracts.errors import ExitCode

if TYPE_CHECKING:
    from review.info import DriveInfo

SUMMARY = "say what a drive holds: topics, model, ledger, gaps, events"
EXAMPLE = "sightline info drives/20261123T211500Z-9f3a01c4 --json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("drive", type=Path, metavar="DRIVE", help="a drive's folder, or one that holds a single drive")


def run(args: argparse.Namespace) -> int:
    """Print the drive's account of itself."""
    from review.info import info

    found = info(args.drive)
    if args.json:
        console.emit_json(found)
    else:
        console.emit(_words(found))
    return ExitCode.YES


def _words(found: DriveInfo) -> str:
    from runtime.record.deleted import in_words

    ledger, engine = found.ledger, found.fingerprint
    assumed = "" if found.assumed_speed_mps is None else f", {found.assumed_speed_mps:g} m/s assumed"
    agree = {True: "", False: " (NOT what the drive itself counted)", None: ""}[found.totals_agree]
    unknown_end = "the record does not say: the drive did not end in order"
    if found.in_use:
        unknown_end = "not yet: it is being recorded, recovered or deleted from at this moment"
    elif found.in_bundle:
        unknown_end = "it is not in what was handed over"
    lines = [
        f"drive      {found.drive_id}"
        + (" (a bundle of a part; sightline verify says which)" if found.in_bundle else ""),
        f"source     {found.source} (cameras: {', '.join(found.cameras)})",
        f"how        {found.mode}, {found.pacing}, {found.clock_domain} clock{assumed}",
        f"when       {found.start_utc}, {found.duration_s:.2f} s",
        f"model      {found.model_name} {found.model_sha256[:16]}…",
        f"its maps   {found.attribution_worth or 'not told'}",
        f"engine     {engine.backend} {engine.backend_version}, {engine.provider}, {engine.threads} thread(s), "
        f"optimisation {engine.optimisation}",
        f"           {engine.processor}; {engine.system}",
        f"ledger     {ledger.frames} frames = {ledger.decided} decided + {ledger.late} late + {ledger.dropped} dropped"
        f"{agree}",
        *(f"             {count} x dropped: {why}" for why, count in ledger.dropped_by.items()),
        *(f"             {count} x late: {why}" for why, count in ledger.late_by.items()),
        f"end        {found.ended or unknown_end}",
        f"incidents  {'not known' if found.incidents is None else found.incidents or 'none'}"
        + (f" ({found.incidents_note})" if found.incidents_note else ""),
        f"sealed     {found.sealed}",
        *([f"refused    {found.turned_away.refused} connection(s)"] if found.turned_away.refused else []),
        *([f"malformed  {found.turned_away.malformed} message(s)"] if found.turned_away.malformed else []),
        *([f"deleted    {in_words(found.deleted)}"] if found.deleted else []),
        *(f"missing    {lack}" for lack in found.lacks),
        *([f"           and {found.lacks_left_out} places more"] if found.lacks_left_out else []),
        *(f"changed    {words}" for words in found.not_as_it_drove),
        "",
        f"{'topic':<28}{'messages':>10}{'Hz':>9}  schema",
        *(f"{t.topic:<28}{t.count:>10}{t.rate_hz:>9.2f}  {t.schema_name}" for t in found.topics),
        "",
        f"{'segment':<28}{'MiB':>10}  frames",
    ]
    for segment in found.segments:
        frames = "none" if segment.first_frame is None else f"{segment.first_frame} to {segment.last_frame}"
        state = "" if segment.sealed else "  (journal: not sealed)"
        state += "  (recovered)" if segment.recovered else ""
        state += "  (a part)" if segment.part else ""
        lines.append(f"{segment.file:<28}{segment.size_bytes / 2**20:>10.2f}  {frames}{state}")
    if found.gaps:
        lines += ["", "gaps (declared losses, in sets of the link)"]
        lines += [
            f"  {gap.first} to {'an unknown end' if gap.last is None else gap.last}: {gap.reason}" for gap in found.gaps
        ]
    if found.events:
        lines += ["", "events"]
        lines += [f"  {event.kind:<22}{event.message}" for event in found.events]
        if found.events_left_out:
            lines.append(f"  and {found.events_left_out} more")
    return console.lines(lines)
