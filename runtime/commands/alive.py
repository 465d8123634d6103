"""`sightline alive`: whether a drive runs on this machine and decides; for the health check of a container."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.commands import console
from runtime.contracts.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from runtime.contracts.messages import Disposition
    from runtime.supervise.plan import RunPlan

SUMMARY = "tell whether a drive runs here and decides: for a health check"
EXAMPLE = "sightline alive --within-s 5"
_LONGEST_S = 600.0
_TURN_MS = 20  # a run is listened to for so long before the next one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--run", type=Path, metavar="DRIVE", help="of this drive alone (default: any of this user's)")
    parser.add_argument(
        "--within-s", type=float, default=5.0, metavar="S", help="how long it may take to see a decision (5)"
    )


def run(args: argparse.Namespace) -> int:
    """Listen to this user's drives, as any viewer does. Exit code 1 where none of them decides."""
    if not 0.0 < args.within_s <= _LONGEST_S:
        raise UsageError(f"--within-s is {args.within_s:g}; give seconds above 0 and up to {_LONGEST_S:g}")
    plans = _plans(args.run)
    found = _listen(plans, args.within_s) if plans else None
    alive = found is not None and found[1].disposition == "decided"
    said = _say(plans, found, args.within_s)
    if args.json:
        console.emit_json({"alive": alive, "found": said, "drives": [plan.drive_id for plan in plans]})
    else:
        console.emit(said)
    return ExitCode.YES if alive else ExitCode.NO


def _plans(wanted: Path | None) -> list[RunPlan]:
    from runtime.contracts.errors import LinkError
    from runtime.supervise.running import find_run, runs

    if wanted is None:
        return runs()
    try:
        return [find_run(wanted)]
    except LinkError:
        return []


def _say(plans: list[RunPlan], found: tuple[RunPlan, Disposition] | None, within_s: float) -> str:
    if found is not None:
        plan, line = found
        frame = f"frame {line.frame_id.sequence} of {plan.drive_id}"
        if line.disposition == "decided":
            return f"alive: {frame} is decided"
        return f"not alive: within {within_s:g} s nothing was decided; {frame} was {line.disposition}: {line.reason}"
    if plans:
        names = ", ".join(plan.drive_id for plan in plans)
        return f"not alive: {names} had no frame within {within_s:g} s; does its camera give any?"
    return "not alive: no such drive of this user runs here; start one with `sightline run`"


def _listen(plans: list[RunPlan], within_s: float) -> tuple[RunPlan, Disposition] | None:
    """The first frame of any of the runs that was decided; in want of one the newest, with what became of it."""
    import time

    from runtime.bus.publisher import Subscriber
    from runtime.contracts.topics import LEDGER

    listeners = [
        (plan, Subscriber([plan.viewers], [LEDGER.name], LEDGER.viewer_queue, plan.credentials("marker")))
        for plan in plans
    ]
    newest = None
    try:
        given_up_s = time.monotonic() + within_s
        while time.monotonic() < given_up_s:
            for plan, listener in listeners:
                message = listener.receive(_TURN_MS)
                if message is None or message.topic != LEDGER.name:  # a subscription is a prefix
                    continue
                newest = plan, LEDGER.decode(message.data)
                if newest[1].disposition == "decided":
                    return newest
    finally:
        for _, listener in listeners:
            listener.close()
    return newest
